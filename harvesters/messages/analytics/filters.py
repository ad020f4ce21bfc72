"""Fields of messages, and filters over them: in the words of the cluster, and for documents that it cannot tell."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from harvesters.messages.analytics.reading import EXACT, Query
from harvesters.messages.descriptors import RANGES, Filter, Value, without_keyword
from harvesters.messages.values import LONGEST_TEXT, digest_of, path_of, values_of

WORDS = frozenset(
    {"messageId", "userId", "project", "channel", "conversationId", "type", "domain", "language", "responseTo"}
    | {"content.type", "content.value", "content.uri", "intent.name"}
)
"""Fields that are a keyword each."""
LONG, WHOLE = "content.value", ".text"
"""The one that may be longer than a keyword; it has words beside it."""
CONFIDENCE = "intent.confidence"
"""It lies in `OF_CONFIDENCE` where it is a number, for nearly every one is, and else in `VALUES`."""
OF_CONFIDENCE = "harvest.confidence"
VALUES = "harvest.values"
PATH, NUMBER, TEXT, DIGEST, _WORDS = (f"{VALUES}.{name}" for name in ("path", "number", "text", "digest", "words"))

_METADATA = "metadata."
_TOLD = "timestamp"
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "gr": operator.gt,
    "gre": operator.ge,
    "lq": operator.lt,
    "lqe": operator.le,
    "term": operator.eq,
}


def is_metadata(field: str) -> bool:
    """Whether it lies in metadata, of which an older index does not tell."""
    return field.startswith(_METADATA)


def is_value(field: str) -> bool:
    """Whether its values may be of any type, so that they lie in `harvest.values`."""
    return is_metadata(field) or is_confidence(field)


def is_confidence(field: str) -> bool:
    """Whether its numbers lie in a field of their own."""
    return without_keyword(field) == CONFIDENCE


def paths_of(field: str) -> list[str]:
    """The paths of its values: as given, for a key may be called ``keyword``, and without."""
    return [*dict.fromkeys(map(path_of, (field, without_keyword(field))))]


def clause(wanted: Filter) -> Query:
    """What the cluster is to hold messages to; in an older index not for values (`is_value`)."""
    field = without_keyword(wanted.field)
    if is_value(wanted.field):
        there = {"bool": {"filter": [{"terms": {PATH: paths_of(wanted.field)}}], **_any(_values(wanted))}}
        nested = {"nested": {"path": VALUES, "ignore_unmapped": True, "query": there}}
        number = _number(wanted.value)
        if not is_confidence(wanted.field) or number is None:
            return nested
        return {"bool": _any([nested, _compared(wanted.operation, OF_CONFIDENCE, number)])}
    if field == _TOLD:
        return _about_time(wanted)
    if field not in WORDS:
        return {"match_none": {}}
    if wanted.operation == "match":
        # An older index has the words in the field itself.
        return {"bool": _any([{"match": {name: text_of_value(wanted.value)}} for name in (field, f"{field}{WHOLE}")])}
    return _compared(wanted.operation, f"{field}{EXACT}", text_of_value(wanted.value))


def holds(wanted: Filter, value: Any) -> bool:
    """Whether a value of a document is what the filter wants, as `clause` has it."""
    return any(_fits(wanted, one) for one in values_of(value, without_keyword(wanted.field)))


def has_word(wanted: Filter, text: str) -> bool:
    """Whether one of the words of a ``match`` is in a text."""
    return bool(_words(text_of_value(wanted.value)) & _words(text))


def _fits(wanted: Filter, one: Mapping[str, Any]) -> bool:
    number, text = one.get("number"), one.get("text")
    if wanted.operation == "match":
        return has_word(wanted, text_of_value(text if number is None else number))
    compare = _COMPARE[wanted.operation]
    asked = _number(wanted.value)
    if number is not None:
        return asked is not None and compare(float(number), asked)
    return not _is_number(wanted.value) and compare(text, text_of_value(wanted.value))


def _values(wanted: Filter) -> list[Query]:
    """Numbers compare with numbers, texts with texts; a text that reads as a number with both."""
    number, text = _number(wanted.value), text_of_value(wanted.value)
    found: list[Query] = []
    if wanted.operation == "match":
        found.append({"match": {_WORDS: text}})
        return [*found, {"term": {NUMBER: number}}] if number is not None else found
    if number is not None:
        found.append(_compared(wanted.operation, NUMBER, number))
    if not _is_number(wanted.value):
        long = wanted.operation == "term" and len(text) > LONGEST_TEXT
        found.append(_compared(wanted.operation, DIGEST if long else TEXT, digest_of(text) if long else text))
    return found


def _about_time(wanted: Filter) -> Query:
    from harvesters.messages import windows

    try:
        moment = windows.instant(text_of_value(wanted.value)).isoformat()
    except ValueError:
        return {"match_none": {}}
    operation = wanted.operation
    return {"range": {_TOLD: {RANGES[operation]: moment} if operation in RANGES else {"gte": moment, "lte": moment}}}


def _compared(operation: str, field: str, value: str | float) -> Query:
    return {"range": {field: {RANGES[operation]: value}}} if operation in RANGES else {"term": {field: value}}


def _any(queries: Iterable[Query]) -> Query:
    return {"should": [*queries], "minimum_should_match": 1}


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Value) -> float | None:
    """The number that `value` is or reads as."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) != float("inf") and number == number else None


def text_of_value(value: Any) -> str:
    """A text as it is; a number or a truth value as JSON writes it."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
