"""Runs: the report comes however a run ends, and a checkpoint belongs to the output that moved it last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from harvesters.errors import Exit, Interrupted, Unavailable
from harvesters.runs import run
from harvesters.telemetry import Report
from tests.clocks import FakeClock


@dataclass
class Work:
    """A job that takes two seconds, and ends with `error`."""

    clock: FakeClock
    error: Exception | None = None
    command: str = "index"

    def work(self) -> None:
        self.clock.sleep(2)
        if self.error is not None:
            raise self.error

    def fields(self, seconds: float) -> dict[str, Any]:
        return {"took": seconds}


class TestReport:
    @pytest.mark.parametrize(
        ("error", "outcome", "code"),
        [
            (None, "done", Exit.DONE),
            (Unavailable("gone"), "ended with 69", Exit.UNAVAILABLE),
            (RuntimeError("a bug"), "failed", Exit.BUG),
        ],
    )
    def test_it_comes_however_the_run_ends(self, error: Exception | None, outcome: str, code: Exit) -> None:
        heard: list[Report] = []
        job = Work(FakeClock(), error)
        if error is None:
            assert run(job, job.clock, [heard.append]) == heard[0]
        else:
            with pytest.raises(type(error)):
                run(job, job.clock, [heard.append])
        assert heard == [Report("index", outcome, code, {"took": 2.0, "seconds": 2.0})]

    def test_an_end_that_was_asked_for_is_a_good_one(self) -> None:
        job = Work(FakeClock(), Interrupted("told to stop"))
        assert run(job, job.clock, [], good_end=Interrupted).code is Exit.DONE
