"""The access log read in pieces, from anywhere, while it grows."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from math import isclose, log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.errors import ConfigError
from harvesters.listings import hot
from harvesters.listings.accesslog import AccessLog
from harvesters.listings.logfiles import LogFiles
from harvesters.listings.logreader import Position, Views, pieces

DAY = 86_400.0
Batch = list[tuple[int, str]]  # minute and listing of each view

_ids = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=6)
_batches = st.lists(
    st.lists(
        st.tuples(st.sampled_from([29_000_000, 29_000_001, 29_000_720, 28_000_000, 31_000_000]), _ids), max_size=6
    ),
    max_size=8,
)


def write(log: AccessLog, batch: Batch) -> None:
    lines = "".join(f"u\t{item}\n" for _, item in batch).encode()
    done = log.offsets.topics.get("T", {}).get(0, 0)
    log.append(lines, [(minute, 1) for minute, _ in batch], "T", {0: done + len(batch)})


def wanted(batches: list[Batch], half_life: float) -> dict[str, Views]:
    sums: dict[str, list[float]] = defaultdict(list)
    for minute, item in (view for batch in batches for view in batch):
        sums[item].append(hot.weight(minute, half_life))
    return {
        item: Views(len(all), log2(sum(2.0 ** (one - max(all)) for one in all)) + max(all))
        for item, all in sums.items()
    }


def same(found: dict[str, Views], expected: dict[str, Views]) -> bool:
    return found.keys() == expected.keys() and all(
        found[item].number == views.number and isclose(found[item].hot, views.hot, rel_tol=1e-12, abs_tol=1e-9)
        for item, views in expected.items()
    )


@given(
    batches=_batches,
    size=st.integers(70, 200),
    most=st.none() | st.integers(1, 60),
    often=st.booleans(),
    half_life=st.sampled_from([1.0, DAY, 1e9]),
)
def test_every_view_is_read_once_however_the_log_is_cut_into_files_and_pieces(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[Batch],
    size: int,
    most: int | None,
    often: bool,
    half_life: float,
) -> None:
    """Once at the end, or after each batch from where the last reading ended. Ids hold any separator but line feeds.

    Views are up to five years apart, which are 158 million half-lives of a second.
    """
    files = LogFiles(tmp_path_factory.mktemp("log") / "access.log")
    found: dict[str, Views] = {}
    at = Position()

    def read() -> None:
        nonlocal at
        offsets = files.load()
        assert offsets is not None
        for piece in pieces(files, offsets, at, half_life, size):
            assert piece.lines == sum(views.number for views in piece.views.values())
            for id, views in piece.views.items():
                item = id.decode()
                found[item] = found[item].with_more(views) if item in found else views
            at = piece.end

    with AccessLog(files, most) as log:
        for batch in batches:
            write(log, batch)
            if often:
                read()
    read()
    assert same(found, wanted(batches, half_life))


def test_nothing_new_is_no_piece(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "access.log")
    with AccessLog(files, most=8) as log:
        for item in "abc":
            write(log, [(5, item), (6, item)])
        (*_, last) = pieces(files, log.offsets, Position(), DAY)
        assert [*pieces(files, log.offsets, last.end, DAY)] == []
        write(log, [(6, "d")])
        (only,) = pieces(files, log.offsets, last.end, DAY)
        assert only.views.keys() == {b"d"}


def test_a_closed_file_that_was_read_may_be_removed(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "access.log")
    with AccessLog(files, most=4) as log:
        for item in "abc":
            write(log, [(5, item)])
        first, *_ = pieces(files, log.offsets, Position(), DAY)
        files.closed(1).unlink()
        assert [*next(pieces(files, log.offsets, first.end, DAY)).views] == [b"b"]
        with pytest.raises(ConfigError, match=r"access\.log\.1 is not there"):
            next(pieces(files, log.offsets, Position(), DAY))


def test_one_piece_is_in_memory_at_a_time(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "access.log")
    with AccessLog(files) as log:
        for batch in range(8):
            write(log, [(5, f"{batch} {number}") for number in range(2000)])
        size = log.offsets.size // 8

        def peak(begin: Position) -> int:
            tracemalloc.start()
            for piece in pieces(files, log.offsets, begin, DAY, size):
                del piece
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        assert peak(Position()) < 1.2 * peak(Position(1, 7 * size, lines=7 * 2000))


@pytest.mark.parametrize("content", [b"", b"5\t1\n6\t1\n", b"5\t1\nsix\t7\n7\t1\n"])
def test_times_that_do_not_fit_the_lines_are_an_error(tmp_path: Path, content: bytes) -> None:
    files = LogFiles(tmp_path / "access.log")
    with AccessLog(files) as log:
        write(log, [(5, "a"), (6, "b"), (6, "b"), (7, "c"), (8, "d")])
        files.times.write_bytes(content.ljust(log.offsets.times, b" "))
        with pytest.raises(ConfigError, match="times"):
            list(pieces(files, log.offsets, Position(), DAY))
