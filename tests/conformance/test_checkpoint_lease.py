"""Checkpoint and lease, the same tests over files and S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from harvesters.clock import SystemClock
from harvesters.cursor import TimeCursor, Times
from harvesters.errors import ConfigError, LeaseHeld, RaceLost
from harvesters.process import Process
from harvesters.stores.blob import Blob
from harvesters.stores.checkpoint import Checkpoint
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Holder, Lease
from harvesters.timespan import iso
from tests.clocks import NOW, FakeClock
from tests.conformance.stores import OpenBlob, Stepping, Timed, Turns, in_turns, merges
from tests.samples import logged

NEW_YORK = ZoneInfo("America/New_York")
ROOT = Path(__file__).resolve().parents[2]


def content(blob: Blob) -> bytes:
    version = blob.read()
    assert version is not None
    return version.content


class TestCheckpoint:
    def test_there_is_none_at_first(self, open_blob: OpenBlob) -> None:
        assert Checkpoint(open_blob("last"), Times(UTC)).load() == (None, None)

    def test_it_is_written_as_a_person_would(self, open_blob: OpenBlob) -> None:
        moment = datetime(2026, 2, 13, 4, 30, 15, 999_999, tzinfo=NEW_YORK)
        Checkpoint(open_blob("last"), Times(NEW_YORK)).commit(TimeCursor(moment), None)
        assert content(open_blob("last")) == b"20260213093015Z"

    def test_committed_it_is_loaded_with_the_tag_for_the_next_commit(self, open_blob: OpenBlob) -> None:
        tag = Checkpoint(open_blob("last"), Times(UTC)).commit(TimeCursor(NOW), None)
        value, loaded = Checkpoint(open_blob("last"), Times(NEW_YORK)).load()
        assert (value, loaded) == (TimeCursor(NOW), tag)
        later = NOW + timedelta(minutes=2)
        Checkpoint(open_blob("last"), Times(UTC)).commit(TimeCursor(later), loaded)
        assert Checkpoint(open_blob("last"), Times(UTC)).load()[0] == TimeCursor(later)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("20260213093000Z", "2026-02-13T09:30:00Z"),
            ("20260213093000", "2026-02-13T14:30:00Z"),
            ("20260713093000", "2026-07-13T13:30:00Z"),
            ("20260213093000Z\n", "2026-02-13T09:30:00Z"),
            ("20151101013000", "2015-11-01T05:30:00Z"),
        ],
    )
    def test_a_value_without_z_is_an_older_installations_in_its_zone(
        self, open_blob: OpenBlob, text: str, value: str
    ) -> None:
        tag = open_blob("last").write(text.encode(), None)
        loaded, loaded_tag = Checkpoint(open_blob("last"), Times(NEW_YORK)).load()
        assert isinstance(loaded, TimeCursor)
        assert (iso(loaded.moment), loaded_tag) == (value, tag)

    @pytest.mark.parametrize("junk", [b"", b"yesterday", b"2026-02-13T09:30:00Z", b"20261399000000Z", b"\xff\xfe"])
    def test_anything_else_is_refused_and_left_as_it_is(self, open_blob: OpenBlob, junk: bytes) -> None:
        open_blob("last").write(junk, None)
        checkpoint = Checkpoint(open_blob("last"), Times(UTC))
        with pytest.raises(ConfigError) as refused:
            checkpoint.load()
        assert refused.value.code == 78
        assert checkpoint.name in str(refused.value)
        assert "--start/--end" in str(refused.value)
        assert content(open_blob("last")) == junk

    def test_who_commits_against_an_old_version_has_lost_the_race(self, open_blob: OpenBlob) -> None:
        one, other = Checkpoint(open_blob("last"), Times(UTC)), Checkpoint(open_blob("last"), Times(UTC))
        tag = one.commit(TimeCursor(NOW), None)
        with pytest.raises(RaceLost, match="another run moved the checkpoint"):
            other.commit(TimeCursor(NOW + timedelta(hours=1)), None)
        one.commit(TimeCursor(NOW + timedelta(minutes=1)), tag)
        with pytest.raises(RaceLost) as lost:
            other.commit(TimeCursor(NOW + timedelta(hours=1)), tag)
        assert lost.value.code == 75
        assert content(open_blob("last")) == b"20260213093100Z"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timed(open_blob: OpenBlob, clock: FakeClock) -> OpenBlob:
    """Blobs whose stores' clock is the test's."""
    return lambda name: Timed(open_blob(name), clock)


class TestLease:
    def test_while_one_holds_it_another_hears_who_and_until_when(self, timed: OpenBlob, clock: FakeClock) -> None:
        Lease(timed("lease"), clock, 60).acquire()
        with pytest.raises(LeaseHeld) as held:
            Lease(timed("lease"), clock, 60).acquire()
        text = str(held.value)
        assert f"process {os.getpid()} on {Process.current().host} until 2026-02-13T09:31:00Z" in text
        assert timed("lease").name in text
        assert held.value.code == 75

    def test_released_it_is_free_at_once(self, timed: OpenBlob, clock: FakeClock) -> None:
        with Lease(timed("lease"), clock, 60):
            pass
        assert Lease(timed("lease"), clock, 60).acquire().generation == 2

    def test_it_is_released_when_the_run_fails(self, timed: OpenBlob, clock: FakeClock) -> None:
        with pytest.raises(ZeroDivisionError), Lease(timed("lease"), clock, 60):
            raise ZeroDivisionError
        Lease(timed("lease"), clock, 60).acquire()

    def test_expired_it_is_taken_over_and_not_a_moment_before(self, timed: OpenBlob, clock: FakeClock) -> None:
        Lease(timed("lease"), clock, 60).acquire()
        clock.advance(59.999)
        with pytest.raises(LeaseHeld):
            Lease(timed("lease"), clock, 60).acquire()
        clock.advance(0.001)
        with logged() as records:
            assert Lease(timed("lease"), clock, 60).acquire().generation == 2
        assert "taking over the lease" in records[0].getMessage()

    def test_renewed_it_lasts_longer(self, timed: OpenBlob, clock: FakeClock) -> None:
        lease = Lease(timed("lease"), clock, 60)
        lease.acquire()
        for _ in range(3):
            clock.advance(50)
            lease.renew()
            lease.check()
        with pytest.raises(LeaseHeld, match="until 2026-02-13T09:33:30Z"):
            Lease(timed("lease"), clock, 60).acquire()

    def test_entered_it_is_renewed_by_itself(self, open_blob: OpenBlob) -> None:
        # The one test of the thread: real time, but nothing depends on how much of it passes.
        with Lease(open_blob("lease"), SystemClock(), ttl=1.0) as lease:
            first = content(open_blob("lease"))
            while content(open_blob("lease")) == first:
                lease.check()

    def test_lost_it_says_so_before_every_commit(self, timed: OpenBlob, clock: FakeClock) -> None:
        slow = Lease(timed("lease"), clock, 60)
        slow.acquire()
        clock.advance(60)
        quick = Lease(timed("lease"), clock, 60)
        quick.acquire()
        with pytest.raises(RaceLost, match=f"lost to process {os.getpid()} on .* until 2026-02-13T09:32:00Z"):
            slow.renew()
        for _ in range(2):
            with pytest.raises(RaceLost, match="will be read again"):
                slow.check()
        slow.release()
        quick.check()

    def test_not_renewed_in_time_it_is_lost_even_if_nobody_took_it(self, timed: OpenBlob, clock: FakeClock) -> None:
        lease = Lease(timed("lease"), clock, 60)
        lease.acquire()
        clock.advance(59)
        lease.check()
        clock.advance(1)
        with pytest.raises(RaceLost, match="could not be renewed in time"):
            lease.check()

    def test_releasing_what_was_taken_over_leaves_it_to_the_other(self, timed: OpenBlob, clock: FakeClock) -> None:
        slow, quick = Lease(timed("lease"), clock, 60), Lease(timed("lease"), clock, 60)
        slow.acquire()
        clock.advance(60)
        quick.acquire()
        with logged() as records:
            slow.release()
        assert "taken over before it was released" in records[-1].getMessage()
        with pytest.raises(LeaseHeld):
            Lease(timed("lease"), clock, 60).acquire()

    def test_a_lost_race_names_who_holds_the_lease(self, timed: OpenBlob, clock: FakeClock) -> None:
        Lease(timed("lease"), clock, 60).acquire()
        told = Lease(timed("lease"), clock, 60).explain_race(RaceLost("another run moved it"))
        assert str(told).startswith("another run moved it; the lease is held by process ")

    @pytest.mark.parametrize(
        "junk",
        [
            b"",
            b"junk",
            b"[]",
            b"null",
            b"{}",
            b"20260213093000Z",
            b'{"owner":{},"expires":"2026-02-13T09:30:00Z","generation":1,"released":false,"token":"t"}',
            b'{"owner":{"host":"h","system":"s","pid":1,"started":"1"},"expires":"2026-02-13T09:30:00","generation":1,'
            b'"released":false,"token":"t"}',
        ],
    )
    def test_what_is_no_lease_is_refused_and_left_as_it_is(
        self, timed: OpenBlob, clock: FakeClock, junk: bytes
    ) -> None:
        timed("lease").write(junk, None)
        with pytest.raises(ConfigError, match="is no lease of ours"):
            Lease(timed("lease"), clock, 60).acquire()
        assert content(timed("lease")) == junk


HERE = Process.current()


class TestOwners:
    """Whose lease is taken over before it expires: that of a process of this host which certainly is gone."""

    def put(self, blob: Blob, owner: Process) -> None:
        blob.write(Holder("token", owner, NOW + timedelta(seconds=60), generation=7).encode(), None)

    @pytest.mark.parametrize(
        "owner",
        [
            HERE,
            replace(HERE, host="elsewhere", pid=2**22 + 1),
            replace(HERE, system="another boot", pid=2**22 + 1),
            replace(HERE, system="", pid=2**22 + 1),
        ],
        ids=["alive", "another host", "another boot or container", "unknown system"],
    )
    def test_these_are_waited_for(self, timed: OpenBlob, clock: FakeClock, owner: Process) -> None:
        self.put(timed("lease"), owner)
        clock.advance(59.999)
        with pytest.raises(LeaseHeld, match=f"process {owner.pid} on {owner.host}"):
            Lease(timed("lease"), clock, 60).acquire()
        clock.advance(0.001)
        assert Lease(timed("lease"), clock, 60).acquire().generation == 8

    @pytest.mark.parametrize(
        "owner", [replace(HERE, pid=2**22 + 1), replace(HERE, started="1")], ids=["gone", "another with its pid"]
    )
    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
    def test_these_are_dead(self, timed: OpenBlob, clock: FakeClock, owner: Process) -> None:
        self.put(timed("lease"), owner)
        assert Lease(timed("lease"), clock, 60).acquire().generation == 8

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
    def test_a_killed_run_does_not_cost_the_next(self, open_blob: OpenBlob) -> None:
        with holding(open_blob("lease").name) as child:
            with pytest.raises(LeaseHeld, match=f"process {child.pid} on "):
                Lease(open_blob("lease"), SystemClock(), 600).acquire()
            child.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the process table
            Lease(open_blob("lease"), SystemClock(), 600).acquire()


class holding:  # noqa: N801 - a context manager
    """A child process that has taken the lease called `name`, and keeps it."""

    CODE = """
