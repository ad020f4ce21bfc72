"""Search: listings that have every word in title or description, as it is or with a typo.

What somebody typed is only ever the value of a `match`: it is no query language, and Elasticsearch takes it apart into
words as it does a listing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from harvesters.listings.highlight import Highlight, Words, words
from harvesters.listings.searchindex import WORDS, ListingIndex

LONGEST_TEXT = 256
"""Characters that a text may have; whoever takes it from a user refuses longer ones."""
MOST_COUNTED = 10_000
"""Hits that are counted."""
SHOWN = ["title", "description", "created", "visits"]

_FIELDS = ["title", "description"]
_UNSEEN = 0.1  # visits of a listing that was never viewed
_CLAUSES = 900  # of the 1,024 that the smallest cluster takes
_FEW = 9  # words of a text, for each of which there are a hundred clauses
_FAINT = 1e-12  # what hits with a typo are worth: no number of visits brings one before an exact hit

Query = dict[str, Any]


class Order(StrEnum):
    """How hits are sorted; equals by `created`, the newest first."""

    RELEVANCE = "relevance"
    HOT = "hot"
    NEW = "new"


_SORTS: dict[Order, list[Query]] = {
    Order.RELEVANCE: [{"_score": "desc"}],
    Order.HOT: [{"hot": {"order": "desc", "missing": "_last"}}],  # never viewed last
    Order.NEW: [],
}
_NEWEST = {"created": {"order": "desc", "missing": "_last"}}


@dataclass(frozen=True)
class Hit:
    """A listing that was found.

    Attributes:
        visits: 0 where it was never viewed.
        score: text score × popularity; None in another order than that of relevance.
    """

    id: str
    title: str
    description: str
    created: str | None
    visits: int
    score: float | None
    highlight: Highlight

    @classmethod
    def of(cls, hit: Mapping[str, Any], words: Words) -> Self:
        """The listing of a search hit."""
        said = Shown.of(hit["_source"])
        highlight = words.highlight(said.title, said.description)
        return cls(hit["_id"], said.title, said.description, said.created, said.visits, hit["_score"], highlight)


@dataclass(frozen=True)
class Shown:
    """What of a listing is shown, whatever types its fields have."""

    title: str
    description: str
    created: str | None
    visits: int

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Self:
        """From a document's fields, `SHOWN`."""
        title, description, created = (_text(source.get(name)) for name in SHOWN[:3])
        visits = source.get("visits")
        return cls(title, description, created or None, visits if isinstance(visits, int) and visits > 0 else 0)


@dataclass(frozen=True)
class Found:
    """One page of hits.

    Attributes:
        total: how many there are on all pages; `exact` or at least so many.
        next: what `search` takes as `after` for the next page; None after the last.
    """

    total: int
    exact: bool
    hits: list[Hit]
    next: list[Any] | None


def search(
    index: ListingIndex,
    text: str,
    order: Order = Order.RELEVANCE,
    limit: int = 20,
    after: Sequence[Any] | None = None,
) -> Found:
    """Listings that have every word of `text`; without a text all, without a letter or digit in it none.

    A walk by `after` reads the index as it was when the first page was asked for: it gives each hit once, whatever is
    written meanwhile. It may be asked for a page again, within five minutes from the last one.

    Args:
        text: at most `LONGEST_TEXT` characters.
        limit: 1 to 9,999 on a page.
        after: `Found.next` of a page before, of the same search.

    Raises:
        Lost: that was too long ago, or Elasticsearch has been started again since: begin again.
        NoIndex, OtherForm: there is no index that can be searched.
        Unavailable: Elasticsearch does not answer.
    """
    moment = str(after[0]) if after is not None else index.open()
    body: Query = {
        "size": limit + 1,  # one more, which says whether there is a next page
        "track_total_hits": MOST_COUNTED,
        "_source": SHOWN,
        "query": _query(text, order),
        "sort": [*_SORTS[order], _NEWEST, index.tie],
    }
    if after is not None:
        body["search_after"] = [*after[1:]]
    answer = index.search_at(moment, body)
    found, total, moment = answer["hits"]["hits"], answer["hits"]["total"], answer["pit_id"]
    if not found:
        index.require_form()
    more = len(found) > limit
    if not more and after is None:
        index.close(moment)
    wanted = Words(text)
    return Found(
        total["value"],
        total["relation"] == "eq",
        [Hit.of(hit, wanted) for hit in found[:limit]],
        [moment, *found[limit - 1]["sort"]] if more else None,
    )


def _text(value: Any) -> str:
    """As text that can be written, which half of a surrogate pair cannot."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _query(text: str, order: Order) -> Query:
    if not text:
        wanted: Query = {"match_all": {}}
        return _popular(wanted) if order is Order.RELEVANCE else wanted
    if not any(map(str.isalnum, text)):
        return {"match_none": {}}
    near = {"query": text, "operator": "and", "fuzziness": "AUTO", "fuzzy_rewrite": _rewriting(text)}
    spelled = {"match": {WORDS: near}}
    if order is not Order.RELEVANCE:
        return {"bool": {"filter": spelled}}
    exact = {"query": text, "fields": _FIELDS, "type": "cross_fields"}  # one word here and one there
    scores = [
        {"multi_match": {**exact, "operator": "and"}},
        {"multi_match": {**exact, "boost": _FAINT}},
        {"match_all": {"boost": _FAINT}},
    ]
    return _popular({"bool": {"filter": spelled, "should": scores}})


def _rewriting(text: str) -> str:
    """How words that are nearly like those of `text` are tried: Elasticsearch would take the 50 nearest ones.

    To look for so many of the nearest takes a third of the time that all of them take, and as many clauses of a query,
    which a cluster limits.
    """
    count = sum(1 for _ in words(text))
    return f"top_terms_boost_{_CLAUSES // count}" if 0 < count <= _FEW else "constant_score"


def _popular(query: Query) -> Query:
    """The score of `query`, times the logarithm of one more than its visits."""
    visits = {"field": "visits", "modifier": "log1p", "missing": _UNSEEN}
    # Who counts otherwise than we do may store a 0, which would make all texts equal.
    unseen = {"filter": {"range": {"visits": {"lte": 0}}}, "weight": math.log10(1 + _UNSEEN)}
    functions = [unseen, {"field_value_factor": visits}]
    return {"function_score": {"query": query, "functions": functions, "score_mode": "first"}}
