"""Zoom's rate limits: budgets per class of request, learned from the headers of its answers.

The limits hold for the whole account. Its plan is not asked for: the first call of a class goes alone, and its answer
says how many may follow; where no header does, the class keeps the limits of the smallest plan that has reports.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from harvesters.clock import Clock
from harvesters.errors import RateLimited
from harvesters.rate import Allowance, DaySpent, Slots
from harvesters.retry import parse_retry_after
from harvesters.timespan import iso
from harvesters.zoom.waits import Waits

LIGHT, MEDIUM, HEAVY, INTENSIVE = "Light", "Medium", "Heavy", "Resource-intensive"
CLASSES = (LIGHT, MEDIUM, HEAVY, INTENSIVE)
PERIOD = {LIGHT: 1.0, MEDIUM: 1.0, HEAVY: 1.0, INTENSIVE: 60.0}
DAILY = "Daily"
PRO = {LIGHT: 30, MEDIUM: 20, HEAVY: 10, INTENSIVE: 10, DAILY: 30_000}
BUSINESS = {LIGHT: 80, MEDIUM: 60, HEAVY: 40, INTENSIVE: 20, DAILY: 60_000}
_MARGIN = 0.001  # seconds by which two clocks may measure a period differently
_SURELY_DAILY = 10_000  # no plan has as many calls a second or a minute
_STAND_BY = 600.0  # seconds; an answer that takes longer was given up by whoever waited for it
_PER_DAY = (HEAVY, INTENSIVE)  # these share the day's budget, which starts anew at 00:00 GMT


@dataclass(frozen=True)
class Ticket:
    """The right to send one call, let in at `sent` (monotonic seconds) at the earliest."""

    category: str
    asked: Allowance
    call: str
    sent: float


@dataclass
class Budgets:
    """The budgets of one account.

    Args:
        account: what tells accounts apart in a shared Redis.
        max_wait: seconds; a wait over it, or several for one call that pass it together, end the run.
    """

    slots: Slots
    clock: Clock
    account: str
    max_wait: float
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    refusals: int = 0
    waited: float = 0.0
    _known: dict[str, int] | None = None
    _probes: set[str] = field(default_factory=set)
    _refused: dict[str, tuple[int, float]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _turned_away: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _under_way: int = 0
    _at_once: float = math.inf
    _halved_at: float = -1.0
    _quickest: dict[str, float] = field(default_factory=dict)
    _turns: dict[str, threading.Lock] = field(default_factory=lambda: {name: threading.Lock() for name in CLASSES})
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def acquire(self, category: str, waits: Waits | None = None) -> Ticket:
        """Wait for the right to send a call of `category`; one thread a class waits at a time, the others in line.

        `waits` are those of a call that may be sent several times.

        Raises:
            RateLimited: the wait, or all waits for this call together, would be longer than `max_wait`.
            Interrupted: told to stop meanwhile.
        """
        waits = waits or Waits()
        with self._turns[category]:
            while True:  # each turn waits, and `_wait` ends it
                asked = self._allowance(category)
                if asked is None or self._under_way >= self._at_once:
                    self._stand_by(waits)
                    continue
                call = uuid.uuid4().hex
                asked_at = self.clock.monotonic()
                try:
                    wait = self.slots.claim(asked, call)
                except DaySpent:
                    self._wait(waits, self._until_midnight(), "the day's calls of this account are used up")
                    continue
                if wait <= 0:
                    self._let_in(category)
                    return Ticket(category, asked, call, asked_at)
                # Calls that are under way are booked as late as they may arrive: look again when that is known.
                early = wait - asked.slack
                self._wait(waits, wait, f"{category} calls are limited", sleep=early if early > 0.001 else wait)

    def answered(self, ticket: Ticket, headers: Mapping[str, str], good: bool = True) -> None:
        """An answer, `good` or an error: note how late the call can have been, and what the headers say of limits."""
        with self._lock:
            self._refused.pop(ticket.category, None)
            self._under_way -= 1
        self._arrived(ticket, good)
        self._learn(headers, ticket.category)
        with self._lock:
            if ticket.category not in self._limits:
                self._limits[ticket.category] = PRO[ticket.category]
            self._probes.discard(ticket.category)

    def dropped(self, ticket: Ticket) -> None:
        """No answer came: the call counts as late as it may have arrived."""
        with self._lock:
            self._under_way -= 1
            self._probes.discard(ticket.category)

    def refused(self, ticket: Ticket, headers: Mapping[str, str], text: str, waits: Waits | None = None) -> None:
        """Zoom answered 429: let nothing of that class in until it says, or until the day is over."""
        self.refusals += 1
        if waits is not None and waits.refused is None:
            waits.refused = self.clock.monotonic()
        self._arrived(ticket, good=False)
        asked, now = headers.get("Retry-After"), self.clock.now()
        after = parse_retry_after(asked, now)
        if not after and parse_retry_after(asked, now - timedelta(seconds=2)):
            after = 1.0  # a date is one of whole seconds: what it names lies in the second that has begun
        kind = headers.get("X-RateLimit-Type", "").lower()
        if "daily" in kind or (not kind and "daily" in text.lower()):
            wait = after if after is not None else self._until_midnight()
            for category in _PER_DAY:
                self.slots.pause(self._name(category), wait)
        else:
            wait = after or self._pause_unasked(ticket)
            self.slots.pause(self._name(ticket.category), wait)
            if "concurrent" in text.lower():
                self._crowd_less(ticket)
            else:
                self._slow_down(ticket)
        if kind:
            self._learn(headers, ticket.category, refused=True)
        self.dropped(ticket)

    def _crowd_less(self, ticket: Ticket) -> None:
        """Too many were under way at once, whatever their class: no more than half of them from now on."""
        with self._lock:
            if ticket.sent > self._halved_at:  # those that were under way together count once
                self._at_once = max(1, min(self._at_once, self._under_way) // 2)
                self._halved_at = self.clock.monotonic()

    def _slow_down(self, ticket: Ticket) -> None:
        """Where no header says a limit and more than one call in ten is refused, let in half as many from now on."""
        name = ticket.category
        with self._lock:
            refused = self._turned_away[name]
            if name not in self._told and ticket.sent > max(refused, default=-1.0):  # together they count once
                refused.append(self.clock.monotonic())
                if len(refused) > 1 and self.refusals * 10 > self.calls[name]:
                    self._limits[name] = max(1, self._limits.get(name, PRO[name]) // 2)

    def limit(self, category: str) -> int | None:
        """Calls within a period, as far as that is known."""
        with self._lock:
            return self._limits.get(category)

    def day(self) -> tuple[int, int | None]:
        """Heavy and resource-intensive calls made today, as far as we know, and how many may be made."""
        with self._lock:
            return self.slots.spent(self._day()), self._day_limit()

    def _arrived(self, ticket: Ticket, good: bool) -> None:
        """What a call took longer than the quickest good one of its class is how late it may have arrived.

        All that it took, for the first. Errors are no measure: a refusal costs the other side nothing and is there
        at once.
        """
        took = self.clock.monotonic() - ticket.sent
        with self._lock:
            quickest = self._quickest.get(ticket.category)
            if good:
                self._quickest[ticket.category] = min(took, took if quickest is None else quickest)
        # Beyond a tenth of the period it is the answer that took long, more likely than the way there.
        self.slots.arrived(ticket.asked, ticket.call, min(took - (quickest or 0.0), PERIOD[ticket.category] / 10, 2.0))

    def _let_in(self, category: str) -> None:
        with self._lock:
            self.calls[category] += 1
            self._under_way += 1
            if category not in self._limits:
                self._probes.add(category)

    def _allowance(self, category: str) -> Allowance | None:
        """What may be asked for; None while the first call of the class is under way."""
        with self._lock:
            limit = self._limits.get(category, PRO[category])
            if category in self._probes:
                return None
            period = PERIOD[category]
            day = self._day() if category in _PER_DAY else ""
            slack = min(period / 2, 10.0)
            return Allowance(
                self._name(category), limit, period + _MARGIN, slack, day, self._day_limit() if day else None
            )

    @property
    def _limits(self) -> dict[str, int]:
        if self._known is None:
            self._known = {name: count for name, count in self.slots.learned(self._shared).items() if count > 0}
        return self._known

    def _day_limit(self) -> int | None:
        """The told one, or that of the plan whose heavy limit was told."""
        told = self._limits.get(DAILY)
        if told is not None:
            return told
        heavy = self._limits.get(f"{HEAVY} told")
        return next((plan[DAILY] for plan in (PRO, BUSINESS) if plan[HEAVY] == heavy), None)

    def _pause_unasked(self, ticket: Ticket) -> float:
        """How long to pause where Zoom does not say, or names a moment long gone: a period, then doubling.

        Calls that were under way together and are refused together count once.
        """
        with self._lock:
            now = self.clock.monotonic()
            tries, since = self._refused.get(ticket.category, (0, -1.0))
            if ticket.sent > since:
                tries, since = tries + 1, now
            self._refused[ticket.category] = (tries, since)
            return PERIOD[ticket.category] * 2.0 ** min(tries - 1, 12)

    def _learn(self, headers: Mapping[str, str], called: str, refused: bool = False) -> None:
        """Take in what the headers of an answer to a call of class `called` say; any of them may be missing."""
        limit, left = _number(headers.get("X-RateLimit-Limit")), _number(headers.get("X-RateLimit-Remaining"))
        if limit is None or limit < 1:
            return
        with self._lock:
            kind = headers.get("X-RateLimit-Type", "").lower()
            if "daily" in kind or (not kind and limit >= _SURELY_DAILY):
                self._note(DAILY, limit)
                if left is not None and not refused:  # a refusal says itself when to go on
                    self.slots.spend(self._day(), limit - left)
                plan = BUSINESS if limit >= BUSINESS[DAILY] else PRO
                for name in CLASSES:
                    self._limits.setdefault(name, plan[name])
                return
            category = _category(headers.get("X-RateLimit-Category", "")) or called
            self._note(category, limit)
            if category == HEAVY:
                self._note(f"{HEAVY} told", limit)

    def _note(self, name: str, value: int) -> None:
        self._told.add(name)
        if self._limits.get(name) != value:
            self._limits[name] = value
            self.slots.learn(self._shared, name, value)

    def _stand_by(self, waits: Waits) -> None:
        """Wait until a call that is under way is answered, and says what is allowed."""
        pause = 0.02
        waits.stood += pause
        if waits.stood > max(self.max_wait, _STAND_BY):
            raise RateLimited(f"Zoom has not answered the calls under way for {waits.stood:.0f} s; run again later.")
        self.clock.sleep(pause)

    def _wait(self, waits: Waits, seconds: float, why: str, sleep: float | None = None) -> None:
        now = self.clock.monotonic()
        if seconds > self.max_wait or waits.after(now, seconds) > self.max_wait:
            until = self.clock.now() + timedelta(seconds=seconds)
            together = "" if seconds > self.max_wait else f" ({waits.after(now, seconds):.0f} s for this call in all)"
            raise RateLimited(
                f"Zoom's rate limit: {why}, and the next may go out at {iso(until.replace(microsecond=0))}, in "
                f"{seconds:.0f} s{together}; --max-wait is {self.max_wait:g} s. What is finished was delivered; the "
                "same command, given again then, goes on with the rest."
            )
        pause = seconds if sleep is None else sleep
        self.waited += pause
        waits.slept += pause
        self.clock.sleep(pause)

    def _until_midnight(self) -> float:
        now = self.clock.now()
        return (_midnight(now) + timedelta(days=1) - now).total_seconds()

    def _name(self, category: str) -> str:
        return f"harvest:zoom:rate:{self.account}:{category}"

    def _day(self) -> str:
        return f"harvest:zoom:rate:{self.account}:{self.clock.now():%Y-%m-%d}"

    @property
    def _shared(self) -> str:
        return f"harvest:zoom:rate:{self.account}:limits"


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _category(text: str) -> str | None:
    plain = text.lower().replace("_", "-").replace(" ", "-")
    return next((name for name in CLASSES if name.lower() == plain), None)
