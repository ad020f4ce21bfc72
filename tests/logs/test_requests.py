"""Requests of ``logs generate`` to a cluster that answers what a cluster should not, or that a run no longer asks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harvesters.elastic import bulk
from harvesters.elastic.asyncclient import AsyncSearchClient
from harvesters.errors import Interrupted, SinkUnavailable
from harvesters.logs.index import LogIndex
from tests.clocks import patient
from tests.sinks.bulk import WELCOME, Bulk, answer


def put(simulator: Bulk) -> None:
    async def ask() -> None:
        async def sleep(seconds: float) -> None:
            """Nothing waits."""

        async with AsyncSearchClient(simulator.url, patient(budget=0), sleep=sleep) as client:
            await LogIndex(client, "pset_x").put("1", b"{}")

    asyncio.run(ask())


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
            await bulk.deliver_in_loop(client, lines, lambda done: None)

    with Bulk() as simulator:
        simulator.most_bytes = 1
        with pytest.raises(Interrupted):
            asyncio.run(deliver(simulator.url))
        assert simulator.batches == [["0", "1", "2", "3"]]
