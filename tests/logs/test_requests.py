"""Requests of ``logs generate`` to a cluster that answers what a cluster should not, or that a run no longer asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from harvesters.elastic import bulk
from harvesters.elastic.asyncclient import AsyncSearchClient
from harvesters.errors import Interrupted, ProtocolError, SinkUnavailable, TryLater
from harvesters.logs.index import LogIndex
from tests.clocks import patient
from tests.sinks.bulk import WELCOME, Bulk, answer

T = TypeVar("T")


def put(simulator: Bulk) -> None:
    ask(simulator, lambda index: index.put("1", b"{}"))


class Saying(Bulk):
    """Answers everything with `body`."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def handle(self, request: Any) -> Any:
        return answer(WELCOME if request.path == "/" else self.body)


@pytest.mark.parametrize("body", [{}, {"result": "noop"}, {"status": "ok"}])
def test_a_document_is_not_acknowledged_by_an_answer_that_does_not_say_so(body: dict[str, Any]) -> None:
    with Saying(body) as simulator, pytest.raises(SinkUnavailable, match="did not say that it took the document"):
        put(simulator)


@pytest.mark.parametrize("result", ["created", "updated"])
def test_a_document_is_acknowledged_whether_it_was_there_or_not(result: str) -> None:
    with Saying({"result": result}) as simulator:
        put(simulator)


def test_halves_of_a_request_that_is_too_large_are_not_sent_when_told_to_stop() -> None:
    waits = iter([False, True])

    async def sleep(seconds: float) -> None:
        if next(waits):
            raise Interrupted("told to stop")

    async def deliver(url: str) -> None:
        async with AsyncSearchClient(url, patient(), sleep=sleep) as client:
            lines = [bulk.write("pset_x", str(number), b"{}") for number in range(4)]
            await bulk.deliver_in_loop(client, lines, lambda done: None, {})

    with Bulk() as simulator:
        simulator.most_bytes = 1
        with pytest.raises(Interrupted):
            asyncio.run(deliver(simulator.url))
        assert simulator.batches == [["0", "1", "2", "3"]]


INDEX = {
    "/_resolve/index/pset_x": {"indices": [{"name": "pset_x", "attributes": ["open"]}]},
    "/pset_x": {"pset_x": {"mappings": {"properties": {"url": {"type": "keyword"}}}}},
    "/pset_x/_refresh": {"_shards": {"failed": 0}},
    "/pset_x/_count": {"count": 0, "_shards": {"total": 1, "successful": 1}},
    "/pset_x/_settings": {"pset_x": {"settings": {"index": {"uuid": "u"}}}},
    "DELETE": {"acknowledged": True},
    "PUT": {"acknowledged": True, "shards_acknowledged": True, "index": "pset_x"},
}


class Telling(Bulk):
    """An Elasticsearch with an empty index, which tells one thing otherwise."""

    def __init__(self, **told: Any) -> None:
        super().__init__()
        self.told = {**INDEX, **told}
        self.asked: list[str] = []

    def handle(self, request: Any) -> Any:
        path = request.path.partition("?")[0]
        if path == "/":
            return answer(WELCOME)
        name = request.method if request.method in ("PUT", "DELETE") else path
        self.asked.append(name)
        return answer(self.told[name])


def ask(simulator: Bulk, question: Callable[[LogIndex], Awaitable[T]]) -> T:
    async def asked() -> T:
        async with AsyncSearchClient(simulator.url, patient(budget=0), sleep=at_once) as client:
            return await question(LogIndex(client, "pset_x"))

    return asyncio.run(asked())


async def at_once(seconds: float) -> None:
    """Nothing waits."""


@pytest.mark.parametrize("said", [{}, {"acknowledged": False, "index": "pset_x"}, {"status": "ok"}])
def test_an_index_is_not_made_by_an_answer_that_does_not_say_so(said: dict[str, Any]) -> None:
    with Telling(PUT=said) as simulator, pytest.raises(TryLater, match="does not say that it made pset_x"):
        ask(simulator, lambda index: index.make(0))


def test_an_index_that_nothing_tells_from_another_is_not_filled() -> None:
    with Telling(**{"/pset_x/_settings": {}}) as simulator, pytest.raises(ProtocolError, match="makes no sense"):
        ask(simulator, lambda index: index.identity())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/_resolve/index/pset_x", {"indices": None}),
        ("/_resolve/index/pset_x", {"indices": [None]}),
        ("/_resolve/index/pset_x", {"indices": [{}]}),
        ("/_resolve/index/pset_x", {"indices": [{"name": "pset_x", "attributes": None}]}),
        ("/pset_x", {"pset_x": {"mappings": []}}),
        ("/pset_x", {"pset_x": {"mappings": {"properties": []}}}),
        ("/pset_x", {"pset_x": {"mappings": {"properties": None, "runtime": None}}}),
        ("/pset_x", {"pset_x": {"mappings": {"properties": {"url": 1}}}}),
        ("/pset_x/_count", {"count": None, "_shards": {"total": 1, "successful": 1}}),
        ("/pset_x/_count", {"count": "x", "_shards": {"total": 1, "successful": 1}}),
    ],
)
def test_nothing_is_deleted_after_an_answer_that_makes_no_sense(path: str, said: dict[str, Any]) -> None:
    with Telling(**{path: said}) as simulator:
        with pytest.raises(ProtocolError, match="makes no sense"):
            ask(simulator, lambda index: index.make(0))
        assert "DELETE" not in simulator.asked


@pytest.mark.parametrize("items", [None, 1])
def test_no_event_is_acknowledged_by_a_list_that_is_none(items: object) -> None:
    lines = [bulk.write("pset_x", "1", b"{}")]
    with Saying({"errors": False, "items": items}) as simulator, pytest.raises(SinkUnavailable, match="0 of 1"):
        ask(simulator, lambda index: bulk.deliver_in_loop(index.client, lines, lambda done: None, {}))