import sys
from pathlib import Path
from harvesters.clock import SystemClock
from harvesters.retry import RetryPolicy
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from harvesters.stores.s3 import S3Bucket
name, clock = sys.argv[1], SystemClock()
if name.startswith("s3://"):
    bucket, _, key = name.removeprefix("s3://").partition("/")
    blob = S3Bucket(bucket, RetryPolicy(clock)).blob(key)
else:
    blob = FileBlob(Path(name))
Lease(blob, clock, 600).acquire()
print("taken", flush=True)
sys.stdin.read()
"""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-c", self.CODE, name]
        self.child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> subprocess.Popen[str]:
        assert self.child.stdout is not None
        assert self.child.stdout.readline() == "taken\n"
        return self.child

    def __exit__(self, *exc: object) -> None:
        self.child.kill()
        self.child.communicate()


class TestInterleavings:
    @pytest.mark.parametrize("order", [*merges(2, 2)])
    @pytest.mark.parametrize("before", ["none", "released", "expired"])
    def test_one_of_two_takes_the_lease(self, timed: OpenBlob, clock: FakeClock, order: str, before: str) -> None:
        if before != "none":
            earlier = Lease(timed("lease"), clock, 60)
            earlier.acquire()
            earlier.release() if before == "released" else clock.advance(60)
        turns = Turns(order)

        def take(name: str) -> Holder:
            return Lease(Stepping(timed("lease"), turns, name), clock, 60).acquire()

        results = in_turns(turns, take)
        assert sorted(type(result).__name__ for result in results.values()) == ["Holder", "LeaseHeld"]
        (winner,) = [result for result in results.values() if isinstance(result, Holder)]
        (loser,) = [result for result in results.values() if isinstance(result, LeaseHeld)]
        assert str(winner) in str(loser)
        assert Holder.decode(content(timed("lease")), "").token == winner.token

    @pytest.mark.parametrize("order", [*merges(2, 2)])
    def test_a_commit_never_undoes_one_that_it_has_not_seen(self, open_blob: OpenBlob, order: str) -> None:
        Checkpoint(open_blob("last"), Times(UTC)).commit(TimeCursor(NOW), None)
        turns = Turns(order)
        ahead = {"A": timedelta(minutes=2), "B": timedelta(minutes=4)}

        def run(name: str) -> datetime:
            checkpoint = Checkpoint(Stepping(open_blob("last"), turns, name), Times(UTC))
            value, tag = checkpoint.load()
            assert isinstance(value, TimeCursor)
            checkpoint.commit(TimeCursor(value.moment + ahead[name]), tag)
            return value.moment + ahead[name]

        results = in_turns(turns, run)
        committed = [result for result in results.values() if isinstance(result, datetime)]
        assert Checkpoint(open_blob("last"), Times(UTC)).load()[0] == TimeCursor(max(committed))
        if order in ("AABB", "BBAA"):
            assert max(committed) == NOW + timedelta(minutes=6)
        else:
            assert [type(error) for error in results.values() if isinstance(error, Exception)] == [RaceLost]


@pytest.mark.slow
class TestWholeRuns:
    """Two runs over one checkpoint, in every order of all their reads and writes: files only, for there are 252."""

    @pytest.fixture
    def blobs(self, tmp_path: Path) -> OpenBlob:
        return lambda name: FileBlob(tmp_path / name)

    def test_nobody_works_while_another_holds_the_lease(self, blobs: OpenBlob, clock: FakeClock) -> None:
        for number, order in enumerate(merges(5, 5)):
            turns, value = Turns(order), f"{number}"
            working: list[str] = []

            def run(name: str, turns: Turns = turns, value: str = value, working: list[str] = working) -> str:
                lease = Lease(Stepping(blobs(f"{value}.lease"), turns, name), clock, 60)
                lease.acquire()
                working.append(name)
                checkpoint = Checkpoint(Stepping(blobs(value), turns, name), Times(UTC))
                before, tag = checkpoint.load()
                lease.check()
                moment = before.moment if isinstance(before, TimeCursor) else NOW
                checkpoint.commit(TimeCursor(moment + timedelta(minutes=2)), tag)
                assert working == [name]
                working.remove(name)
                lease.release()
                return name

            results = in_turns(turns, run)
            done = [result for result in results.values() if isinstance(result, str)]
            assert {type(result) for result in results.values()} <= {str, LeaseHeld}, (order, results)
            assert len(done) >= 1
            assert Checkpoint(blobs(value), Times(UTC)).load()[0] == TimeCursor(NOW + timedelta(minutes=2 * len(done)))
