"""Points in time: what an index holds at one moment, in the words of each kind of cluster."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.cluster import OPENSEARCH
from harvesters.elastic.errors import reason
from harvesters.errors import HarvestError
from harvesters.retry import Transient

_OF_NOTHING = "invalid id: [null]"  # what OpenSearch says of a pattern that no index has


def open(client: SearchClient, index: str, keep: str) -> str | None:
    """The id of a point in time of `index`, kept for so long between questions; None where there is no such index."""
    theirs = client.cluster.distribution == OPENSEARCH
    path = f"/{paths.pattern(index)}/{'_search/point_in_time' if theirs else '_pit'}"
    answer = client.request("POST", path, params={"keep_alive": keep}, accept=(400, 404) if theirs else (404,))
    if answer.status == 400:
        if _OF_NOTHING in reason(answer.body):
            return None
        client.request("POST", path, params={"keep_alive": keep})  # raises what it says
    return str(answer.body["pit_id" if theirs else "id"]) if answer.found else None


def close(client: SearchClient, id: str) -> None:
    """Let the cluster forget it; where it does not answer, it will by itself."""
    theirs = client.cluster.distribution == OPENSEARCH
    path, body = ("/_search/point_in_time", {"pit_id": [id]}) if theirs else ("/_pit", {"id": id})
    with suppress(HarvestError, Transient):
        client.attempt("DELETE", path, body, accept=(404,))


def is_lost(shards: Mapping[str, Any]) -> bool:
    """Whether an answer, as of an id that another cluster gave, is about nothing: that is 200, and without a hit."""
    return shards.get("total") == 0
