"""What only files and pipes do: torn appends, several appenders, readers that leave."""

from __future__ import annotations

import errno
import fcntl
import gzip
import io
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvesters.errors import ConfigError, ReaderGone, SinkUnavailable, Unavailable
from harvesters.sinks.jsonl import FileSink, StdoutSink
from harvesters.stores.file import FileBlob
from tests.conformance.test_sink import ids, lines_of
from tests.samples import document, documents

ROOT = Path(__file__).resolve().parents[2]

# Appends batches in a forked child that is killed at its n-th step on the file system, a write after half of its
# bytes; for each n until a child comes through. What a child's sink acknowledged it has written to a pipe before.
KILLED_AT_EVERY_STEP = """
import json, os, signal, sys
from pathlib import Path
from harvesters.sinks import jsonl
from tests.samples import documents

def killed(step, path, acknowledged):
    steps = 0
    real = {name: getattr(os, name) for name in ("write", "fsync", "open")}
    unlink = Path.unlink
    def counted(act, half=None):
        def call(*args, **named):
            nonlocal steps
            steps += 1
            if steps == step:
                if half is not None:
                    half(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args, **named)
        return call
    os.write = counted(real["write"], lambda handle, data: real["write"](handle, data[: len(data) // 2]))
    os.fsync = counted(real["fsync"])
    os.open = counted(real["open"])
    Path.unlink = counted(unlink)
    sink = jsonl.FileSink(path)
    for first in (0, 3):
        batch = documents(3, first)
        sink.send(batch)
        real["write"](acknowledged, b"".join(b"%s\\n" % document.id.encode() for document in batch))
    os._exit(0)

for step in range(1, 200):
    path = Path(sys.argv[1]) / f"{step:03}.jsonl{sys.argv[2]}"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        killed(step, path, writer)
    os.close(writer)
    acknowledged = os.fdopen(reader, "rb").read().split()
    _, status = os.waitpid(child, 0)
    print(json.dumps([path.name, [id.decode() for id in acknowledged]]))
    if status == 0:
        break
"""


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_killed_at_any_step_the_file_holds_what_was_acknowledged_and_nothing_torn(tmp_path: Path, suffix: str) -> None:
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path), suffix]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.splitlines()
    assert len(lines) > 10
    torn = 0
    for name, acknowledged in map(orjson.loads, lines):
        path = tmp_path / name
        torn += path.exists() and (path.parent / f".{name}.append").exists()
        again = FileSink(path)
        again.identity()
        kept = ids(lines_of(path))
        assert kept[: len(acknowledged)] == acknowledged, name
        assert len(kept) % 3 == 0, "half a batch"
        again.send(documents(1, first=90))
        assert ids(lines_of(path)) == [*kept, "90"]
    assert torn > 2, "no child was killed in the middle of an append"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_torn_end_is_removed_by_the_next_append_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    FileSink(path).send(documents(2))
    whole = path.stat()
    (tmp_path / f".{path.name}.append").write_bytes(orjson.dumps({"inode": whole.st_ino, "size": whole.st_size}))
    with path.open("ab") as file:
        file.write(gzip.compress(b'{"action_id":"half')[:-4] if suffix else b'{"action_id":"half')
    FileSink(path).send(documents(1, first=2))
    assert ids(lines_of(path)) == ["0", "1", "2"]


