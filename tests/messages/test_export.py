"""What an export does whatever it is asked for: bounded memory, whole files, a bar that goes forward."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harvesters.errors import ConfigError
from harvesters.messages.exports.export import Asked, Export
from harvesters.messages.exports.files import whole_files
from harvesters.messages.exports.once import Once
from harvesters.messages.platform import Platform
from harvesters.messages.windows import Bounds
from harvesters.simulators.wenet import generate
from harvesters.simulators.wenet.server import WenetSimulator
from tests.clocks import patient

ROOT = Path(__file__).parent.parent.parent
START, END = datetime(2021, 7, 1, tzinfo=UTC), datetime(2021, 7, 11, tzinfo=UTC)
WORLD = generate.generate(20, 40, START, END)


class Made:
    """A source of so many messages."""

    def __init__(self, count: int) -> None:
        self.count = count

    def messages(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        return (one for one in generate.messages(WORLD, self.count, START, END) if kind in (None, one["type"]))

    def segments(self, metric: str) -> Mapping[str, int]:
        return {}

    def users(self, metric: str) -> int:
        return 0


def export(folder: Path, count: int, show: Any = lambda part, text: None, **files: str) -> None:
    asked = Asked(**{kind: folder / name for kind, name in files.items()})
    with WenetSimulator(WORLD) as simulator, Platform(simulator.url, simulator.key, patient()) as platform:
        bounds = Bounds(START, END)
        ids = generate.ILOG, generate.SURVEY
        Export(asked, generate.APP, bounds, UTC, Made(count), platform, *ids, show).write()


EVERY = {
    "analytics": "counts.csv",
    "questions": "questions.csv",
    "users": "users.csv",
    "tasks": "tasks.json",
    "messages": "messages.json",
}


def test_memory_does_not_grow_with_the_messages(tmp_path: Path) -> None:
    peaks = []
    export(tmp_path, 100, **EVERY)  # imports and caches
    for count in (1000, 10_000):
        tracemalloc.start()
        export(tmp_path, count, **EVERY)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert len(json.loads((tmp_path / "messages.json").read_text())) == 10_000
    assert peaks[1] - peaks[0] < 500_000, "bytes, of 9,000 more messages of 400 bytes each"


def test_the_bar_goes_forward(tmp_path: Path) -> None:
    shown: list[tuple[float, str]] = []
    export(tmp_path, 2000, lambda part, text: shown.append((part, text)), **EVERY)
    texts = [text for _, text in shown]
    assert "1500 messages" in texts
    assert "profiles" in texts
    assert all(0 <= part <= 1 for part, _ in shown)
    assert max(part for part, _ in shown) == 1


def test_files_take_their_names_together(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        path.write_text("old")
    paths[0].chmod(0o600)

    def fail() -> None:
        with whole_files(paths) as streams:
            for stream in streams:
                stream.write("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.read_text() for path in paths] == ["old", "old"]
    with whole_files(paths) as streams:
        for stream in streams:
            stream.write("new\ud800")
        assert [path.read_text() for path in paths] == ["old", "old"]
    assert [path.read_text() for path in paths] == ["new\\ud800"] * 2
    assert paths[0].stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.iterdir()) == paths


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    link.symlink_to(real)
    with whole_files([link]) as (stream,):
        stream.write("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_place_that_cannot_be_written_is_named_before_the_block_begins(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "b.csv"
    with pytest.raises(ConfigError, match=r"missing/b\.csv cannot be written"), whole_files([tmp_path / "a.csv", path]):
        pytest.fail("it began")
    assert not [*tmp_path.iterdir()]


def test_messages_are_told_by_type_user_and_id() -> None:
    one = {"type": "request", "userId": 5, "messageId": "m"}
    with Once.opened() as once:
        assert once.is_new(one)
        assert not once.is_new({**one, "userId": "5", "timestamp": "another"})
        assert once.is_new({**one, "type": "response"})
        assert once.is_new({**one, "userId": None})
        assert once.is_new({"type": "request"})


def test_sigterm_ends_it_and_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text("old")
    command = [sys.executable, str(ROOT / "harvest.py"), "--env-file", os.devnull, "messages", "id_email"]
    with WenetSimulator(WORLD, latency=0.1) as simulator:
        names = {"INSTANCE": simulator.url, "APIKEY": simulator.key, "APP_ID": generate.APP, "FILE": str(path)}
        environment = {**os.environ, **names, "HARVEST_PLATFORM_PARALLEL": "1"}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            while len(simulator.requests) < 3:
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
    assert process.returncode == 75
    assert "told to stop" in log
    assert len(simulator.requests) < 20
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]
