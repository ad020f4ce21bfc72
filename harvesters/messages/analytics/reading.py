"""The messages that analytics count: which distinct values they hold, exactly and in any number.

Indices of ours are read beside older ones, whose mapping was made up as documents came, by the ``.keyword`` twins that
both have. What an older index cannot tell by these, such as an id of more than 256 characters or one that was a number
first, is read from its documents.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby
from typing import Any

import orjson

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.messages import windows
from harvesters.messages.names import MESSAGES
from harvesters.retry import Transient
from harvesters.search import scan
from harvesters.search.reader import IndexReader

Query = dict[str, Any]
Key = tuple[str, ...]

EXACT = ".keyword"
OURS: Query = {"exists": {"field": "harvest.id"}}
"""Messages that lie in today's form."""
OLD: Query = {"bool": {"must_not": [OURS]}}
"""Those of the former service: in indices of a mapping that was made up as they came, or in one of ours."""

_PRECISION = 40_000  # the highest that a cluster knows: within 1 % of any number
_DOUBT = 1.02  # an estimate that is so much too high may be of a number that is to be exact
_PAGE = 50_000  # values at once: each page looks at all messages, and 65,535 is what clusters allow
_SHORT = 256  # characters of a keyword that Elasticsearch maps by itself
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 4, 11, tzinfo=UTC)  # of nanoseconds in 64 bits
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Chosen:
    """Messages of a project in ``[start, end)`` (None: open).

    Attributes:
        equal: fields that hold exactly this.
        clauses: what else the cluster is to hold them to.
    """

    project: str
    start: datetime | None = None
    end: datetime | None = None
    equal: Mapping[str, str] = field(default_factory=dict)
    clauses: tuple[Query, ...] = ()

    def alike(self, **equal: str) -> Chosen:
        """Those of them whose fields hold this; ``__`` stands for a dot."""
        return replace(self, equal={**self.equal, **{name.replace("__", "."): text for name, text in equal.items()}})

    @property
    def before(self) -> Chosen:
        """What came before the window."""
        return replace(self, start=None, end=self.start)

    @property
    def anywhere(self) -> list[Query]:
        """What holds them to the window, in an index of any form."""
        return [*_range(self.start, self.end), *self.clauses]

    @property
    def about(self) -> list[Query]:
        """As `anywhere`, with the whole of the milliseconds in which the window begins and ends."""
        start = _floor(self.start) if self.start is not None else None
        end = _floor(self.end) + _MILLISECOND if self.end is not None and _is_within(self.end) else self.end
        return [*_range(start, end), *self.clauses]

    @property
    def edges(self) -> list[Query]:
        """The milliseconds within which it begins or ends: older indices know no more of a time."""
        inner = [_floor(bound) for bound in (self.start, self.end) if bound is not None and _is_within(bound)]
        return [query for edge in inner for query in _range(edge, edge + _MILLISECOND)]

    @property
    def exact(self) -> list[Query]:
        """What holds them to project and fields, where these can be told exactly."""
        return [{"term": {f"{name}{EXACT}": text}} for name, text in {"project": self.project, **self.equal}.items()]

    def holds(self, source: Any) -> bool:
        """Whether a document that was found for them is one."""
        if not all(text_of(source, name) == text for name, text in {"project": self.project, **self.equal}.items()):
            return False
        try:
            moment = windows.instant(str(source.get("timestamp"))) if self.edges else None
        except ValueError:  # the cluster reads more than we do
            moment = None
        return moment is None or (
            (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)
        )


