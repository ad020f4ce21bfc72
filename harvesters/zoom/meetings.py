"""A meeting as a document: the fields of the first Zoom harvester, and what API v2 says besides under ``zoom``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from harvesters.document import Document
from harvesters.zoom.values import (
    check_finite,
    clock_seconds,
    integer,
    iso_or_none,
    lasted,
    moment,
    number,
    truth,
    whole,
    without_blanks,
)

KIND = "meetings"
_FLAGS = ("has_pstn", "has_voip", "has_3rd_party_audio", "has_video", "has_screen_share", "has_sip")
_TOLD = {
    *("uuid", "id", "topic", "host", "email", "user_name", "user_email", "user_type", "start_time", "end_time"),
    *("duration", "has_recording", "host_id", *_FLAGS),
}
SUMMED: dict[str, Callable[[Any], Any]] = {
    "total_minutes": whole,
    "participants": whole,
    "participants_count": whole,
    "avg_jointime_cost": number,
}
"""Numbers to sum, in fields of their own beside those under ``zoom``."""
_USER_TYPES = {1: "Basic", 2: "Licensed", 3: "On-Prem"}


def to_document(
    row: Mapping[str, Any], host: Mapping[str, Any], route: str, filed: datetime, sessions: int | None
) -> Document:
    """The document of a listed meeting.

    Args:
        row: of ``/metrics/meetings`` or ``/report/users/{id}/meetings``.
        host: what is known of its host: ``id``, and on the report route ``type``.
        route: ``dashboard`` or ``report``.
        filed: decides the index: its end, or the day that listed it.
        sessions: how many there are; None where Zoom does not give them.

    Raises:
        ValueError: a time in it is none, or a number cannot be stored.
    """
    check_finite(row, but=SUMMED)
    start, end = moment(row.get("start_time")), moment(row.get("end_time"))
    body = {
        "uuid": row["uuid"],
        "meeting_series_id": integer(row.get("id")),
        "topic": row.get("topic"),
        "host": {
            "host_id": host.get("id") or row.get("host_id"),
            "name": row.get("host") or row.get("user_name"),
            "email": row.get("email") or row.get("user_email"),
            "user_type": row.get("user_type") or user_type(host.get("type")),
        },
        "start_time": iso_or_none(start),
        "end_time": iso_or_none(end),
        "duration": duration(row.get("duration"), start, end),
        "participant_sessions": sessions,
        **{name: truth(row.get(name)) for name in _FLAGS},
        "recording": truth(row.get("has_recording")),
        **summed(row),
        "zoom": {**{name: value for name, value in row.items() if name not in _TOLD}, "route": route},
    }
    return Document(str(row["uuid"]), KIND, filed, without_blanks(body), mutable=True)


def summed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers to sum of a row; None for each that it lacks, or that is none."""
    return {name: read(row.get(name)) for name, read in SUMMED.items()}


def duration(value: Any, start: datetime | None, end: datetime | None) -> int | None:
    """Seconds: of the Dashboard's clock string, else from start to end, else of a report's whole minutes.

    A meeting without times has no duration either: its 0 means that Zoom does not know.
    """
    told = clock_seconds(value)
    if told is not None:
        return told
    if start is not None and end is not None:
        return lasted(start, end)
    minutes = integer(value)
    return minutes * 60 if minutes else None


def user_type(number: Any) -> str | None:
    """The Dashboard's word for a user's type, which ``/report/users`` gives as a number."""
    kind = integer(number)
    return _USER_TYPES.get(kind, str(kind)) if kind is not None else None
