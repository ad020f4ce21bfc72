"""Analytics as tasks: real workers and a real Redis, some of them killed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvesters.standins.redis import Redis
from harvesters.tasks.messages import UPDATE, UPDATE_ALL, UPDATE_FIXED, send
from tests.cli.processes import wait
from tests.tasks.analyst import PAUSE
from tests.tasks.office import VISIBLE, Office, closing_app, kill, opened


@pytest.fixture
def office(tmp_path: Path, redis_url: str) -> Iterator[Office]:
    with opened(tmp_path, redis_url) as office:
        yield office


def test_a_worker_does_what_it_is_sent_by_name_finishes_what_is_in_hand_and_ends(office: Office) -> None:
    office.know(m1="moving", m2="moving", f1="fixed", held="other")
    hold = office.put("hold-held")
    office.send(UPDATE_ALL, "moving")
    office.send(UPDATE_FIXED)
    office.send(UPDATE, "nobody-knows-it")
    worker = office.worker()
    wait(lambda: sorted(office.told("done")) == ["f1", "m1", "m2"] and office.queued() == 0)
    office.send(UPDATE, "held")
    wait(lambda: office.told("begun")[3:] == ["held"])
    worker.send_signal(signal.SIGTERM)
    wait(lambda: "shutdown" in office.logs().lower())
    hold.unlink()
    office.ends(worker, 0)
    assert office.told("done")[3:] == ["held"]
    assert office.queued() == 0
    office.send(UPDATE_ALL)
    office.worker("--queue", "messages", "--concurrency", "2")
    wait(lambda: sorted(office.told("done")[4:]) == ["f1", "held", "m1", "m2"])


def test_a_worker_that_is_killed_is_replaced_by_another(office: Office) -> None:
    office.know(x="moving")
    hold = office.put("hold-x")
    office.send(UPDATE, "x")
    first = office.worker()
    wait(lambda: office.told("begun"))
    office.worker()
    kill(first)
    killed = time.monotonic()
    wait(lambda: len(office.told("begun")) == 2)
    assert time.monotonic() - killed < VISIBLE + 10
    hold.unlink()
    wait(lambda: office.told("done") == ["x"] and office.queued() == 0)


def test_what_lasts_longer_than_its_task_is_hidden_is_computed_by_one_and_once(office: Office) -> None:
    """The broker gives it to the other worker meanwhile, who puts it back, and finds it done in the end."""
    office.know(x="moving")
    hold = office.put("hold-x")
    office.send(UPDATE, "x")
    office.worker()
    office.worker()
    wait(lambda: len(office.told("tried")) >= 3)
    assert len(office.told("begun")) == 1
    hold.unlink()
    wait(lambda: office.told("done") == ["x"] and office.queued() == 0)
    assert len(office.told("begun")) == 1, office.logs()


def test_a_task_that_waits_is_one_task_and_others_go_on(office: Office) -> None:
    """Its pause of ten seconds is longer than a worker may have it, and than it takes to kill the worker."""
    office.know(x="moving", y="moving")
    office.put("away-x")
    office.send(UPDATE, "x")
    first = office.worker()
    wait(lambda: office.told("tried"))
    office.send(UPDATE, "y")
    wait(lambda: office.told("done") == ["y"])
    wait(lambda: office.queued() == 1)
    wait(lambda: _messages(office) > 4)  # messages of the same task
    assert office.queued() <= 1
    at = _messages(office)
    kill(first)
    office.worker()
    wait(lambda: _messages(office) > at + 2)
    assert office.queued() <= 1
    assert office.told("tried") == ["x", "y"]


def test_processes_are_forked_while_nobody_has_a_lock(office: Office) -> None:
    """One that inherits what another thread has just locked, such as a module, waits for it for ever."""
    office.know(x="moving")
    office.send(UPDATE, "x")
    office.worker()
    wait(lambda: office.told("done") == ["x"])
    threads = (office.directory / "threads-at-forks").read_text().split("\n")
    assert "MainThread" in threads
    assert "broker" not in threads


def test_what_redis_gave_to_a_worker_that_was_just_killed_is_not_lost(office: Office) -> None:
    """It is in no queue, and no worker has said that it has it."""
    office.know(x="moving", y="moving")
    hold = office.put("hold-y")
    with closing_app(office) as app:
        send(app, [(UPDATE, ["x"], "lost"), (UPDATE, ["y"], "kept")])
    client = office.redis()
    taken = client.rpop("messages")
    assert b"lost" in taken  # type: ignore[operator]
    office.worker()
    wait(lambda: office.told("begun") == ["y"])
    office.worker()
    sent = time.monotonic()
    wait(lambda: office.told("done") == ["x"])
    assert time.monotonic() - sent < VISIBLE + 10
    hold.unlink()
    wait(lambda: office.queued() == 0 and not client.hlen("harvest.tasks"))
    assert sorted(office.told("begun")) == ["x", "y"], "what is in somebody's hands is not lost"


def test_a_task_that_ends_by_a_bug_is_not_sent_again(office: Office) -> None:
    with closing_app(office) as app:
        send(app, [(UPDATE, ["x", "too many"], "odd")])
    assert office.redis().hlen("harvest.tasks") == 1
    office.worker()
    wait(lambda: office.queued() == 0 and not office.redis().hlen("harvest.tasks"))


def test_what_was_away_is_tried_again(office: Office) -> None:
    office.more[PAUSE] = "0.3"
    office.know(x="moving")
    away = office.put("away-x")
    office.send(UPDATE, "x")
    worker = office.worker()
    wait(lambda: len(office.told("tried")) == 3)
    worker.terminate()
    office.ends(worker, 0)
    assert office.queued() == 1
    away.unlink()
    office.worker()
    wait(lambda: office.told("done") == ["x"] and office.queued() == 0)
    assert office.logs().count(" ERROR ") == 1, "the first time is news"


def test_celerys_own_worker_does_the_same(office: Office) -> None:
    office.know(x="moving")
    worker = office.popen("celery", "-A", "harvesters.tasks:app", "worker", "--concurrency", "1")
    office.send(UPDATE, "x")
    wait(lambda: office.told("done") == ["x"])
    worker.terminate()
    office.ends(worker, 0)


def test_worker_and_beat_end_without_a_broker(office: Office) -> None:
    with Redis() as broker:
        broker.start()
        office.more |= {"REDIS_URL": broker.url, "HARVEST_RETRY_BUDGET": "1"}
        ready = [office.worker(), office.popen("beat")]
        wait(lambda: "sent what was due" in office.logs())
    late = [office.popen("worker"), office.popen("beat")]
    for process in (*ready, *late):
        office.ends(process, 69)


def _messages(office: Office) -> int:
    """How many messages the one task that is not over has had."""
    client: Any = office.redis()
    (told,) = client.hvals("harvest.tasks")
    return int(json.loads(told)["number"])
