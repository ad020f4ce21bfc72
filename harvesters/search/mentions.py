"""Which documents hold a text that nothing but itself looks like, such as a pseudonym, in whatever field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harvesters.elastic.client import SearchClient
from harvesters.search import scan

_WORDS = {"keyword", "text", "wildcard", "constant_keyword", "flattened", "flat_object"}
_AT_ONCE = 50  # fields in one query; each text is asked for in each
_ADDRESS = "ip"

Fields = dict[str, str]


def mentions(client: SearchClient, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Index and id of every document that has one of `texts` as the whole value of a field, each once.

    Fields that are kept and not indexed cannot be searched.
    """
    for index, mapping in sorted(_mappings(client).items()):
        fields = dict(_searchable(mapping))
        seen: set[str] = set()
        names = sorted(fields)
        for start in range(0, len(names), _AT_ONCE):
            query = _query({name: fields[name] for name in names[start : start + _AT_ONCE]}, texts)
            if query is None:
                continue
            for hits in scan.pages(client, index, source=False, only=query):
                for hit in hits:
                    if hit["_id"] not in seen:
                        seen.add(hit["_id"])
                        yield hit["_index"], hit["_id"]


def _mappings(client: SearchClient) -> dict[str, Mapping[str, Any]]:
    answer = client.request("GET", "/_all/_mapping", params={"expand_wildcards": "open"}, accept=(404,))
    found = answer.body.items() if answer.found else ()
    return {name: body["mappings"] for name, body in found if not name.startswith(".")}


def _searchable(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in mapping.get("properties", {}).items():
        kind = str(field.get("type", "object"))
        if kind in ("object", "nested"):
            yield from _searchable(field, f"{prefix}{name}.")
        elif (kind in _WORDS or kind == _ADDRESS) and field.get("index", True):
            yield f"{prefix}{name}", kind


def _query(fields: Fields, texts: Sequence[str]) -> dict[str, Any] | None:
    addresses = [text for text in texts if ":" in text]
    asked: list[dict[str, Any]] = []
    for name, kind in fields.items():
        if kind == "text":
            asked += [{"match_phrase": {name: text}} for text in texts]
        elif wanted := addresses if kind == _ADDRESS else list(texts):
            asked.append({"terms": {name: wanted}})
    return {"bool": {"should": asked, "minimum_should_match": 1}} if asked else None
