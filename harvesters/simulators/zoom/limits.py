"""Zoom's published rate limits, per account and class, enforced over any sliding second (or minute).

Free/Pro/Business: light 4/30/80, medium 2/20/60, heavy 1/10/40 per second; resource-intensive 10/10/20 per minute;
heavy and resource-intensive together 30,000 (Pro) or 60,000 (Business) per day, which starts at 00:00 GMT.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate

from harvesters.simulators.base import Response

LIGHT, MEDIUM, HEAVY, INTENSIVE, DAILY = "Light", "Medium", "Heavy", "Resource-intensive", "Daily"
PERIOD = {LIGHT: 1.0, MEDIUM: 1.0, HEAVY: 1.0, INTENSIVE: 60.0}
DAY = 86_400
PLANS: dict[str, dict[str, int | None]] = {
    "free": {LIGHT: 4, MEDIUM: 2, HEAVY: 1, INTENSIVE: 10, DAILY: None},
    "pro": {LIGHT: 30, MEDIUM: 20, HEAVY: 10, INTENSIVE: 10, DAILY: 30_000},
    "business": {LIGHT: 80, MEDIUM: 60, HEAVY: 40, INTENSIVE: 20, DAILY: 60_000},
}
RETRY_AFTER = ("iso", "seconds", "http-date", "absent", "bare")
RATE_HEADERS = ("qps", "daily", "absent")


class RateLimits:
    """Counts calls and refuses the ones over the limit. A refused call uses nothing up.

    `overrides` replaces single limits by class name (None: no limit). `retry_after` is the form of that header in a
    429: Zoom's ISO date, seconds, an HTTP date, ``absent`` (then X-RateLimit-Type is missing too), or ``bare`` (an
    empty body besides). `rate_headers` says which limit the headers of a good answer tell: ``qps``, ``daily`` where
    the class has one, or none. Without `enforce` calls are only counted.
    """

    def __init__(
        self,
        plan: str,
        *,
        now: Callable[[], float],
        overrides: Mapping[str, int | None] | None = None,
        enforce: bool = True,
        retry_after: str = "iso",
        rate_headers: str = "qps",
    ) -> None:
        self.limits: dict[str, int | None] = {**PLANS[plan], **(overrides or {})}
        unknown = self.limits.keys() - PLANS[plan].keys()
        if unknown or retry_after not in RETRY_AFTER or rate_headers not in RATE_HEADERS:
            raise ValueError(f"no such rate class or form: {sorted(unknown)}, {retry_after}, {rate_headers}")
        self.enforce = enforce
        self.retry_after = retry_after
        self.rate_headers = rate_headers
        self.calls: Counter[str] = Counter()
        """Calls answered, by class."""
        self.refused: Counter[str] = Counter()
        """Answers 429, by class; those over the daily limit count under ``Daily`` instead."""
        self.spent_today = 0
        """Heavy and resource-intensive calls since 00:00 GMT; may be set by a test."""
        self._now = now
        self._today = math.floor(now() / DAY)
        self._recent: dict[str, deque[float]] = {name: deque() for name in PERIOD}
        self._history: dict[str, deque[float]] = {name: deque(maxlen=200_000) for name in PERIOD}
        self._lock = threading.Lock()

    @property
    def answers_429(self) -> int:
        """How many calls were refused."""
        return sum(self.refused.values())

    def admit(self, category: str) -> tuple[dict[str, str], Response | None]:
        """Count one call: the headers of its answer, and the 429 to answer instead when it is over a limit."""
        with self._lock:
            now = self._now()
            recent = self._recent[category]
            while recent and recent[0] <= now - PERIOD[category]:
                recent.popleft()
            if math.floor(now / DAY) != self._today:
                self._today, self.spent_today = math.floor(now / DAY), 0
            if self.enforce and self._over_daily(category):
                return {}, self._refuse(category, DAILY, (self._today + 1) * DAY, now)
            limit = self.limits[category]
            if self.enforce and limit is not None and len(recent) >= limit:
                free = recent[0] + PERIOD[category] if recent else now + PERIOD[category]
                return {}, self._refuse(category, category, free, now)
            recent.append(now)
            self._history[category].append(now)
            self.calls[category] += 1
            self.spent_today += category in (HEAVY, INTENSIVE)
            return self._headers(category, len(recent)), None

    def peak(self, category: str) -> int:
        """The most calls that were answered within any one second (resource-intensive: minute)."""
        window: deque[float] = deque()
        most = 0
        with self._lock:
            history = list(self._history[category])
        for moment in history:
            window.append(moment)
            while window[0] <= moment - PERIOD[category]:
                window.popleft()
            most = max(most, len(window))
        return most

    def _over_daily(self, category: str) -> bool:
        daily = self.limits[DAILY]
        return daily is not None and category in (HEAVY, INTENSIVE) and self.spent_today >= daily

    def _headers(self, category: str, used: int) -> dict[str, str]:
        limit, kind = self.limits[category], "QPS"
        if self.rate_headers == "daily" and category in (HEAVY, INTENSIVE) and self.limits[DAILY] is not None:
            limit, kind, used = self.limits[DAILY], "Daily-limit", self.spent_today
        if self.rate_headers == "absent" or limit is None:
            return {}
        return _rate_headers(category, kind, limit, max(limit - used, 0))

    def _refuse(self, category: str, counter: str, free: float, now: float) -> Response:
        self.refused[counter] += 1
        daily = counter == DAILY
        headers = _rate_headers(category, "Daily-limit" if daily else "QPS", self.limits[counter] or 0, 0)
        if self.retry_after in ("absent", "bare"):
            del headers["X-RateLimit-Type"]
        else:
            headers["Retry-After"] = self._retry_after(free, now)
        if self.retry_after == "bare":
            return Response(429, b"", headers)
        text = "You have reached the maximum per-second rate limit for this API. Try again later."
        if daily:
            text = (
                "You have reached the maximum daily rate limit for this API. Refer to the response header for details "
                "on when you can make another request. You may resume these requests at GMT 00:00:00."
            )
        answer = Response.json({"code": 429, "message": text}, 429)
        answer.headers.update(headers)
        return answer

    def _retry_after(self, free: float, now: float) -> str:
        moment = math.ceil(free)  # all three forms count whole seconds; rounded down, they would come too early
        if self.retry_after == "seconds":
            return str(math.ceil(free - now))
        if self.retry_after == "http-date":
            return formatdate(moment, usegmt=True)
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rate_headers(category: str, kind: str, limit: int, remaining: int) -> dict[str, str]:
    return {
        "X-RateLimit-Category": category,
        "X-RateLimit-Type": kind,
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
    }
