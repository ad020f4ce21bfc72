"""A Realtime Database whose one node has many equal-looking events: pages are made once and kept as bytes."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from functools import cache

import orjson

from benchmarks.stubs.server import Answer, Handler, Request
from harvesters.firebase.pushid import push_floor
from harvesters.simulators.firebase import buddyup

_FIRST = 1_420_070_400_000  # 2015-01-01
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_SAMPLE = 5000


class FirebaseStub:
    """Answers pages ordered by key; whatever the path.

    Args:
        nodes: how many children there are.
    """

    def __init__(self, nodes: int) -> None:
        start, end = datetime(2015, 1, 1, tzinfo=UTC), datetime(2016, 1, 1, tzinfo=UTC)
        self._values = [orjson.dumps(event) for _, event in buddyup.events(_SAMPLE, start, end)]
        self._keys = [push_floor(_FIRST + 50_000 * number) for number in range(nodes)]

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        query = request.query
        if query.get("shallow") == "true":
            return Answer(200, b"true", _JSON)
        after = query.get("startAfter")
        first = bisect_right(self._keys, orjson.loads(after)) if after is not None else 0
        return Answer(200, self._page(first, first + int(query["limitToFirst"])), _JSON)

    @cache  # noqa: B019 - one stub a process
    def _page(self, first: int, last: int) -> bytes:
        numbers = range(first, min(last, len(self._keys)))
        members = [b'"%b":%b' % (self._keys[number].encode(), self._values[number % _SAMPLE]) for number in numbers]
        # Firebase promises no order: the second half comes first.
        half = len(members) // 2
        return b"{%b}" % b",".join(members[half:] + members[:half]) if members else b"null"


def firebase(nodes: int) -> Handler:
    """The stub."""
    return FirebaseStub(nodes)
