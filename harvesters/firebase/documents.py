"""From a BuddyUp event to its document. Pure: the same event gives the same document.

The Firebase key is the id, and what an event says may change under it. It stays where it is; beside it stand the parts
of its date. Fields that the index gives a type hold that type or are moved to ``NAME_raw``, which is kept but not
indexed; so no event is refused for what it holds.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.document import Document
from harvesters.exact import whole
from harvesters.firebase.fit import fit_names, fit_values, keep_aside, set_key
from harvesters.firebase.pushid import is_push_id, push_ms
from harvesters.firebase.scrub import Scrubber
from harvesters.firebase.sentiment import Sentiment

KIND = "buddyupevents"
EPOCH = datetime.fromtimestamp(0, UTC)
"""The timestamp of an event that does not say when it happened."""

KEYWORDS = ("type", "app", "creator", "event_id", "buid", "first_name", "last_name", "profile_pic_url_tiny")

_OURS = frozenset({"hour", "weekday", "day_of_month", "day_of_year", "month", "year", "sentiment"})

_TYPED = _OURS | frozenset(KEYWORDS)
_QUARTER = timedelta(minutes=15)

# Years in which an event can have happened; a clock that was never set must not make an index of its own.
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_AT_END = re.compile(r"-(\d{12,14})$", re.ASCII)  # group-reminder-<group>-<milliseconds>
_LONG = 2**63
_LONGEST_ID = 512

Row = dict[str, Any]


@dataclass(frozen=True)
class EventMapper:
    """Makes rows and documents of events.

    Args:
        zone: of the date parts (``FIREBASE_TIMEZONE``).
        scrub: what must not be seen.
        sentiment: scores the bodies of ``chat_message`` events; None does not.
    """

    zone: ZoneInfo
    scrub: Scrubber = field(default_factory=Scrubber)
    sentiment: Sentiment | None = None
    kind: str = KIND

    def row(self, key: str, value: Any) -> Row:
        """What is known of an event once it is scrubbed: nothing beyond this sees, logs or keeps its secrets."""
        try:
            row: Row = {"key": key, "value": self.scrub(value)}
        except RecursionError:  # from a file: the database goes 32 levels deep
            return {"key": key, "value": None, "problem": "it is nested too deeply"}
        if self.sentiment is not None and (body := _message(value)):
            row["sentiment"] = self.sentiment(body)
        return row

    def document(self, row: Row) -> Document | str:
        """The document, or the reason why there can be none."""
        value = row["value"]
        if "problem" in row:
            return str(row["problem"])
        if not isinstance(value, dict):
            return f"an event is an object; this is {_kind_of(value)}"
        moment = moment_of(row["key"], value)
        body = {name: item for name, item in value.items() if name[:1] != "."}
        set_key(body, "id", row["key"])
        fit_names(body)
        _fit(body)
        if moment is not None:
            body.update(_parts_of_quarter(self.zone, (moment - EPOCH) // _QUARTER) or date_parts(moment, self.zone))
        if "sentiment" in row:
            body["sentiment"] = row["sentiment"]
        return fit_values(Document(document_id(row["key"]), self.kind, moment or EPOCH, body, mutable=True))


def document_id(key: str) -> str:
    """The id of the document of `key`: the key, unless it is longer than the 512 bytes that Elasticsearch takes.

    Nor is it where the key holds half of a surrogate pair, which no output takes.
    """
    if key.isascii() and len(key) <= _LONGEST_ID:
        return key
    encoded = key.encode("utf-8", "surrogatepass")
    text = whole(key)
    if len(encoded) <= _LONGEST_ID and text == key:
        return key
    return f"{text[:80]}#{hashlib.sha256(encoded).hexdigest()}"


def moment_of(key: str, event: dict[str, Any]) -> datetime | None:
    """When an event happened: its ``created_at``, else its key's time; None when neither says."""
    created = _milliseconds(event.get("created_at"))
    moment = from_ms(created) if created is not None else None
    if moment is None and is_push_id(key):
        moment = from_ms(push_ms(key))
    elif moment is None and (found := _AT_END.search(key)):
        moment = from_ms(int(found[1]))
    return moment


def milliseconds(moment: datetime) -> int:
    """Milliseconds from 1970 to `moment`."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: float) -> datetime | None:
    """Milliseconds since 1970 as an instant; None beyond the years 2000 to 2099."""
    try:
        moment = EPOCH + timedelta(milliseconds=ms)
    except (OverflowError, ValueError):
        return None
    return moment if _FIRST <= moment < _LAST else None


def date_parts(moment: datetime, zone: ZoneInfo) -> dict[str, int]:
    """The parts of `moment`'s date in `zone`; weekday is ISO's: 1 is Monday, 7 is Sunday."""
    local = moment.astimezone(zone)
    return {
        "hour": local.hour,
        "weekday": local.isoweekday(),
        "day_of_month": local.day,
        "day_of_year": local.timetuple().tm_yday,
        "month": local.month,
        "year": local.year,
    }


@lru_cache(maxsize=4096)
def _parts_of_quarter(zone: ZoneInfo, number: int) -> dict[str, int] | None:
    """The parts that all instants of a quarter of an hour have, by its number since 1970; None if its clocks change."""
    start = EPOCH + number * _QUARTER
    parts, last = date_parts(start, zone), date_parts(start + _QUARTER - timedelta(microseconds=1), zone)
    return parts if parts == last else None


def _message(event: Any) -> str:
    """The body of a chat message."""
    if not isinstance(event, dict) or event.get("type") != "chat_message":
        return ""
    data = event.get("data")
    body = data.get("body") if isinstance(data, dict) else None
    return body if isinstance(body, str) else ""


def _fit(body: dict[str, Any]) -> None:
    """Have the fields that the index gives a type hold that type."""
    for name in _TYPED & body.keys():
        if name in _OURS or isinstance(body[name], dict | list):
            keep_aside(body, name, body.pop(name))
    created = body.get("created_at")
    if created.__class__ is not int or from_ms(created) is None:
        _fit_created(body)
    if "order" in body and not _is_number(body["order"]):
        keep_aside(body, "order", body.pop("order"))
    involved = body.get("involved")
    if isinstance(involved, dict):
        body["involved"] = list(involved)
        keep_aside(body, "involved", involved)
    elif isinstance(involved, list):
        texts = [item for item in involved if isinstance(item, str)]
        body["involved"] = texts
        if len(texts) < len(involved):
            keep_aside(body, "involved", involved)
    data = body.get("data")
    if data is not None and not isinstance(data, dict):
        items = data if isinstance(data, list) else [data]
        body["data"] = {str(index): item for index, item in enumerate(items) if item is not None}


def _fit_created(body: dict[str, Any]) -> None:
    """Keep a ``created_at`` that is no whole number of milliseconds aside, and put the number where there is one."""
    if "created_at" not in body:
        return
    value = body.pop("created_at")
    ms = _milliseconds(value)
    if ms is not None and from_ms(ms) is not None:
        body["created_at"] = int(ms)
    if not _is_number(value) or "created_at" not in body:
        keep_aside(body, "created_at", value)


def _milliseconds(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LONG < value < _LONG


def _kind_of(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null", bool: "a truth value"}.get(type(value), "a number")
