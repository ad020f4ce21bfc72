"""``harvest.py useractions`` into an SQS, or what stands before one, that misbehaves."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harvesters.retry import RetryPolicy
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator
from tests.cli.conftest import Command

Entry = dict[str, Any]


class Queue(Simulator):
    """An SQS with one queue that takes everything; `odd`: bodies of its next answers, whatever it is asked for.

    With `draw`, one entry in three is not taken, and some of those that were are not mentioned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.odd: list[bytes] = []
        self.draw: random.Random | None = None
        self.taken: list[tuple[str, int]] = []  # group, action
        self.ids: set[str] = set()
        self._lock = threading.Lock()

    def handle(self, request: Request) -> Response:
        asked = json.loads(request.body)
        with self._lock:
            if self.odd:
                return Response(200, self.odd.pop(0), {"Content-Type": "application/x-amz-json-1.0"})
            if request.headers["x-amz-target"].endswith("GetQueueUrl"):
                return Response.json({"QueueUrl": f"{self.url}/1/{asked['QueueName']}"})
            if request.headers["x-amz-target"].endswith("GetQueueAttributes"):
                return Response.json({"Attributes": {"CreatedTimestamp": "1", "MaximumMessageSize": "1024000"}})
            return Response.json(self._send(asked["Entries"]))

    def _send(self, entries: list[Entry]) -> dict[str, list[Entry]]:
        failed: list[Entry] = [{"Id": "nobody", "SenderFault": True, "Code": "Odd"}]
        done: list[Entry] = [{"Id": "77", "MessageId": "x"}]
        for entry in entries:
            luck = self.draw.random() if self.draw is not None else 1.0
            if luck < 0.33:
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
                continue
            self._take(entry)
            if luck > 0.4:
                digest = hashlib.md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest()
                done += [{"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": digest}] * (1 + (luck < 0.5))
        return {"Successful": done, "Failed": failed}

    def _take(self, entry: Entry) -> None:
        id = entry.get("MessageDeduplicationId", "")
        if not id or id not in self.ids:
            self.ids.add(id)
            action = json.loads(entry["MessageBody"])["action_id"]
            self.taken.append((entry.get("MessageGroupId", ""), action))


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(RetryPolicy, "pause", lambda *_: 0.0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with Queue() as simulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", simulator.url)
        yield simulator


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b'"text"',
        b"7",
        b'{"Successful": [null, 1, "a"], "Failed": {"Id": 1}}',
        b'{"Successful": [null], "Failed": [null]}',
        b'{"QueueUrl": {"a": 1}, "Attributes": [], "Successful": "0"}',
        b'{"Attributes": {"MaximumMessageSize": "many"}}',
        b'{"Successful": [{"Id": "0"',
        b"<html><body>502</body></html>",
    ],
)
def test_an_answer_of_any_shape_is_no_traceback(
    harvest: Command, opencast: OpencastSimulator, queue: Queue, body: bytes
) -> None:
    for before in range(4):
        queue.taken.clear()
        handle, asked = queue.handle, 0

        def once(request: Request, before: int = before) -> Response:
            nonlocal asked
            asked += 1
            queue.odd = [body] if asked == before + 1 else []
            return handle(request)  # noqa: B023 - called within this turn of the loop

        queue.handle = once  # type: ignore[method-assign]
        result = harvest("useractions", "-i", "10", "-q", "actions", "--no-update-last-ts")
        queue.handle = handle  # type: ignore[method-assign]
        assert result.code == 0, result.err
        assert {action for _, action in queue.taken} == set(range(100, 110))


@pytest.mark.parametrize("seed", [1, 2])
def test_entries_of_many_groups_that_fail_in_one_request_cost_no_group_its_order(
    harvest: Command, opencast: OpencastSimulator, queue: Queue, seed: int
) -> None:
    """Only within its request may an entry that failed alone come after others of its group."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=150)
    opencast.add_rows(
        ActionRow(1000 + number, f"m{number % 7}", None, 1, 1, ("PLAY", "FOOTPRINT")[number % 2], True, moment)
        for number in range(150)
        for moment in [start + timedelta(seconds=number / 2)]
    )
    queue.draw = random.Random(seed)
    result = harvest("useractions", "-i", "10", "-q", "actions.fifo", "-b", "1000")
    assert result.code == 0, result.err
    actions = [action for _, action in queue.taken]
    assert sorted(actions) == [*range(100, 110), *range(1000, 1150)]
    for group in {group for group, _ in queue.taken}:
        arrived = [action for each, action in queue.taken if each == group]
        for at, action in enumerate(arrived):
            # A request has ten entries, so nobody is overtaken by more than the nine others.
            assert abs(at - sorted(arrived).index(action)) < 10
