"""Budgets of calls: so many within any one period and so many a day, kept in Redis or in this process.

The other side counts a call when it arrives, which is some time after it was sent. A call is therefore booked at the
latest moment at which it may arrive, `slack` seconds from now, and moved back when its answer shows how late it was;
so a late arrival cannot meet earlier ones in one period.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from harvesters import redis_client
from harvesters.clock import Clock

_ALONE = "the rate limits are kept by this process alone; do not run two at once"

_NAMES = 10_000  # budgets of this process, above which those without a call are forgotten
_LEAST = 0.0005  # seconds; a shorter wait may round to none
_LEARNED_FOR = 86_400
_DAYS_KEPT = 2 * 86_400


@dataclass(frozen=True)
class Allowance:
    """What a call needs to be let in.

    Attributes:
        name: of the budget.
        limit: calls within any one `period` (seconds).
        slack: seconds by which a call may arrive later than others do.
        day: name of the day's counter that the call adds to, or "".
        day_limit: how far that counter may go; None for no limit.
    """

    name: str
    limit: int
    period: float
    slack: float
    day: str = ""
    day_limit: int | None = None


class DaySpent(Exception):
    """The day's budget is used up."""


class Slots(Protocol):
    """Where calls are booked. Names are prefixed by whoever uses them."""

    def claim(self, asked: Allowance, call: str) -> float:
        """Book `call` and return 0, or the seconds after which it is worth to ask again.

        Raises:
            DaySpent: there is none left today.
        """

    def arrived(self, asked: Allowance, call: str, late: float) -> None:
        """The call was answered; it arrived at most `late` seconds (up to the slack) after it was let in."""

    def pause(self, name: str, seconds: float) -> None:
        """Let nothing in for so long; a longer pause that is on stays."""

    def spent(self, day: str) -> int:
        """How far the day's counter is."""

    def spend(self, day: str, count: int) -> None:
        """Set the day's counter to `count` if it is behind."""

    def learn(self, name: str, what: str, value: int) -> None:
        """Remember a number for others, for a day."""

    def learned(self, name: str) -> dict[str, int]:
        """The numbers remembered under `name`."""


@dataclass
class MemorySlots:
    """In this process."""

    clock: Clock
    _booked: dict[str, dict[str, float]] = field(default_factory=dict)
    _paused: dict[str, float] = field(default_factory=dict)
    _days: dict[str, int] = field(default_factory=dict)
    _learned: dict[str, dict[str, int]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def claim(self, asked: Allowance, call: str) -> float:
        """Book the call, or say when to come back."""
        with self._lock:
            now = self.clock.monotonic()
            if (paused := self._paused.get(asked.name, now) - now) > 0:
                return max(paused, _LEAST)
            if asked.day and asked.day_limit is not None and self.spent(asked.day) >= asked.day_limit:
                raise DaySpent(asked.day)
            booked = {key: at for key, at in self._booked.get(asked.name, {}).items() if at > now - asked.period}
            if len(self._booked) >= _NAMES:
                self._forget(now - asked.period)
            self._booked[asked.name] = booked
            if len(booked) >= asked.limit:
                return max(sorted(booked.values())[len(booked) - asked.limit] + asked.period - now, _LEAST)
            booked[call] = now + asked.slack
            if asked.day:
                self._days[asked.day] = self.spent(asked.day) + 1
            return 0.0

    def _forget(self, since: float) -> None:
        """Drop the budgets without a call since then: each address that asks `serve` has one."""
        self._booked = {name: calls for name, calls in self._booked.items() if any(at > since for at in calls.values())}

    def arrived(self, asked: Allowance, call: str, late: float) -> None:
        """Move the booking back."""
        with self._lock:
            booked = self._booked.get(asked.name, {})
            if call in booked:
                booked[call] -= asked.slack - _within(late, asked.slack)

    def pause(self, name: str, seconds: float) -> None:
        """Let nothing in until then."""
        with self._lock:
            self._paused[name] = max(self._paused.get(name, 0.0), self.clock.monotonic() + seconds)

    def spent(self, day: str) -> int:
        """The day's counter."""
        return self._days.get(day, 0)

    def spend(self, day: str, count: int) -> None:
        """Bring the day's counter up."""
        with self._lock:
            self._days[day] = max(self.spent(day), count)

    def learn(self, name: str, what: str, value: int) -> None:
        """Remember a number."""
        with self._lock:
            self._learned.setdefault(name, {})[what] = value

    def learned(self, name: str) -> dict[str, int]:
        """The numbers under `name`."""
        with self._lock:
            return dict(self._learned.get(name, {}))


# Bookings are a sorted set by microseconds of Redis's own clock, so that hosts with different clocks share them.
_CLAIM = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local limit, period, slack, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local paused = redis.call('PTTL', KEYS[2])
if paused > 0 then return paused * 1000 end
if most >= 0 and tonumber(redis.call('GET', KEYS[3]) or '0') >= most then return -1 end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - period))
local count = redis.call('ZCARD', KEYS[1])
if count >= limit then
  local first = redis.call('ZRANGE', KEYS[1], count - limit, count - limit, 'WITHSCORES')
  return math.max(1, math.ceil(tonumber(first[2]) + period - now))
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + slack), ARGV[4])
redis.call('PEXPIRE', KEYS[1], math.ceil((period + slack) / 1000) + 1000)
if ARGV[6] ~= '' then
  redis.call('INCR', KEYS[3])
  redis.call('EXPIRE', KEYS[3], ARGV[6])
