"""The access log and its offsets: what is there for good, what is cut off, what is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harvesters import files as harvest_files
from harvesters.errors import ConfigError, LeaseHeld, SinkUnavailable
from harvesters.listings.accesslog import AccessLog, Run
from harvesters.listings.logfiles import LogFiles
from harvesters.listings.logreader import Position, pieces
from harvesters.listings.offsets import Offsets
from harvesters.settings import Settings

DAY = 86_400.0


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path / "logs" / "access.log")


def append(log: AccessLog, *lines: str, offset: int | None = None, runs: list[Run] | None = None) -> None:
    """Add lines of user 'u'; their offsets count on in partition 0 of topic T."""
    before = log.offsets.topics.get("T", {}).get(0, 0)
    after = before + len(lines) if offset is None else offset
    data = "".join(f"u\t{line}\n" for line in lines).encode()
    log.append(data, runs if runs is not None else [(100, len(lines))] * bool(lines), "T", {0: after})


def items(files: LogFiles) -> list[str]:
    """The listings in all files, the oldest first, as far as the offsets vouch for them."""
    offsets = files.load()
    assert offsets is not None
    found: list[str] = []
    for number in range(1, offsets.number + 1):
        with files.opened(offsets, number) as file:
            data = file.read() if number < offsets.number else file.read(offsets.size)
        found += [line.split("\t")[1] for line in data.decode().split("\n")[:-1]]
    return found


def counted(files: LogFiles) -> dict[str, int]:
    offsets = files.load()
    assert offsets is not None
    total: Counter[str] = Counter()
    for piece in pieces(files, offsets, Position(), DAY):
        total.update({id.decode(): views.number for id, views in piece.views.items()})
    return dict(total)


def test_lines_and_offsets_are_there_for_the_next_process(files: LogFiles) -> None:
    with AccessLog(files) as log:
        assert log.fresh
        append(log, "1", "2")
        append(log, "1")
    assert files.path.read_bytes() == b"u\t1\nu\t2\nu\t1\n"
    with AccessLog(files) as log:
        assert not log.fresh
        assert log.offsets.topics == {"T": {0: 3}}
        append(log, "3")
    assert items(files) == ["1", "2", "1", "3"]
    assert counted(files) == {"1": 2, "2": 1, "3": 1}


def test_what_the_offsets_do_not_vouch_for_is_cut_off(files: LogFiles) -> None:
    with AccessLog(files) as log:
        append(log, "1")
        append(log, "2", runs=[(101, 1)])
    for path in (files.path, files.times):
        with path.open("ab") as file:
            file.write(b"u\t3\nu\t")
    assert items(files) == ["1", "2"]
    with AccessLog(files) as log:
        append(log, "3", runs=[(102, 1)])
    assert items(files) == ["1", "2", "3"]
    assert files.times.read_bytes() == b"100\t1\n101\t1\n"
    assert counted(files) == {"1": 1, "2": 1, "3": 1}


@contextmanager
def untouched(files: LogFiles) -> Iterator[None]:
    def all_files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in files.path.parent.iterdir() if path != files.lock}

    before = all_files()
    with pytest.raises(ConfigError) as caught:
        yield
    assert "Put back" in str(caught.value) or "move it away" in str(caught.value)
    assert all_files() == before


@pytest.mark.parametrize("rotated", [False, True])
def test_lines_without_offsets_are_left_alone(files: LogFiles, rotated: bool) -> None:
    with AccessLog(files, most=4) as log:
        append(log, "1")
        append(log, "2")
    files.offsets.unlink()
    if rotated:
        files.path.unlink()
    with untouched(files), AccessLog(files):
        pass
    with pytest.raises(ConfigError):
        files.load()


def test_a_later_file_without_offsets_is_left_alone_too(files: LogFiles) -> None:
    """The oldest one was counted, and removed."""
    files.path.parent.mkdir()
    files.closed(2).write_bytes(b"u\t1\n")
    with untouched(files), AccessLog(files):
        pass
    files.closed(2).rename(files.path.with_name("access.log.2.gz"))
    with AccessLog(files) as log:
        append(log, "1")


def test_a_link_to_a_log_stays_one(tmp_path: Path) -> None:
    """All files lie where the log does."""
    (tmp_path / "large disk").mkdir()
    link = tmp_path / "access.log"
    link.symlink_to(tmp_path / "large disk" / "access.log")
    files = LogFiles.of(Settings({"ACCESS_LOG": str(link)}))
    with AccessLog(files, most=4) as log:
        append(log, "1")
        append(log, "2")
    assert link.is_symlink()
    assert link.read_bytes() == b"u\t2\n"
    assert files.closed(1) == tmp_path / "large disk" / "access.log.1"
    assert items(files) == ["1", "2"]


@pytest.mark.parametrize("name", ["access.log", "access.log.times", "access.log.1"])
@pytest.mark.parametrize("what", ["gone", "shorter"])
def test_files_that_are_shorter_than_the_offsets_say_are_left_alone(files: LogFiles, name: str, what: str) -> None:
    with AccessLog(files, most=9) as log:
        append(log, "1", "2")
        append(log, "3", runs=[(101, 1)])
    path = files.path.with_name(name)
    if what == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size - 1)
    if (name, what) == ("access.log.1", "gone"):  # somebody has no use for it any more
        with AccessLog(files) as log:
            append(log, "4")
        return
    with untouched(files), AccessLog(files):
        pass


def test_offsets_that_are_none_are_left_alone(files: LogFiles) -> None:
    files.path.parent.mkdir()
    for content in (b"", b"[]", b'{"log":"x"}', b'{"log":1,"bytes":"many","closed":[],"times":{},"offsets":{}}'):
        files.offsets.write_bytes(content)
        with untouched(files), AccessLog(files):
            pass


def test_a_batch_that_would_go_past_the_limit_begins_a_new_file(files: LogFiles) -> None:
    with AccessLog(files, most=12) as log:
        for number in range(7):
            append(log, str(number))
        append(log, *"abcdefgh")
        append(log, "z")
    sizes = [files.closed(number).stat().st_size for number in range(1, 5)]
    assert sizes == [12, 12, 4, 32]
    assert files.path.read_bytes() == b"u\tz\n"
    assert items(files) == [*"0123456abcdefghz"]
    assert counted(files) == dict.fromkeys("0123456abcdefghz", 1)


def test_a_file_in_the_way_is_left_alone(files: LogFiles) -> None:
    with AccessLog(files, most=4) as log:
        append(log, "1")
        files.closed(1).write_bytes(b"somebody else's")
        with untouched(files):
            append(log, "2")
    with untouched(files), AccessLog(files, most=4):
        pass
    files.closed(1).unlink()
    with AccessLog(files, most=4) as log:
        append(log, "2")
    assert items(files) == ["1", "2"]


def test_one_process_writes_a_log(files: LogFiles) -> None:
    with AccessLog(files) as log:
        append(log, "1")
        script = f"""
