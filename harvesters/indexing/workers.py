"""Several processes at one work: started together, told to stop together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess

from harvesters import sentry, telemetry
from harvesters.errors import Exit, HarvestError

log = logging.getLogger(__name__)

_ENDING = (signal.SIGTERM, signal.SIGINT)


def run(
    count: int, work: Callable[[], object], stop: threading.Event, begun: Callable[[], object] = lambda: None
) -> int:
    """Run `work` in `count` processes until all have ended; the exit code of the whole.

    `begun` is called when they have started, so it may make threads.

    They are forks, so what this process has imported they need not, and its handlers of signals are theirs: `stop` is
    set in each of them by its own SIGTERM. It must not have threads or connections. When `stop` is set here, or one of
    them fails, the others get SIGTERM and finish what they have in hand.
    """
    processes = start([work] * count)
    begun()
    told = False
    while any(process.is_alive() for process in processes):
        wait([process.sentinel for process in processes if process.is_alive()], timeout=0.2)
        failed = any(process.exitcode for process in processes)
        if (stop.is_set() or failed) and not told:
            told = True
            for process in processes:
                if process.is_alive():
                    process.terminate()
    return _code(processes)


def start(works: Sequence[Callable[[], object]]) -> list[ForkProcess]:
    """A fork for each of `works`, under way; what `run` says of its forks holds."""
    fork = multiprocessing.get_context("fork")
    parent = os.getpid()
    processes = [
        fork.Process(target=_worker, args=(work, parent), name=f"worker-{number + 1}")
        for number, work in enumerate(works)
    ]
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # a fork that is stopped takes SIGTERM for the second
    try:
        for process in processes:
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    return processes


def _worker(work: Callable[[], object], parent: int) -> None:
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which passes it on once
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    threading.Thread(target=_watch, args=(parent,), name="watch", daemon=True).start()
    code = Exit.DONE
    try:
        work()
    except HarvestError as error:
        telemetry.log_end(error)
        code = error.code
    except KeyboardInterrupt:
        code = Exit.TRY_LATER
    except Exception as error:
        # Logged here: multiprocessing would print the traceback with whatever secrets are in it.
        telemetry.log_bug(type(error), error, error.__traceback__)
        code = Exit.BUG
    sentry.finish()
    logging.shutdown()
    if code:
        os._exit(code)  # requests under way in threads are not waited for


def _watch(parent: int) -> None:
    """An orphan has nobody who would stop it."""
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def _code(processes: list[ForkProcess]) -> int:
    codes = {process.exitcode or 0 for process in processes}
    for process in processes:
        if process.exitcode is not None and process.exitcode < 0:
            log.error(
                "%s was killed by signal %d; its messages come back by themselves", process.name, -process.exitcode
            )
    if any(code < 0 for code in codes):
        return Exit.UNAVAILABLE
    named = [code for code in codes if code not in (Exit.DONE, Exit.TRY_LATER)]
    return max(named) if named else max(codes)
