"""What a cluster's error bodies say."""

from __future__ import annotations

import re
from typing import Any

from harvesters.errors import ProtocolError
from harvesters.privacy import excerpt

# Where it went wrong stands at the beginning, too; and the beginning of a term that is too long is given in numbers.
_QUOTED = re.compile(r"\s*at \[Source: .*|\s*The prefix of the first immense term is: .*", re.DOTALL)
_FIELDS = (
    re.compile(r"introduction of \[(?P<name>[^\]]+)\] within \[(?P<within>[^\]]+)\]"),
    re.compile(r"failed to parse field \[(?P<name>[^\]]+)\]"),
    re.compile(r"object mapping for \[(?P<name>[^\]]+)\]"),
    re.compile(r"object field starting or ending with a \[\.\] .*: \[(?P<name>[^\]]+)\]"),
    re.compile(r"[Cc]annot write to a field alias \[(?P<name>[^\]]+)\]"),
    # OpenSearch keeps the values of an object in two fields of its own.
    re.compile(r'immense term in field="(?P<name>[^"]+?)(?:\._value(?:AndPath)?)?"'),
    re.compile(r"field \[(?P<name>[^\]]+)\]"),
)


class Refused(ProtocolError):
    """The cluster refused a request for what is in it; `status` and `reason` are its own, `body` the parsed error."""

    def __init__(self, message: str, status: int, reason: str, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body = body


def reason(body: Any) -> str:
    """The server's own words in an error body or a bulk item's ``error``: type and reason, down to the cause.

    Without the beginning of the document that its parser quotes: there are people in it.
    """
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return excerpt(error)
    if told := error.get("message") or error.get("Message"):  # Amazon's own refusals
        return excerpt(told)
    words = [": ".join(str(error[name]) for name in ("type", "reason") if error.get(name))]
    cause = error.get("caused_by")
    roots = [root for root in error.get("root_cause") or () if isinstance(root, dict) and root.get("reason")]
    if isinstance(cause, dict) and cause.get("reason"):
        words.append(str(cause["reason"]))
    elif roots and roots[0]["reason"] != error.get("reason"):  # "all shards failed" does not say why
        words.append(": ".join(str(roots[0][name]) for name in ("index", "reason") if roots[0].get(name)))
    return excerpt("; ".join(_QUOTED.sub("", each) for each in words))


def root_reason(body: Any) -> str:
    """As `reason`, with what is at the bottom of it, as of a template that cannot be: the field that is wrong."""
    cause = body.get("error", body) if isinstance(body, dict) else None
    said = reason(body)
    while isinstance(cause, dict) and isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    last = _QUOTED.sub("", str(cause.get("reason") or "")) if isinstance(cause, dict) else ""
    return said if last in said else excerpt(f"{said}; {last}")


def error_type(body: Any) -> str:
    """The type of an error body or of a bulk item's ``error``, such as ``document_parsing_exception``."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def asks_too_much(body: Any) -> bool:
    """Whether it is a search that makes too many buckets; OpenSearch says 503 to that, however often it is asked."""
    cause = body.get("error") if isinstance(body, dict) else None
    while isinstance(cause, dict):
        if cause.get("type") == "too_many_buckets_exception":
            return True
        cause = cause.get("caused_by")
    return False


def is_block(body: Any) -> bool:
    """Whether it is a block on an index or the cluster, such as that of a full disk, which somebody will lift."""
    return error_type(body) == "cluster_block_exception"


def is_starting(body: Any) -> bool:
    """Whether a shard is not ready yet, as that of an index that was made a moment ago; the status is 404."""
    return error_type(body) == "illegal_index_shard_state_exception"


def index_of(body: Any) -> str:
    """The index that an error body is about; "" where it names none."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    found = error if isinstance(error, dict) else {}
    roots = [root for root in found.get("root_cause") or () if isinstance(root, dict)]
    return str(found.get("index") or next((root["index"] for root in roots if root.get("index")), ""))


def field_of(error: Any) -> str:
    """The field, with dots, that a refused document broke on, as far as the server's words name it; else ""."""
    words = str(error.get("reason", "")) if isinstance(error, dict) else ""
    for pattern in _FIELDS:
        if found := pattern.search(words):
            within = found.groupdict().get("within")
            return f"{within}.{found['name']}" if within and within != "_doc" else found["name"]
    return ""
