"""What was counted, kept in a file that a killed process leaves as it was before or after."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from harvesters.errors import ConfigError, RaceLost, TryLater
from harvesters.listings import totals as module
from harvesters.listings.logreader import Position, Views
from harvesters.listings.totals import Totals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "access.log.counts"


def views(**numbers: int) -> dict[bytes, Views]:
    return {id.encode(): Views(number, 10.0) for id, number in numbers.items()}


def waiting_to_be_written(totals: Totals) -> dict[str, int]:
    return {total.id: total.visits for batch in totals.to_write() for total in batch}


def test_totals_grow_and_stay(path: Path) -> None:
    with Totals(path) as totals:
        totals.begin_anew("log", 60.0)
        totals.add(views(a=1, b=2), Position(1, 5))
        totals.add(views(a=3), Position(1, 9, 2, 1))
    with Totals(path) as totals:
        assert totals.progress.position == Position(1, 9, 2, 1)
        assert (totals.progress.log, totals.progress.half_life) == ("log", 60.0)
        assert waiting_to_be_written(totals) == {"a": 4, "b": 2}
        assert [total.hot for batch in totals.to_write() for total in batch] == [11.0, 10.0]


def test_what_is_written_is_not_written_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    with Totals(path) as totals:
        totals.begin_anew("log", 60.0)
        totals.add(views(a=1, b=2, c=3, d=4, e=5), Position(1, 1))
        first, second, _ = [*totals.to_write()]
        totals.settle(first, missing=["b"], left=[])
        totals.settle(second, missing=[], left=["d"])
        assert waiting_to_be_written(totals) == {"d": 4, "e": 5}
        assert totals.unwritten() == 3
        totals.write_again(["b", "c", "never viewed"])
        assert waiting_to_be_written(totals) == {"b": 2, "c": 3, "d": 4, "e": 5}
        totals.add(views(a=1), Position(1, 2))
        assert waiting_to_be_written(totals) == {"a": 2, "b": 2, "c": 3, "d": 4, "e": 5}


def test_an_index_that_is_another_one_gets_everything(path: Path) -> None:
    with Totals(path) as totals:
        totals.begin_anew("log", 60.0)
        totals.add(views(a=1, b=2), Position(1, 1))
        totals.write_all("index", 7)
        (batch,) = totals.to_write()
        totals.settle(batch, [], [])
        totals.searched(9)
        assert (totals.progress.index, totals.progress.seq_no) == ("index", 9)
        totals.write_all("another", 0)
        assert waiting_to_be_written(totals) == {"a": 1, "b": 2}


def test_a_process_killed_before_the_commit_has_counted_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    def kill(self: Totals) -> None:
        raise Killed

    with Totals(path) as totals:
        totals.begin_anew("log", 60.0)
        totals.add(views(a=1), Position(1, 1))
        with monkeypatch.context() as patch:
            patch.setattr(Totals, "_commit", kill)
            with pytest.raises(Killed):
                totals.add(views(a=1, b=1), Position(1, 2))
        assert totals.progress.position == Position(1, 1)
    with Totals(path) as totals:
        assert totals.progress.position == Position(1, 1)
        assert waiting_to_be_written(totals) == {"a": 1}


def test_who_was_frozen_counts_nothing_over_what_came_after_it(path: Path) -> None:
    with Totals(path) as frozen:
        frozen.begin_anew("log", 60.0)
        frozen.add(views(a=1), Position(1, 1))
        with Totals(path) as other:
            other.add(views(a=1), Position(1, 2))
        with pytest.raises(RaceLost):
            frozen.add(views(a=1), Position(1, 2))
        with Totals(path) as other:
            assert waiting_to_be_written(other) == {"a": 2}


def test_a_process_in_the_middle_of_a_change_is_waited_for_and_then_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    with Totals(path) as totals:
        totals.begin_anew("log", 60.0)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TryLater, match="another process"):
            totals.add(views(a=1), Position(1, 1))
        other.execute("ROLLBACK")
        other.close()
        totals.add(views(a=1), Position(1, 1))


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 100, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_broken_is_begun_anew(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with Totals(path) as totals:
        assert totals.progress.log == ""
        totals.begin_anew("log", 60.0)
        totals.add(views(a=1), Position(1, 1))
    assert "counted anew" in caplog.text


def test_a_file_that_cannot_be_made_is_78(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError), Totals(tmp_path / "file" / "access.log.counts"):
        pass
    (tmp_path / "directory").mkdir()
    with pytest.raises(ConfigError), Totals(tmp_path / "directory"):
        pass
