"""Suggestions while somebody types: the last word is the beginning of a name, the words before it are whole."""

from __future__ import annotations

from harvesters.profiles.fields import BIO, NAME, ORDER
from harvesters.profiles.folding import words
from harvesters.profiles.index import ProfileIndex, Query, only, scoring
from harvesters.profiles.profile import SHOWN, Profile


def suggest(
    index: ProfileIndex, text: str, school: str | None = None, class_id: str | None = None, limit: int = 10
) -> list[Profile]:
    """People one of whose names begins with the last word, and who have the words before it in name or bio.

    Those with the last word as a whole name come first, then those with more of the words in their name, then by name.
    Without a word there are none.

    Raises:
        ConfigError: there is no such index, or it is in the form of an older version.
        Unavailable: Elasticsearch does not answer.
    """
    *before, last = words(text) or [""]
    if not last:
        return []
    body = {
        "size": limit,
        "track_total_hits": False,
        "_source": SHOWN,
        "query": {
            "bool": {
                "filter": [{"prefix": {NAME: last}}, *only(school, class_id)],
                "must": [_has(word) for word in dict.fromkeys(before)],
                "should": [scoring({"match": {NAME: last}}, len(before) + 1)],
            }
        },
        "sort": [{"_score": "desc"}, {ORDER: "asc"}, {"id": "asc"}],
    }
    return [Profile.of(hit) for hit in index.search(body)["hits"]]


def _has(word: str) -> Query:
    return {"dis_max": {"queries": [scoring({"match": {NAME: word}}, 1), scoring({"match": {BIO: word}}, 0)]}}