end
return 0
"""
_PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
"""
_SPEND = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
"""


class RedisSlots(redis_client.Client):
    """In Redis, for all processes that use it; see `SharedSlots`."""

    @cached_property
    def _scripts(self) -> tuple[Any, Any, Any]:
        register: Callable[[str], Any] = self.redis.register_script
        return register(_CLAIM), register(_PAUSE), register(_SPEND)

    def claim(self, asked: Allowance, call: str) -> float:
        """Book the call, or say when to come back: one script."""
        most = -1 if asked.day_limit is None or not asked.day else asked.day_limit
        keys = [asked.name, f"{asked.name}:pause", asked.day or f"{asked.name}:day"]
        kept = str(_DAYS_KEPT) if asked.day else ""
        wait = self._scripts[0](keys, [asked.limit, _micro(asked.period), _micro(asked.slack), call, most, kept])
        if wait < 0:
            raise DaySpent(asked.day)
        return float(wait) / 1e6

    def arrived(self, asked: Allowance, call: str, late: float) -> None:
        """Move the booking back; one that is gone already stays without effect."""
        self.redis.zincrby(asked.name, -_micro(asked.slack - _within(late, asked.slack)), call)

    def pause(self, name: str, seconds: float) -> None:
        """Let nothing in until then."""
        self._scripts[1]([f"{name}:pause"], [max(1, int(seconds * 1000))])

    def spent(self, day: str) -> int:
        """The day's counter."""
        found: Any = self.redis.get(day)
        return int(found or 0)

    def spend(self, day: str, count: int) -> None:
        """Bring the day's counter up."""
        self._scripts[2]([day], [count, _DAYS_KEPT])

    def learn(self, name: str, what: str, value: int) -> None:
        """Remember a number."""
        with self.redis.pipeline() as pipe:
            pipe.hset(name, what, str(value))
            pipe.expire(name, _LEARNED_FOR)
            pipe.execute()

    def learned(self, name: str) -> dict[str, int]:
        """The numbers under `name`."""
        found: Any = self.redis.hgetall(name)
        return {what.decode(): int(value) for what, value in found.items()}


class SharedSlots:
    """Redis until it fails; then one warning, and this process alone, for `again` seconds or the rest of the run."""

    def __init__(self, shared: RedisSlots, alone: MemorySlots, again: float = math.inf) -> None:
        self._shared = shared
        self._either: redis_client.RedisOr[Slots] = redis_client.RedisOr(
            shared, alone, shared.url, _ALONE, again, alone.clock.monotonic
        )

    def claim(self, asked: Allowance, call: str) -> float:
        """Book the call, or say when to come back."""
        return self._either(lambda slots: slots.claim(asked, call))

    def arrived(self, asked: Allowance, call: str, late: float) -> None:
        """Move the booking back."""
        self._either(lambda slots: slots.arrived(asked, call, late))

    def pause(self, name: str, seconds: float) -> None:
        """Let nothing in until then."""
        self._either(lambda slots: slots.pause(name, seconds))

    def spent(self, day: str) -> int:
        """The day's counter."""
        return self._either(lambda slots: slots.spent(day))

    def spend(self, day: str, count: int) -> None:
        """Bring the day's counter up."""
        self._either(lambda slots: slots.spend(day, count))

    def learn(self, name: str, what: str, value: int) -> None:
        """Remember a number."""
        self._either(lambda slots: slots.learn(name, what, value))

    def learned(self, name: str) -> dict[str, int]:
        """The numbers under `name`."""
        return self._either(lambda slots: slots.learned(name))

    def close(self) -> None:
        """Drop the connections to Redis."""
        self._shared.close()


def open_slots(url: str, clock: Clock, again: float = math.inf, patience: float = redis_client.PATIENCE) -> SharedSlots:
    """The budgets in the Redis at `url`; connects when first used. `again`: see `SharedSlots`."""
    return SharedSlots(RedisSlots(url, patience), MemorySlots(clock), again)


def _within(late: float, slack: float) -> float:
    return min(max(late, 0.0), slack)


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
