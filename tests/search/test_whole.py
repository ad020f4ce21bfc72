"""Searches of which shards fail: a cluster answers 200 without their documents, unless it is told not to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from harvesters.document import Document
from harvesters.elastic.client import SearchClient
from harvesters.errors import Unavailable
from harvesters.firebase.elastic import SearchIndex
from harvesters.listings.ranking import Ranking
from harvesters.messages.forms import old_indices
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.sinks.elastic import ElasticSink
from harvesters.zoom.moving import MovingSink
from tests.clocks import FakeClock, patient

BUSY = {"error": {"type": "search_phase_execution_exception", "reason": "Search rejected due to missing shards"}}


class Partial(Simulator):
    """One shard of two does not answer."""

    def handle(self, request: Request) -> Response:
        if request.path == "/":
            return Response.json({"version": {"number": "3.8.0", "distribution": "opensearch"}})
        if request.path == "/_bulk":
            return Response.json({"errors": False, "items": [{"index": {"status": 201}}]})
        if request.path.endswith("/_field_caps"):
            return Response.json({"indices": ["message-2026-01-01"], "fields": {}})
        if not request.path.endswith("/_search"):
            return Response.json({"_shards": {"total": 2, "successful": 1, "failed": 1}})
        if request.param("allow_partial_search_results") == "false":
            return Response.json(BUSY, 503)
        return Response.json({"_shards": {"total": 2, "successful": 1, "failed": 1}, "hits": {"hits": []}})


def moved(client: SearchClient) -> Any:
    meeting = Document("m==", "meetings", datetime(2026, 11, 2, tzinfo=UTC), {})
    return MovingSink(ElasticSink(client, templated=False)).send([meeting])


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: SearchIndex(client, "events").elsewhere({"1": "events-2026-01"}),
        lambda client: SearchIndex(client, "events").remove(["1"]),
        moved,
        lambda client: list(Ranking(client, "listings").without_views(0, 9)),
        old_indices,
    ],
    ids=[
        "events of another month",
        "events that are gone",
        "meetings of another day",
        "listings without views",
        "messages of old",
    ],
)
def test_what_a_shard_does_not_say_is_not_taken_for_nothing(ask: Callable[[SearchClient], Any]) -> None:
    """Else a document that moves would stand in two indices, and one that is gone would stay."""
    with Partial() as cluster:
        client = SearchClient(cluster.url, patient(FakeClock(), budget=5))
        with pytest.raises(Unavailable, match="missing shards"):
            ask(client)
        client.close()
