"""Aggregations over the values of a field: counted by the cluster, value by value, and put together here.

So a result is exact, and the same whichever cluster is asked. Values of our indices lie in `harvest.values` or are
keywords; those of older indices are read from the documents.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from harvesters.messages.analytics import filters
from harvesters.messages.analytics.filters import DIGEST, NUMBER, PATH, TEXT, VALUES, WORDS
from harvesters.messages.analytics.numbers import Numbers, Said
from harvesters.messages.analytics.reading import EXACT, OLD, OURS, Chosen, Messages, Query
from harvesters.messages.descriptors import Aggregation, without_keyword
from harvesters.messages.values import values_of

log = logging.getLogger(__name__)

_PAGE = 10_000  # buckets at once
_TEXTS = 1_000  # where each may have 8191 characters
_NAMED = 1_000  # indices that a warning may name


def aggregate(messages: Messages, chosen: Chosen, wanted: Aggregation) -> Said | None:
    """The aggregation; None where there is nothing that it can be of, or where something could not be seen."""
    if not (filters.is_value(wanted.field) or without_keyword(wanted.field) in WORDS):
        return None
    found = _Values(messages, messages.strange(), _filtered(messages, chosen, wanted), wanted)
    if found.unseen():
        return None
    if wanted.aggregation == "value_count":
        return {"value_count": found.number()}
    if wanted.aggregation == "cardinality":
        return {"cardinality": found.distinct()}
    counts = found.numbers()
    return Numbers(counts).aggregate(wanted.aggregation) if counts else None


def _filtered(messages: Messages, chosen: Chosen, wanted: Aggregation) -> Chosen:
    """Messages that the filters let through as far as any index can tell.

    A keyword has no words, so those that have one of the filter's words are looked for here.
    """
    told = []
    for one in wanted.filters:
        name = without_keyword(one.field)
        if one.operation == "match" and name in WORDS - {filters.LONG}:
            alike = [key[0] for key in messages.distinct(chosen, [name]) if filters.has_word(one, key[0])]
            told.append({"terms": {f"{name}{EXACT}": alike}})
        elif not filters.is_value(one.field):
            told.append(filters.clause(one))
    return replace(chosen, clauses=(*chosen.clauses, *told))


@dataclass
class _Values:
    """The values of a field in chosen messages."""

    messages: Messages
    strange: frozenset[str]
    chosen: Chosen
    wanted: Aggregation

    def unseen(self) -> bool:
        """Whether there are messages of old of whose metadata nobody can tell; a warning names them."""
        fields = [self.wanted.field, *(one.field for one in self.wanted.filters)]
        if not any(map(filters.is_metadata, fields)):
            return False
        query = {"bool": {"filter": [*self.chosen.exact, *self.chosen.anywhere, OLD]}}
        about = {"indices": {"terms": {"field": "_index", "size": _NAMED}}}
        answer = self.messages.reader.search({"size": 0, "track_total_hits": False, "query": query, "aggs": about})
        names = sorted(bucket["key"] for bucket in answer.get("aggregations", about)["indices"].get("buckets", ()))
        if names:
            log.warning(
                "an aggregation over metadata has no result: %s hold messages that it is about, and are not migrated. "
                "Run harvest.py setup migrate.",
                ", ".join(names),
            )
        return bool(names)

    def numbers(self) -> Counter[float]:
        """How often each number is there."""
        counts: Counter[float] = Counter()
        if filters.is_value(self.wanted.field):
            for value, count in self._buckets(NUMBER, _PAGE):
                counts[float(value)] += count
            counts.update(self._plain())
            counts.update(float(one["number"]) for one in self._read() if "number" in one)
        return counts

    def number(self) -> int:
        """How many values there are."""
        old = sum(1 for _ in self._read())
        if filters.is_value(self.wanted.field):
            return old + int(self._asked({}).get("doc_count", 0)) + sum(self._plain().values())
        about = {"about": {"value_count": {"field": f"{without_keyword(self.wanted.field)}{EXACT}"}}}
        found = self.messages.reader.search({"size": 0, "track_total_hits": False, "query": self._ours, "aggs": about})
        return old + int(found.get("aggregations", {}).get("about", {}).get("value", 0))

    def distinct(self) -> int:
        """How many different values there are: 5 and "5" are two."""
        old = {(NUMBER, float(one["number"])) if "number" in one else _text_key(one) for one in self._read()}
        count = 0
        old |= {(NUMBER, number) for number in self._plain()}
        for kind, value in self._keys():
            old.discard((kind, value))
            count += 1
        return count + len(old)

    def _keys(self) -> Iterator[tuple[str, Any]]:
        if not filters.is_value(self.wanted.field):
            name = {"word": {"terms": {"field": f"{without_keyword(self.wanted.field)}{EXACT}"}}}
            for bucket in self.messages.reader.buckets(name, self._ours):
                yield TEXT, bucket["key"]["word"]
            return
        for field, size in ((NUMBER, _PAGE), (TEXT, _TEXTS), (DIGEST, _PAGE)):
            for value, _ in self._buckets(field, size):
                yield field, value

    def _buckets(self, field: str, size: int) -> Iterator[tuple[Any, int]]:
        """Each value of `harvest.values` of our field, and how often it is there."""
        page: Query = {"size": size, "sources": [{"value": {"terms": {"field": field}}}]}
        while True:
            found = self._asked({"page": {"composite": page}}).get("page", {})
            buckets = found.get("buckets", ())
            yield from ((bucket["key"]["value"], bucket["doc_count"]) for bucket in buckets)
            if "after_key" not in found or len(buckets) < size:
                return
            page["after"] = found["after_key"]

    def _plain(self) -> Counter[float]:
        """How often each number is there that lies beside `harvest.values`."""
        if not filters.is_confidence(self.wanted.field):
            return Counter()
        found = self.messages.reader.buckets({"number": {"terms": {"field": filters.OF_CONFIDENCE}}}, self._ours)
        return Counter({float(bucket["key"]["number"]): bucket["doc_count"] for bucket in found})

    def _asked(self, inner: Query) -> Said:
        """What is aggregated within the values of our field."""
        here = {"filter": {"terms": {PATH: filters.paths_of(self.wanted.field)}}, **({"aggs": inner} if inner else {})}
        about = {"values": {"nested": {"path": VALUES}, "aggs": {"here": here}}}
        answer = self.messages.reader.search({"size": 0, "track_total_hits": False, "query": self._ours, "aggs": about})
        said: Said = answer.get("aggregations", {}).get("values", {}).get("here", {})
        return said

    @property
    def _ours(self) -> Query:
        """Messages in today's form."""
        told = [filters.clause(one) for one in self.wanted.filters if filters.is_value(one.field)]
        exact = [*self.chosen.exact, *self.chosen.anywhere, *told]
        return {"bool": {"filter": [OURS, *exact]}}

    def _read(self) -> Iterator[Said]:
        """The values that are read from documents, as `values_of` gives them: in older indices, and long texts."""
        field = without_keyword(self.wanted.field)
        told = [one for one in self.wanted.filters if filters.is_value(one.field)]
        for document in self.messages.in_old(self.strange, self.chosen, [field, filters.CONFIDENCE]):
            if all(filters.holds(one, _inner(document, without_keyword(one.field))) for one in told):
                for value in values_of(_inner(document, field), field):
                    yield value if filters.is_value(field) else {"text": _word(value)}
        if field == filters.LONG:
            there, kept = ({"exists": {"field": f"{field}{twin}"}} for twin in (filters.WHOLE, EXACT))
            long = {"bool": {"filter": [self._ours, there], "must_not": [kept]}}
            for document in self.messages.documents(long, [field]):
                yield from values_of(_inner(document, field), field)


def _text_key(one: Said) -> tuple[str, Any]:
    return (DIGEST, one["digest"]) if "digest" in one else (TEXT, one["text"])


def _word(value: Said) -> str:
    return filters.text_of_value(value["number"] if "number" in value else value["text"])


def _inner(document: Any, name: str) -> Any:
    for part in name.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document