import pathlib
from harvesters.listings.accesslog import AccessLog
from harvesters.listings.logfiles import LogFiles
with AccessLog(LogFiles(pathlib.Path({str(files.path)!r}))):
    pass
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "LeaseHeld" in done.stderr
        with pytest.raises(LeaseHeld, match=str(files.lock)), AccessLog(files):
            pass
        append(log, "2")
    with AccessLog(files):
        pass


@pytest.mark.parametrize("how", ["moved", "cut", "written", "offsets"])
def test_a_log_that_somebody_else_changes_is_not_written_any_more(files: LogFiles, how: str) -> None:
    with AccessLog(files) as log:
        append(log, "1", "2")
        if how == "moved":
            files.path.rename(files.closed(1))
        elif how == "cut":
            os.truncate(files.path, 4)
        elif how == "written":
            with files.path.open("ab") as file:
                file.write(b"x\ty\n")
        else:
            files.offsets.unlink()
        with untouched(files):
            append(log, "3")


def test_a_log_that_logrotate_took_while_nothing_ran_is_taken_back(files: LogFiles) -> None:
    with AccessLog(files) as log:
        append(log, "1", "2")
    files.path.rename(files.closed(1))
    assert items(files) == ["1", "2"]
    with AccessLog(files) as log:
        append(log, "3")
    assert items(files) == ["1", "2", "3"]


