"""Harvests of both dialects, with what a stock Opencast's days do to a window."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from harvesters.errors import ConfigError, Interrupted, ProtocolError
from harvesters.stores.cache import MemoryCache, open_cache
from harvesters.timespan import day_window, floor_second
from tests.clocks import FakeClock
from tests.opencast.harvesting import Harvesting, Opencast, row

NEW_YORK = ZoneInfo("America/New_York")
SECOND = timedelta(seconds=1)


def edge_rows(first: date, days: int, zone: ZoneInfo, count: int = 40) -> list[Any]:
    """Rows all over some days of `zone`, and above all in the first and the last minute of each."""
    draws = random.Random(7)
    moments = []
    for number in range(days):
        day = day_window(first + timedelta(days=number), zone)
        moments += [day.start + offset * SECOND for offset in (0, 1, 29, 59, 60)]
        moments += [day.end - offset * SECOND for offset in (1, 2, 30, 59, 60, 61)]
        moments += [day.start + SECOND * draws.randrange(int(day.seconds)) for _ in range(count)]
    return [row(number, moment) for number, moment in enumerate(moments, 1)]


@pytest.mark.parametrize("version", [6, 7, 10, 16])
@pytest.mark.parametrize(
    ("dialect", "order"),
    [
        ("stock", "created"),
        ("stock", "shuffled"),
        ("stock", "id"),
        ("dce", "created"),
        ("dce", "shuffled"),
        ("dce", "id"),
    ],
)
def test_several_days_with_midnights_come_through_whole(
    dialect: Any,
    order: Any,
    version: int,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    with Opencast(clock, dialect=dialect, order=order, version=version, timezone="America/New_York") as opencast:
        opencast.add_rows(edge_rows(date(2026, 3, 6), 4, NEW_YORK))  # the clocks go forward on the 8th
        start = datetime.combine(date(2026, 3, 6), time(12), NEW_YORK)
        end = datetime.combine(date(2026, 3, 9), time(12), NEW_YORK)
        harvesting = Harvesting(opencast, tmp_path, "America/New_York", batch_size=7)
        harvesting.run(start, end)
        assert harvesting.delivered == opencast.within(start, end)
        assert harvesting.reached == end
        edges = 6 if dialect == "stock" else 0
        assert sum(clock.slept) <= 60 * edges
        assert all(pause <= 60 for pause in clock.slept)
        assert bool(clock.slept) == (dialect == "stock")


@pytest.mark.parametrize("dialect", ["stock", "dce"])
@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2025, 11, 2)], ids=["23 hours", "25 hours"])
def test_the_days_on_which_the_clocks_change_come_through_whole(
    dialect: Any,
    day: date,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    whole = day_window(day, NEW_YORK)
    with Opencast(clock, dialect=dialect, timezone="America/New_York", order="shuffled") as opencast:
        opencast.add_rows(edge_rows(day - timedelta(days=1), 3, NEW_YORK, count=60))
        hours = [whole.start + timedelta(minutes=7 * number) for number in range(60)]  # through the change
        opencast.add_rows(row(number, moment) for number, moment in enumerate(hours, 5000))
        harvesting = Harvesting(opencast, tmp_path, "America/New_York")
        harvesting.run(whole.start, whole.end)
        assert harvesting.delivered == opencast.within(whole.start, whole.end)


@pytest.mark.parametrize("dialect", ["stock", "dce"])
def test_cron_runs_through_the_hour_that_happens_twice(dialect: Any, server_date: None, tmp_path: Path) -> None:
    first = datetime(2025, 11, 2, 4, 30, 20, tzinfo=UTC)  # 00:30 in New York; at 06:00 UTC it is one o'clock again
    clock = FakeClock(first)
    with Opencast(clock, dialect=dialect, timezone="America/New_York") as opencast:
        opencast.add_rows(row(number, first + number * 90 * SECOND) for number in range(1, 120))
        for number, known in enumerate([*opencast.table._by_id.values()]):
            opencast.update(known.id, visible_at=known.created + (number % 3) * 10 * SECOND)  # some come late
        harvesting = Harvesting(opencast, tmp_path, "America/New_York", cache=MemoryCache())
        harvesting.run(first, clock.now() + SECOND)
        while clock.now() < first + timedelta(hours=3):
            clock.advance(600)
            harvesting.run()
        reached = harvesting.reached
        assert reached is not None
        wanted = {row.id for row in opencast.table._by_id.values() if row.created < reached - 30 * SECOND}
        assert len(wanted) > 100
        assert set(harvesting.delivered) >= wanted


@pytest.mark.parametrize(
    ("since", "until"),
    [("00:00:00", "00:00:20"), ("00:00:40", "00:01:30"), ("23:58:30", "23:59:20"), ("23:59:30", "24:00:00")],
)
@pytest.mark.parametrize("second", [0.0, 0.05, 17.25, 58.9, 59.8, 59.99])
def test_a_window_at_the_edge_of_a_day_waits_for_its_second(
    since: str, until: str, second: float, server_date: None, tmp_path: Path
) -> None:
    clock = FakeClock(datetime(2026, 3, 12, 15, 4, tzinfo=UTC) + timedelta(seconds=second))
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    start, end = (midnight + _clock(text) for text in (since, until))
    with Opencast(clock, dialect="stock", pace=0.003) as opencast:
        opencast.add_rows(edge_rows(date(2026, 3, 9), 3, ZoneInfo("UTC")))
        opencast.add_rows(row(number, midnight + number % 86400 * SECOND) for number in range(90_000, 90_120, 2))
        opencast.add_rows(row(number, midnight + (number - 1000) * SECOND) for number in range(87_200, 87_400, 3))
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.run(start, end)
        assert harvesting.delivered == opencast.within(start, end)
        assert sum(clock.slept) <= 60.5


def _clock(text: str) -> timedelta:
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def test_a_window_away_from_midnight_waits_for_nothing(clock: FakeClock, tmp_path: Path) -> None:
    with Opencast(clock, dialect="stock") as opencast:
        opencast.add_rows(edge_rows(date(2026, 3, 11), 2, ZoneInfo("UTC")))
        start, end = datetime(2026, 3, 11, 0, 1, tzinfo=UTC), datetime(2026, 3, 11, 23, 59, tzinfo=UTC)
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.run(start, end)
        assert harvesting.delivered == opencast.within(start, end)
    assert clock.slept == []


@pytest.mark.parametrize("order", ["created", "shuffled"])
def test_rows_that_come_while_a_day_is_read_push_none_aside(
    order: Any,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    """With every request the day's bounds move by seconds, and a new row appears in front of those read so far."""
    with Opencast(clock, dialect="stock", order=order, pace=7.3) as opencast:
        opencast.add_rows(edge_rows(date(2026, 3, 11), 2, ZoneInfo("UTC")))
        start, end = datetime(2026, 3, 11, 0, 1, tzinfo=UTC), datetime(2026, 3, 11, 23, 59, tzinfo=UTC)
        wanted = opencast.within(start, end)
        fresh = iter(range(1000, 2000))
        opencast.before = lambda request: opencast.add(row(next(fresh), start - timedelta(seconds=20)))
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.run(start, end)
        assert harvesting.delivered == wanted


