"""What a back-fill has done, what it is at, and what failed: one JSON object for all who work on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from harvesters.errors import Exit
from harvesters.intervals import Intervals
from harvesters.process import Process
from harvesters.timespan import Window, iso


@dataclass(frozen=True)
class Failure:
    """A window that failed, with what and when."""

    window: Window
    code: int
    error: str
    time: datetime

    def encode(self) -> dict[str, Any]:
        """For JSON."""
        return {**ends(self.window), "code": self.code, "error": self.error, "time": iso(self.time)}


@dataclass(frozen=True)
class Claim:
    """A window that a process is at, until `expires` by the store's clock; `token` is nobody else's."""

    window: Window
    worker: Process
    token: str
    expires: datetime

    def lives(self, now: datetime) -> bool:
        """Whether whoever has it may still be at work."""
        return now < self.expires and not self.worker.dead

    def encode(self) -> dict[str, Any]:
        """For JSON."""
        return {**ends(self.window), "worker": asdict(self.worker), "token": self.token, "expires": iso(self.expires)}


@dataclass(frozen=True)
class Stop:
    """Why no more windows are begun."""

    code: Exit
    reason: str


@dataclass(frozen=True)
class Result:
    """How a window ended.

    Attributes:
        code: 0 for one that the sink acknowledged; None for one that was given back.
        limited: a rate limit ended it.
        delivered: how many documents the sink took.
    """

    code: int | None = Exit.DONE
    error: str = ""
    limited: bool = False
    delivered: int = 0


_STOPPING = (Exit.PROTOCOL, Exit.CREDENTIALS, Exit.CONFIG)


@dataclass(frozen=True)
class BackfillState:
    """Everything that is known of one back-fill. Each change makes a new one.

    Attributes:
        generation: one that begins anew has another one, so that what is left of the former does not count.
        whole: from the first to the last moment ever asked for.
        step: seconds of a window, as asked for last.
        days: name of the zone whose days cut the windows; "" where none do, None where that is not known yet.
        again: the range that is done anew, until it is done.
        delivered: documents so far.
        row: how many windows have failed in a row.
        most: how many may.
    """

    job: str
    output: str
    generation: str
    whole: Window | None = None
    step: float = 0.0
    days: str | None = None
    done: Intervals = field(default_factory=Intervals)
    failed: tuple[Failure, ...] = ()
    running: tuple[Claim, ...] = ()
    again: Window | None = None
    delivered: int = 0
    row: int = 0
    most: int = 0
    stop: Stop | None = None

    def asked(self, wanted: Window, step: float, most: int) -> BackfillState:
        """A run of `wanted` begins; nothing stops it yet."""
        whole = wanted
        if self.whole is not None:
            whole = Window(min(self.whole.start, wanted.start), max(self.whole.end, wanted.end))
        return replace(self, whole=whole, step=step, most=most, row=0, stop=None)

    def anew(self, wanted: Window) -> BackfillState:
        """`wanted` is to be done anew; where that was begun and is not finished, it goes on."""
        fresh = wanted
        if self.again is not None and self.again.start == wanted.start and self.again.end <= wanted.end:
            fresh = Window(self.again.end, wanted.end)  # the end of a range that ends now has moved on
        return replace(self, again=wanted, done=self.done - [fresh], failed=_without(self.failed, fresh))

    def forgiven(self, window: Window) -> BackfillState:
        """What has failed in `window` counts as missing."""
        return replace(self, failed=_without(self.failed, window))

    def others(self, now: datetime) -> Intervals:
        """What somebody is at."""
        return Intervals.of(claim.window for claim in self.running if claim.lives(now))

    def missing(self, window: Window) -> Intervals:
        """What of `window` is not done."""
        return Intervals.of([window]) - self.done

    def claimed(self, claim: Claim, now: datetime) -> BackfillState | None:
        """`claim` is taken; None when its window is done in part, or somebody else is at it."""
        if self.done.touches(claim.window) or self.others(now).touches(claim.window):
            return None
        alive = tuple(one for one in self.running if one.lives(now))
        return replace(self, running=(*alive, claim), failed=_without(self.failed, claim.window))

    def renewed(self, tokens: Iterable[str], expires: datetime) -> BackfillState:
        """The claims of these tokens last until then."""
        ours = {*tokens}
        running = (replace(one, expires=expires) if one.token in ours else one for one in self.running)
        return replace(self, running=tuple(running))

    def holds(self, token: str) -> bool:
        """Whether the claim is there still."""
        return any(one.token == token for one in self.running)

    def ended(self, token: str, window: Window, result: Result, now: datetime) -> BackfillState:
        """Whoever had the claim `token` is through with `window`."""
        state = replace(self, running=tuple(one for one in self.running if one.token != token))
        if result.code == Exit.DONE:
            delivered, done = self.delivered + result.delivered, self.done | [window]
            state = replace(state, done=done, failed=_without(self.failed, window), delivered=delivered, row=0)
            finished = self.again is not None and done.covers(self.again)
            return replace(state, again=None) if finished else state
        if result.code is None:
            return state
        if result.limited:
            return replace(state, stop=self.stop or Stop(Exit.TRY_LATER, result.error))
        if self.done.touches(window) or any(one.window.intersection(window) for one in state.running):
            return state  # somebody else was quicker
        failure = Failure(window, result.code, result.error, now)
        state = replace(state, failed=(*_without(self.failed, window), failure), row=self.row + 1)
        return replace(state, stop=self.stop or state._why_stop(result))

    def _why_stop(self, result: Result) -> Stop | None:
        if result.code in _STOPPING:
            return Stop(Exit(result.code), result.error)
        if self.row >= self.most > 0:
            return Stop(Exit.UNAVAILABLE, f"{self.row} windows have failed in a row (--max-failures)")
        return None

    def encode(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "job": self.job,
            "output": self.output,
            "generation": self.generation,
            "range": ends(self.whole) if self.whole is not None else None,
            "step": self.step,
            "days": self.days,
            "done": self.done.encode(),
            "failed": [one.encode() for one in self.failed],
            "running": [one.encode() for one in self.running],
            "again": ends(self.again) if self.again is not None else None,
            "delivered": self.delivered,
            "row": self.row,
            "most": self.most,
            "stop": {"code": int(self.stop.code), "reason": self.stop.reason} if self.stop is not None else None,
        }

    @classmethod
    def decode(cls, data: dict[str, Any]) -> BackfillState:
        """From JSON.

        Raises:
            ValueError, TypeError, KeyError: it is none.
        """
        stop = data["stop"]
        return cls(
            str(data["job"]),
            str(data["output"]),
            str(data["generation"]),
            between(data["range"]) if data["range"] is not None else None,
            float(data["step"]),
            data["days"],
            Intervals.decode(data["done"]),
            tuple(
                Failure(between(one), int(one["code"]), str(one["error"]), datetime.fromisoformat(one["time"]))
                for one in data["failed"]
            ),
            tuple(
                Claim(between(one), Process(**one["worker"]), one["token"], datetime.fromisoformat(one["expires"]))
                for one in data["running"]
            ),
            between(data["again"]) if data["again"] is not None else None,
            int(data["delivered"]),
            int(data["row"]),
            int(data["most"]),
            Stop(Exit(stop["code"]), str(stop["reason"])) if stop is not None else None,
        )


def ends(window: Window) -> dict[str, str]:
    """A window for JSON."""
    return {"start": iso(window.start), "end": iso(window.end)}


def between(data: dict[str, Any]) -> Window:
    """A window from JSON."""
    return Window(datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"]))


def _without(failures: Iterable[Failure], window: Window) -> tuple[Failure, ...]:
    """What is left of the failures outside of `window`."""
    return tuple(replace(one, window=part) for one in failures for part in Intervals.of([one.window]) - [window])
