"""Reads an index, or all that match a pattern: buckets and documents of any number, a page at a time.

Pages go on after the last key of the one before, so nothing is held open in the cluster, and a run may take its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.answers import WHOLE
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused, error_type, index_of
from harvesters.errors import ConfigError

_BUCKETS = 10_000  # a page; a cluster allows 65,536 in all (search.max_buckets)
_DOCUMENTS = 1_000

Query = dict[str, Any]


@dataclass
class IndexReader:
    """One index or pattern.

    Args:
        index: name, alias or pattern, several with commas between.
        source: only documents of this source (``OPENCAST_SOURCE``); "" for all.
        filled_by: the commands that fill it, for the error where there is none.
    """

    client: SearchClient
    index: str
    source: str = ""
    filled_by: str = "load_episodes, index"
    _fields: dict[str, str] = field(default_factory=dict)

    def exists(self) -> bool:
        """Whether there is such an index, alias or data stream."""
        found = self.client.request("GET", f"/_resolve/index/{self._path}", accept=(404,))
        return found.found and any(found.body.get(name) for name in ("indices", "aliases", "data_streams"))

    def exact(self, name: str) -> str:
        """The field to filter, sort and aggregate `name` by: itself, or its ``.keyword`` without our templates.

        Raises:
            ConfigError: it is text in some of the indices and a keyword in others.
        """
        if name not in self._fields:
            self._fields[name] = self._resolve(name)
        return self._fields[name]

    def boolean(self, name: str) -> str:
        """The field to filter the flag `name` by: itself.

        Raises:
            ConfigError: it is something else in some of the indices, as in those from before `setup migrate`.
        """
        if name not in self._fields:
            types = self.types(name).get(name, {}).keys() - {"boolean", "unmapped"}
            if types:
                raise ConfigError(
                    f"the field {name} is {' and '.join(sorted(types))} in indices of {self.index!r}, where it should "
                    "be boolean: run harvest.py setup migrate, or name indices that were made with our templates."
                )
            self._fields[name] = name
        return self._fields[name]

    def search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """One search.

        Raises:
            ConfigError: there is no such index (a pattern that matches none is an empty answer).
            Refused: the cluster does not understand the search.
        """
        if self.source:
            only = {"term": {self.exact("source"): self.source}}
            body = {**body, "query": {"bool": {"filter": [only, body.get("query", {"match_all": {}})]}}}
        answer: dict[str, Any] = self._post("_search", body, WHOLE)
        return answer

    def buckets(
        self, sources: Mapping[str, Query], query: Query, aggs: Query | None = None, size: int = _BUCKETS
    ) -> Iterator[dict[str, Any]]:
        """Every bucket of a composite aggregation, in the order of `sources`.

        Args:
            sources: by name, ``{"terms": …}`` and the like.
            aggs: what to count within each bucket; each counts against the cluster's limit, so give a smaller `size`.
        """
        composite: dict[str, Any] = {"size": size, "sources": [{name: source} for name, source in sources.items()]}
        wanted: dict[str, Any] = {"composite": composite}
        if aggs:
            wanted["aggs"] = aggs
        while True:
            answer = self.search({"size": 0, "track_total_hits": False, "query": query, "aggs": {"page": wanted}})
            page = answer.get("aggregations", {}).get("page", {})
            yield from page.get("buckets", ())
            if "after_key" not in page or len(page["buckets"]) < size:
                return
            composite["after"] = page["after_key"]

    def documents(self, query: Query, key: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """`fields` of every document that has the unique field `key`, sorted by it."""
        name = self.exact(key)
        body: dict[str, Any] = {
            "size": _DOCUMENTS,
            "track_total_hits": False,
            "query": {"bool": {"filter": [query, {"exists": {"field": name}}]}},
            "_source": fields,
            "sort": [{name: "asc"}],
        }
        while True:
            hits = self.search(body)["hits"]["hits"]
            yield from (hit["_source"] for hit in hits)
            if len(hits) < _DOCUMENTS:
                return
            body["search_after"] = hits[-1]["sort"]

    def _resolve(self, name: str) -> str:
        keyword = f"{name}.keyword"
        known = self.types(name, keyword)
        types = known.get(name, {})
        if all(one["aggregatable"] for one in types.values()):
            return name
        if keyword in known and not any(one["aggregatable"] for one in types.values()):
            return keyword
        raise ConfigError(
            f"the field {name} is {' and '.join(sorted(types))} in {self.index!r}, so it cannot be counted by: load "
            "the index templates (harvest.py setup load_index_templates) and run harvest.py setup migrate, or name "
            "indices that were made with them."
        )

    def types(self, *names: str) -> dict[str, Any]:
        """The types that fields have in the indices, by their names; those that no index has are left out."""
        # OpenSearch takes the names in the query only.
        return dict(self._post("_field_caps", None, {"fields": ",".join(names)})["fields"])

    def _post(self, what: str, body: Mapping[str, Any] | None, params: Mapping[str, Any] | None = None) -> Any:
        try:
            found = self.client.request("POST", f"/{self._path}/{what}", body, params=params, accept=(404,))
        except Refused as error:
            if error_type(error.body) != "index_closed_exception":
                raise
            which = index_of(error.body) or self.index
            raise ConfigError(
                f"the index {which} of {self.client.name} is closed: open it (POST /{which}/_open), or name another."
            ) from error
        if not found.found:
            which = index_of(found.body) or self.index
            behind = f" (of {self.index!r})" if which != self.index else ""
            raise ConfigError(
                f"{self.client.name} has no index {which!r}{behind}: it was never filled ({self.filled_by}), or "
                "was removed, renamed or rolled over since. Name another."
            )
        return found.body

    @property
    def _path(self) -> str:
        return paths.pattern(self.index)
