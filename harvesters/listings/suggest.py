"""Suggestions while somebody types: titles, of which one word begins as the last one that was typed."""

from __future__ import annotations

from dataclasses import dataclass

from harvesters.listings.highlight import words
from harvesters.listings.searchindex import TITLE, ListingIndex


@dataclass(frozen=True)
class Suggestion:
    """A title, and the most popular listing that is called so."""

    text: str
    id: str


def suggest(index: ListingIndex, text: str, limit: int = 8) -> list[Suggestion]:
    """Titles that have the words of `text`, of the last one at least its beginning; the most popular first.

    Titles of more than 256 characters are left out. Without a letter or digit there are none.

    Raises:
        NoIndex, OtherForm: there is no index that can be searched.
        Unavailable: Elasticsearch does not answer.
    """
    *_, end = 0, *(word.end for word in words(text))
    # What stands behind the last word would make it a whole one.
    wanted = {"match_bool_prefix": {"title": {"query": text[:end], "operator": "and"}}}
    body = {
        "size": limit,
        "track_total_hits": False,
        "_source": ["title"],
        "query": {"bool": {"filter": [wanted, {"exists": {"field": TITLE}}]}},
        "collapse": {"field": TITLE},
        "sort": [
            {"visits": {"order": "desc", "missing": "_last"}},
            {"created": {"order": "desc", "missing": "_last"}},
        ],
    }
    hits = index.search(body) if end else []
    if not hits:
        index.require_form()
    return [Suggestion(hit["_source"]["title"], hit["_id"]) for hit in hits]
