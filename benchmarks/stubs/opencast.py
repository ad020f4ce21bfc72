"""An Opencast with a table of equal-looking actions, evenly spread over one day.

Speaks both dialects, asks for Digest once, and keeps no row: rows are made from their number, page by page, and kept
as bytes for the next run.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import orjson

from benchmarks.stubs.server import Answer, Handler, Request

DAY = datetime(2026, 2, 13, tzinfo=UTC)
START, END = DAY + timedelta(minutes=5), DAY + timedelta(hours=23, minutes=55)
"""All actions lie in here, away from the minutes at midnight that a stock Opencast shows only at certain seconds."""

_TYPES = ("HEARTBEAT", "HEARTBEAT", "HEARTBEAT", "PLAY", "PAUSE", "SEEK", "FOOTPRINT")
_AGENT = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
)
_BASIC = {"Content-Type": "application/json"}


class OpencastStub:
    """Answers ``actions.json`` and the search.

    Args:
        actions: rows in the table.
        dialect: ``dce`` honours ``start`` and ``end``, ``stock`` only ``day``.
        episodes: how many the actions are spread over.
    """

    def __init__(self, actions: int, dialect: str, episodes: int) -> None:
        self.actions = actions
        self.dialect = dialect
        self.episodes = episodes
        self._step = (END - START) / max(1, actions)

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        if not request.headers.get("authorization", "").startswith("Digest"):
            challenge = f'Digest realm="Opencast", qop="auth", nonce="{secrets.token_hex(8)}"'
            return Answer(401, headers={"WWW-Authenticate": challenge})
        if request.path == "/usertracking/actions.json":
            return Answer(200, self._page(request.query), _BASIC)
        if request.path == "/search/episode.json":
            return Answer(200, _found(request.query["id"]), _BASIC)
        return Answer(404)

    def _page(self, query: dict[str, str]) -> bytes:
        first, last = self._selected(query)
        limit, offset = int(query.get("limit", 0)) or 10, int(query.get("offset", 0))
        begin = min(first + offset, last)
        numbers = range(begin, min(begin + limit, last))
        # One child is an object, none is absent: as Opencast's writer has it.
        rows = _rows(numbers.start, numbers.stop, self._step, self.episodes)
        action = b"" if not numbers else b',"action":' + (rows if len(numbers) == 1 else b"[" + rows + b"]")
        return b'{"actions":{"total":%d,"offset":%d,"limit":%d%s}}' % (last - first, offset, limit, action)

    def _selected(self, query: dict[str, str]) -> tuple[int, int]:
        """The numbers of the rows that the query shows: from, and up to but not with."""
        if self.dialect == "dce" and "start" in query and "end" in query:
            return self._number(_moment(query["start"])), self._number(_moment(query["end"]) + timedelta(seconds=1))
        if "day" in query:
            day = datetime.strptime(query["day"], "%Y%m%d").replace(tzinfo=UTC)
            return self._number(day), self._number(day + timedelta(days=1))
        return 0, self.actions

    def _number(self, moment: datetime) -> int:
        """The number of the first row at or after `moment`."""
        return min(self.actions, max(0, -(-(moment - START) // self._step)))


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


@lru_cache(maxsize=512)
def _rows(begin: int, end: int, step: timedelta, episodes: int) -> bytes:
    return b",".join(orjson.dumps(_row(number, START + number * step, episodes)) for number in range(begin, end))


def _row(number: int, moment: datetime, episodes: int) -> dict[str, object]:
    viewer = number * 7919 % 4001
    return {
        "id": 10_000_000 + number,
        "mediapackageId": f"74b6c02e-0000-4000-8000-{number * 31 % episodes:012d}",
        "sessionId": {
            "sessionId": f"{viewer:08x}1q2w3e4r5t6y",
            "userId": 10_564_389 + viewer,
            "userIp": f"140.247.{viewer % 250}.2, 10.0.0.5",
            "userAgent": _AGENT,
        },
        "inpoint": number % 3600,
        "outpoint": number % 3600,
        "length": 0,
        "type": _TYPES[number % len(_TYPES)],
        "isPlaying": number % 3,
        "created": moment.replace(microsecond=0).isoformat().replace("+00:00", "Z"),
    }


def _found(mpid: str) -> bytes:
    package = {
        "duration": 3_600_000.0,
        "id": mpid,
        "start": "2026-02-13T16:24:00Z",
        "title": f"Lecture {mpid[-3:]}",
        "series": "20160213001",
        "seriestitle": "CSCI E-1: Understanding Computers",
        "media": {"track": {"id": "cd56", "type": "presenter/preview", "live": False}},
    }
    described = {
        "title": [package["title"]],
        "isPartOf": ["20160213001"],
        "type": ["L10"],
        "description": ["What a computer is, and what it is not."],
    }
    result = {"mediapackage": package, "org": "mh_default_org", "type": "Episode", "dc": described}
    return orjson.dumps({"result": [result], "total": 1, "offset": 0, "limit": 10})


def opencast(actions: int = 1000, dialect: str = "dce", episodes: int = 100) -> Handler:
    """An Opencast with that many actions."""
    return OpencastStub(actions, dialect, episodes)
