"""The file of metrics: what a run writes, what stays, and several that write at once."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harvesters.errors import BadInput, ConfigError, Exit, LeaseHeld, Unavailable
from harvesters.firebase.pushid import push_ms
from harvesters.operate import aside
from harvesters.operate.jobs import BY_NAME
from harvesters.operate.measures import CHECKPOINT, GAUGES, LAST_RUN, LAST_SUCCESS, measures
from harvesters.operate.metricsfile import MetricsFile, MetricsWriter
from harvesters.settings import Settings
from harvesters.telemetry import Report
from harvesters.watched import Watched
from tests.clocks import NOW, FakeClock
from tests.operate.collecting import collected

SECOND = 1.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "harvest.prom"


def watched(path: Path, job: str = "useractions", clock: FakeClock | None = None) -> Watched:
    settings = Settings({"HARVEST_METRICS_FILE": str(path)})
    return Watched(job, listeners=[MetricsWriter(BY_NAME[job], settings)], clock=clock or FakeClock())


def done(path: Path, job: str = "useractions", clock: FakeClock | None = None) -> None:
    with watched(path, job, clock) as run:
        fields = {"rows": 5, "delivered": 4, "dead": 1, "checkpoint": "20260213092959Z"}
        run.hear(Report(job, "done", Exit.DONE, fields))


def failed(path: Path, job: str = "useractions", clock: FakeClock | None = None) -> None:
    with pytest.raises(Unavailable), watched(path, job, clock):
        raise Unavailable("away")


class TestWhatItSays:
    def test_a_run_that_ends_well(self, path: Path) -> None:
        clock = FakeClock()
        with watched(path, clock=clock) as run:
            clock.advance(2.5)
            fields = {"rows": 5, "delivered": 4, "dead": 1, "checkpoint": "20260213092959Z"}
            run.hear(Report("useractions", "done", Exit.DONE, fields))
        ended = (NOW + timedelta(seconds=2.5)).timestamp()
        values = collected(path)["useractions"]
        assert values == {
            "harvest_last_run_timestamp_seconds": ended,
            "harvest_last_success_timestamp_seconds": ended,
            "harvest_last_run_duration_seconds": 2.5,
            "harvest_last_run_exit_code": 0,
            "harvest_last_run_rows": 5,
            "harvest_last_run_delivered": 4,
            "harvest_last_run_dead": 1,
            "harvest_checkpoint_timestamp_seconds": (NOW - timedelta(seconds=1)).timestamp(),
        }
        assert [*values] == [*GAUGES]

    def test_one_that_fails_keeps_the_last_success_and_the_checkpoint(self, path: Path) -> None:
        clock = FakeClock()
        done(path, clock=clock)
        before = collected(path)["useractions"]
        clock.advance(120)
        failed(path, clock=clock)
        after = collected(path)["useractions"]
        assert after[LAST_RUN] == before[LAST_RUN] + 120
        assert (after[LAST_SUCCESS], after[CHECKPOINT]) == (before[LAST_SUCCESS], before[CHECKPOINT])
        assert (after["harvest_last_run_exit_code"], after["harvest_last_run_rows"]) == (69, 0)

    def test_one_that_never_ended_well_has_no_success(self, path: Path) -> None:
        failed(path)
        assert LAST_SUCCESS not in collected(path)["useractions"]

    def test_the_lines_of_others_stay(self, path: Path) -> None:
        done(path)
        done(path, "index")
        before = collected(path)["index"]
        failed(path)
        assert collected(path)["index"] == before
        assert [*collected(path)] == ["index", "useractions"]

    def test_who_finds_the_lease_held_leaves_it_untouched(self, path: Path) -> None:
        done(path)
        before = path.stat()
        with pytest.raises(LeaseHeld), watched(path):
            raise LeaseHeld("by another")
        assert path.stat() == before

    def test_what_moves_nothing_leaves_it_untouched(self, path: Path) -> None:
        with watched(path) as run:
            run.moves = False
        assert not path.exists()

    @pytest.mark.parametrize(
        ("job", "text", "moment"),
        [
            ("zoom", "20260213092959Z", datetime(2026, 2, 13, 9, 29, 59, tzinfo=UTC).timestamp()),
            ("firebase-events", "-OA00000000000000000", push_ms("-OA00000000000000000") / 1000),
            ("useractions", None, None),
            ("index", None, None),
        ],
    )
    def test_the_checkpoint_of_every_kind(self, path: Path, job: str, text: str | None, moment: float | None) -> None:
        with watched(path, job) as run:
            run.hear(Report(job, "done", Exit.DONE, {"checkpoint": text}))
        assert collected(path)[job].get(CHECKPOINT) == moment


class TestTheFile:
    def test_everybody_may_read_it_whatever_the_umask_and_the_mode_before(self, path: Path) -> None:
        before = os.umask(0o077)
        try:
            done(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
            path.chmod(0o600)
            done(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def test_there_is_no_second_one_for_the_collector(self, path: Path) -> None:
        done(path)
        failed(path, "index")
        assert [*path.parent.glob("*.prom")] == [path]

    def test_what_cannot_be_read_of_ours_is_dropped(self, path: Path) -> None:
        path.write_text(
            '# HELP harvest_last_run_rows x\nharvest_last_run_rows{job="zoom"} 5 1771000000000\n'
            'harvest_last_run_rows{job="index"} NaN\nharvest_gone{job="zoom"} 1\nharvest_last_run_dead{job="zoom"} 2'
        )
        done(path)
        assert collected(path)["zoom"] == {"harvest_last_run_dead": 2}
        assert "index" not in collected(path)

    def test_one_of_others_is_left_alone(self, path: Path) -> None:
        path.write_text("node_load1 0.5\n")
        with pytest.raises(BadInput, match="metrics of others"):
            MetricsFile(path).write("zoom", {LAST_RUN: 1.0})
        assert path.read_text() == "node_load1 0.5\n"

    def test_its_name_has_to_end_in_prom(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="has to end in"):
            MetricsFile(tmp_path / "harvest.txt")

    def test_of_two_that_end_at_once_the_later_one_counts_and_no_success_is_lost(self, path: Path) -> None:
        job, settings = BY_NAME["index"], Settings()
        file = MetricsFile(path)
        early, late = FakeClock(), FakeClock()
        late.advance(SECOND)
        values = {}
        for name, clock, code in (("late", late, 69), ("early", early, 0)):
            run = Watched("index", clock=clock)
            with run:
                record = run._record(code)
            values[name] = measures(job, settings, record, None)
        for order in (("late", "early"), ("early", "late")):
            path.unlink(missing_ok=True)
            for name in order:
                file.write("index", values[name])
            found = collected(path)["index"]
            assert (found[LAST_RUN], found["harvest_last_run_exit_code"]) == (values["late"][LAST_RUN], 69)
            assert found[LAST_SUCCESS] == values["early"][LAST_SUCCESS]

    def test_a_clock_that_was_ahead_does_not_stop_it(self, path: Path) -> None:
        ahead = FakeClock(NOW + timedelta(days=400))
        done(path, clock=ahead)
        done(path)
        assert collected(path)["useractions"][LAST_RUN] == NOW.timestamp()


class TestTrouble:
    def complaint(self, path: Path, caplog: pytest.LogCaptureFixture) -> str:
        done(path)
        (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert said.startswith("HARVEST_METRICS_FILE does not show this run: ")
        return said

    def test_a_directory_that_is_not_there_is_not_made(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert "is no directory" in self.complaint(tmp_path / "gone" / "harvest.prom", caplog)
        assert not (tmp_path / "gone").exists()

    def test_what_is_no_file(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path.mkdir()
        assert "cannot be written" in self.complaint(path, caplog)

    def test_somebody_who_was_stopped_while_writing(
        self, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import fcntl

        monkeypatch.setattr(aside, "WITHIN", 0.1)
        with path.with_name(".harvest.prom.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert "not done in 0.1 s" in self.complaint(path, caplog)
        assert not path.exists()


WRITER = """
import sys
from pathlib import Path
from harvesters.operate.measures import GAUGES
from harvesters.operate.metricsfile import MetricsFile
file, job = MetricsFile(Path(sys.argv[1])), sys.argv[2]
print(flush=True)
sys.stdin.readline()
for count in range(1, 41):
    file.write(job, {name: float(count) for name in GAUGES})
"""


def test_processes_that_end_at_once_lose_nothing_and_no_reader_sees_a_part(path: Path) -> None:
    jobs = ["useractions", "index", "zoom", "load_episodes", "firebase-events", "listings-count"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), job], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for job in jobs
    ]
    seen: list[int] = []
    over = threading.Event()

    def scrape() -> None:
        while not over.is_set():
            if path.exists():
                found = collected(path)
                assert all(len(values) == len(GAUGES) for values in found.values())
                seen.append(len(found))
            time.sleep(0)

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            scrape()
        except BaseException as error:
            failures.append(error)

    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it is ready
        reader = threading.Thread(target=guarded)
        reader.start()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert [process.wait(60) for process in processes] == [0] * len(jobs)
    finally:
        over.set()
        for process in processes:
            process.kill()
            process.communicate()
    reader.join(10)
    assert not failures
    assert seen
    assert collected(path) == {job: dict.fromkeys(GAUGES, 40.0) for job in sorted(jobs)}
    assert [*path.parent.glob("*.prom")] == [path]
