"""What is kept of the events, and where."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harvesters.errors import ConfigError, Interrupted
from harvesters.insights.calendar import Calendar
from harvesters.insights.events import COUNTED, NO_OBJECT, REMOVED, SYSTEM, UNDATED, Row
from harvesters.insights.history import History
from harvesters.insights.store import LeftOut, Store
from tests.insights.made import NOW, UTC_ZONE, ms

AT = ms("2016-01-01T10:00:00")


@pytest.fixture
def store() -> Store:
    return Store(Calendar(UTC_ZONE), "256MB")


def keys(store: Store, end: int | None = None) -> list[tuple[str, str]]:
    return History(store, end, ()).ask("SELECT key, type FROM event ORDER BY key", {})


def test_a_key_that_comes_again_takes_the_place_of_the_earlier(store: Store) -> None:
    with store:
        store.add([Row("a", COUNTED, AT, "old"), Row("b", COUNTED, AT, "old"), Row("c", COUNTED, AT, "old")])
        store.add([Row("a", COUNTED, AT, "new"), Row("b", REMOVED), Row("c", SYSTEM), Row("a", COUNTED, AT, "newest")])
        assert not store.settle(NOW)
        assert keys(store) == [("a", "newest")]
        store.add([Row("a", UNDATED), Row("d", COUNTED, AT, "later")])
        assert store.settle(NOW) == LeftOut(1, 0, 0)
        assert keys(store) == [("d", "later")]


def test_what_is_left_out_is_counted(store: Store) -> None:
    with store:
        store.add([Row("a", UNDATED), Row("b", NO_OBJECT), Row("c", COUNTED, NOW), Row("d", COUNTED, NOW + 1)])
        left_out = store.settle(NOW)
        assert left_out == LeftOut(undated=1, future=1, no_object=1)
        assert keys(store) == [("c", "")]
        assert History(store, None, ()).as_of == NOW + 1


def test_as_of_is_after_the_last_event_that_counts(store: Store) -> None:
    with store:
        store.add([Row("a", COUNTED, AT, school="osu"), Row("b", COUNTED, AT + 5, school="test"), Row("c", SYSTEM)])
        store.settle(NOW)
        assert History(store, None, ("test",)).as_of == AT + 1
        assert History(store, None, ()).as_of == AT + 6
        assert History(store, AT + 50, ()).as_of == AT + 50
        assert History(store, AT, ()).ask("FROM event", {}) == []


def test_more_than_memory_holds_is_spilled_and_nothing_of_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Store(Calendar(UTC_ZONE), "24MB") as store:
        store.add(
            Row(f"key-{number:040}", COUNTED, AT + number, "x" * 40, f"{number:040}") for number in range(120_000)
        )
        assert [file for file in tmp_path.rglob("*") if file.is_file()]
        store.settle(NOW)
        assert store.connection.execute("SELECT count(*) FROM told").fetchone() == (120_000,)
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_fetched_from_a_network(store: Store) -> None:
    with store:
        for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
            assert store.connection.execute(f"SELECT current_setting('{name}')").fetchone() == (False,)


@pytest.mark.parametrize("memory", ["1MB", "5MB"])  # it ends at once, or while a batch is committed
def test_memory_that_is_not_enough_is_named(memory: str) -> None:
    with Store(Calendar(UTC_ZONE), memory) as store, pytest.raises(ConfigError, match="HARVEST_INSIGHTS_MEMORY"):
        store.add(Row(f"key-{number:040}", COUNTED, AT + number, "x" * 40, f"{number:040}") for number in range(60_000))


def test_filling_ends_when_told_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    with Store(Calendar(UTC_ZONE), "64MB", stop) as store, pytest.raises(Interrupted):
        store.add([Row("a", COUNTED, AT)])


def test_halves_of_surrogate_pairs_become_what_they_are_in_the_index(store: Store) -> None:
    with store:
        store.add([Row("a", COUNTED, AT, "x\ud83dy")])
        store.settle(NOW)
        assert keys(store) == [("a", "x\ufffdy")]


def test_few_events_have_one_thread_and_many_have_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> int:
        store.settle(NOW)
        return int(store.connection.execute("SELECT current_setting('threads')").fetchall()[0][0])

    with store:
        store.connection.execute("RESET threads")
        all_of_them = int(store.connection.execute("SELECT current_setting('threads')").fetchall()[0][0])
        store.add([Row("a", COUNTED, AT), Row("b", COUNTED, AT)])
        assert threads() == 1
        monkeypatch.setattr("harvesters.insights.store._ALONE", 1)
        assert threads() == all_of_them
