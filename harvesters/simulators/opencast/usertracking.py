"""``GET /usertracking/actions.json``: which rows a request means, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Literal

import orjson

from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.auth import Refused
from harvesters.simulators.opencast.data import ActionRow, Session
from harvesters.simulators.opencast.jettison import dumps, primitive
from harvesters.simulators.opencast.table import ActionTable, Criteria, millis

Dialect = Literal["dce", "stock"]
Broken = Literal["", "day"]

_SESSION = ("sessionId", "userId", "userIp", "userAgent")
_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_DCE_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")


def java_int(text: str) -> int:
    """A query parameter of Java type int: absent or empty is 0; what is not one is 404, as JAX-RS has it."""
    if not text:
        return 0
    if not _INTEGER.match(text) or not -(2**31) <= int(text) < 2**31:
        raise Refused(Response.html(404, "<h2>HTTP ERROR 404</h2>"))
    return int(text)


def wall_time(zone: tzinfo, year: int, month: int, day: int, clock: time) -> float:
    """Epoch milliseconds of a wall clock time as Java's lenient calendar reads it.

    Month 13 is January of the next year; an hour that a change of clocks skips moves forward, and of one that
    happens twice the second (standard time) is meant.
    """
    try:
        first = date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
        local = datetime.combine(first, clock) + timedelta(days=day - 1)
        return max(millis(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    except (ValueError, OverflowError):
        return float("-inf") if year < 1 else float("inf")


def day_bounds(text: str, zone: tzinfo, at: datetime) -> tuple[float, float]:
    """What ``day=YYYYMMDD`` selects, both ends inclusive, in milliseconds.

    Opencast sets hours and minutes to 00:00 and 23:59 but keeps the seconds and milliseconds of the request's own
    moment `at`, so up to a minute is missing at each end. A day that is too short or no number is an error 500.
    """
    parts = (text[0:4], text[4:6], text[6:8])
    if len(text) < 8 or not all(_INTEGER.match(part) for part in parts):
        raise Refused(Response.html(500, "<h2>HTTP ERROR 500</h2>"))
    year, month, day = map(int, parts)
    second = at.astimezone(zone).second
    microsecond = at.microsecond - at.microsecond % 1000
    return (
        wall_time(zone, year, month, day, time(0, 0, second, microsecond)),
        wall_time(zone, year, month, day, time(23, 59, second, microsecond)),
    )


def dce_bound(text: str, zone: tzinfo, otherwise: float) -> float:
    """A DCE ``start`` or ``end``, ``yyyyMMddHHmmss`` in the server's own zone; lenient, what follows is ignored."""
    if not text:
        return otherwise
    match = _DCE_TIME.match(text)
    if match is None:
        raise Refused(Response(400))
    year, month, day, hour, minute, second = map(int, match.groups())
    rest = timedelta(hours=hour, minutes=minute, seconds=second)
    clock = (datetime.min + rest % timedelta(days=1)).time()
    return wall_time(zone, year, month, day + rest.days, clock)


def criteria(request: Request, dialect: Dialect, zone: tzinfo, at: datetime, broken: Broken = "") -> Criteria:
    """The rows that a request means: ``id+type`` before ``type+day`` before ``type`` before ``day`` before all.

    ``id`` counts only beside ``type``. DCE's ``start`` and ``end`` (inclusive) narrow whatever the rest selects; the
    fork's own precedence is not known.
    """
    kind, mpid, day = (request.param(name) for name in ("type", "id", "day"))
    mpid = mpid if kind else ""
    since, until = float("-inf"), float("inf")
    if day and not mpid and broken != "day":
        since, until = day_bounds(day, zone, at)
    if dialect == "dce":
        since = max(since, dce_bound(request.param("start"), zone, since))
        until = min(until, dce_bound(request.param("end"), zone, until))
    return Criteria(since, until, kind, mpid)


class ActionWriter:
    """Writes rows as Opencast of that version and dialect does; each row is rendered once and kept."""

    def __init__(self, version: int, dialect: Dialect, zone: tzinfo, stored: Callable[[ActionRow], int]) -> None:
        self.version = version
        self.dialect = dialect
        self.zone = zone
        self.stored = stored
        self._rendered: dict[int, tuple[ActionRow, bytes]] = {}

    def row(self, row: ActionRow) -> bytes:
        """The JSON object of one row."""
        kept = self._rendered.get(row.id)
        if kept is None or kept[0] is not row:
            kept = (row, dumps(self._fields(row), self.version))
            self._rendered[row.id] = kept
        return kept[1]

    def page(self, total: int, offset: int, limit: int, rows: list[ActionRow]) -> bytes:
        """A whole answer: no ``action`` for no rows, an object for one, a list for more."""
        numbers: dict[str, Any] = {"total": total, "offset": offset, "limit": limit}
        if self.version < 8:
            numbers = {name: str(number) for name, number in numbers.items()}
        body = orjson.dumps({"actions": numbers})[:-2]
        if rows:
            rendered = b",".join(map(self.row, rows))
            body += b',"action":' + (rendered if len(rows) == 1 else b"[" + rendered + b"]")
        return body + b"}}"

    def created(self, row: ActionRow) -> str:
        """``xs:dateTime`` in the server's zone: milliseconds only when there are any, ``Z`` for offset zero."""
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self.stored(row))
        local = moment.astimezone(self.zone)
        text = local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
        return text[:-6] + "Z" if text.endswith("+00:00") else text

    def _fields(self, row: ActionRow) -> dict[str, Any]:
        fields: dict[str, Any] = {"id": row.id, "mediapackageId": primitive(row.mpid)}
        if row.session is not None:
            fields |= self._session(row.session)
        fields |= {"inpoint": row.inpoint, "outpoint": row.outpoint, "length": row.outpoint - row.inpoint}
        playing = int(row.is_playing) if self.dialect == "dce" else row.is_playing == 1
        return fields | {"type": primitive(row.type), "isPlaying": playing, "created": self.created(row)}

    def _session(self, session: Session) -> dict[str, Any]:
        """Fields of a row's session: an object since Opencast 2, before that beside the rest and without the agent."""
        typed = {name: primitive(session[name]) for name in _SESSION if session.get(name) is not None}
        if self.version >= 2:
            return {"sessionId": typed or ""}
        typed.pop("userAgent", None)
        return typed


def actions(
    request: Request,
    table: ActionTable,
    writer: ActionWriter,
    at: datetime,
    broken: Broken,
    cap: int = 0,
    less: int = 0,
) -> Response:
    """Answer a request for actions; a limit of 0 means 10, there is no largest one.

    `cap` is of something before Opencast that allows so many rows an answer; `less` rows of the last ones are lacking.
    """
    limit, offset = java_int(request.param("limit")), java_int(request.param("offset"))
    if limit < 0 or offset < 0:
        return Response(400)
    limit = min(limit or 10, cap or limit or 10)
    wanted = criteria(request, writer.dialect, writer.zone, at, broken)
    total, rows = table.select(wanted, at, offset, limit)
    total = max(0, total - less)
    body = writer.page(total, offset, limit, rows[: max(0, total - offset)])
    return Response(200, body, {"Content-Type": "application/json"})
