"""Search: people who have every word in name or bio, exact ones before nearly right ones, names before bios.

What somebody typed becomes words, and each word the value of a query of its own; none of it is ever a query language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harvesters.profiles.fields import BIO, NAME, ORDER
from harvesters.profiles.folding import words
from harvesters.profiles.index import ProfileIndex, Query, only, scoring
from harvesters.profiles.profile import SHOWN, Profile

LONGEST_TEXT = 256
"""Characters that a text may have; whoever takes it from a user refuses longer ones."""

_ONE_TYPO_FROM, _TWO_TYPOS_FROM = 3, 6  # letters
_CLOSENESS = (3, 1, 0)  # by typos; an exact word and one with two typos come before two with a typo each


@dataclass(frozen=True)
class Found:
    """One page of hits.

    Attributes:
        total: how many there are on all pages.
        next: what `search` takes as `after` for the next page; None after the last.
    """

    total: int
    hits: list[Profile]
    next: list[Any] | None


def search(
    index: ProfileIndex,
    text: str | None,
    school: str | None = None,
    class_id: str | None = None,
    limit: int = 20,
    after: Sequence[Any] | None = None,
) -> Found:
    """People who have every word of `text`, best first and equals by id; without a text all, by name.

    A walk by `after` gives each person once. A text without a letter or digit finds nobody.

    Args:
        text: at most `LONGEST_TEXT` characters.
        limit: 1 to 9,999 on a page.
        after: `Found.next` of the page before, of the same search.

    Raises:
        ConfigError: there is no such index, or it is in the form of an older version.
        Unavailable: Elasticsearch does not answer.
    """
    wanted = list(dict.fromkeys(words(text or "")))
    must = [_has(word, len(wanted)) for word in wanted]
    if text is not None and not wanted:
        must = [{"match_none": {}}]  # asked all the same: an index that cannot answer says so
    body: Query = {
        "size": limit + 1,  # one more, which says whether there is a next page
        "track_total_hits": True,
        "_source": SHOWN,
        "query": {"bool": {"must": must, "filter": only(school, class_id)}},
        "sort": [{"_score": "desc"} if wanted else {ORDER: "asc"}, {"id": "asc"}],
    }
    if after is not None:
        body["search_after"] = list(after)
    hits = index.search(body)
    shown = hits["hits"][:limit]
    more = len(hits["hits"]) > limit
    return Found(hits["total"]["value"], [Profile.of(hit) for hit in shown], shown[-1]["sort"] if more else None)


def _has(word: str, count: int) -> Query:
    """People who have `word`, one of `count` words, in name or bio; the best of the places where they have it counts.

    Typos outweigh places: no number of names makes up for a typo more.
    """
    places = [
        scoring(query, closeness * (count + 1) + (field == NAME))
        for closeness, queries in zip(_CLOSENESS, _spellings(word), strict=False)
        for field, query in queries
    ]
    return {"dis_max": {"queries": places}}


def _spellings(word: str) -> Iterator[list[tuple[str, Query]]]:
    """By number of typos, from none on: the queries, each with its field."""
    yield [(field, {"match": {field: word}}) for field in (NAME, BIO)]
    for typos, least in ((1, _ONE_TYPO_FROM), (2, _TWO_TYPOS_FROM)):
        if len(word) >= least:
            # Elasticsearch tries the 50 nearest words, and all of them with this way of rewriting.
            near = {"value": word, "fuzziness": typos, "prefix_length": 0, "rewrite": "constant_score"}
            yield [(field, {"fuzzy": {field: near}}) for field in (NAME, BIO)]
