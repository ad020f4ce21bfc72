"""The message service: ``/messages``, ``/message``, ``/logs``, ``/performance``, ``/documentation``.

Its routes are those that clients of old know, and so are its errors.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from starlette.responses import JSONResponse, Response

from harvesters.messages import logs, moments, stored
from harvesters.messages.content import Invalid
from harvesters.messages.hits import Hit
from harvesters.messages.model import TYPES, Message
from harvesters.messages.posting import Draft
from harvesters.messages.reading import Selection
from harvesters.messages.store import MessageStore
from harvesters.web import analytics
from harvesters.web.backend import Backend
from harvesters.web.cursors import Cursors, Forged
from harvesters.web.messagewriting import Writing
from harvesters.web.pages import Pages
from harvesters.web.parameters import Parameters, known_and_once
from harvesters.web.problems import Problem

T = TypeVar("T")

MOST = 10_000
"""Messages of one answer."""

_LARGE = 50_000  # bytes of a body that is read in a thread, so that others are answered meanwhile
_CURSOR = "X-Next-Cursor"
_BLANK_FOR_PLUS = re.compile(r"(\d{4}-?\d\d-?\d\d[T ]\S+) (\d\d\S*)")


class Camel(Parameters):
    """Parameters in the spelling of clients of old."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)


class Range(Camel):
    """Which messages."""

    project: str
    from_time: str
    to_time: str
    user_id: str | None = None
    channel: str | None = None
    type: str | None = None
    max_size: Annotated[int, Field(ge=1, le=MOST)] = 1000
    cursor: str | None = None

    def selection(self) -> Selection:
        """The same, as a question.

        Raises:
            Problem: 400.
        """
        start, end = _bound("fromTime", self.from_time), _bound("toTime", self.to_time)
        if start > end:
            raise Problem(400, "fromTime is after toTime.")
        kind = self.type.lower() if self.type is not None else None
        if kind not in (None, *TYPES):
            raise Problem(400, f"type is none of {', '.join(TYPES)}.")
        named = {"project": self.project, "userId": self.user_id, "channel": self.channel, "type": kind}
        return Selection({name: text for name, text in named.items() if text is not None}, start, end)


class Which(Camel):
    """A message, by its trace id or by its own ids."""

    trace_id: str | None = None
    message_id: str | None = None
    user_id: str | None = None
    project: str | None = None

    def asked(self) -> tuple[str | None, dict[str, str]]:
        """Trace id and words.

        Raises:
            Problem: 400.
        """
        if self.trace_id is None and (self.message_id is None or self.user_id is None):
            raise Problem(400, "Either traceId or both messageId and userId are needed.")
        return self.trace_id, _given(project=self.project, messageId=self.message_id, userId=self.user_id)


class Erasing(Camel):
    """Whose messages, and which of them."""

    user_id: str
    project: str | None = None
    message_id: str | None = None
    trace_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        """An empty parameter, which would narrow nothing, is not to erase all of a person."""
        if isinstance(given, dict) and "" in given.values():
            raise ValueError("a parameter is empty: leave it out to erase more")
        return given


def _given(**words: str | None) -> dict[str, str]:
    return {name: text for name, text in words.items() if text is not None}


