"""Every document of an index as it is at one moment, in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harvesters.search.client import SearchClient

PAGE = 1000
_KEEP = "5m"


def pages(
    client: SearchClient, index: str, since: int | None = None, source: bool = True
) -> Iterator[list[dict[str, Any]]]:
    """Search hits, a page at a time, sorted by sequence number (the first value of ``sort``).

    Args:
        since: begin with this sequence number. Shards number by themselves, so several documents may have it.
        source: whether the documents come along, or their ids alone.
    """
    opened = client.request("POST", f"/{index}/_pit", params={"keep_alive": _KEEP})
    pit, after = opened.body["id"], None
    query = {"range": {"_seq_no": {"gte": since}}} if since is not None else {"match_all": {}}
    try:
        while True:
            body: dict[str, Any] = {
                "size": PAGE,
                "_source": source,
                "track_total_hits": False,
                "query": query,
                "pit": {"id": pit, "keep_alive": _KEEP},
                "sort": [{"_seq_no": "asc"}],
            }
            if after is not None:
                body["search_after"] = after
            found = client.request("POST", "/_search", body).body
            hits, pit = found["hits"]["hits"], found["pit_id"]
            if not hits:
                return
            after = hits[-1]["sort"]
            yield hits
    finally:
        client.request("DELETE", "/_pit", {"id": pit}, accept=(404,))
