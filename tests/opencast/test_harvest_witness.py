"""Answers that contradict the question: nodes that differ, servers that moved, totals that fall, pages that are cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.cursor import TimeCursor
from harvesters.errors import ConfigError, ProtocolError
from harvesters.opencast.episodes import EpisodeLookup
from harvesters.opencast.useractions import UserActions
from harvesters.timespan import floor_second, zone
from tests.clocks import FakeClock
from tests.opencast.harvesting import Harvesting, Opencast, row

START = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
END = START + timedelta(hours=1)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


class EveryOther:
    """The even numbers, or the odd ones: one node of two."""

    def __init__(self, rest: int) -> None:
        self.rest = rest

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number % 2 == self.rest


def fill(opencast: Opencast) -> None:
    """Rows all over four days, none at the second of midnight (which no day shows), and more of them in the window."""
    every = range(int(4 * DAY / timedelta(minutes=297)))
    opencast.add_rows(row(number, START - 2 * DAY + number * timedelta(minutes=297) + 31 * SECOND) for number in every)
    opencast.add_rows(row(1000 + number, START + (number * 300 + 45) * SECOND) for number in range(12))


def deliver(opencast: Opencast, path: Path, **fields: Any) -> Harvesting:
    """A run of the window that has to come through whole, each row once."""
    harvesting = Harvesting(opencast, path, **fields)
    harvesting.run(START, END)
    assert harvesting.delivered == opencast.within(START, END)
    assert harvesting.reached == END
    return harvesting


def asked_in_a_good_run(clock: FakeClock, path: Path, **fields: Any) -> int:
    with Opencast(clock, **fields) as opencast:
        fill(opencast)
        deliver(opencast, path)
        return opencast.rude.counted


class TestOneAnswer:
    """One answer that does not look at what was asked for costs another reading, and not one event."""

    @pytest.mark.parametrize("what", ["ignores", "strips"])
    @pytest.mark.parametrize("order", ["created", "id", "shuffled"])
    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_whichever_it_is(self, dialect: Any, order: Any, what: str, clock: FakeClock, tmp_path: Path) -> None:
        count = asked_in_a_good_run(clock, tmp_path / "good", dialect=dialect, order=order)
        assert count > 5
        for number in range(1, count + 1):
            with Opencast(clock, dialect=dialect, order=order) as opencast:
                fill(opencast)
                setattr(opencast.rude, what, {number})
                deliver(opencast, tmp_path / str(number))

    @pytest.mark.parametrize("batch", [5, 50])
    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_one_blank_answer_is_no_quiet_window(
        self, dialect: Any, batch: int, clock: FakeClock, tmp_path: Path
    ) -> None:
        count = asked_in_a_good_run(clock, tmp_path / "good", dialect=dialect)
        for number in range(1, count + 1):
            with Opencast(clock, dialect=dialect) as opencast:
                fill(opencast)
                opencast.rude.lags, opencast.rude.behind = {number}, 10**6
                deliver(opencast, tmp_path / str(number), batch_size=batch)

    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_it_is_read_anew_and_the_dialect_found_again(self, dialect: Any, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock, dialect=dialect) as opencast:
            fill(opencast)
            harvesting = deliver(opencast, tmp_path)
            opencast.rude.counted, opencast.rude.strips = 0, {1}
            opencast.requests.clear()
            harvesting.run(START, END, update=False)
            assert "19700102000000" in opencast.asked("start"), "it was found out anew"
            assert harvesting.delivered == Counter(dict.fromkeys(opencast.within(START, END), 2))


class TestTwoNodes:
    """Servers that contradict one another for good are 76, and the checkpoint lies before all that is missing."""

    @pytest.mark.parametrize("rest", [0, 1])
    @pytest.mark.parametrize("order", ["created", "shuffled"])
    def test_one_of_two_ignores_the_window(self, order: Any, rest: int, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock, order=order) as opencast:
            fill(opencast)
            opencast.rude.ignores = EveryOther(rest)
            harvesting = Harvesting(opencast, tmp_path)
            harvesting.checkpoint.commit(TimeCursor(START), None)
            # Whether the nodes are found out or not, a run looks after each batch whether something is left behind.
            with suppress(ProtocolError):
                harvesting.run(end=END)
            opencast.rude.ignores = ()
            harvesting.run(end=END)
            assert harvesting.delivered.keys() >= opencast.within(START, END).keys()
            assert harvesting.reached == END

    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_a_proxy_that_drops_every_other_query(self, dialect: Any, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock, dialect=dialect) as opencast:
            fill(opencast)
            harvesting = Harvesting(opencast, tmp_path)
            harvesting.run(START - DAY, START - DAY + SECOND)  # the dialect is remembered
            opencast.rude.counted, opencast.rude.strips = 0, EveryOther(0)
            with pytest.raises(ProtocolError, match="MATTERHORN_ENGAGE_HOST"):
                harvesting.run(START, END)
            assert (harvesting.reached or START) < END

    def test_an_empty_table_after_rows_is_no_end(self, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock) as opencast:
            fill(opencast)
            harvesting = Harvesting(opencast, tmp_path)
            harvesting.run(START - DAY, START - DAY + SECOND)
            opencast.rude.counted, opencast.rude.strips = 0, {1}
            opencast.rude.behind, opencast.rude.lags = 10**6, range(2, 10**6)
            with pytest.raises(ProtocolError, match="none at all"):
                harvesting.run(START, END)


class TestZones:
    """A wrong OPENCAST_TIMEZONE never looks like a quiet hour."""

    @pytest.mark.parametrize("created", [END - 30 * SECOND, START - 5 * DAY])
    @pytest.mark.parametrize("moved", ["America/Chicago", "Pacific/Honolulu", "Pacific/Auckland", "Asia/Kathmandu"])
    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_a_server_that_moved_while_its_dialect_is_remembered(
        self, dialect: Any, moved: str, created: datetime, clock: FakeClock, tmp_path: Path
    ) -> None:
        with Opencast(clock, dialect=dialect, timezone="America/New_York") as opencast:
            opencast.add(row(1, created))
            harvesting = Harvesting(opencast, tmp_path, "America/New_York")
            harvesting.run(END - DAY, END)
            opencast.move(moved)
            for _ in range(3):
                with pytest.raises(ConfigError, match=r"OPENCAST_TIMEZONE \(America/New_York\)"):
                    harvesting.run()
                assert harvesting.reached == END
                clock.advance(8 * 3600)

    def test_the_setting_changed_while_the_dialect_is_remembered(self, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock, dialect="stock") as opencast:
            fill(opencast)
            harvesting = Harvesting(opencast, tmp_path)
            harvesting.run(START, END)
            harvesting.zone = "Europe/Zurich"
            with pytest.raises(ConfigError, match=r"offset is \+00:00"):
                harvesting.run()
            assert harvesting.reached == END

    @pytest.mark.parametrize("number", range(1, 8))
    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_a_server_that_moves_while_it_is_read(
        self, dialect: Any, number: int, clock: FakeClock, tmp_path: Path
    ) -> None:
        with Opencast(clock, dialect=dialect) as opencast:
            fill(opencast)
            opencast.rude.moves = {number: "America/New_York"}
            harvesting = Harvesting(opencast, tmp_path)
            with pytest.raises(ConfigError, match="OPENCAST_TIMEZONE"):
                harvesting.run(START, END)  # which looks whether something is left behind

    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_days_without_a_row_are_done_when_a_later_row_vouches_for_them(
        self, dialect: Any, clock: FakeClock, tmp_path: Path
    ) -> None:
        with Opencast(clock, dialect=dialect) as opencast:
            opencast.add(row(1, START + 3 * DAY - 1800 * SECOND))
            harvesting = Harvesting(opencast, tmp_path)
            clock.advance(3 * 86_400)
            harvesting.run(START - 9 * DAY, START + 3 * DAY)
            assert harvesting.delivered == Counter([1])
            now = floor_second(clock.now())
            harvesting.run()
            assert harvesting.reached == now

    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_a_server_whose_bounds_are_in_another_zone_than_its_rows(
        self, dialect: Any, clock: FakeClock, tmp_path: Path
    ) -> None:
        with Opencast(clock, dialect=dialect, timezone="America/New_York") as opencast:
            opencast.add(*(row(number, START + 3 * 3600 * SECOND + number * SECOND) for number in range(5)))
            opencast._writer.created = lambda row: row.created.strftime("%Y-%m-%dT%H:%M:%S")  # type: ignore[method-assign]
            harvesting = Harvesting(opencast, tmp_path)
            harvesting.checkpoint.commit(TimeCursor(START - DAY), None)
            with pytest.raises(ConfigError, match=r"OPENCAST_TIMEZONE \(UTC\)"):
                harvesting.run(end=START + DAY / 4)
            assert harvesting.reached == START - DAY


class TestTime:
    def ask(self, harvesting: Harvesting) -> datetime | None:
        client = harvesting.client()
        lookup = EpisodeLookup(client, harvesting.cache)
        return UserActions(client, lookup, harvesting.cache, zone(harvesting.zone)).time()

    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_it_is_the_servers_clock(self, dialect: Any, clock: FakeClock, tmp_path: Path) -> None:
        server = FakeClock(clock.now() - timedelta(minutes=7))
        with Opencast(server, dialect=dialect) as opencast:
            harvesting = Harvesting(opencast, tmp_path)
            assert self.ask(harvesting) == floor_second(server.now()), "of an empty table"
            fill(opencast)
            assert self.ask(harvesting) == floor_second(server.now())
            opencast.requests.clear()
            server.advance(60)
            assert self.ask(harvesting) == floor_second(server.now())
            assert len(opencast.requests) == 2, "the challenge, and one small request"
            assert set(opencast.asked("limit")) == {"1"}

    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_it_notices_a_server_that_moved(self, dialect: Any, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock, dialect=dialect) as opencast:
            opencast.add_rows(row(number, clock.now() - number * 600 * SECOND) for number in range(300))
            harvesting = Harvesting(opencast, tmp_path)
            assert self.ask(harvesting)
            opencast.move("Asia/Tokyo")
            with pytest.raises(ConfigError, match=r"\+09:00"):
                self.ask(harvesting)

    def test_a_contradiction_is_for_the_reading_to_judge(self, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock) as opencast:
            fill(opencast)
            harvesting = Harvesting(opencast, tmp_path)
            assert self.ask(harvesting)
            opencast._writer.dialect = "stock"
            assert self.ask(harvesting)
            deliver(opencast, tmp_path)


class TestTotals:
    @pytest.mark.parametrize("order", ["created", "id", "shuffled"])
    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_one_that_falls_between_two_pages_has_the_window_read_again(
        self, dialect: Any, order: Any, clock: FakeClock, tmp_path: Path
    ) -> None:
        start, end = START - DAY, START - DAY + timedelta(minutes=20)  # away from midnight
        for number in range(1, 12):
            with Opencast(clock, dialect=dialect, order=order) as opencast:
                opencast.add_rows(row(number, start + number * 60 * SECOND) for number in range(1, 18))
                opencast.rude.lags, opencast.rude.behind = {number}, 9
                harvesting = Harvesting(opencast, tmp_path / str(number))
                harvesting.run(start, end)
                # A first page that lags is not to be told from the truth; the look-back is for that.
                whole = opencast.within(start, end)
                assert harvesting.delivered == whole, number


class TestCaps:
    """Something that allows so many rows an answer."""

    @pytest.mark.parametrize("cap", [1, 4, 100])
    @pytest.mark.parametrize("order", ["created", "id", "shuffled"])
    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_pages_are_as_long_as_they_are(
        self, dialect: Any, order: Any, cap: int, clock: FakeClock, tmp_path: Path
    ) -> None:
        start, end = START - DAY, START - DAY + timedelta(minutes=20)
        with Opencast(clock, dialect=dialect, order=order) as opencast:
            opencast.add_rows(row(number, start + number * 60 * SECOND) for number in range(1, 18))
            opencast.rude.cap = cap
            harvesting = Harvesting(opencast, tmp_path, batch_size=10)
            with suppress(ProtocolError) if order == "shuffled" else nullcontext():  # pages may never settle
                harvesting.run(start, end)
            whole = harvesting.delivered == opencast.within(start, end)
            assert harvesting.reached == (end if whole else None)
            assert whole or order == "shuffled"

    @pytest.mark.parametrize("order", ["created", "id"])
    def test_the_edges_of_a_day_are_paged_at_their_second(self, order: Any, clock: FakeClock, tmp_path: Path) -> None:
        with Opencast(clock, dialect="stock", order=order, pace=0.003) as opencast:
            fill(opencast)
            midnight = START.replace(hour=0, minute=0) + DAY
            opencast.add_rows(row(2000 + number, midnight + number * SECOND) for number in range(-50, 50, 3))
            opencast.rude.cap = 20
            deliver(opencast, tmp_path)

    @pytest.mark.parametrize("shape", ["1e400", "NaN", "9" * 400])
    def test_a_page_of_everything_with_an_odd_number_is_paged(
        self, shape: str, clock: FakeClock, tmp_path: Path
    ) -> None:
        with Opencast(clock, dialect="stock") as opencast:
            fill(opencast)
            opencast.update(1010, type="PAUSE")
            opencast.spoil[b'"inpoint":5,"outpoint":5,"length":0,"type":"PAUSE"'] = (
                b'"inpoint":%s,"type":"PAUSE"' % shape.encode()
            )
            harvesting = Harvesting(opencast, tmp_path)
            counts = harvesting.run(START, END)
            assert counts.dead == 1
            assert harvesting.delivered == opencast.within(START, END) - Counter([1010])


def test_a_cache_before_opencast_is_found_out(clock: FakeClock, tmp_path: Path) -> None:
    with Opencast(clock) as opencast:
        fill(opencast)
        opencast.rude.age = {4: 300}
        deliver(opencast, tmp_path / "once")
        opencast.rude.age = dict.fromkeys(range(10**4), 300)
        harvesting = Harvesting(opencast, tmp_path / "always")
        with pytest.raises(ProtocolError, match="varnish") as caught:
            harvesting.run(START, END)
        assert caught.value.code == 76
        assert harvesting.checkpoint.load() == (None, None)


ODD: Iterable[bytes] = (
    b'"9999-12-31T23:59:59-14:00"',
    b'"0001-01-01T00:00:00+14:00"',
    b'"2026-03-10T23:40:00+00:07"',
    b'"2026-03-10T23:40:00+23:00"',
    b"1773186000000",
    b"1e400",
    b"null",
    b'{"$":"2026-03-10T23:40:00Z"}',
)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("dialect", ["dce", "stock"])
def test_a_time_that_is_none_is_a_dead_letter_and_no_witness(
    dialect: Any, odd: bytes, clock: FakeClock, tmp_path: Path
) -> None:
    with Opencast(clock, dialect=dialect) as opencast:
        fill(opencast)
        created = opencast.table._by_id[1010].created.strftime('"created":"%Y-%m-%dT%H:%M:%SZ"').encode()
        opencast.spoil[created] = b'"created":' + odd
        harvesting = Harvesting(opencast, tmp_path)
        counts = harvesting.run(START, END)
        assert counts.dead == 1
        assert harvesting.delivered == opencast.within(START, END) - Counter([1010])
        assert harvesting.reached == END


@pytest.mark.parametrize("dialect", ["dce", "stock"])
@pytest.mark.parametrize("hour", [4, 12, 23])
@pytest.mark.parametrize(
    ("ours", "theirs"), [("UTC", "Europe/London"), ("Europe/London", "UTC"), ("America/Jamaica", "America/New_York")]
)
def test_a_zone_that_is_another_in_summer_only_is_refused_on_a_quiet_server_too(
    ours: str, theirs: str, hour: int, dialect: Any, clock: FakeClock, tmp_path: Path
) -> None:
    """One action in months, and the oldest in the table is of the winter, when both zones have one offset."""
    moment = datetime(2026, 7, 15, hour, 30, 30, tzinfo=UTC)
    clock.advance((moment + timedelta(seconds=30) - clock.now()).total_seconds())
    with Opencast(clock, dialect=dialect, timezone=theirs) as opencast:
        opencast.add_rows([row(1, datetime(2026, 1, 10, 12, 0, 31, tzinfo=UTC)), row(2, moment)])
        harvesting = Harvesting(opencast, tmp_path, zone=ours)
        with pytest.raises(ConfigError, match="OPENCAST_TIMEZONE"):
            harvesting.run(moment - MINUTE, moment + timedelta(seconds=30))
        assert harvesting.reached is None


def test_a_count_below_what_is_shown_is_no_end(clock: FakeClock, tmp_path: Path) -> None:
    with Opencast(clock) as opencast:
        fill(opencast)
        opencast.spoil[b'"total":12'] = b'"total":7'
        deliver(opencast, tmp_path)
