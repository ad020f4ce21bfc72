"""Processes are told apart by their start, and ended for sure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters import process as identity
from harvesters.dev.process import ServerProcess, start_time

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        yield child
        child.kill()


def test_a_process_is_the_one_that_it_was(sleeper: subprocess.Popen[bytes]) -> None:
    assert ServerProcess.of(sleeper.pid).alive
    assert ServerProcess.of(sleeper.pid) == ServerProcess.of(sleeper.pid)
    assert ServerProcess.of(sleeper.pid).started != ServerProcess.of(1).started


def test_another_process_with_the_same_number_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    earlier = ServerProcess(sleeper.pid, "an earlier start")
    assert not earlier.alive
    assert not earlier.stop()
    assert sleeper.poll() is None


def test_a_process_that_waits_to_be_reaped_has_ended(sleeper: subprocess.Popen[bytes]) -> None:
    process = ServerProcess.of(sleeper.pid)
    assert process.stop()
    assert not process.alive
    assert start_time(sleeper.pid) is None
    assert not process.stop()


def test_a_number_that_nobody_has_belongs_to_no_process() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert not ServerProcess.of(child.pid).alive


def test_one_that_ignores_sigterm_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert ServerProcess.of(child.pid).stop(grace=0.1)
        assert child.wait() == -9


def test_where_there_is_no_proc_ps_is_asked(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_BOOT_ID", tmp_path / "none")
    assert ServerProcess.of(sleeper.pid).alive
    assert str(ServerProcess.of(os.getpid()).started).count(":") == 2
    process = ServerProcess.of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert not process.alive
