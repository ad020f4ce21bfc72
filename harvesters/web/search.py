"""The part ``search``: listings as JSON, a page to search on, and what `listings` has beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from markupsafe import Markup
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from harvesters.listings.search import LONGEST_TEXT, Found, Hit, Order, search
from harvesters.listings.searchindex import ListingIndex, Lost, NoIndex, OtherForm
from harvesters.listings.suggest import suggest
from harvesters.web import listings
from harvesters.web.backend import Backend, Missing
from harvesters.web.cursors import Cursors, Forged
from harvesters.web.pages import Pages
from harvesters.web.parameters import Parameters
from harvesters.web.problems import Problem, describe

_LONGEST_CURSOR = 8_000
_SHOWN = 20
_NONE = "There is no index of listings. Fill it with `harvest.py listings index`."
_OTHER = (
    "The index of listings was not made by `harvest.py listings index`, and cannot be searched. Have that fill another "
    "one: set LISTINGS_INDEX and LISTINGS_GROUP to new names."
)

T = TypeVar("T")

Text = Annotated[str | None, Field(max_length=LONGEST_TEXT)]


class Wanted(Parameters):
    """What is searched for, in which order, and where the page begins."""

    q: Text = None
    sort: Order = Order.RELEVANCE
    limit: Annotated[int, Field(ge=1, le=100)] = _SHOWN
    after: Annotated[str | None, Field(max_length=_LONGEST_CURSOR, description="`next` of the page before.")] = None

    def link(self, **other: Any) -> str:
        """The path of the page with these parameters; what is None or as it is without saying is left out."""
        asked = self.model_copy(update=other).model_dump(exclude_defaults=True, exclude_none=True)
        return f"/search?{urlencode(asked)}" if asked else "/search"


class Typed(Parameters):
    """What somebody has typed so far."""

    q: Text = None
    limit: Annotated[int, Field(ge=1, le=20)] = 8


class Total(BaseModel):
    """How many hits there are: exactly so many, or at least (``gte``)."""

    value: int
    relation: Literal["eq", "gte"]


class Highlighted(BaseModel):
    """HTML: everything escaped but ``<mark>`` around the words that were searched for."""

    title: str
    description: str


class FoundListing(BaseModel):
    """A listing that fits; ``score`` is null in an order that knows none."""

    id: str
    title: str
    description: str
    created: str | None
    visits: int
    score: float | None
    highlight: Highlighted


class Listings(BaseModel):
    """A page of them; `next` is null on the last one."""

    query: str
    sort: Order
    total: Total
    hits: list[FoundListing]
    next: str | None


class Title(BaseModel):
    """A title that may be meant, and the most popular listing that has it."""

    text: str
    id: str


class Titles(BaseModel):
    """The most popular first."""

    suggestions: list[Title]


class Desk:
    """Asks the index of listings, and says what is missing."""

    def __init__(self, backend: Backend, cursors: Cursors) -> None:
        self._backend, self._cursors = backend, cursors
        self._name = backend.settings.require("LISTINGS_INDEX")

    async def answer(self, work: Callable[[ListingIndex], T]) -> T:
        """What `work` returns.

        Raises:
            Problem: 503, with the reason; 410, the moment that it asked for is gone.
        """
        return await self._backend.answer(lambda: self._ask(work))

    async def find(self, wanted: Wanted) -> tuple[Found, str | None]:
        """A page, and the cursor of the next one.

        Raises:
            Problem: also 422, the cursor is none of this search.
        """
        bound = {"list": "listings", "index": self._name, **wanted.model_dump(exclude={"after"})}
        try:
            after = self._cursors.read(bound, wanted.after) if wanted.after is not None else None
        except Forged:
            raise Problem(422, "after: it is no `next` of this search.") from None
        work = partial(search, text=wanted.q or "", order=wanted.sort, limit=wanted.limit, after=after)
        found = await self.answer(work)
        return found, self._cursors.write(bound, found.next) if found.next is not None else None

    def _ask(self, work: Callable[[ListingIndex], T]) -> T:
        try:
            return work(ListingIndex(self._backend.client, self._name))
        except NoIndex:
            raise Missing(_NONE) from None
        except OtherForm:
            raise Missing(_OTHER) from None
        except Lost:
            raise Problem(410, "This page of the search is gone, after five minutes at most: begin again.") from None


def router(backend: Backend, pages: Pages, cursors: Cursors) -> APIRouter:
    """The routes of the part.

    Raises:
        ConfigError: a setting cannot be read.
    """
    routes = APIRouter(tags=["search"])
    desk = Desk(backend, cursors)
    routes.include_router(listings.router(backend, pages, desk.answer))

    @routes.get("/api/v1/search", summary="Listings by their words.", responses=describe(410, 422, 503))
    async def found(wanted: Annotated[Wanted, Query()]) -> Listings:
        found, next = await desk.find(wanted)
        return Listings(
            query=wanted.q or "",
            sort=wanted.sort,
            total=Total(value=found.total, relation="eq" if found.exact else "gte"),
            hits=[_said(hit) for hit in found.hits],
            next=next,
        )

    @routes.get("/api/v1/search/suggest", summary="Titles while one types.", responses=describe(422, 503))
    async def suggestions(typed: Annotated[Typed, Query()]) -> Titles:
        found = await desk.answer(partial(suggest, text=typed.q or "", limit=typed.limit))
        return Titles(suggestions=[Title(**vars(one)) for one in found])

    @routes.get("/search", include_in_schema=False)
    async def page(wanted: Annotated[Wanted, Query()]) -> HTMLResponse:
        show = partial(_page, pages, wanted)
        try:
            found, next = await desk.find(wanted)
        except Problem as problem:
            if problem.status != 410:
                raise
            return show(410, lost=True)
        link = wanted.link(after=next) if next is not None else None
        return show(found=found, hits=[_shown(hit) for hit in found.hits], next=link)

    return routes


def _page(pages: Pages, wanted: Wanted, status: int = 200, **values: Any) -> HTMLResponse:
    orders = [
        {
            "title": order.value.title(),
            "link": wanted.link(sort=order, after=None),
            "current": order is wanted.sort,
        }
        for order in Order
    ]
    begin = wanted.link(after=None)
    values = {"lost": False, "next": None, **values}
    return pages.render(
        "search.html", status, title="Listings", find=wanted.q or "", orders=orders, begin=begin, **values
    )


def _said(hit: Hit) -> FoundListing:
    said = {**vars(hit), "highlight": Highlighted(**vars(hit.highlight))}
    return FoundListing(**said)


def _shown(hit: Hit) -> dict[str, Any]:
    return {
        "link": listings.link(hit.id),
        "title": Markup(hit.highlight.title) or hit.id,
        "description": Markup(hit.highlight.description),
        "visits": listings.views(hit.visits),
        "created": hit.created,
    }