def test_a_row_that_comes_late_is_found_by_the_lookback(clock: FakeClock, tmp_path: Path) -> None:
    now = floor_second(clock.now())
    with Opencast(clock, dialect="stock") as opencast:
        opencast.add(row(1, now - 300 * SECOND), row(2, now - 50 * SECOND))
        opencast.add(row(3, now - 40 * SECOND, visible_at=now + 30 * SECOND))
        opencast.add(row(4, now - 90 * SECOND, visible_at=now + 30 * SECOND))
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.run(now - 600 * SECOND, now)
        assert harvesting.delivered == Counter([1, 2])
        clock.advance(120)
        counts = harvesting.run()
        assert harvesting.delivered == Counter([1, 2, 3])  # 4 was later than the lookback looks
        assert counts.duplicates == 1


def test_a_footprint_that_grew_goes_out_again_and_nothing_else_does(
    clock: FakeClock,
    redis_url: str,
    tmp_path: Path,
) -> None:
    now = floor_second(clock.now())
    with Opencast(clock) as opencast:
        opencast.add(*(row(number, now - number * SECOND, type="FOOTPRINT") for number in range(1, 9)))
        harvesting = Harvesting(opencast, tmp_path, cache=open_cache(redis_url))
        harvesting.run(now - 600 * SECOND, now)
        assert harvesting.delivered == Counter(range(1, 9))
        opencast.update(3, outpoint=35)
        clock.advance(20)
        harvesting.cache = open_cache(redis_url)  # the next run is another process
        counts = harvesting.run()
        again = harvesting.out.got[8:]
        assert [(document.id, document.body["action"]["length"]) for document in again] == [("3", 30)]
        assert again[0].mutable
        assert (counts.rows, counts.duplicates) == (8, 7)


