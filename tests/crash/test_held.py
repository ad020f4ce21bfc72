"""What an hour of malice did not break, through the command: stores that answer nothing, Redis without room, kills."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import ActionRow
from harvesters.standins.redis import Redis
from tests.conformance.stores import LossyProxy
from tests.crash.crashing import END, KILLED, START, Opencast, arguments, environment, harvest_process, read_lines
from tests.servers import running

CHECKPOINT, LEASE = "/harvest/last-action-timestamp", "/harvest/last-action-timestamp.lease"
SESSION = {"sessionId": "s1", "userId": "10564389", "userIp": "140.247.1.2"}


class Lossy(LossyProxy):
    """Carries out the `nth` write of the object at `path` and does not say so: no answer, 500, or one without a tag."""

    path = ""
    nth = 0
    how = ""
    struck = 0

    def handle(self, request: Request) -> Response:
        response = super().handle(request)
        if request.method == "PUT" and request.path == self.path:
            self.nth -= 1
            if self.nth == 0:
                self.struck += 1
                if self.how == "nothing":
                    raise ConnectionAbortedError("carried out, but nobody will hear of it")
                if self.how == "500":
                    return Response(500)
                response.headers.pop("ETag")
        return response


@pytest.fixture
def store(aws: str) -> Iterator[Lossy]:
    with Lossy(aws) as proxy:
        yield proxy


@pytest.mark.parametrize("how", ["nothing", "500", "no tag"])
@pytest.mark.parametrize(("path", "nth"), [(CHECKPOINT, 1), (CHECKPOINT, 2), (LEASE, 1), (LEASE, 4)])
def test_a_write_that_is_done_and_not_answered_harms_no_run(
    store: Lossy, redis_url: str, tmp_path: Path, path: str, nth: int, how: str
) -> None:
    """The fourth write of the lease gives it back: after it was taken, the store was asked twice to refuse."""
    out = tmp_path / "out.jsonl"
    with Opencast() as opencast:
        opencast.fill(3)
        store.path, store.nth, store.how = path, nth, how
        s3 = {"S3_HARVEST_TS_BUCKET": "harvest", "AWS_ENDPOINT_URL_S3": store.url}
        env = environment(opencast.url, redis_url, tmp_path / "state", **s3)
        for _ in range(2):
            with harvest_process(arguments("-s", START.isoformat(), "-o", str(out)), env) as process:
                log = process.communicate(timeout=60)[1]
            assert process.returncode == 0, log
            assert "another run" not in log
        wanted = {row.id for row in opencast.table._by_id.values() if START <= row.created < END}
    assert store.struck == 1
    assert {line["action_id"] for line in read_lines(out)} == wanted - {Opencast.poison_id}


@pytest.mark.parametrize("full", ["from the beginning", "after a run"])
def test_a_redis_without_room_loses_nothing(tmp_path: Path, full: str) -> None:
    out = tmp_path / "out.jsonl"
    with running(Redis()) as server, Opencast() as opencast, redis.Redis.from_url(server.url) as client:
        opencast.fill(3)
        env = environment(opencast.url, server.url, tmp_path / "state")
        command = arguments("-s", START.isoformat(), "-o", str(out))
        for number in range(3):
            if number == (0 if full == "from the beginning" else 1):
                client.config_set("maxmemory-policy", "noeviction")
                client.config_set("maxmemory", 1)
            with harvest_process(command, env) as process:
                log = process.communicate(timeout=60)[1]
            assert process.returncode == 0, log
            assert log.count("no Redis at") <= 1
            opencast.add(ActionRow(5000 + number, "mp-1", SESSION, 1, 1, "PLAY", 1, END - timedelta(seconds=5)))
        wanted = {row.id for row in opencast.table._by_id.values() if START <= row.created < END}
    assert {line["action_id"] for line in read_lines(out)} == wanted - {Opencast.poison_id, 5002}


@pytest.mark.slow
def test_a_hundred_thousand_rows_of_one_second_survive_kills(redis_url: str, tmp_path: Path) -> None:
    second = datetime(2024, 3, 5, 10, 0, tzinfo=UTC)
    out, count, kills = tmp_path / "out.jsonl", 100_000, [4, 8]
    processes: list[subprocess.Popen[str]] = []
    asked = 0

    class Dense(Opencast):
        def handle(self, request: Request) -> Response:
            nonlocal asked
            asked += request.path.endswith("actions.json")
            if kills and asked >= kills[0]:
                kills.pop(0)
                asked = 0
                processes[-1].kill()
            return super().handle(request)

    with Dense() as opencast:
        opencast.add_rows(ActionRow(number, "mp-1", SESSION, 1, 1, "PLAY", 1, second) for number in range(count))
        env = environment(opencast.url, redis_url, tmp_path / "state")
        window = ("-s", (second - timedelta(seconds=1)).isoformat(), "-e", (second + timedelta(seconds=2)).isoformat())
        command = ["--env-file", os.devnull, "useractions", *window, "-o", str(out), "-b", "10000"]
        codes: list[int] = []
        while not codes or codes[-1] == KILLED:
            assert len(codes) < 5
            with harvest_process(command, env) as process:
                processes.append(process)
                process.communicate(timeout=60)
            codes.append(process.returncode)
    assert codes == [KILLED, KILLED, 0]
    assert {line["action_id"] for line in read_lines(out)} == set(range(count))
