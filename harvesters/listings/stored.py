"""The listings that are in the index, read by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.listings.change import Stored
from harvesters.listings.indexname import require_one

_READ = {
    "_source_includes": "visits,hot,created,origin",
    "filter_path": "docs._id,docs._seq_no,docs._primary_term,docs._source,docs.error.type",
}


@dataclass(frozen=True)
class Listings:
    """The listings in `index`."""

    client: SearchClient
    index: str

    def find(self, ids: Sequence[str]) -> dict[str, Stored]:
        """Those with these ids that are there, as they are now, whether searches see them already or not.

        Raises:
            ConfigError: the index is an alias by now that leads to several.
        """
        path = f"/{paths.name(self.index)}/_mget"
        answer = self.client.request("POST", path, {"ids": list(ids)}, params=_READ, accept=(404,)).body
        found = answer.get("docs", ()) if isinstance(answer, dict) else ()
        if any("error" in each for each in found):
            require_one(self.client, self.index)
        return {each["_id"]: Stored.read(each) for each in found if "_seq_no" in each}