@dataclass
class Messages:
    """All messages of a cluster.

    Args:
        threshold: distinct values up to which a count that may be estimated is exact.
    """

    client: SearchClient
    threshold: int = _PRECISION
    index: str = MESSAGES

    @property
    def reader(self) -> IndexReader:
        """Searches that no shard is missing from."""
        return IndexReader(self.client, self.index, filled_by="messages serve")

    def found(self, query: Query) -> int:
        """How many documents a query finds."""
        answer = self.reader.search({"size": 0, "track_total_hits": True, "query": query})
        return int(answer["hits"]["total"]["value"])

    def distinct(self, chosen: Chosen, fields: Collection[str], optional: Collection[str] = ()) -> Iterator[Key]:
        """The values of `fields` that messages have, each combination once, in order.

        A message without one of them has none, unless that is `optional`: then it counts as "".
        """
        strange = self.strange(*fields, *chosen.equal)
        unread = sorted(self._unread(strange, chosen, fields, optional))
        sources = {str(place): {"terms": {"field": f"{name}{EXACT}"}} for place, name in enumerate(fields)}
        unsure = [*within(strange), *({"bool": {"filter": [OLD, edge]}} for edge in chosen.edges)]
        query = {"bool": {"filter": [*chosen.exact, *chosen.anywhere], "must_not": unsure}}
        keys = (
            tuple(str(bucket["key"][name]) for name in sources)
            for bucket in self.reader.buckets(sources, query, size=_PAGE)
        )
        return (key for key, _ in groupby(heapq.merge(keys, unread) if unread else keys))

    def count(self, chosen: Chosen, name: str) -> int:
        """How many values a field has: exactly up to the threshold, and above it within 1 %."""
        if not self._unread(self.strange(name, *chosen.equal), chosen, [name], ()):
            estimate = self._estimate(chosen, name)
            if estimate > self.threshold * _DOUBT:
                return estimate
        return sum(1 for _ in self.distinct(chosen, [name]))

    def earlier(self, chosen: Chosen, name: str, values: Collection[str]) -> set[str]:
        """Which of these values the field had before the window."""
        before = chosen.before
        seen = {key[0] for key in self._unread(self.strange(name, *chosen.equal), before, [name], ())}
        these = replace(before, clauses=(*before.clauses, {"terms": {f"{name}{EXACT}": [*values]}}))
        return {key[0] for key in self.distinct(these, [name])} | (seen & {*values})

    def strange(self, *names: str) -> frozenset[str]:
        """The indices in which one of these fields, or the project, has values without keywords."""
        wanted = dict.fromkeys(("project", *names))
        params = {"fields": ",".join([*wanted, *(f"{name}{EXACT}" for name in wanted)])}
        said = self.client.retry.call(lambda: self._caps(params), self.client.name)
        known: Mapping[str, Any] = said["fields"]
        every = frozenset([said["indices"]] if isinstance(said["indices"], str) else said["indices"])
        both = ((known.get(name, {}), known.get(f"{name}{EXACT}", {})) for name in wanted)
        return frozenset().union(*(_with(whole, every) - _with(exact, every) for whole, exact in both))

    def _caps(self, params: Mapping[str, str]) -> Any:
        said = self.client.attempt("POST", f"/{paths.pattern(self.index)}/_field_caps", params=params).body
        if said.get("failed_indices"):
            raise Transient(f"{said['failed_indices']} indices do not tell their fields")
        return said

    def documents(self, query: Query, source: list[str]) -> Iterator[Mapping[str, Any]]:
        """Fields of the documents that a query finds, each once, also where a search had to begin anew."""
        if not self.found(query):
            return
        seen: set[tuple[str, str]] = set()
        for page in scan.pages(self.client, self.index, source=source, only=query):
            for hit in page:
                place = hit["_index"], hit["_id"]
                if place not in seen:
                    seen.add(place)
                    yield hit.get("_source", {})

    def in_old(
        self, strange: Collection[str], chosen: Chosen, source: Collection[str], lacking: Collection[Query] = ()
    ) -> Iterator[Mapping[str, Any]]:
        """Fields of the chosen messages of old; of those that can be told by keywords the `lacking` alone."""
        exact = chosen.exact if len(chosen.project) <= _SHORT else []
        some: Query = {"should": [*lacking], "minimum_should_match": 1} if lacking else {}
        ways: list[Query] = [
            {"bool": {"filter": within(strange)}},
            {"bool": {"filter": exact[:1], **some}},
        ]
        query = {"bool": {"filter": [OLD, *chosen.about], "should": ways, "minimum_should_match": 1}}
        for document in self.documents(query, [*dict.fromkeys(("project", "timestamp", *source, *chosen.equal))]):
            if chosen.holds(document):
                yield document

    def _unread(
        self, strange: Collection[str], chosen: Chosen, fields: Collection[str], optional: Collection[str]
    ) -> set[Key]:
        """The values of messages that cannot be told by keywords: in older indices, or as there is no value."""
        lacking = [*(_lacks(name, name in optional) for name in (*fields, *chosen.equal)), *chosen.edges]
        found: set[Key] = set()
        for document in chain(self.in_old(strange, chosen, fields, lacking), self._nameless(chosen, fields, optional)):
            values = [text_of(document, name) for name in fields]
            if all(value is not None or name in optional for name, value in zip(fields, values, strict=True)):
                found.add(tuple(value or "" for value in values))
        return found

    def _nameless(
        self, chosen: Chosen, fields: Collection[str], optional: Collection[str]
    ) -> Iterator[Mapping[str, Any]]:
        """Messages without one of these fields in today's form, as there are when older ones were migrated."""
        if optional:
            some: Query = {"should": [_lacks(name, True) for name in optional], "minimum_should_match": 1}
            query = {"bool": {"filter": [OURS, *chosen.exact, *chosen.anywhere], **some}}
            yield from self.documents(query, [*fields])

    def _estimate(self, chosen: Chosen, name: str) -> int:
        about = {"cardinality": {"field": f"{name}{EXACT}", "precision_threshold": _PRECISION}}
        query = {"bool": {"filter": [*chosen.exact, *chosen.anywhere]}}
        answer = self.reader.search({"size": 0, "track_total_hits": False, "query": query, "aggs": {"about": about}})
        return int(answer.get("aggregations", {}).get("about", {}).get("value", 0))  # no index: no aggregations


