"""Errors become events of Sentry, of commands, the web face and workers; and nothing in them quotes anybody."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harvesters import sentry, telemetry
from harvesters.errors import Unavailable
from harvesters.settings import Settings
from tests.cli.processes import ROOT, wait
from tests.commandline import run_here
from tests.envelopes import MARKER, Sentry
from tests.tasks.office import opened
from tests.web.conftest import serving

HARVEST = (sys.executable, "-m", "harvesters", "--env-file", os.devnull)


@pytest.fixture
def server() -> Iterator[Sentry]:
    with Sentry() as server:
        yield server


@pytest.fixture
def telling(server: Sentry) -> Iterator[Sentry]:
    """This process tells it."""
    sentry.begin(Settings({"SENTRY_DSN": server.dsn}), "a test")
    yield server
    sentry.begin(Settings())


def command(dsn: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command whose every source is away."""
    away = {
        "MATTERHORN_ENGAGE_HOST": f"{MARKER}.invalid",
        "MATTERHORN_ADMIN_HOST": "127.0.0.1:1",
        "MATTERHORN_REST_USER": f"user-{MARKER}",
        "MATTERHORN_REST_PASS": f"password-{MARKER}",
        "ES_HOST": "127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "HARVEST_RETRY_BUDGET": "0.1",
    }
    told = {**os.environ, **away, "SENTRY_DSN": dsn, "SENTRY_ENVIRONMENT": "pilot", **env}
    return subprocess.run([*HARVEST, *words], env=told, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_command_that_fails(server: Sentry) -> None:
    ended = command(server.dsn, "query", f"--id={MARKER}", "-")
    assert ended.returncode not in (0, 1), ended.stderr
    ended = command(server.dsn, "load_episodes", SENTRY_RELEASE="7.1")
    assert ended.returncode == 69, ended.stderr
    *_, event = server.events()
    assert event["tags"] == {"command": "harvest.py load_episodes", "exit_code": "69"}
    assert (event["release"], event["environment"], event["level"]) == ("7.1", "pilot", "error")
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert all(set(frame) == {"module", "function", "filename", "lineno", "in_app"} for frame in frames)
    assert MARKER.encode() not in server.raw()


def test_a_bug(server: Sentry) -> None:
    program = (
        "import sys\nfrom harvesters.cli import main, config\n"
        f"def bug():\n    {MARKER} = 'x'; raise ValueError('{MARKER} said {MARKER}')\n"
        "config.settings_of = bug\nmain.main(['config'])\n"
    )
    told = {**os.environ, "SENTRY_DSN": server.dsn}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=told, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    (event,) = server.events()
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert event["level"] == "fatal"
    assert MARKER.encode() not in server.raw()


def test_a_fork_tells_too(server: Sentry) -> None:
    program = (
        "import logging, os\nfrom harvesters import sentry\nfrom harvesters.settings import Settings\n"
        f"sentry.begin(Settings({{'SENTRY_DSN': '{server.dsn}'}}), 'a fork')\n"
        "logging.getLogger('harvesters').error('x')\nsentry.finish()\n"
        "if os.fork():\n    os.wait()\nelse:\n    logging.getLogger('harvesters').error('y')\n"
        "    sentry.finish()\n    os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
    assert [event["tags"]["command"] for event in server.events()] == ["a fork", "a fork"]


def test_nothing_that_is_logged_or_raised_leaves(telling: Sentry) -> None:
    log = logging.getLogger("harvesters.messages.made-up")

    def fail(user: str) -> None:
        words = f"{user} wrote {MARKER}"
        try:
            raise KeyError(words)
        except KeyError as error:
            raise Unavailable(f"GET /message?userId={words}: no answer") from error

    log.error("user %s: %s", MARKER, {"text": MARKER})
    log.error(f"user {MARKER}", extra={"fields": {"user": MARKER}})
    logging.getLogger(f"{MARKER} as a name").error("x")
    try:
        fail(f"user-{MARKER}")
    except Unavailable as error:
        log.exception("it failed for %s", MARKER)
        log.error("%s", error)
        telemetry.log_end(error)
        log.error("a bug while answering /message?userId=%s", MARKER, extra={"error": error})
    sentry.answered(503, MARKER, "/message")
    thread = threading.Thread(target=lambda: fail(MARKER))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", telemetry._log_thread)
        thread.start()
        thread.join()
    log.warning("no error")
    sentry.finish()
    events = telling.events()
    assert len(events) == 9
    assert MARKER.encode() not in telling.raw()
    assert {one["type"] for one in events[3]["exception"]["values"]} == {"KeyError", "Unavailable"}
    assert events[7]["logentry"]["message"] == "503 - /message"
    for event in events:
        assert set(event) <= sentry._ALLOWED
        assert event["tags"]["command"] == "a test"


def test_what_somebody_adds_to_an_event_is_taken_out() -> None:
    found = sentry._only_allowed({"level": "error", "user": {"id": MARKER}, "request": {}, "breadcrumbs": {}}, {})
    assert found == {"level": "error"}


def test_an_outage_does_not_flood(telling: Sentry) -> None:
    for _ in range(1000):
        sentry.answered(503, "GET", "/messages")
    sentry.finish()
    assert 0 < len(telling.events()) <= sentry._A_MINUTE


def test_the_web_face(server: Sentry, tmp_path: Path) -> None:
    key = {"HARVEST_API_KEYS": f"bot:key-{MARKER}", "SENTRY_DSN": server.dsn, "HARVEST_SEARCH_TIMEOUT": "0.3"}
    asked = [
        f"/api/v1/profiles?q={MARKER}",
        f"/messages?project={MARKER}&userId={MARKER}&fromTime=2021-01-01T00:00:00&toTime=2021-02-01T00:00:00",
        f"/message?traceId={MARKER}",
        f"/analytic?id={MARKER}",
    ]
    with serving(tmp_path / "log", "--parts", "profiles,messages", "--workers", "2", **key) as running:
        for path in asked:
            answer = running.get(path, headers={"X-API-Key": f"key-{MARKER}", "Cookie": MARKER})
            assert answer.status_code == 503, answer.text
        wait(lambda: len(server.events()) >= len(asked))
        assert running.end() == 0
    tags = [event["tags"] for event in server.events()]
    assert sorted(one["route"] for one in tags) == ["/analytic", "/api/v1/profiles", "/message", "/messages"]
    for one in tags:
        assert (one["command"], one["status"], one["method"]) == ("harvest.py serve", "503", "GET")
    assert MARKER.encode() not in server.raw()


def test_a_worker_and_its_tasks(server: Sentry, redis_url: str, tmp_path: Path) -> None:
    with opened(tmp_path, redis_url) as office:
        office.more["SENTRY_DSN"] = server.dsn
        office.know(**{MARKER: "moving"})
        office.put(f"away-{MARKER}")
        office.send("tasks.update_analytic", MARKER)
        office.send("tasks.update_analytic", MARKER, MARKER)
        worker = office.worker()
        wait(lambda: len(server.events()) == 2)
        worker.terminate()
        office.ends(worker, 0)
        celery = office.popen("celery", "-A", "harvesters.tasks:app", "worker", "--concurrency", "1")
        office.send("tasks.update_analytic", MARKER, MARKER)
        wait(lambda: len(server.events()) == 3)
        celery.terminate()
        office.ends(celery, 0)
    events = server.events()
    types = {event["exception"]["values"][-1]["type"] for event in events}
    assert types == {"Unavailable", "TypeError"}
    assert [event["tags"]["command"] for event in events] == ["harvest.py worker", "harvest.py worker", "celery"]
    assert MARKER.encode() not in server.raw()


def test_a_server_that_does_not_answer_slows_nothing() -> None:
    begun = time.monotonic()
    command("", "load_episodes")
    without = time.monotonic() - begun
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        ended = command(f"http://key@127.0.0.1:{silent.getsockname()[1]}/1", "load_episodes")
    assert ended.returncode == 69
    assert time.monotonic() - begun < without + 8, "two seconds for it, and the import of the SDK"


def test_the_end_waits_for_it_once() -> None:
    """A command says that it is over, and then its process does."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sentry.begin(Settings({"SENTRY_DSN": f"http://key@127.0.0.1:{silent.getsockname()[1]}/1"}), "a test")
        try:
            logging.getLogger("harvesters.tests").error("something went wrong")
            sentry.finish()
            begun = time.monotonic()
            sentry.finish()
            assert time.monotonic() - begun < 0.5
        finally:
            sentry.begin(Settings())


@pytest.mark.parametrize(
    "dsn",
    ["x", "https://sentry.example.edu/1", "https://key@/1", "https://key@host", "ftp://key@host/1", "http://k@h:x/1"],
)
def test_a_dsn_that_is_none(dsn: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SENTRY_DSN", dsn)
    assert run_here("pseudonym", "x") == 78
    assert "SENTRY_DSN" in capfd.readouterr().err
    assert run_here("config") == 0
    assert run_here("doctor", "--json") == 78
    assert "SENTRY_DSN" in capfd.readouterr().out


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(sentry, "find_spec", lambda name: None if name == "sentry_sdk" else find(name))
    monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example.edu/1")
    assert run_here("pseudonym", "x") == 78
    assert "pip install 'harvest[sentry]'" in capfd.readouterr().err
