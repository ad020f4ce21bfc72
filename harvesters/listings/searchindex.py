"""The index of listings, asked: now, as it was at one moment, or for one listing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.elastic import paths, pit
from harvesters.elastic.answers import WHOLE
from harvesters.elastic.client import Answer, SearchClient
from harvesters.elastic.errors import Refused, error_type
from harvesters.errors import ConfigError, HarvestError
from harvesters.search import form

WORDS = "origin.words"
"""The field that has the words of title and description; below `origin`, as no message sets a field there."""
TITLE = "title.exact"
"""The title as one text."""

_TEMPLATE = "listings"
_KEEP = "5m"  # a moment, from when it was last asked for

Body = Mapping[str, Any]


class NoIndex(ConfigError):
    """There are no listings."""


class OtherForm(ConfigError):
    """The index was not made with our template, and cannot be searched."""


class Lost(HarvestError):
    """Elasticsearch has forgotten the moment: nobody asked for five minutes, or a node was started again."""


@dataclass(frozen=True)
class ListingIndex:
    """The index, or alias, `name`; each question may also raise what `SearchClient.request` does."""

    client: SearchClient
    name: str

    def open(self) -> str:
        """A moment: what is in the index now can be asked for by it, whatever is written meanwhile.

        Raises:
            NoIndex: there is none.
        """
        moment = pit.open(self.client, self.name, _KEEP)
        if moment is None:
            raise self._no_index
        return moment

    def search_at(self, moment: str, body: Body) -> dict[str, Any]:
        """One search; its ``pit_id`` is the moment from then on.

        Raises:
            Lost: the moment is.
            OtherForm: the index cannot be searched.
        """
        at = {"id": moment, "keep_alive": _KEEP}
        answer = self._requested("/_search", {**body, "pit": at}, WHOLE)
        if not answer.found or pit.is_lost(answer.body["_shards"]):
            raise Lost(f"{self.client.name} has forgotten the moment of a search")
        found: dict[str, Any] = answer.body
        return found

    def close(self, moment: str) -> None:
        """Let go of a moment that nobody will ask for; where that fails, five minutes do."""
        pit.close(self.client, moment)

    @property
    def tie(self) -> dict[str, str]:
        """What sorts hits that are equal otherwise. By `_id` the cluster has to hold all ids in memory."""
        return {"_shard_doc" if "shard_doc" in self.client.cluster.features else "_id": "asc"}

    def search(self, body: Body) -> list[dict[str, Any]]:
        """The hits of one search in what is there now.

        Raises:
            NoIndex, OtherForm: it cannot be searched.
        """
        hits: list[dict[str, Any]] = self._ask(f"/{self._path}/_search", body, WHOLE)["hits"]["hits"]
        return hits

    def get(self, id: str, fields: list[str]) -> dict[str, Any] | None:
        """Those fields of a listing as it is now, written a moment ago or not; None where there is none.

        Raises:
            NoIndex: there is no index.
        """
        if not id:
            return None
        # The id is in the body: in a path, some would not arrive as they are.
        (found,) = self._ask(f"/{self._path}/_mget", {"docs": [{"_id": id, "_source": fields}]})["docs"]
        if "error" in found:
            if error_type(found) == "index_not_found_exception":
                raise self._no_index
            raise ConfigError(f"{self.client.name} has no single index {self.name!r}: {error_type(found)}")
        source: dict[str, Any] | None = found.get("_source", {}) if found["found"] else None
        return source

    def require_form(self) -> None:
        """See that an answer without hits is one: other indices have no words to find.

        Raises:
            OtherForm: this one has none.
        """
        for field in (WORDS, TITLE):
            if differs := form.difference(self.client, self.name, _TEMPLATE, field):
                raise OtherForm(
                    f"listings cannot be searched in {self.client.name}: {differs}. Have listings index fill another "
                    "index: set LISTINGS_INDEX and LISTINGS_GROUP to new names."
                )

    def _ask(self, path: str, body: Body | None = None, params: Body | None = None) -> dict[str, Any]:
        answer = self._requested(path, body, params)
        if not answer.found:
            raise self._no_index
        found: dict[str, Any] = answer.body
        return found

    def _requested(self, path: str, body: Body | None, params: Body | None) -> Answer:
        try:
            return self.client.request("POST", path, body, params=params, accept=(404,))
        except Refused:  # as of a field to sort by that another index has not
            self.require_form()
            raise

    @property
    def _no_index(self) -> NoIndex:
        return NoIndex(f"{self.client.name} has no index {self.name!r}: fill it with harvest.py listings index.")

    @property
    def _path(self) -> str:
        return paths.pattern(self.name)