def text_of(source: Any, name: str) -> str | None:
    """What a keyword of the field `name` (with dots) would be; None where there is nothing that could be one."""
    for part in name.split("."):
        source = source.get(part) if isinstance(source, Mapping) else None
    if isinstance(source, bool | int | float):
        return orjson.dumps(source).decode()
    return source if isinstance(source, str) else None


def _range(start: datetime | None, end: datetime | None) -> list[Query]:
    """Times from `start` until before `end`, as far as indices of nanoseconds know any."""
    bounds: Query = {}
    if start is not None and start > _EARLIEST:
        bounds["gte"] = min(start, _LATEST).astimezone(UTC).isoformat()
    if end is not None and end < _LATEST:
        bounds["lt"] = max(end, _EARLIEST).astimezone(UTC).isoformat()
    return [{"range": {"timestamp": bounds}}] if bounds else []


def _floor(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def _is_within(moment: datetime) -> bool:
    """Whether it lies within a millisecond."""
    return bool(moment.microsecond % 1000)


def within(indices: Iterable[str]) -> list[Query]:
    """What holds documents to these indices."""
    return [{"terms": {"_index": sorted(indices)}}]


def _with(kinds: Mapping[str, Any], every: frozenset[str]) -> frozenset[str]:
    """The indices that have a field, by what the cluster says of its types; of one type alone it lists no indices."""
    found = [about.get("indices", every) for kind, about in kinds.items() if kind != "unmapped"]
    return frozenset().union(*([one] if isinstance(one, str) else one for one in found))


def _lacks(name: str, whatever: bool) -> Query:
    """Documents that have a value without a keyword; `whatever`: or no value."""
    there: list[Query] = [] if whatever else [{"exists": {"field": name}}]
    return {"bool": {"filter": there, "must_not": [{"exists": {"field": f"{name}{EXACT}"}}]}}
