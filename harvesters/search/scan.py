"""Every document of an index as it is at one moment, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harvesters.search.client import SearchClient

PAGE = 1000
_KEEP = "5m"
_WHOLE = {"allow_partial_search_results": "false"}
_MOST = 5  # times in a row that a point in time may be forgotten


def pages(
    client: SearchClient,
    index: str,
    since: int | None = None,
    source: bool | list[str] = True,
    only: dict[str, Any] | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Search hits, a page at a time, sorted by sequence number (the first value of ``sort``).

    All shards answer, or it is asked again. Where the cluster forgets the point in time, as it does when a node is
    started again, a new one goes on with the last sequence number: then a few documents come twice.

    Args:
        since: begin with this sequence number. Shards number by themselves, so several documents may have it.
        source: whether the documents (or which of their fields) come along, or their ids alone.
        only: a query that selects documents; None for all.
    """
    pit, after, forgotten = _open(client, index), None, 0
    try:
        while True:
            body: dict[str, Any] = {
                "size": PAGE,
                "_source": source,
                "track_total_hits": False,
                "query": _query(since, only),
                "pit": {"id": pit, "keep_alive": _KEEP},
                "sort": [{"_seq_no": "asc"}],
            }
            if after is not None:
                body["search_after"] = after
            answer = client.request("POST", "/_search", body, params=_WHOLE, accept=(404,) if forgotten < _MOST else ())
            if not answer.found:
                since = after[0] if after is not None else since
                pit, after, forgotten = _open(client, index), None, forgotten + 1
                continue
            hits, pit, forgotten = answer.body["hits"]["hits"], answer.body["pit_id"], 0
            if not hits:
                return
            after = hits[-1]["sort"]
            yield hits
    finally:
        client.request("DELETE", "/_pit", {"id": pit}, accept=(404,))


def _query(since: int | None, only: dict[str, Any] | None) -> dict[str, Any]:
    wanted = [{"range": {"_seq_no": {"gte": since}}}] if since is not None else []
    wanted += [only] if only is not None else []
    return {"bool": {"filter": wanted}} if wanted else {"match_all": {}}


def _open(client: SearchClient, index: str) -> str:
    return str(client.request("POST", f"/{index}/_pit", params={"keep_alive": _KEEP}).body["id"])
