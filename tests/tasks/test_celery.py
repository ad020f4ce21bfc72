"""``backfill --executor celery`` with a real Redis, S3 and SQS, and real workers, some of them killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis

from harvesters.standins.redis import Redis
from tests.cli.past import DAY, END, PASSWORD, ROWS, START, USER, Past, fill
from tests.cli.processes import wait
from tests.crash.crashing import ROOT

HARVEST = (sys.executable, str(ROOT / "harvest.py"), "--env-file", os.devnull)
CELERY = (str(Path(sys.executable).with_name("celery")), "-A", "harvesters.tasks:app")
TTL = 3
QUEUE = "filled"


@dataclass
class Site:
    """A source, and the settings that command and workers share."""

    past: Past
    directory: Path
    redis_url: str
    stack: ExitStack
    more: dict[str, str] = field(default_factory=dict)
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
        kept |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return kept | {
            "MATTERHORN_ENGAGE_HOST": self.past.url,
            "MATTERHORN_REST_USER": USER,
            "MATTERHORN_REST_PASS": PASSWORD,
            "REDIS_URL": self.redis_url,
            "S3_HARVEST_TS_BUCKET": "state",
            "SQS_QUEUE_NAME": QUEUE,
            "HARVEST_STATE_DIR": str(self.directory / "state"),
            "HARVEST_LEASE_TTL": str(TTL),
            "HARVEST_RETRY_BUDGET": "20",
            **self.more,
        }

    def popen(self, *words: str, program: Sequence[str] = HARVEST, **env: Any) -> subprocess.Popen[str]:
        """`harvest.py`, whose log is in a file."""
        log = (self.directory / f"{len(self.workers)}-{words[0]}.log").open("a+")
        self.stack.callback(log.close)
        process = subprocess.Popen(
            [*program, *words], env={**self.env, **env}, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        self.stack.callback(_end, process)
        return process

    def worker(self, *words: str, **env: str) -> subprocess.Popen[str]:
        self.workers.append(self.popen("worker", *words, **env))
        return self.workers[-1]

    def command(self, *words: str, **env: str) -> subprocess.Popen[str]:
        return self.popen("backfill", "useractions", *DAY, "--executor", "celery", *words, **env)

    def status(self) -> Any:
        done = self.popen("backfill", "useractions", "--status", "--json")
        out, _ = done.communicate(timeout=60)
        assert done.returncode == 0, self.logs()
        return json.loads(out)

    def running(self) -> list[int]:
        """The processes that are at a window."""
        return [int(one["worker"].rpartition(":")[2]) for one in self.status()["running"]]

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-4000:]}" for path in self.directory.glob("*.log"))

    def delivered(self) -> Counter[int]:
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        found: Counter[int] = Counter()
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found.update(json.loads(message["Body"])["action_id"] for message in messages)
        return found

    def ends(self, process: subprocess.Popen[str], code: int, timeout: float = 90) -> None:
        process.wait(timeout)
        assert process.returncode == code, self.logs()


def _end(process: subprocess.Popen[str]) -> None:
    """It, and the processes that it has made."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def site_of(past: Past, directory: Path, redis_url: str) -> Iterator[Site]:
    fill(past)
    with ExitStack() as stack:
        yield Site(past, directory, redis_url, stack)


@pytest.fixture
def site(aws: str, redis_url: str, tmp_path: Path) -> Iterator[Site]:
    with Past(user=USER, password=PASSWORD, anonymous=False) as past, site_of(past, tmp_path, redis_url) as site:
        yield site


@pytest.fixture
def slow(aws: str, redis_url: str, tmp_path: Path) -> Iterator[Site]:
    """Each window takes some seconds, in several batches."""
    made = Past(user=USER, password=PASSWORD, anonymous=False, latency=1.5)
    with made as past, site_of(past, tmp_path, redis_url) as site:
        yield site


WHOLE = Counter({100 + number: 1 for number in range(ROWS)})


