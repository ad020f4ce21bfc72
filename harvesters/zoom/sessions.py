"""A participant session as a document: one stay of one person in one meeting. A rejoin is another session."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from harvesters.document import Document
from harvesters.zoom.values import integer, iso_or_none, lasted, moment, place, truth, without_blanks

KIND = "sessions"
_TOLD = {
    *("user_id", "user_name", "name", "device", "ip_address", "location", "network_type", "join_time", "leave_time"),
    *("duration", "share_application", "share_desktop", "share_whiteboard", "recording", "email", "user_email"),
}


def with_ids(uuid: str, rows: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Each row with its session's id, in the order of the rows; rows that are the same through and through come once.

    The id is made of the meeting's UUID, the participant's key and the time of joining, so that it is the same in
    every run and on both routes. Where two rows share all three, as a waiting room and the meeting may, the ones that
    come later in their own order are told apart by what else they say.
    """
    ids = [session_id(uuid, row) if isinstance(row, dict) else "" for row in rows]
    often = {id for id, count in Counter(ids).items() if count > 1}
    firsts: dict[str, str] = {}
    for id, row in zip(ids, rows, strict=True):
        if id in often:
            firsts[id] = min(_content(row), firsts.get(id, _content(row)))
    given: set[str] = set()
    for id, row in zip(ids, rows, strict=True):
        if id in often and id and (content := _content(row)) != firsts[id]:
            id = _digest(id, content)
        if not id or id not in given:
            given.add(id)
            yield id, row


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
        ValueError: a time in it is none.
    """
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


def _content(row: Any) -> str:
    """All that a row says, in one spelling; those that were in the meeting itself come first."""
    if not isinstance(row, dict):
        return ""
    aside = f"{row.get('status') == 'in_waiting_room':d}{bool(row.get('bo_mtg_id')):d}"
    return aside + json.dumps(row, sort_keys=True, default=str)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