def test_without_redis_the_lookback_is_sent_again_under_the_same_ids(
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    now = floor_second(clock.now())
    with Opencast(clock) as opencast:
        opencast.add(*(row(number, now - number * SECOND) for number in range(1, 9)))
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.run(now - 600 * SECOND, now)
        clock.advance(20)
        harvesting.cache = MemoryCache()
        harvesting.run()
        assert harvesting.delivered == Counter(dict.fromkeys(range(1, 9), 2))


def test_a_range_that_leaves_the_checkpoint_alone_is_sent_whole(
    clock: FakeClock,
    redis_url: str,
    tmp_path: Path,
) -> None:
    now = floor_second(clock.now())
    with Opencast(clock) as opencast:
        opencast.add(*(row(number, now - number * SECOND) for number in range(1, 9)))
        harvesting = Harvesting(opencast, tmp_path, cache=open_cache(redis_url))
        for _ in range(2):
            harvesting.run(now - 600 * SECOND, now, update=False)
        assert harvesting.delivered == Counter(dict.fromkeys(range(1, 9), 2))
        assert harvesting.checkpoint.load() == (None, None)


def test_an_empty_table_proves_no_dialect(clock: FakeClock, tmp_path: Path) -> None:
    now = floor_second(clock.now())
    with Opencast(clock, dialect="stock") as opencast:
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.run(now - 60 * SECOND, now)
        assert harvesting.reached == now
        opencast.add(row(1, now + 5 * SECOND))
        clock.advance(60)
        harvesting.run()
        assert harvesting.delivered == Counter([1])
        assert "day" not in harvesting.checkpoint.name
        assert opencast.asked("day")


@pytest.mark.parametrize("dialect", ["dce", "stock"])
def test_the_finding_is_cached_and_not_made_again(dialect: Any, clock: FakeClock, tmp_path: Path) -> None:
    now = floor_second(clock.now())
    with Opencast(clock, dialect=dialect) as opencast:
        opencast.add(row(1, now - 600 * SECOND))
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.run(now - 900 * SECOND, now - 300 * SECOND)
        opencast.requests.clear()
        harvesting.run(end=now - 200 * SECOND)
        assert not [start for start in opencast.asked("start") if start.startswith("1970")]
        # The challenge, the server's clock, the page, and a row to vouch for a page that is empty.
        assert len(opencast.asked("limit")) <= 5


def test_a_server_that_honours_nothing_is_refused_and_the_remedy_named(
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    with Opencast(clock, dialect="stock", broken="day") as opencast:
        opencast.add_rows(edge_rows(date(2026, 3, 11), 1, ZoneInfo("UTC")))
        harvesting = Harvesting(opencast, tmp_path)
        with pytest.raises(ProtocolError, match="MATTERHORN_ENGAGE_HOST") as caught:
            harvesting.run(datetime(2026, 3, 11, tzinfo=UTC), clock.now())
        assert caught.value.code == 76
        assert set(opencast.asked("limit")) == {"1"}, "the table was not paged"
    assert harvesting.checkpoint.load() == (None, None)


def test_a_plugin_that_is_off_is_named(clock: FakeClock, tmp_path: Path) -> None:
    with Opencast(clock, plugin=False) as opencast:
        with pytest.raises(ProtocolError, match="opencast-plugin-usertracking = on") as caught:
            Harvesting(opencast, tmp_path).run(clock.now() - 60 * SECOND, clock.now())
        assert caught.value.code == 76


@pytest.mark.parametrize(("before", "after"), [("dce", "stock"), ("stock", "dce")])
def test_a_server_that_changed_its_dialect_since_is_still_read_whole(
    before: Any,
    after: Any,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    with Opencast(clock, dialect=before) as opencast:
        rows = edge_rows(date(2026, 3, 8), 4, ZoneInfo("UTC"))
        opencast.add_rows(row for row in rows if row.created.time() != time())  # which one of the dialects cannot show
        harvesting = Harvesting(opencast, tmp_path)
        start, middle, end = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (8, 9, 11))
        harvesting.run(start, middle)
        opencast._writer.dialect = after
        harvesting.run(end=end)
        assert harvesting.delivered == opencast.within(start, end)
        harvesting.run(end=end + timedelta(hours=1))
        assert harvesting.delivered == opencast.within(start, end + timedelta(hours=1))


@pytest.mark.parametrize("hour", range(24))
@pytest.mark.parametrize(
    ("theirs", "ours", "offset"),
    [
        ("America/New_York", "UTC", "-04:00"),
        ("UTC", "America/New_York", r"\+00:00"),
        ("Asia/Kathmandu", "Asia/Kolkata", r"\+05:45"),
    ],
)
@pytest.mark.parametrize("dialect", ["dce", "stock"])
def test_a_wrong_time_zone_is_refused_whatever_the_hour(
    dialect: Any, theirs: str, ours: str, offset: str, hour: int, clock: FakeClock, tmp_path: Path
) -> None:
    with Opencast(clock, dialect=dialect, timezone=theirs) as opencast:
        opencast.add(row(1, datetime(2026, 3, 11, hour, 30, tzinfo=UTC)))
        harvesting = Harvesting(opencast, tmp_path, ours)
        with pytest.raises(ConfigError, match=rf"offset is {offset} .*OPENCAST_TIMEZONE \({ours}\)") as caught:
            harvesting.run(datetime(2026, 3, 10, tzinfo=UTC), clock.now())
        assert caught.value.code == 78
    assert harvesting.checkpoint.load() == (None, None)
    assert not harvesting.delivered


def test_rows_by_id_move_the_checkpoint_past_none_that_is_still_to_come(
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    """Two nodes take ids in blocks: read by id, one node's rows come in order, and then time goes back."""
    start = datetime(2026, 3, 11, 9, tzinfo=UTC)
    with Opencast(clock, order="id") as opencast:
        opencast.add_rows(row(number, start + number * 20 * SECOND) for number in range(1, 51))
        opencast.add_rows(row(number + 50, start + (number * 20 + 7) * SECOND) for number in range(1, 51))
        harvesting = Harvesting(opencast, tmp_path)
        end = start + timedelta(hours=1)
        harvesting.run(start, end)  # which looks after each batch whether something is left behind
        assert harvesting.delivered == opencast.within(start, end)


@pytest.mark.parametrize("precision", ["seconds", "millis"])
def test_rows_in_order_move_the_checkpoint_batch_by_batch(
    precision: Any,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    start = datetime(2026, 3, 11, 9, tzinfo=UTC)
    with Opencast(clock, precision=precision) as opencast:
        opencast.add_rows(row(number, start + timedelta(seconds=number * 4.3)) for number in range(1, 51))
        opencast.fail("reset", path="/usertracking", after=15, times=1_000_000)
        harvesting = Harvesting(opencast, tmp_path)
        with pytest.raises(Exception, match="gave up"):
            harvesting.run(start, start + timedelta(hours=1))
        reached = harvesting.reached
        assert reached is not None
        last = harvesting.out.got[-1].timestamp
        assert reached == floor_second(last), "the second of the last acknowledged row"
        assert 10 <= len(harvesting.out.got) < 50


def test_a_run_told_to_stop_while_it_delivers_commits_that_batch(clock: FakeClock, tmp_path: Path) -> None:
    start = datetime(2026, 3, 11, 9, tzinfo=UTC)
    with Opencast(clock) as opencast:
        opencast.add_rows(row(number, start + number * 10 * SECOND) for number in range(1, 51))
        harvesting = Harvesting(opencast, tmp_path)
        harvesting.out.on_send = lambda: harvesting.stop.set() if len(harvesting.out.got) == 15 else None
        with pytest.raises(Interrupted, match="finished the batch in hand") as caught:
            harvesting.run(start, start + timedelta(hours=1))
        assert caught.value.code == 75
        assert len(harvesting.out.got) == 20
        assert harvesting.reached == harvesting.out.got[-1].timestamp
        harvesting.stop.clear()
        harvesting.run(end=start + timedelta(hours=1))
        assert harvesting.delivered == opencast.within(start, start + timedelta(hours=1))