def windows_of(rows: list[int]) -> set[int]:
    """The windows of four hours in which these rows are."""
    return {(timedelta(minutes=10) * (row - 100)) // timedelta(hours=4) for row in rows}


def test_two_workers_do_a_day_and_nothing_twice(site: Site) -> None:
    site.worker()
    site.worker("--queue", "harvest", "--concurrency", "2")
    command = site.command("--json")
    out, _ = command.communicate(timeout=90)
    assert command.returncode == 0, site.logs()
    assert json.loads(out)["done"] == [{"start": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z"}]
    assert site.delivered() == WHOLE
    client = redis.Redis.from_url(site.redis_url)
    kept = b"".join(repr(client.dump(key)).encode() for key in client.keys("*"))
    client.close()
    assert PASSWORD.encode() not in kept
    for worker in site.workers:
        worker.terminate()
    for worker in site.workers:
        site.ends(worker, 0)
    assert START < END


def test_a_worker_that_is_killed_is_replaced_by_another(slow: Site) -> None:
    """With the command gone too: what was in its hands comes back by itself."""
    first = slow.worker()
    command = slow.command()
    wait(lambda: bool(slow.running()))
    command.kill()
    slow.ends(command, -9)
    victims = slow.running()
    os.killpg(first.pid, signal.SIGKILL)
    killed = time.monotonic()
    slow.worker()
    at = slow.status()["done"]
    wait(lambda: slow.status()["done"] != at or slow.running() not in ([], victims))
    assert time.monotonic() - killed < 2 * TTL + 15, "its start, and two windows in line before it"
    slow.past.latency = 0.0
    wait(lambda: not slow.status()["missing"] and not slow.running())
    delivered = slow.delivered()
    assert {*delivered} == {*WHOLE}, slow.logs()
    assert len(windows_of([row for row, count in delivered.items() if count > 1])) <= 1


def test_the_command_queues_again_what_a_killed_worker_was_at(slow: Site) -> None:
    first = slow.worker()
    slow.more["CELERY_VISIBILITY_TIMEOUT"] = "3600"  # by itself it would not come back
    command = slow.command()
    wait(lambda: bool(slow.running()))
    os.killpg(first.pid, signal.SIGKILL)
    slow.past.latency = 0.0
    slow.worker()
    slow.ends(command, 0)
    delivered = slow.delivered()
    assert {*delivered} == {*WHOLE}
    assert len(windows_of([row for row, count in delivered.items() if count > 1])) <= 1


def test_a_window_that_lasts_longer_than_its_task_is_hidden_is_not_begun_twice(slow: Site) -> None:
    slow.more |= {"HARVEST_LEASE_TTL": "2", "CELERY_VISIBILITY_TIMEOUT": "1"}
    slow.past.latency = 2.5
    slow.worker()
    slow.worker()
    span = ["-s", "2026-02-01T00:00Z", "-e", "2026-02-01T04:00Z"]
    command = slow.popen("backfill", "useractions", *span, "--executor", "celery")
    slow.ends(command, 0)
    assert slow.delivered() == Counter({100 + number: 1 for number in range(24)}), slow.logs()


def test_a_worker_that_is_told_to_stop_gives_its_window_back(slow: Site) -> None:
    first = slow.worker()
    command = slow.command()
    wait(lambda: bool(slow.running()))
    first.terminate()
    slow.ends(first, 0)
    assert slow.running() == []
    assert slow.status()["failed"] == []
    slow.past.latency = 0.0
    slow.worker()
    slow.ends(command, 0)
    delivered = slow.delivered()
    assert {*delivered} == {*WHOLE}
    assert len(windows_of([row for row, count in delivered.items() if count > 1])) <= 1


def test_celerys_own_command_works_too_and_one_that_leads_elsewhere_refuses(site: Site) -> None:
    worker = site.popen("worker", "--concurrency", "1", program=CELERY, OPENCAST_SOURCE="another")
    command = site.command()
    site.ends(command, 78)
    assert {one["code"] for one in site.status()["failed"]} == {78}
    worker.terminate()
    site.ends(worker, 0)
    site.popen("worker", "--concurrency", "1", program=CELERY)
    again = site.command()
    site.ends(again, 0)
    assert site.delivered() == WHOLE


def test_two_commands_at_once_join(site: Site) -> None:
    first, second = site.command(), site.command()
    site.worker()
    site.ends(first, 0)
    site.ends(second, 0)
    assert site.delivered() == WHOLE


def test_without_a_broker(site: Site) -> None:
    away = {"CELERY_BROKER_URL": "redis://:broker-s3cret@127.0.0.1:1/0", "HARVEST_RETRY_BUDGET": "1"}
    command, worker = site.command(**away), site.worker(**away)
    site.ends(command, 69)
    site.ends(worker, 69)
    assert "broker-s3cret" not in site.logs()


def test_a_worker_ends_when_its_broker_is_away_for_too_long(site: Site) -> None:
    with Redis() as broker:
        broker.start()
        worker = site.worker(CELERY_BROKER_URL=broker.url, HARVEST_RETRY_BUDGET="2")
        log = site.directory / "0-worker.log"
        wait(lambda: "ready" in log.read_text())
    site.ends(worker, 69)
