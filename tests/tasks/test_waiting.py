"""How long a task waits, and what becomes of it: without a worker."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery.exceptions import Reject, Retry

from harvesters.errors import (
    BadInput,
    ConfigError,
    CredentialsRefused,
    HarvestError,
    Interrupted,
    LeaseHeld,
    RateLimited,
    Unavailable,
)
from harvesters.settings import Settings
from harvesters.tasks.app import make_app
from harvesters.tasks.ledger import NoLedger
from harvesters.tasks.waiting import HEADER, Patience, Wait


def test_pauses_grow_to_five_minutes_and_end_after_six_hours() -> None:
    pauses, wait = list[float](), Wait()
    while (later := wait.failed()) is not None:
        pauses.append(later.left)
        wait = later
    assert pauses[:7] == [10, 20, 40, 80, 160, 300, 300]
    assert 6 * 3600 - 300 < sum(pauses) <= 6 * 3600


@pytest.mark.parametrize("visible", [1, 2, 5, 6, 30, 120, 3600])
def test_no_message_of_a_pause_waits_for_as_long_as_the_broker_does(visible: int) -> None:
    options = make_app(Settings({"CELERY_VISIBILITY_TIMEOUT": str(visible)})).conf.broker_transport_options
    assert options["visibility_timeout"] <= visible
    longest = options["visibility_timeout"] / 2
    wait, passed, number = Wait(tries=9).failed(), 0.0, 0
    assert wait is not None
    while wait.left > 0:
        wait, countdown = wait.step(longest)
        assert 0 < countdown < options["visibility_timeout"]
        passed += countdown
        number += 1
        assert wait == Wait.read(wait.headers())
    assert passed == pytest.approx(300)
    assert wait.message == number


class Request:
    id, args, kwargs = "an id", ("x",), dict[str, Any]()

    def __init__(self, headers: dict[str, Any] | None = None) -> None:
        self.headers = headers


class Task:
    """A task of Celery's, as far as it is asked."""

    name = "tasks.of-a-test"

    def __init__(self, wait: Wait | None = None, fails: bool = False) -> None:
        self.request, self.fails = Request(wait.headers() if wait is not None else None), fails
        self.sent: list[tuple[float, dict[str, Any]]] = []

    def retry(self, countdown: float, headers: dict[str, Any], throw: bool) -> Retry:
        if self.fails:
            raise Reject("the broker is away", requeue=False)
        self.sent.append((countdown, headers[HEADER]))
        return Retry("later")


def run(task: Task, error: HarvestError | None = None) -> None:
    def do() -> None:
        if error is not None:
            raise error

    Patience(NoLedger(""), 4.0).run(task, do)


@pytest.mark.parametrize("error", [Unavailable("away"), RateLimited("busy"), CredentialsRefused("key")])
def test_what_may_pass_is_tried_again(error: HarvestError) -> None:
    task = Task()
    with pytest.raises(Retry):
        run(task, error)
    assert task.sent == [(4.0, {"message": 1, "tries": 1, "waited": 10.0, "left": 6.0})]


def test_what_waits_is_not_tried() -> None:
    task = Task(Wait(message=3, tries=1, waited=10.0, left=2.0))
    with pytest.raises(Retry):
        run(task, BadInput("not reached"))
    assert task.sent == [(2.0, {"message": 4, "tries": 1, "waited": 10.0, "left": 0.0})]


def test_what_somebody_else_is_at_is_put_back_and_that_is_no_try() -> None:
    task = Task(Wait(message=3, tries=2, waited=30.0))
    with pytest.raises(Retry):
        run(task, LeaseHeld("held"))
    assert task.sent == [(2.0, {"message": 4, "tries": 2, "waited": 30.0, "left": 0.0})]


@pytest.mark.parametrize("error", [BadInput("odd"), ConfigError("odd"), None])
def test_what_would_fail_again_ends(error: HarvestError | None) -> None:
    task = Task()
    run(task, error)
    assert task.sent == []


def test_it_is_given_up_after_six_hours(caplog: pytest.LogCaptureFixture) -> None:
    task = Task(Wait(message=900, tries=75, waited=21_500.0))
    with caplog.at_level(logging.INFO):
        run(task, Unavailable("away"))
    assert task.sent == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_worker_that_stops_or_cannot_send_gives_the_message_back() -> None:
    for task, error in ((Task(), Interrupted("stop")), (Task(fails=True), Unavailable("away"))):
        with pytest.raises(Reject) as given:
            run(task, error)
        assert given.value.requeue


@pytest.mark.parametrize("headers", [None, {}, {HEADER: "x"}, {HEADER: {"message": "x"}}, {HEADER: {"tries": 1}}])
def test_headers_that_say_nothing_are_the_beginning(headers: Any) -> None:
    assert Wait.read(headers) == Wait()