def test_a_full_disk_loses_nothing(files: LogFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    with AccessLog(files) as log:
        append(log, "1")
        write_all = harvest_files.write_all

        def half(handle: int, data: bytes) -> None:
            write_all(handle, data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(harvest_files, "write_all", half)
        with pytest.raises(SinkUnavailable, match="Make room"):
            append(log, "2", "3")
        monkeypatch.undo()
    with AccessLog(files) as log:
        assert log.offsets.topics == {"T": {0: 1}}
        append(log, "2", "3")
    assert items(files) == ["1", "2", "3"]


def test_offsets_without_lines_are_kept_too(files: LogFiles) -> None:
    with AccessLog(files) as log:
        log.append(b"", (), "T", {0: 7, 1: 0})
        log.append(b"", (), "U", {0: 3})
    with AccessLog(files) as log:
        assert log.offsets.topics == {"T": {0: 7, 1: 0}, "U": {0: 3}}
    assert items(files) == []


def test_lines_are_on_the_disk_before_the_offsets_say_so(files: LogFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut takes what was not synced, which a kill does not."""
    done: list[str] = []

    def noting(owner: Any, name: str, what: str) -> None:
        original = getattr(owner, name)

        def noted(target: Any, *rest: Any) -> Any:
            path = target if not isinstance(target, int) else Path(os.readlink(f"/proc/self/fd/{target}"))
            done.append(f"{what} {path.name}")
            return original(target, *rest)

        monkeypatch.setattr(owner, name, noted)

    noting(os, "fsync", "sync")
    noting(harvest_files, "write_all", "write")
    noting(harvest_files, "replace", "replace")
    noting(os, "replace", "rename")
    with AccessLog(files, most=4) as log:
        done.clear()
        append(log, "1")
        append(log, "2", runs=[(101, 1)])
    offsets = [
        "replace access.log.offsets",
        "sync .access.log.offsets.new",
        "rename .access.log.offsets.new",
        "sync logs",
    ]
    assert done == [
        *("write access.log", "sync access.log", *offsets),
        *(
            "rename access.log",
            "write access.log",
            "sync access.log",
            "write access.log.times",
            "sync access.log.times",
        ),
        *("sync logs", *offsets),
    ]


class Killed(Exception):
    """In the place of a SIGKILL."""


def steps(monkeypatch: pytest.MonkeyPatch, kill_at: int) -> list[str]:
    """Have the process end at step number `kill_at` of those that change files; returns the steps."""
    taken: list[str] = []

    def step(name: str) -> None:
        taken.append(name)
        if len(taken) == kill_at:
            raise Killed

    def around(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def stepped(*args: Any, **named: Any) -> Any:
            step(name)
            if name == "write_all":
                handle, data = args
                original(handle, data[: len(data) // 2])
                step("half of write_all")
                return original(handle, data[len(data) // 2 :])
            return original(*args, **named)

        monkeypatch.setattr(owner, name, stepped)

    around(harvest_files, "write_all")
    around(harvest_files, "replace")
    for name in ("fsync", "replace", "ftruncate"):
        around(os, name)
    return taken


def test_a_process_killed_at_any_step_leaves_every_line_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is known by the offsets alone; the next process goes on there. It is killed as well."""
    wanted = [str(number) for number in range(9)]

    def write(files: LogFiles) -> None:
        with AccessLog(files, most=9) as log:
            while (done := log.offsets.topics.get("T", {}).get(0, 0)) < len(wanted):
                lines = wanted[done : done + 2]
                append(log, *lines, runs=[(200 + done + at, 1) for at in range(len(lines))])

    kills = 0
    for first in range(1, 1000):
        files = LogFiles(tmp_path / str(first) / "access.log")
        with monkeypatch.context() as patch:
            taken = steps(patch, first)
            try:
                write(files)
            except Killed:
                kills += 1
        if len(taken) < first:
            break
        for second in (3, 6):
            with monkeypatch.context() as patch:
                steps(patch, second)
                try:
                    write(files)
                except Killed:
                    kills += 1
            if files.offsets.exists():
                assert [*counted(files)] == items(files), "what is vouched for can be counted at any time"
        write(files)
        assert items(files) == wanted, f"killed at step {first}, {taken[-1]}"
        assert counted(files) == dict.fromkeys(wanted, 1)
        assert files.times.read_bytes() == b"".join(b"%d\t1\n" % (200 + at) for at in range(8))
    assert kills > 100


def test_a_reader_finds_the_right_file_while_one_is_closed(files: LogFiles) -> None:
    """Between its new name and the offsets that say so."""
    with AccessLog(files) as log:
        append(log, "1", "2")
    files.path.rename(files.closed(1))
    files.path.write_bytes(b"u\t9\nu\t8\nu\t7\n")  # the next batch, which nothing vouches for
    assert items(files) == ["1", "2"]
    with AccessLog(files) as log:
        append(log, "3")
    assert items(files) == ["1", "2", "3"]


def test_offsets_read_back_what_they_say() -> None:
    offsets = Offsets("x", 5, (7, 8), 9, 10, 11, {"T": {0: 1, 12: 3}})
    assert Offsets.decode(offsets.encode()) == offsets


@pytest.mark.parametrize("number", [-1, 10**30, 1.5, True, "1"])
def test_offsets_that_no_log_has_are_refused(number: Any) -> None:
    said = json.loads(Offsets("x", 5, (7,), 9, 10, 11, {"T": {0: 1}}).encode())
    for wrong in ({"bytes": number}, {"closed": [number]}, {"offsets": {"T": {"0": number}}}):
        with pytest.raises(ConfigError):
            Offsets.decode(json.dumps({**said, **wrong}).encode())
    for name in said["times"]:
        with pytest.raises(ConfigError):
            Offsets.decode(json.dumps({**said, "times": {**said["times"], name: number}}).encode())


def test_what_is_no_file_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/", "/dev/null", tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="ACCESS_LOG"):
            LogFiles.of(Settings({"ACCESS_LOG": str(path)}))