def router(backend: Backend, pages: Pages, cursors: Cursors) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["messages"], include_in_schema=False)
    writing = Writing(backend)
    backend.closing(writing.close)

    async def ask(work: Callable[[MessageStore], T]) -> T:
        return await backend.answer(lambda: work(MessageStore(backend.client, writing.forms)))

    async def post_messages(request: Request) -> Response:
        await known_and_once(request)
        body = await request.body()
        drafts = await _in_a_thread_if_large(body, _message_drafts)
        await writing.messages(drafts)
        trace_ids = [draft.trace_id for draft in drafts]
        return _created({"traceIds": trace_ids, "status": "Created: messages stored", "code": 201})

    async def post_logs(request: Request) -> Response:
        await known_and_once(request)
        body = await request.body()
        drafts, errors = await _in_a_thread_if_large(body, _log_drafts)
        await writing.logs(drafts)
        trace_ids = [draft.trace_id for draft in drafts]
        return _created({"traceIds": trace_ids, "status": "Created: logs stored", "code": 201, "errors": errors})

    # Without what FastAPI does before it calls a route: that would take a quarter of the time of a post.
    routes.add_route("/messages", post_messages, methods=["POST"])
    routes.add_route("/logs", post_logs, methods=["POST"])

    @routes.get("/messages")
    async def get_messages(asked: Annotated[Range, Query()]) -> Response:
        selection = asked.selection()
        query = {"words": dict(selection.words), "bounds": [selection.since, selection.until]}
        after = None
        if asked.cursor is not None:
            try:
                micros, trace, index = cursors.read(query, asked.cursor)
            except Forged:
                raise Problem(400, "cursor is none, or of another query.") from None
            after = (micros, trace, index)

        def work(store: MessageStore) -> Response:
            hits, place = store.page(selection, asked.max_size, after)
            headers = {_CURSOR: cursors.write(query, place)} if place is not None else {}
            return _array([hit.fields for hit in hits], headers)

        return await ask(work)

    @routes.delete("/messages")
    async def delete_messages(asked: Annotated[Erasing, Query()]) -> Response:
        erased = await writing.erase(
            asked.user_id, project=asked.project, message=asked.message_id, trace=asked.trace_id
        )
        return JSONResponse({"status": "Ok: message deleted", "code": 200, **erased})

    @routes.get("/message")
    async def get_message(asked: Annotated[Which, Query()]) -> Response:
        trace, words = asked.asked()
        hit = await ask(lambda store: _first(store.find(trace=trace, words=words)))
        if hit is None:
            raise Problem(404, "Not found: there is no such message.")
        return _message(hit)

    @routes.delete("/message")
    async def delete_message(asked: Annotated[Which, Query()]) -> Response:
        trace, words = asked.asked()
        deleted = await ask(lambda store: store.delete(trace=trace, words=words))
        return JSONResponse({"status": "Ok: message deleted", "code": 200, "deleted": deleted})

    @routes.get("/performance/message/{trace:path}")
    async def performance_message(trace: str) -> Response:
        hit = await ask(lambda store: _first(store.find(trace=trace))) if trace else None
        if hit is None:
            raise Problem(404, "resource not found")
        return _message(hit)

    @routes.get("/performance/conversation/{conversation:path}")
    async def performance_conversation(conversation: str) -> Response:
        selection = Selection({"conversationId": conversation})

        def work(store: MessageStore) -> Response:
            hits, _ = store.page(selection, MOST)
            if not hits:
                raise Problem(404, "resource not found")
            return _array([{"_index": hit.index, "_id": hit.id, "_source": hit.fields} for hit in hits])

        return await ask(work)

    async def not_allowed() -> Response:
        raise Problem(405, "This path does not know the request's method.")

    for path in ("/log", "/performance/index", "/performance/index/{name:path}"):
        methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        routes.add_api_route(path, not_allowed, methods=methods)

    routes.include_router(analytics.router(backend))
    documentation = files("harvesters.web").joinpath("messages.yaml").read_bytes()

    @routes.get("/documentation")
    async def get_documentation() -> Response:
        return Response(documentation, media_type="text/plain", headers={"Access-Control-Allow-Origin": "*"})

    return routes


def _bound(name: str, text: str) -> int:
    """A bound, in microseconds. Clients forget to encode the ``+`` of an offset, so a blank is one there."""
    try:
        return moments.micros(moments.parse(_BLANK_FOR_PLUS.sub(r"\1+\2", text)))
    except ValueError:
        raise Problem(400, f"{name} is no time in ISO 8601.") from None


def _first(hits: Sequence[Hit]) -> Hit | None:
    """The one that counts where several match: the first by time."""
    return min(hits, key=lambda hit: (str(hit.fields.get("timestamp")), hit.id), default=None)


def _message(hit: Hit) -> Response:
    return Response(stored.dumps({**hit.fields, "traceId": hit.id}), media_type="application/json")


def _array(values: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None) -> Response:
    body = b"[%b]" % b",".join(map(stored.dumps, values))
    return Response(body, media_type="application/json", headers=dict(headers or {}))


def _created(body: Mapping[str, Any]) -> Response:
    return Response(stored.dumps(body), 201, media_type="application/json")


async def _in_a_thread_if_large(body: bytes, read: Callable[[bytes], T]) -> T:
    if len(body) < _LARGE:
        return read(body)
    return await asyncio.get_running_loop().run_in_executor(None, read, body)


def _array_of(body: bytes) -> list[Any]:
    """What is in a body that has to be a JSON array.

    Raises:
        Problem: 400.
    """
    try:
        body.decode()
        said = stored.loads(body)
    except UnicodeDecodeError:
        raise Problem(400, "Malformed request: the body is no UTF-8.") from None
    except ValueError:
        raise Problem(400, "Malformed request: the body is no JSON, or is nested too deeply.") from None
    if not isinstance(said, list):
        raise Problem(400, "Malformed request: the body is no JSON array.")
    return said


def _message_drafts(body: bytes) -> list[Draft]:
    drafts, errors = _drafts(body, lambda said: Draft.of(Message.parse(said)))
    if errors:
        reason = f"message {errors[0]['index']}: {errors[0]['reason']}"
        raise Problem(400, f"Malformed request: {reason}. Nothing was stored.", more={"errors": errors})
    return drafts


def _log_drafts(body: bytes) -> tuple[list[Draft], list[dict[str, Any]]]:
    return _drafts(body, logs.draft)


def _drafts(body: bytes, read: Callable[[Any], Draft]) -> tuple[list[Draft], list[dict[str, Any]]]:
    drafts: list[Draft] = []
    errors: list[dict[str, Any]] = []
    for index, said in enumerate(_array_of(body)):
        try:
            drafts.append(read(said))
        except Invalid as error:
            errors.append({"index": index, "reason": str(error)})
    return drafts, errors
