"""Signals, at the moments at which they used to be lost."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from harvesters.errors import Exit, Interrupted
from harvesters.indexing import run, workers
from tests.commandline import run_here
from tests.indexing.test_indexer import indexer

_CLEAN = multiprocessing.get_context("spawn")  # a fork of a process with threads may wait for ever


def _two_workers() -> None:
    """Two workers that wait to be told to stop; SIGTERM comes before the second one is started."""
    stop = threading.Event()

    def on_sigterm(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # as the command line does with the second one
        stop.set()

    def work() -> None:
        if stop.is_set():
            raise Interrupted("told once by its parent's signal, and soon a second time")
        if not stop.wait(20):
            raise Interrupted("never told")

    start = BaseProcess.start

    def told_and_started(process: BaseProcess) -> None:
        if process.name == "worker-2":
            signal.raise_signal(signal.SIGTERM)
        start(process)

    signal.signal(signal.SIGTERM, on_sigterm)
    BaseProcess.start = told_and_started  # type: ignore[method-assign, assignment]
    raise SystemExit(workers.run(2, work, stop))


def test_workers_that_start_while_the_command_is_told_end_in_order() -> None:
    process = _CLEAN.Process(target=_two_workers)
    process.start()
    process.join()
    assert process.exitcode == Exit.DONE


def test_what_tells_the_command_to_stop_tells_its_workers_from_their_first_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[threading.Event] = []

    def in_processes(count: int, work: Callable[[], None], stop: threading.Event, begun: Callable[[], object]) -> int:
        told.append(stop)
        work()  # as in a fork, which has the handlers of its parent
        return 0

    monkeypatch.setattr(run, "index_queue", lambda assembly, wanted: told.append(assembly.stop))
    monkeypatch.setattr(run, "in_processes", in_processes)
    assert run_here("index", "-q", "any", "--workers", "2") == 0
    assert told[0] is told[1]


def test_a_signal_shortly_before_the_end_of_a_wait_does_not_make_it_endless(tmp_path: Path) -> None:
    def slow(*_: object) -> None:
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass

    before = signal.signal(signal.SIGALRM, slow)
    source: Any = type("Source", (), {"visibility": 60})()
    sink: Any = type("Sink", (), {"close": lambda self: None})()
    with indexer(source, sink, tmp_path) as it:
        rescue = threading.Timer(10, it._waiting.put, ([],))
        rescue.start()
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # of the 0.25 s that a small batch waits for more
        try:
            assert it._next_batch() == []
            assert rescue.is_alive(), "it waited until something came"
        finally:
            rescue.cancel()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
