"""What a check says, and what checks are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from harvesters.assembly import Assembly
from harvesters.clock import SystemClock
from harvesters.errors import Exit
from harvesters.operate.jobs import Job
from harvesters.retry import OneTry, RetryPolicy
from harvesters.settings import Settings

OK, WARN, FAIL = "ok", "warn", "fail"
TIMEOUT = 7.0
"""Seconds to wait for one answer."""

_WARN_SKEW = 5.0  # seconds


@dataclass(frozen=True)
class Check:
    """One line: `code` is the exit code that a fail of it means."""

    check: str
    status: str
    detail: str
    remedy: str = ""
    code: Exit = Exit.UNAVAILABLE

    def line(self) -> dict[str, str]:
        """As JSON has it."""
        return {"check": self.check, "status": self.status, "detail": self.detail, "remedy": self.remedy}


class Hasty(Assembly):
    """Parts that are asked once, and not for long."""

    @cached_property
    def retry(self) -> RetryPolicy:
        """One try."""
        return OneTry(SystemClock())


@dataclass
class Examination:
    """What is looked at, and what was found so far.

    Args:
        jobs: whose parts are looked at.
        named: they were asked for by name.
    """

    settings: Settings
    jobs: Sequence[Job]
    named: bool
    found: list[Check] = field(default_factory=list)
    done: bool = False

    @cached_property
    def assembly(self) -> Assembly:
        """Parts that do not wait for long."""
        return Hasty(self.settings.with_flags({"HARVEST_HTTP_TIMEOUT": TIMEOUT}))

    def begun(self, job: Job) -> bool:
        """Whether the first of what a job needs is there, so that the rest should be."""
        first = job.needs[0] if job.needs else ()
        return any(self.settings.given(name) for name in ((first,) if isinstance(first, str) else first))

    def ok(self, check: str, detail: str) -> None:
        """It is well."""
        self.found.append(Check(check, OK, detail))

    def warn(self, check: str, detail: str, remedy: str = "") -> None:
        """It works, or may, but somebody should know."""
        self.found.append(Check(check, WARN, detail, remedy))

    def fail(self, check: str, detail: object, remedy: str, code: Exit = Exit.UNAVAILABLE) -> None:
        """It does not work."""
        self.found.append(Check(check, FAIL, str(detail), remedy, code))

    def clock(self, name: str, theirs: datetime | None) -> None:
        """Compare a server's clock with ours."""
        if theirs is None:
            return
        off = (theirs - self.assembly.clock.now()).total_seconds()
        check, detail = f"clock.{name}", f"its clock is {off:+.0f} s from ours"
        remedy = "Set both clocks right (NTP)."
        if abs(off) > self.settings.number("HARVEST_LEASE_TTL", minimum=1) / 2:
            self.fail(check, f"{detail}, more than half of HARVEST_LEASE_TTL", remedy, Exit.CONFIG)
        elif abs(off) > _WARN_SKEW:
            self.warn(check, detail, remedy)
        else:
            self.ok(check, "it says what ours says")


@dataclass(frozen=True)
class Probe:
    """Some checks that are made one after the other.

    Args:
        names: of the checks, in their order: where it hangs, the first without an answer is what hangs.
        wanted: whether there is anything to look at.
    """

    names: tuple[str, ...]
    wanted: Callable[[Examination], bool]
    run: Callable[[Examination], None]
