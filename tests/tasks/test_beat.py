"""Beats: each due time is sent once, by real processes of which some are killed."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from harvesters.errors import Unavailable
from harvesters.operate.beat import Beat, Daily
from harvesters.retry import OneTry
from harvesters.tasks.messages import UPDATE_ALL, UPDATE_FIXED
from tests.cli.processes import wait
from tests.clocks import FakeClock
from tests.commandline import run_here
from tests.tasks.analyst import HESITATE
from tests.tasks.office import Office, kill, opened

ROME = Daily(time(2, 30), ZoneInfo("Europe/Rome"))


@pytest.fixture
def office(tmp_path: Path, redis_url: str) -> Iterator[Office]:
    with opened(tmp_path, redis_url) as office:
        yield office


def sent(office: Office) -> list[tuple[str, list[str]]]:
    """What is queued: names and arguments."""
    found = []
    for raw in office.redis().lrange("messages", 0, -1)[::-1]:
        message = json.loads(raw)
        arguments, _, _ = json.loads(base64.b64decode(message["body"]))
        found.append((message["headers"]["task"], arguments))
    return found


ONCE = [(UPDATE_ALL, ["moving"]), (UPDATE_FIXED, [])]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_time_that_a_day_has_twice_or_not_at_all_is_due_once() -> None:
    """2026-03-29 has no 02:30 in Rome, 2026-10-25 has two."""
    for start, expected in (
        ("2026-03-28", ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]),
        ("2026-10-24", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ):
        begin = at(start)
        minutes = [begin + timedelta(minutes=10 * number) for number in range(6 * 24 * 3)]
        assert sorted({ROME.last(now) for now in minutes} - {ROME.last(begin)}) == list(map(at, expected))
        assert all(ROME.last(now) <= now < ROME.next(now) for now in minutes)


def test_what_came_due_while_nobody_looked_is_sent_once_and_then_each_day(redis_url: str) -> None:
    clock, due = FakeClock(at("2026-05-01T12:00")), list[datetime]()
    daily = Daily(time(4, 0), ZoneInfo("UTC"))
    one = Beat(redis_url, daily, due.append, clock, OneTry(clock))
    other = Beat(redis_url, daily, due.append, clock, OneTry(clock))
    for beat in (one, other, one):
        assert 0 < beat.tick() <= 5
    assert due == [at("2026-05-01T04:00")], "none ever ran"
    clock._now = at("2026-05-04T03:59:58")
    one.tick()
    assert due == [at("2026-05-01T04:00"), at("2026-05-03T04:00")], "days that were missed are made up for once"
    assert other.tick() == pytest.approx(2)
    clock._now = at("2026-05-04T04:00")
    other.tick()
    one.tick()
    assert due[2:] == [at("2026-05-04T04:00")]
    one.close()
    other.close()


def test_what_cannot_be_sent_stays_due(redis_url: str) -> None:
    clock, due = FakeClock(at("2026-05-01T12:00")), list[datetime]()

    def refuse(when: datetime) -> None:
        raise Unavailable("no broker")

    daily = Daily(time(4, 0), ZoneInfo("UTC"))
    beat = Beat(redis_url, daily, refuse, clock, OneTry(clock))
    with pytest.raises(Unavailable):
        beat.tick()
    beat.send = due.append
    beat.tick()
    assert due == [at("2026-05-01T04:00")]
    beat.close()


def test_two_beats_send_once_and_end_when_they_are_told(office: Office) -> None:
    beats = [office.popen("beat"), office.popen("beat")]
    wait(lambda: sent(office) == ONCE)
    office.popen("celery", "-A", "harvesters.tasks:app", "beat", "-l", "INFO")
    wait(lambda: "beat: Starting" in (office.directory / "2-celery.log").read_text())
    for beat in beats:
        beat.terminate()
    for beat in beats:
        office.ends(beat, 0)
    assert sent(office) == ONCE
    assert not [path for path in office.directory.iterdir() if "schedule" in path.name], "there is no file"


def test_celerys_own_beat_sends_it_too(office: Office) -> None:
    beat = office.popen("celery", "-A", "harvesters.tasks:app", "beat")
    wait(lambda: sent(office) == ONCE)
    beat.send_signal(signal.SIGTERM)
    office.ends(beat, 0)


def test_both_are_killed_between_claim_and_sending(office: Office) -> None:
    hesitate = office.put(HESITATE)
    beats = [office.popen("beat"), office.popen("beat")]
    wait(lambda: list(office.directory.glob("hesitates-*")))
    for beat in beats:
        kill(beat)
    assert sent(office) == []
    hesitate.unlink()
    office.popen("beat")
    wait(lambda: sent(office) == ONCE)


def test_what_two_sent_all_the_same_is_done_once(office: Office) -> None:
    """As one does that is killed when it had sent, and before it wrote that down."""
    office.know(m="moving", f="fixed")
    office.popen("beat")
    wait(lambda: sent(office) == ONCE)
    office.redis().delete("harvest.beat.sent")
    wait(lambda: len(sent(office)) == 4)
    office.worker()
    # What a worker has just taken is in no place for a moment, so that the queue alone may seem to be empty.
    wait(lambda: len(office.told("begun")) > 1 and office.queued() == 0)
    assert sorted(office.told("begun")) == ["f", "m"]


@pytest.mark.parametrize(
    "setting", ["MESSAGES_BEAT=25:00", "MESSAGES_BEAT=4", "MESSAGES_TIMEZONE=Mars", "REDIS_URL=amqp://127.0.0.1:1//"]
)
def test_settings_that_cannot_be_read(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, value = setting.partition("=")
    monkeypatch.setenv(name, value)
    assert run_here("beat") == 78
