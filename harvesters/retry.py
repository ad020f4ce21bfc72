"""The one retry policy: of HTTP sources, S3, SQS, Elasticsearch and leases alike."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from harvesters.clock import Clock
from harvesters.errors import HarvestError, RateLimited, Unavailable

T = TypeVar("T")

log = logging.getLogger(__name__)


class Transient(Exception):
    """An attempt failed, another may not.

    Attributes:
        retry_after: how many seconds the other side asks to be left alone.
        limited: it is well and only asks for fewer requests (429).
        progress: some of what was asked for was done, and less is left.
    """

    def __init__(
        self, reason: str, retry_after: float | None = None, limited: bool = False, progress: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.limited = limited
        self.progress = progress


@dataclass(frozen=True)
class RetryPolicy:
    """Jittered exponential backoff within a budget of seconds, counted from the first attempt.

    An attempt under way is never cut short; a new one starts only while budget is left. Where the other side said
    when to come back, that is waited for instead, and if it lies beyond the budget the policy gives up at once.

    Args:
        since_progress: count the budget from the last attempt that did some of what was asked for.
    """

    clock: Clock
    budget: float = 120.0
    first: float = 0.5
    cap: float = 20.0
    jitter: Callable[[], float] = random.random
    setting: str = "HARVEST_RETRY_BUDGET"  # what the budget is, for whoever wants another
    since_progress: bool = False

    def call(self, attempt: Callable[[], T], what: str, unavailable: type[Unavailable] = Unavailable) -> T:
        """The result of `attempt`, tried again as long as it raises `Transient`.

        Raises:
            Unavailable: (or the given subclass) the budget is used up; the message names `what` and the last reason.
            RateLimited: instead, where the last reason was a rate limit.
            Interrupted: the run was told to stop while waiting.
        """
        asking = _Asking(self, what, unavailable, self.clock.monotonic())
        while True:
            try:
                return attempt()
            except Transient as error:
                self.clock.sleep(asking.pause_after(error))

    async def call_in_loop(
        self,
        attempt: Callable[[], Awaitable[T]],
        sleep: Callable[[float], Awaitable[None]],
        what: str,
        unavailable: type[Unavailable] = Unavailable,
    ) -> T:
        """As `call`, in an event loop, which goes on while this waits by `sleep`."""
        asking = _Asking(self, what, unavailable, self.clock.monotonic())
        while True:
            try:
                return await attempt()
            except Transient as error:
                await sleep(asking.pause_after(error))

    def gave_up(self, reason: str, tries: int, seconds: float, kind: type[HarvestError] = Unavailable) -> HarvestError:
        """The error of a request that failed for `reason`, after so many tries in so many seconds."""
        budget = f"{self.budget:.0f}" if self.budget >= 10 else f"{self.budget:.2g}"
        return kind(
            f"{reason}; gave up after {tries} {'try' if tries == 1 else 'tries'} in {seconds:.0f} s "
            f"({self.setting} is {budget} s). Nothing is lost: run again when it answers."
        )

    def pause(self, tries: int, retry_after: float | None) -> float:
        """Seconds to wait after attempt number `tries`; "at once" (0, or a date gone by) is not taken at its word."""
        ceiling = min(self.cap, self.first * 2.0 ** min(tries - 1, 30))
        backoff = ceiling * (0.5 + self.jitter() / 2)
        if retry_after is None:
            return backoff
        return max(retry_after, backoff) if retry_after < self.first else retry_after + self.jitter() * self.first


@dataclass(frozen=True)
class OneTry(RetryPolicy):
    """No second try: for who only wants to know whether something answers."""

    budget: float = 0.0

    def gave_up(self, reason: str, tries: int, seconds: float, kind: type[HarvestError] = Unavailable) -> HarvestError:
        """The reason alone."""
        return kind(reason)


@dataclass
class _Asking:
    """How often `policy` has let something be tried, since when."""

    policy: RetryPolicy
    what: str
    unavailable: type[Unavailable]
    started: float
    tries: int = 0

    def pause_after(self, error: Transient) -> float:
        """Seconds to wait before the next try; raises what `RetryPolicy.call` says when there is to be none."""
        policy = self.policy
        if error.progress and policy.since_progress:
            self.started, self.tries = policy.clock.monotonic(), 0
        self.tries += 1
        left = policy.budget - (policy.clock.monotonic() - self.started)
        pause = policy.pause(self.tries, error.retry_after)
        if pause > left:
            asked = f", and asks to be left alone for {error.retry_after:.0f} s" if error.retry_after else ""
            kind = RateLimited if error.limited else self.unavailable
            raise policy.gave_up(f"{self.what}: {error}{asked}", self.tries, policy.budget - left, kind) from error
        log.info("%s: %s; trying again in %.1f s", self.what, error, pause)
        return pause


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` header: seconds, an HTTP date, or (Zoom) an ISO 8601 date.

    None when it is absent or unreadable; never negative.
    """
    text = (text or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
        return max(0.0, seconds) if seconds < 1e9 else None
    except ValueError:
        pass
    for reader in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = reader(text)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return max(0.0, (moment - now).total_seconds())
        except (ValueError, TypeError, OverflowError):
            continue
    return None