def test_a_note_about_another_file_cuts_nothing_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    FileSink(path).send(documents(2))
    (tmp_path / ".a.jsonl.append").write_bytes(orjson.dumps({"inode": path.stat().st_ino + 1, "size": 3}))
    FileSink(path).send(documents(1, first=2))
    assert ids(lines_of(path)) == ["0", "1", "2"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_several_may_append_to_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"

    def append(first: int) -> None:
        sink = FileSink(path)
        for at in range(first, first + 30, 3):
            sink.send(documents(3, at))

    threads = [threading.Thread(target=append, args=(number * 30,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ids(lines_of(path)) == [str(number) for number in range(120)]


def test_before_it_is_acknowledged_it_is_on_the_disk_and_its_note_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, note = tmp_path / "a.jsonl", tmp_path / ".a.jsonl.append"
    synced: list[tuple[str, int, bool]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{handle}"), path.stat().st_size, note.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    FileSink(path).send(documents(1))
    size = path.stat().st_size
    assert synced == [(str(note), 0, True), (str(path), size, True), (str(tmp_path), size, False)]


def test_a_missing_or_empty_file_is_fresh_and_a_path_is_one_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert FileSink(Path("a.jsonl")).identity() == (f"file:{tmp_path}/a.jsonl", True)
    Path("a.jsonl").touch()
    assert FileSink(tmp_path / "x" / ".." / "a.jsonl").identity() == (f"file:{tmp_path}/a.jsonl", True)
    FileSink(Path("a.jsonl")).send(documents(1))
    assert FileSink(Path("a.jsonl")).identity() == (f"file:{tmp_path}/a.jsonl", False)


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, SinkUnavailable), (errno.EIO, SinkUnavailable), (errno.EROFS, ConfigError)]
)
def test_a_disk_that_is_full_is_another_matter_than_one_that_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    def full(handle: int, data: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(error, match=r"a\.jsonl cannot be written: "):
        FileSink(tmp_path / "a.jsonl").send(documents(1))


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Give --output a file"):
        FileSink(tmp_path).send(documents(1))


def test_a_pipe_that_its_reader_closed_ends_the_run_quietly() -> None:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "wb")
    sink = StdoutSink(stream)
    sink.send(documents(1))
    os.close(reader)
    with pytest.raises(ReaderGone) as gone:
        sink.send([document("1", text="x" * 100_000)])
    assert gone.value.code == 0
    with suppress(BrokenPipeError):
        stream.close()


def test_a_reader_that_left_after_the_last_line_is_noticed_at_the_end() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        sink = StdoutSink(stream)
        sink.send(documents(1))
        sink.finish()
        os.close(reader)
        with pytest.raises(ReaderGone):
            sink.finish()


def test_what_is_no_pipe_has_no_reader_to_lose(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    for stream in (buffer, (tmp_path / "out").open("wb")):
        with stream:
            sink = StdoutSink(stream)
            sink.send(documents(1))
            sink.finish()
            sink.close()
            assert not stream.closed


def test_standard_output_is_the_default_and_flushed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    StdoutSink(sys.__stdout__.buffer).send(documents(1))  # type: ignore[union-attr, arg-type]
    assert capfdbinary.readouterr().out.splitlines()[-1] == b'{"action_id":"0"}'


def test_the_writer_of_lines_writes_on_after_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:5]))
    FileSink(tmp_path / "a.jsonl").send(documents(4))
    assert ids(lines_of(tmp_path / "a.jsonl")) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("unbuffered", [False, True])
def test_onto_a_pipe_that_does_not_block_every_byte_is_written(unbuffered: bool) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    taken: list[bytes] = []

    def read_slowly() -> None:
        while chunk := os.read(reader, 3000):
            taken.append(chunk)

    thread = threading.Thread(target=read_slowly, daemon=True)
    with os.fdopen(writer, "wb", buffering=0 if unbuffered else -1) as stream:
        thread.start()
        StdoutSink(stream).send([document(str(number), text="x" * 1000) for number in range(1000)])
    thread.join(60)
    assert [orjson.loads(line)["action_id"] for line in b"".join(taken).splitlines()] == [*map(str, range(1000))]
    os.close(reader)


def test_a_stream_that_takes_a_part_at_a_time_gets_all() -> None:
    class Sparing(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:7])

    stream = Sparing()
    StdoutSink(stream).send(documents(4))
    assert ids(stream.getvalue().splitlines()) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_standard_output_that_cannot_be_written_is_69(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, data: Any) -> int:
        raise OSError(code, os.strerror(code))

    with (tmp_path / "out").open("wb") as stream:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(SinkUnavailable) as failed:
            StdoutSink(stream).send(documents(1))
    assert failed.value.code == 69


def test_standard_output_that_was_closed_from_the_beginning_has_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ReaderGone):
        StdoutSink().send(documents(1))


def test_who_waited_for_a_file_that_was_replaced_appends_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    FileSink(path).send(documents(1))
    real = fcntl.flock
    replaced: list[bool] = []

    def replaced_meanwhile(handle: int, operation: int) -> None:
        real(handle, operation)
        if not replaced:
            replaced.append(True)
            (tmp_path / "new").write_bytes(b"")
            (tmp_path / "new").replace(path)

    monkeypatch.setattr(fcntl, "flock", replaced_meanwhile)
    FileSink(path).send(documents(1, first=1))
    assert ids(lines_of(path)) == ["1"]


def test_a_full_disk_names_the_directory_and_the_state_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = FileBlob(tmp_path / "state" / "last")
    etag = blob.write(b"before", None)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match=f"Make room in {tmp_path}/state"):
        blob.write(b"after", etag)
    assert (tmp_path / "state" / "last").read_bytes() == b"before"
    assert not (tmp_path / "state" / ".last.new").exists()
    with pytest.raises(SinkUnavailable, match=f"Make room in {tmp_path}/out"):
        FileSink(tmp_path / "out" / "a.jsonl").send(documents(1))
