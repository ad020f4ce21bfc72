"""`listings count`, over and over: one at a time, told to stop, failing, and made up for."""

from __future__ import annotations

import itertools
import os
import signal
from datetime import timedelta
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.errors import RaceLost, SinkUnavailable, Unavailable
from harvesters.listings import counts, ranking, totals
from harvesters.stores.lease import Lease
from tests.listings.shops import Shop, eventually, wait_for


def test_one_at_a_time(shop: Shop) -> None:
    shop.index("a")
    shop.view("a")
    with shop.counting("--every", "1h") as process:
        eventually(lambda: shop.visits == {"a": 1}, process)
        assert shop.count()[0] == 75
        assert shop.count("--every", "1s")[0] == 75
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert shop.counted() == (0, 0, 0, 0, 0)


def test_rounds_go_on_until_told_to_stop(shop: Shop) -> None:
    shop.index("a")
    with shop.counting("--every", "0.1s") as process:
        for number in (1, 2, 3):
            shop.view("a")
            eventually(lambda number=number: shop.visits == {"a": number}, process)  # type: ignore[misc]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_round_that_fails_is_said_and_made_up_for(shop: Shop) -> None:
    shop.index("a")
    shop.view("a")
    aside = shop.state / "aside"
    shop.files.offsets.rename(aside)
    with shop.counting("--every", "0.1s") as process:
        assert "holds lines" in wait_for(process, "this round failed")
        aside.rename(shop.files.offsets)
        eventually(lambda: shop.visits == {"a": 1}, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_who_was_frozen_writes_nothing_over_what_came_after_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.index(*"abcdefgh")
    shop.view(*"abcdefgh")
    monkeypatch.setenv("HARVEST_LEASE_TTL", "1")
    with shop.counting("--every", "0.2s") as process:
        wait_for(process, "updated=8")  # the round has ended
        process.send_signal(signal.SIGSTOP)
        shop.view("a")
        eventually(lambda: shop.count()[0] == 0, process)
        assert shop.visits["a"] == 2
        process.send_signal(signal.SIGCONT)
        shop.view("a")
        eventually(lambda: shop.visits["a"] == 3, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_totals_that_are_older_than_somebody_else_s_are_not_written(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen before it wrote, for longer than its lease; another process took over and counted more."""
    shop.index("a")
    shop.view("a")
    write, now = ranking.Ranking.write, SystemClock.now

    def frozen(self: ranking.Ranking, batch: Any) -> ranking.Written:
        shop.view("a")
        shop.files.lease.unlink()
        with shop.counting() as other:
            assert other.wait(60) == 0
        assert shop.visits == {"a": 2}
        monkeypatch.setattr(SystemClock, "now", lambda clock: now(clock) + timedelta(hours=1))
        return write(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ranking.Ranking, "write", frozen)
        assert shop.count()[0] == 75
    assert shop.visits == {"a": 2}


def test_totals_that_come_late_all_the_same_are_written_over(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was frozen for that long after its last look at the lease, with the request in its hand."""
    shop.index("a", "b")
    shop.view("a", "b")
    attempt, now = SearchClient.attempt, SystemClock.now

    def frozen(self: SearchClient, method: str, path: str, *args: Any, **named: Any) -> Any:
        if path == "/_bulk":
            shop.view("a")
            shop.files.lease.unlink()
            with shop.counting() as other:
                assert other.wait(60) == 0
            assert shop.visits == {"a": 2, "b": 1}
            monkeypatch.setattr(SystemClock, "now", lambda clock: now(clock) + timedelta(hours=1))
        return attempt(self, method, path, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(SearchClient, "attempt", frozen)
        assert shop.count()[0] == 75
    monkeypatch.setattr(SystemClock, "now", now)
    shop.files.lease.unlink(missing_ok=True)
    assert shop.visits == {"a": 1, "b": 1}
    assert shop.counted() == (0, 2, 1, 1, 0)
    assert shop.visits == {"a": 2, "b": 1}


def test_a_lease_that_cannot_be_had_for_a_while_is_said_and_made_up_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the second round begins, which needs the lease again."""
    shop.index("a")
    shop.view("a")
    work, acquire, rounds, leases = counts.CountViews.work, Lease.acquire, [0], [0]

    def round(self: counts.CountViews) -> None:
        rounds[0] += 1
        if rounds[0] == 1:
            raise RaceLost("frozen")
        work(self)
        os.kill(os.getpid(), signal.SIGTERM)

    def full(self: Lease) -> Any:
        leases[0] += 1
        if leases[0] == 2:
            raise Unavailable("no space left")
        return acquire(self)

    monkeypatch.setattr(counts.CountViews, "work", round)
    monkeypatch.setattr(Lease, "acquire", full)
    assert shop.count("--every", "0.05s")[0] == 0
    assert "this round failed, and the next one makes up for it: no space left" in shop.said
    assert leases == [3]
    assert shop.visits == {"a": 1}


def test_sigterm_in_the_middle_of_rounds_is_0(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.index("a")
    shop.view("a")
    read = counts.CountViews._read

    def stopping(self: counts.CountViews, *args: Any) -> None:
        read(self, *args)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(counts.CountViews, "_read", stopping)
    code, report = shop.count("--every", "1h")
    assert (code, report["outcome"], report["level"]) == (0, "done", "INFO")
    assert (report["views"], report["updated"], report["waiting"]) == (1, 0, 1)


def test_sigterm_in_the_middle_is_75_and_the_next_run_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "_AT_ONCE", 2)
    monkeypatch.setattr(counts, "_SETTLED", 1)
    names = [str(number) for number in range(30)]
    shop.index(*names)
    shop.view(*names)
    settle = totals.Totals.settle

    def stopping(self: totals.Totals, *args: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        settle(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(totals.Totals, "settle", stopping)
        assert shop.count()[0] == 75
    code, report = shop.count()
    assert code == 0
    assert 0 < report["listings"] < 30
    assert report["updated"] + report["unchanged"] == report["listings"]
    assert shop.visits == dict.fromkeys(names, 1)


def test_elasticsearch_that_is_away_is_69_and_what_was_counted_stays(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.index("a")
    shop.view("a")
    with monkeypatch.context() as patch:
        patch.setenv("ES_HOST", "127.0.0.1:1")
        patch.setenv("HARVEST_RETRY_BUDGET", "0.1")
        code, report = shop.count()
    assert (code, report["views"], report["waiting"]) == (69, 1, 1)
    assert shop.counted() == (0, 1, 1, 0, 0)


def test_what_was_written_before_a_failure_is_not_written_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though many batches are noted together, and these are fewer."""
    monkeypatch.setattr(totals, "_AT_ONCE", 2)
    monkeypatch.setattr(counts, "_WRITERS", 1)
    names = [str(number) for number in range(30)]
    shop.index(*names)
    shop.view(*names)
    write, calls = ranking.Ranking.write, itertools.count(1)

    def failing(self: ranking.Ranking, batch: Any) -> ranking.Written:
        if next(calls) == 9:
            raise SinkUnavailable("it went away")
        return write(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ranking.Ranking, "write", failing)
        code, report = shop.count()
    assert (code, report["updated"], report["waiting"]) == (69, 16, 14)
    _, report = shop.count()
    assert (report["listings"], report["updated"] + report["unchanged"]) == (14, 14)
    assert shop.visits == dict.fromkeys(names, 1)


def test_what_is_changed_all_the_time_is_left_for_another_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.index("a", "b")
    shop.view("a", "b")

    def conflicts(self: ranking.Ranking, batch: Any) -> ranking.Written:
        return ranking.Written(left=[total.id for total in batch])

    with monkeypatch.context() as patch:
        patch.setattr(ranking.Ranking, "write", conflicts)
        assert shop.count()[0] == 69
    assert shop.counted() == (0, 2, 2, 0, 0)


@pytest.mark.parametrize(("text", "code"), [("30", 0), ("0", 2), ("soon", 2), ("-5s", 2), ("1e9", 2)])
def test_how_often_is_a_duration(shop: Shop, monkeypatch: pytest.MonkeyPatch, text: str, code: int) -> None:
    monkeypatch.setattr(counts, "count_views", lambda assembly, every: None)
    assert shop.count("--every", text)[0] == code
