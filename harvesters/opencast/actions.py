"""From an Opencast user action to a document: pure functions of the row and its episode."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from harvesters.document import Document
from harvesters.opencast.jettison import as_dict, integer, text
from harvesters.timespan import as_utc

KIND = "useractions"
_GROWS = "FOOTPRINT"  # Opencast lengthens the last one of a session instead of writing another
_EARLIEST, _LATEST = 1970, 9000
_QUARTER, _FARTHEST = timedelta(minutes=15), timedelta(hours=14)  # of the offsets of time zones
_OMITTED = "-omitted-"  # what Opencast writes where log.ip, log.user or log.session is off


class PoisonRow(Exception):
    """A row that no document can be made of; the message is the reason."""


def created(row: Any, zone: tzinfo) -> datetime:
    """When the action happened, UTC.

    Raises:
        PoisonRow: the row does not say so.
    """
    return written(row, zone)[0]


def written(row: Any, zone: tzinfo) -> tuple[datetime, timedelta | None]:
    """When the action happened, UTC, and the offset that the server wrote it with; None when it wrote none.

    Raises:
        PoisonRow: the row does not say when, or says what no server's clock does.
    """
    try:
        return _read(row["created"], zone)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        value = row.get("created") if isinstance(row, dict) else row
        raise PoisonRow(f"'created' is no date that a server's clock can have: {value!r:.60}") from None


@lru_cache(maxsize=5000)  # a row is heard, and soon after it is mapped
def _read(text: str, zone: tzinfo) -> tuple[datetime, timedelta | None]:
    moment = datetime.fromisoformat(text)
    offset = moment.utcoffset()
    utc = as_utc(moment, zone)
    if not _EARLIEST <= utc.year <= _LATEST or (offset and (offset % _QUARTER or abs(offset) > _FARTHEST)):
        raise ValueError
    return utc, offset


def document_id(source: str, number: Any) -> str:
    """The id of an action's document; numbers are unique within one Opencast, which `source` names where it has to."""
    return f"{source}-{number}" if source else str(number)


def to_document(row: Any, moment: datetime, episode: dict[str, Any], source: str = "") -> Document:
    """The document of `row`, which happened at `moment`.

    Args:
        source: short name of the Opencast (``OPENCAST_SOURCE``).

    Raises:
        PoisonRow: a field that the document needs is missing, or holds what it never should.
    """
    try:
        return _to_document(row, moment, episode, source)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise PoisonRow(str(error)) from error


def _to_document(row: Any, moment: datetime, episode: dict[str, Any], source: str) -> Document:
    action_id = integer(row.get("id"))
    if action_id is None:
        raise PoisonRow("'id' is missing")
    mpid = text(row.get("mediapackageId"))
    kind = text(row.get("type"))
    playing, live = _playing(row.get("isPlaying"))
    found = row.get("sessionId")  # an object since Opencast 2, flat fields before
    session = found if isinstance(found, dict) else row
    session_id = _shown(session.get("sessionId"))
    body: dict[str, Any] = {
        "action_id": action_id,
        "timestamp": moment.isoformat(),
        "mpid": mpid,
        "session_id": session_id,
        # The one session of a server that logs none is everybody's: whoever made it first is not who it was.
        "huid": _person(session.get("userId")) if session_id is not None else None,
        "useragent": _shown(session.get("userAgent")),
        **_addresses(_shown(session.get("userIp"))),
        "is_live": live,
        "action": {
            "type": kind,
            "inpoint": integer(row.get("inpoint")),
            "outpoint": integer(row.get("outpoint")),
            "length": integer(row.get("length")),
            "is_playing": playing,
        },
        "episode": episode,
    }
    if source:
        body["source"] = source
    return Document(
        id=document_id(source, action_id),
        kind=KIND,
        timestamp=moment,
        body=body,
        group=mpid or KIND,
        mutable=kind == _GROWS,
    )


def _shown(value: Any) -> str | None:
    shown = text(value)
    return None if shown == _OMITTED else shown


def _person(value: Any) -> str | None:
    """Who it was; a player that knows nobody may say so as ``None``."""
    person = _shown(value)
    return None if person == "None" else person


@lru_cache(maxsize=4096)  # a viewer makes an action every half minute
def _addresses(header: str | None) -> Mapping[str, str | None]:
    """``X-Forwarded-For`` as Opencast stores it: the client first, then the proxies that it came through."""
    addresses = [part.strip() for part in (header or "").split(",")]
    named: dict[str, str | None] = {"ip": addresses[0] or None}
    proxies = [address for address in addresses[1:] if address]
    named.update({f"proxy{number}": address for number, address in enumerate(proxies, 1)})
    return named


def _playing(value: Any) -> tuple[bool, bool]:
    """(is_playing, is_live): a boolean upstream; 0, 1, or 2 for live in DCE's fork."""
    if value is None or value == "":
        return False, False
    if isinstance(value, bool) or str(value).lower() in ("true", "false"):
        return str(value).lower() == "true", False
    number = integer(value) or 0
    return number > 0, number == 2


def mpid_of(row: Any) -> str | None:
    """The media package that the action is about; None when it is about none that can be read."""
    try:
        mpid = text(as_dict(row).get("mediapackageId"))
        return mpid if mpid is not None and mpid.encode() else None
    except ValueError:  # half of a surrogate pair is one too
        return None
