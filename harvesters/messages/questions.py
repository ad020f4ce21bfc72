"""Questions about messages, in today's and in older indices.

Older ones were made by dynamic mapping: texts have a twin ``.keyword`` of up to 256 characters, but an id may have been
taken for a number or a date, and then it has none. So what might have been is also looked for in the field itself, and
whoever asks compares the documents that come (`matches`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from harvesters.messages.ids import text_of

Query = dict[str, Any]

_LONGEST_TWIN = 256
_MAYBE_NO_WORD = re.compile(r"[-+.\d]")  # a number or a date begins so


def term(field: str, *texts: str) -> Query:
    """Documents whose `field` may be one of `texts`."""
    exact: Query = {"terms": {f"{field}.keyword": [*texts]}}
    odd = [text for text in texts if len(text) > _LONGEST_TWIN or _MAYBE_NO_WORD.match(text)]
    if not odd:
        return exact
    others = [{"match": {field: {"query": text, "operator": "and", "lenient": True}}} for text in odd]
    return {"bool": {"should": [exact, *others], "minimum_should_match": 1}}


def where(words: Mapping[str, str], *more: Query) -> Query:
    """Documents whose fields may be as `words` says, and for which `more` is true."""
    return {"bool": {"filter": [*(term(field, text) for field, text in words.items()), *more]}}


def matches(source: Mapping[str, Any], words: Mapping[str, str]) -> bool:
    """Whether the fields of a document, as it was posted, are as `words` says."""
    return all(text_of_any(source.get(field)) == text for field, text in words.items())


def text_of_any(value: Any) -> str | None:
    """`value` as a keyword has it, however long; None for what is no text and no number."""
    return str(value) if isinstance(value, str) else text_of(value)


def among(indices: Collection[str]) -> Query:
    """Documents of those indices."""
    return {"terms": {"_index": sorted(indices)}}


def outside(indices: Collection[str]) -> Query:
    """Documents of all others."""
    return {"bool": {"must_not": [among(indices)]}} if indices else {"match_all": {}}
