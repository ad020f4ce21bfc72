"""Fits a document to what JSON in UTF-8 and Elasticsearch can hold, so that none is refused for what it says. Pure."""

from __future__ import annotations

import re
from typing import Any

from harvesters.document import Document
from harvesters.exact import whole
from harvesters.firebase.exact import integer

# What Elasticsearch keeps for itself, refuses as a name, or reads as a path: `data.body` would be a field of `data`.
_METADATA = (
    "_id|_index|_type|_source|_routing|_field_names|_ignored|_ignored_source|_seq_no|_primary_term|_version|"
    "_nested_path|_doc_count|_tier|_feature|_inference_fields|_recovery_source|_tsid|_ts_routing_hash|_size|"
    "_data_stream_timestamp"
)
_REFUSED = re.compile(rf"^(?:{_METADATA})$|^\s*$|\.|\0", re.MULTILINE)


def fit_names(body: dict[str, Any]) -> None:
    """Move fields whose names Elasticsearch refuses to ``NAME_raw``, without dots."""
    if _REFUSED.search("\n".join(body)) is None:
        return
    for name in [name for name in body if _REFUSED.search(name) is not None]:
        keep_aside(body, name.replace(".", "_").replace("\0", "_"), body.pop(name))


def keep_aside(body: dict[str, Any], name: str, value: Any) -> None:
    """Keep in ``NAME_raw`` what field `name` said, behind one of that name that the child has itself."""
    raw = f"{name}_raw"
    while raw in body:
        raw += "_raw"
    body[raw] = value


def set_key(body: dict[str, Any], name: str, key: str) -> None:
    """Have field `name` say the key; what it said itself is kept in ``NAME_raw``, where it is something else."""
    said = body.get(name)
    body[name] = key
    if said is not None and (isinstance(said, bool) or not isinstance(said, str | int) or str(said) != key):
        keep_aside(body, name, said)


def fit_values(document: Document) -> Document:
    """The document, without halves of surrogate pairs, if it has any.

    What is nested deeper than JSON is written here stays as it is, and has no `encoded`.
    """
    try:
        _ = document.encoded
    except TypeError:
        document.body = _fitted(document.body)
    return document


def _fitted(value: Any) -> Any:
    if isinstance(value, dict):
        return {whole(name): _fitted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_fitted(item) for item in value]
    if isinstance(value, str):
        return whole(value)
    return integer(value) if isinstance(value, int) else value
