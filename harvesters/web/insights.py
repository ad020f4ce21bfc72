"""The part ``insights``: answers as JSON, and all of them on a page."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from markupsafe import Markup
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, Response

from harvesters.firebase.documents import milliseconds
from harvesters.firebase.indices import Indices
from harvesters.insights.answer import Insight, unheard_of
from harvesters.insights.answers import INSIGHTS
from harvesters.insights.calendar import Calendar
from harvesters.insights.history import History
from harvesters.insights.question import EARLIEST, LATEST, Question
from harvesters.insights.report import sections
from harvesters.timespan import parse_moment
from harvesters.web.backend import Backend, Missing
from harvesters.web.cursors import Cursors
from harvesters.web.events import Events, Held
from harvesters.web.pages import Pages
from harvesters.web.parameters import Parameters
from harvesters.web.problems import Problem, describe

_CENTURY = 36_525  # days
_LONGEST_ID = 1_500  # bytes of a key in Firebase: 768; as a text it may be longer
_ENGINE = ("duckdb", "numpy", "vl_convert")

Id = Annotated[str | None, Field(max_length=_LONGEST_ID)]
Moment = Annotated[str | None, Field(max_length=40, description="YYYYMMDDHHmmss or ISO 8601.")]


class Filters(Parameters):
    """What all answers can be asked for."""

    start: Moment = None
    end: Moment = None
    school: Id = None
    class_: Annotated[Id, Field(alias="class")] = None
    student: Id = None


class Asked(Filters):
    """The filters, and the options of some answers."""

    by: Literal["day", "week", "month"] | None = None
    group: Literal["type", "school", "class"] | None = None
    within: Annotated[int | None, Field(ge=1, le=_CENTURY)] = None
    weeks: Annotated[int | None, Field(ge=0, le=_CENTURY // 7)] = None
    limit: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    moves: bool | None = None
    now: bool | None = None


class Listed(BaseModel):
    """An answer that there is."""

    name: str
    text: str
    definition: str
    columns: list[str]
    options: dict[str, str | int | bool | None]


class Listing(BaseModel):
    """All of them."""

    answers: list[Listed]


class Answered(BaseModel):
    """An answer, as of an instant; its rows as the command line writes them as JSON."""

    answer: str
    as_of: str | None
    timezone: str
    rows: list[dict[str, str | int | float | bool | None]]


def router(backend: Backend, pages: Pages, cursors: Cursors) -> APIRouter:
    """The routes of the part.

    Raises:
        ConfigError: a setting cannot be read.
    """
    desk = Desk(backend)
    routes = APIRouter(tags=["insights"])

    @routes.get("/api/v1/insights", summary="The answers that there are, and what their words mean.")
    async def listing() -> Listing:
        return Listing(answers=[_listed(insight) for insight in INSIGHTS.values()])

    @routes.get(
        "/api/v1/insights/{answer}",
        summary="One answer.",
        response_model=Answered,
        responses=describe(404, 422, 503),
    )
    async def one(answer: str, asked: Annotated[Asked, Query()]) -> Response:
        insight = INSIGHTS.get(answer)
        if insight is None:
            raise Problem(404, f"There is no such answer. There are {', '.join(INSIGHTS)}.")
        question = desk.question(asked, insight)
        return await backend.answer_with(desk.events(), lambda held: desk.json(held, insight, question))

    @routes.get("/insights", include_in_schema=False)
    async def page(filters: Annotated[Filters, Query()]) -> HTMLResponse:
        question = desk.question(filters)
        return await backend.answer_with(desk.events(), lambda held: desk.page(pages, held, filters, question))

    return routes


class Desk:
    """Takes questions from a request, and puts answers into words.

    Raises:
        ConfigError: a setting cannot be read.
    """

    def __init__(self, backend: Backend) -> None:
        settings = backend.settings
        self.calendar = Calendar(settings.timezone("FIREBASE_TIMEZONE"))
        self._test_schools = tuple(settings.names("FIREBASE_TEST_SCHOOLS"))
        self._events = Events(
            settings,
            Indices(settings.get("FIREBASE_INDEX_PREFIX")).events,
            self.calendar,
            settings.get("HARVEST_INSIGHTS_MEMORY"),
            settings.number("HARVEST_INSIGHTS_MAX_AGE"),
        )
        backend.closing(self._events.close)

    def events(self) -> Future[Held]:
        """The events, as soon as they are at hand; `Missing` where their engine is not installed."""
        if not all(map(find_spec, _ENGINE)):
            future = Future[Held]()
            future.set_exception(Missing("The server lacks an extra: pip install 'harvest[insights]'."))
            return future
        return self._events.fresh()

    def question(self, asked: Filters, insight: Insight | None = None) -> Question:
        """What is asked, with the defaults of `insight`.

        Raises:
            Problem: 422, a time cannot be read, or an option is none of the answer's.
        """
        own = asked.model_dump(exclude_none=True, include={*Asked.model_fields} - {*Filters.model_fields})
        options = {} if insight is None else insight.options
        for name in own:
            if name not in options:
                raise Problem(422, f"{name}: {insight.name if insight else 'this'} has no such parameter.")
        if own.get("now") and "by" in own:
            raise Problem(422, "by: with now there are no periods.")
        start, end = self._instant("start", asked.start), self._instant("end", asked.end)
        if start is not None and end is not None and start >= end:
            raise Problem(422, "start: it is not before the end.")
        return Question(
            start=start,
            end=end,
            school=asked.school,
            class_=asked.class_,
            student=asked.student,
            test_schools=self._test_schools,
            **{**_defaults(options), **own},
        )

    def json(self, held: Held, insight: Insight, question: Question) -> Response:
        """The answer as `Answered` says."""

        def say(history: History) -> bytes:
            answer = insight.answer(history, question)
            return orjson.dumps(
                {
                    "answer": insight.name,
                    "as_of": self._as_of(history),
                    "timezone": self.calendar.zone.key,
                    "rows": [dict(zip(answer.columns, row, strict=True)) for row in answer.rows],
                }
            )

        return Response(held.answer((insight.name, question), question.end, say), media_type="application/json")

    def page(self, pages: Pages, held: Held, filters: Filters, question: Question) -> HTMLResponse:
        """All answers, each with its own defaults."""

        def say(history: History) -> bytes:
            page = pages.render(
                "insights.html",
                title="Insights",
                filters=filters,
                names=[*INSIGHTS],
                answers=Markup("\n".join(sections(history, question))),
                unknown=unheard_of(history, question),
                as_of=self._as_of(history),
                timezone=self.calendar.zone.key,
            )
            return bytes(page.body)

        asked = filters.model_dump_json()  # the form shows times as they were typed
        return HTMLResponse(held.answer(("page", asked), question.end, say))

    def _as_of(self, history: History) -> str | None:
        return self.calendar.iso(history.as_of) if history.as_of is not None else None

    def _instant(self, name: str, text: str | None) -> int | None:
        """Milliseconds since 1970."""
        if text is None:
            return None
        try:
            moment = parse_moment(text, self.calendar.zone)
        except ValueError:
            raise Problem(422, f"{name}: it is no time; write YYYYMMDDHHmmss or ISO 8601.") from None
        if not EARLIEST <= moment < LATEST:
            raise Problem(422, f"{name}: it is not between {EARLIEST.year} and {LATEST.year}.")
        return milliseconds(moment)


def _defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a question has; scoring is for the command line alone."""
    return {name: value for name, value in options.items() if name != "score"}


def _listed(insight: Insight) -> Listed:
    options = _defaults(insight.options)
    columns = insight.columns(Question(**options))
    return Listed(
        name=insight.name, text=insight.text, definition=insight.definition, columns=[*columns], options=options
    )
