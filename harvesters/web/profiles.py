"""The part ``profiles``: search and suggestions as JSON, and a page to search on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from harvesters.errors import ConfigError
from harvesters.firebase.indices import Indices
from harvesters.profiles.index import OlderForm, ProfileIndex
from harvesters.profiles.search import LONGEST_TEXT, Found, search
from harvesters.profiles.suggest import suggest
from harvesters.search.reader import IndexReader
from harvesters.web.backend import Backend, Missing
from harvesters.web.cursors import Cursors, Forged
from harvesters.web.pages import Pages
from harvesters.web.parameters import Parameters
from harvesters.web.problems import Problem, describe

_LONGEST_ID = 1_500
_LONGEST_CURSOR = 4_000
_SHOWN = 20  # on a page
_NONE = "There is no index of profiles. Fill it with `harvest.py firebase profiles`."
_OLDER = (
    "The index of profiles is in the form of an older version. Run `harvest.py setup load_index_templates`, then "
    "`harvest.py setup migrate`."
)

T = TypeVar("T")

Text = Annotated[str | None, Field(max_length=LONGEST_TEXT)]
Id = Annotated[str | None, Field(max_length=_LONGEST_ID)]


class Wanted(Parameters):
    """Who is searched for."""

    q: Text = None
    school: Id = None
    class_: Annotated[Id, Field(alias="class")] = None

    def query(self) -> dict[str, Any]:
        """What a cursor is bound to."""
        return {"list": "profiles", **self.model_dump(include={"q", "school", "class_"})}


class Paged(Wanted):
    """And where the page begins."""

    after: Annotated[str | None, Field(max_length=_LONGEST_CURSOR, description="`next` of the page before.")] = None


class Listed(Paged):
    """And how long it is."""

    limit: Annotated[int, Field(ge=1, le=100)] = _SHOWN


class Typed(Wanted):
    """What somebody has typed so far."""

    limit: Annotated[int, Field(ge=1, le=20)] = 10


class Hit(BaseModel):
    """A person who fits."""

    id: str
    name: str
    bio: str
    school_ids: list[str]
    class_ids: list[str]
    score: float | None


class Hits(BaseModel):
    """A page of them; `next` is null on the last one."""

    total: int
    hits: list[Hit]
    next: str | None


class Suggestion(BaseModel):
    """A person who may be meant."""

    id: str
    name: str
    school_ids: list[str]


class Suggestions(BaseModel):
    """The likeliest first."""

    suggestions: list[Suggestion]


def router(backend: Backend, pages: Pages, cursors: Cursors) -> APIRouter:
    """The routes of the part."""
    routes = APIRouter(tags=["profiles"])
    name = Indices(backend.settings.get("FIREBASE_INDEX_PREFIX")).profiles

    def ask(work: Callable[[ProfileIndex], T]) -> T:
        index = ProfileIndex(backend.client, name)
        try:
            return work(index)
        except OlderForm:
            raise Missing(_OLDER) from None
        except ConfigError:
            if IndexReader(backend.client, name).exists():
                raise
            raise Missing(_NONE) from None

    async def find(wanted: Paged, limit: int) -> tuple[Found, str | None]:
        query = wanted.query()
        try:
            after = cursors.read(query, wanted.after) if wanted.after is not None else None
        except Forged:
            raise Problem(422, "after: it is no `next` of this search.") from None
        work = partial(search, text=wanted.q, school=wanted.school, class_id=wanted.class_, limit=limit, after=after)
        found = await backend.answer(lambda: ask(work))
        return found, cursors.write(query, found.next) if found.next is not None else None

    @routes.get("/api/v1/profiles", summary="People by name and bio.", responses=describe(422, 503))
    async def profiles(wanted: Annotated[Listed, Query()]) -> Hits:
        found, next = await find(wanted, wanted.limit)
        return Hits(total=found.total, hits=[Hit(**vars(hit)) for hit in found.hits], next=next)

    @routes.get("/api/v1/profiles/suggest", summary="People while one types.", responses=describe(422, 503))
    async def suggestions(typed: Annotated[Typed, Query()]) -> Suggestions:
        work = partial(suggest, text=typed.q or "", school=typed.school, class_id=typed.class_, limit=typed.limit)
        found = await backend.answer(lambda: ask(work))
        return Suggestions(suggestions=[Suggestion(**vars(one)) for one in found])

    @routes.get("/profiles", include_in_schema=False)
    async def page(wanted: Annotated[Paged, Query()]) -> HTMLResponse:
        found, next = await find(wanted, _SHOWN)
        asked = wanted.model_dump(by_alias=True, exclude_none=True, exclude={"after"})
        link = f"/profiles?{urlencode({**asked, 'after': next})}" if next is not None else None
        return pages.render("profiles.html", title="Profiles", wanted=wanted, found=found, next=link)

    return routes
