"""Killed where a checkpoint, its owner and the beginning of a first run are written, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvesters.timespan import format_checkpoint
from tests.crash.crashing import END, KILLED, START, Driver, Opencast, arguments, environment, read_lines

KEY = "last-action-timestamp"


@pytest.fixture
def driver(aws: str, tmp_path: Path) -> Iterator[Driver]:
    with Driver(tmp_path) as driver:
        yield driver


@pytest.fixture
def opencast() -> Iterator[Opencast]:
    with Opencast(dialect="dce").fill(3) as opencast:
        yield opencast


class Job:
    """A cron job into a file, and looks beside it."""

    def __init__(self, driver: Driver, opencast: Opencast, redis_url: str, directory: Path) -> None:
        self.driver = driver
        self.out = directory / "job.jsonl"
        self.state = directory / "state"
        self.state.mkdir()
        self.env = environment(opencast.url, redis_url, self.state)
        self.wanted = opencast.wanted

    def run(self, output: str, *words: str, kill_at: int | str = 0) -> int:
        return self.driver.run(arguments("-o", output, *words), self.env, kill_at).code

    @property
    def got(self) -> set[int]:
        return {document["action_id"] for document in read_lines(self.out)}


@pytest.fixture
def job(driver: Driver, opencast: Opencast, redis_url: str, tmp_path: Path) -> Job:
    return Job(driver, opencast, redis_url, tmp_path)


@pytest.mark.parametrize("looker", ["-", "other.jsonl"])
@pytest.mark.parametrize("step", [f"replace {KEY}.owner", f"replace {KEY}"])
def test_a_first_run_loses_nothing_although_somebody_looks(job: Job, step: str, looker: str) -> None:
    minutes = str((datetime.now(UTC) - START).total_seconds() / 60 + 1)
    assert job.run(str(job.out), "-i", minutes, kill_at=step) == KILLED
    assert (job.state / f"{KEY}.begun").exists()
    assert job.run(looker if looker == "-" else str(job.out.with_name(looker)), "-i", "0") == 0
    assert not (job.state / KEY).exists()
    assert job.run(str(job.out), "-i", "0") == 0
    assert job.got >= job.wanted
    assert (job.state / KEY).read_text() == format_checkpoint(END)
    assert (job.state / f"{KEY}.begun").read_text() == ""


@pytest.mark.parametrize("step", [f"replace {KEY}.owner", f"replace {KEY}"])
@pytest.mark.parametrize("before", ["-", ""])
def test_one_that_takes_over_loses_nothing_although_somebody_looks(job: Job, step: str, before: str) -> None:
    (job.state / KEY).write_text(format_checkpoint(START))
    if before:
        (job.state / f"{KEY}.owner").write_text(before)
    assert job.run(str(job.out), kill_at=step) == KILLED
    assert (job.state / KEY).read_text() == format_checkpoint(START)
    if step == f"replace {KEY}":
        assert job.run("-") == 0
        assert (job.state / KEY).read_text() == format_checkpoint(START)
    assert job.run(str(job.out)) == 0
    assert job.got >= job.wanted
    assert (job.state / f"{KEY}.owner").read_text() == f"file {job.out}"


@pytest.mark.parametrize("step", [f"replace {KEY}.owner", f"replace {KEY}"])
def test_one_that_takes_it_by_name_leaves_no_gap_between_the_two(job: Job, step: str, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    (job.state / KEY).write_text(format_checkpoint(START))
    (job.state / f"{KEY}.owner").write_text(f"file {job.out}")
    assert job.run(str(other), "--update-last-ts", kill_at=step) == KILLED
    assert job.run(str(job.out)) == 0
    assert job.got >= job.wanted
    taken = step == f"replace {KEY}"  # then the job only looks
    assert (job.state / KEY).read_text() == format_checkpoint(START if taken else END)
    assert job.run(str(other), "--update-last-ts") == 0
    assert (job.state / KEY).read_text() == format_checkpoint(END)
    assert {document["action_id"] for document in read_lines(other)} >= (job.wanted if taken else set())
