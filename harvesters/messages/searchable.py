"""Which documents of an index hold a value, whatever the index maps it as: by a search, or by looking at each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harvesters.messages.ids import is_text
from harvesters.messages.questions import text_of_any

Query = dict[str, Any]

NOTHING: Query = {"match_none": {}}

_PLAIN = {"type", "ignore_above", "fields", "eager_global_ordinals", "norms", "similarity", "store"}
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")  # as JSON spells what 64 bits have room for


def query_for(mappings: Mapping[str, Any], path: str, text: str) -> Query | None:
    """The query for documents with `text` at `path`, as text or as number; None where only reading them all can tell.

    Elasticsearch keeps no keyword of a text that is longer than ``ignore_above``, and of a number only its value.
    """
    mapped = _mapped(mappings, path.split("."))
    if mapped is None or not is_text(text):
        return None
    if not mapped:  # no document has had a value there
        return NOTHING
    for name, field in [(path, mapped), *((f"{path}.{sub}", each) for sub, each in mapped.get("fields", {}).items())]:
        if _keeps(field, text):
            return {"term": {name: {"value": text}}}
    if mapped.get("type") == "long" and set(mapped) <= _PLAIN and _WHOLE.fullmatch(text):
        return {"term": {path: {"value": int(text)}}}
    return None


def query_for_any(mappings: Mapping[str, Any], fields: Sequence[str], text: str) -> Query | None:
    """As `query_for`, for documents with `text` in any of `fields`."""
    queries = [query_for(mappings, path, text) for path in fields]
    if None in queries:
        return None
    asked = [query for query in queries if query != NOTHING]
    return {"bool": {"should": asked, "minimum_should_match": 1}} if asked else NOTHING


def holds(body: Any, path: str, text: str) -> bool:
    """Whether a document has `text` at `path`, as text or as number; a list has what one of it has."""
    if isinstance(body, list):
        return any(holds(each, path, text) for each in body)
    if path:
        name, _, rest = path.partition(".")
        return isinstance(body, Mapping) and name in body and holds(body[name], rest, text)
    return text_of_any(body) == text


def _mapped(mappings: Mapping[str, Any], path: list[str]) -> Mapping[str, Any] | None:
    """How `path` is mapped; empty where no document has it, None where some may that the mapping does not show."""
    dynamic: Any = True
    mapping: Mapping[str, Any] = mappings
    for name in path:
        if mapping.get("enabled") is False or mapping.get("type", "object") != "object" or "subobjects" in mapping:
            return None
        dynamic = mapping.get("dynamic", dynamic)
        inner = mapping.get("properties", {}).get(name)
        if inner is None:
            return {} if str(dynamic).lower() in ("true", "strict") else None
        mapping = inner
    return mapping


def _keeps(field: Mapping[str, Any], text: str) -> bool:
    """Whether a field holds exactly this text as one term."""
    length = len(text.encode("utf-16-le")) // 2  # as Java counts
    fits = length <= int(field.get("ignore_above", 2**31)) and len(text.encode()) <= 32_766
    return field.get("type") == "keyword" and set(field) <= _PLAIN and fits
