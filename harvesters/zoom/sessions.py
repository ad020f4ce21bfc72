"""A participant session as a document: one stay of one person in one meeting. A rejoin is another session."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from harvesters.document import Document
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.values import check_finite, integer, iso_or_none, lasted, moment, place, truth, without_blanks

KIND = "sessions"
_FILLED_IN = {"leave_time", "leave_reason", "duration", "recording", "in_room_participants", "failover",
              "share_application", "share_desktop", "share_whiteboard"}  # fmt: skip
_TOLD = {
    *("user_id", "user_name", "name", "device", "ip_address", "location", "network_type", "join_time", "leave_time"),
    *("duration", "share_application", "share_desktop", "share_whiteboard", "recording", "email", "user_email"),
}


def with_ids(uuid: str, rows: Collection[Any]) -> Iterator[tuple[str, Any]]:
    """Each row with its session's id, in their order; rows that are the same through and through come once."""
    return ((id, row) for id, row in zip(ids(uuid, rows), rows, strict=True) if id is not None)


def ids(uuid: str, rows: Collection[Any] | PackedRows) -> list[str | None]:
    """The ids of the sessions of `rows`; None for a row that came before, "" for what is no row.

    An id is made of the meeting's UUID, the participant's key and the time of joining, so that it is the same in
    every run and on both routes. Where rows share all three, as a waiting room and the meeting may, the later ones are
    told apart by what they say besides, but not by what Zoom fills in afterwards, such as the time of leaving.
    """
    made = [session_id(uuid, row) if isinstance(row, dict) else "" for row in rows]
    often = {id for id, count in Counter(made).items() if id and count > 1}
    places: dict[str, set[_Place]] = {}
    for id, row in zip(made, rows, strict=True):
        if id in often:
            places.setdefault(id, set()).add(_place(row))
    told = {id: _apart(id, shared) for id, shared in places.items()}
    given: set[str] = set()
    found: list[str | None] = []
    for id, row in zip(made, rows, strict=True):
        own = told[id][_place(row)] if id in often else id
        found.append(own if not own or own not in given else None)
        given.add(own)
    return found


def _apart(id: str, places: set[_Place]) -> dict[_Place, str]:
    """Ids for rows that would share `id`: the first keeps it."""
    same: Counter[str] = Counter()
    made: dict[_Place, str] = {}
    for own in sorted(places):
        made[own] = _digest(id, own.kept, str(same[own.kept])) if made else id
        same[own.kept] += 1
    return made


def session_id(uuid: str, row: Mapping[str, Any]) -> str:
    """From the meeting's UUID, the participant's key and the time of joining.

    The key is ``user_id``, which is unique inside one meeting and known to both routes, or else
    ``participant_uuid``. ``id`` will not do: since 2023 it is ``""`` for every guest.
    """
    key = row.get("user_id") or row.get("participant_uuid") or row.get("participant_user_id") or row.get("id") or ""
    if not key:
        key = json.dumps([row.get(name) for name in ("user_name", "name", "email", "user_email", "device")])
    return _digest(uuid, str(key), str(row.get("join_time") or ""))


def to_document(
    id: str, row: Mapping[str, Any], uuid: str, route: str, filed: datetime, geoip: Mapping[str, Any] | None
) -> Document:
    """The document of a participant row.

    Args:
        uuid: of its meeting.
        route: ``dashboard`` or ``report``.
        filed: decides the index: that of its meeting, with which it belongs.
        geoip: what is known of the address.

    Raises:
        ValueError: a time in it is none, or a number cannot be stored.
    """
    check_finite(row)
    join, leave = moment(row.get("join_time")), moment(row.get("leave_time"))
    told = integer(row.get("duration"))
    city, country = place(row.get("location"))
    body = {
        "id": id,
        "meeting": uuid,
        "user_id": str(row["user_id"]) if row.get("user_id") is not None else None,
        "user_name": row.get("user_name") or row.get("name"),
        "device": row.get("device"),
        "ip_address": row.get("ip_address"),
        "country": country,
        "city": city,
        "network_type": row.get("network_type"),
        "join_time": iso_or_none(join),
        "leave_time": iso_or_none(leave),
        "duration": told if told is not None else lasted(join, leave),
        "share_application": truth(row.get("share_application")),
        "share_desktop": truth(row.get("share_desktop")),
        "share_whiteboard": truth(row.get("share_whiteboard")),
        "recording": truth(row.get("recording")),
        "zoom": {
            **{name: value for name, value in row.items() if name not in _TOLD},
            "route": route,
            "email": row.get("email") or row.get("user_email"),
            "waiting_room": row.get("status") == "in_waiting_room",
            "breakout_room": bool(row.get("bo_mtg_id")),
            "location": row.get("location"),
        },
    }
    body = without_blanks(body)
    if geoip:
        body["geoip"] = dict(geoip)
    return Document(id, KIND, filed, body, mutable=True)


class _Place(NamedTuple):
    """Where a row stands among others of its id.

    Attributes:
        aside: who was in the meeting itself comes first.
        kept: a digest of what does not change any more.
        leave: when he left; who has not comes last.
        whole: a digest of all that the row says.
    """

    aside: str
    kept: str
    leave: str
    whole: str


def _place(row: Mapping[str, Any]) -> _Place:
    aside = f"{row.get('status') == 'in_waiting_room':d}{bool(row.get('bo_mtg_id')):d}"
    kept = {name: value for name, value in row.items() if name not in _FILLED_IN}
    leave = str(row.get("leave_time") or "~")
    return _Place(aside, _digest(_spelled(kept)), leave, _digest(_spelled(row)))


def _spelled(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=str)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
