"""How often a job runs, as far as cron can say it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MINUTES = tuple(minutes for minutes in range(1, 60) if 60 % minutes == 0)
_HOURS = tuple(hours for hours in range(1, 24) if 24 % hours == 0)
SAYABLE = (*(60 * minutes for minutes in _MINUTES), *(3600 * hours for hours in _HOURS), 86_400, 7 * 86_400)
"""Seconds: what divides an hour or a day, a day, a week. Other steps begin anew with each hour or day, and so come at
uneven times."""


@dataclass(frozen=True)
class Every:
    """One of `SAYABLE`; what is a day or more comes at 04:00."""

    seconds: int

    @classmethod
    def read(cls, text: str) -> Every:
        """A duration such as ``2m``.

        Raises:
            ValueError: it is none, or one that cron cannot say; the message names the nearest that it can.
        """
        form = _FORM.fullmatch(text)
        if form is None or int(form[1]) == 0:
            raise ValueError(f"{text!r} is no duration such as 2m, 1h or 1d")
        seconds = int(form[1]) * _SECONDS[form[2]]
        if seconds not in SAYABLE:
            apart = min(abs(seconds - one) for one in SAYABLE)
            near = " and ".join(spelled(one) for one in SAYABLE if abs(seconds - one) == apart)
            raise ValueError(f"every {text} is nothing that cron can say; the nearest that it can: {near}")
        return cls(seconds)

    @property
    def cron(self) -> str:
        """The five fields of a crontab."""
        if self.seconds < 3600:
            step = self.seconds // 60
            return "* * * * *" if step == 1 else f"*/{step} * * * *"
        if self.seconds < 86_400:
            step = self.seconds // 3600
            return "0 * * * *" if step == 1 else f"0 */{step} * * *"
        return "0 4 * * *" if self.seconds == 86_400 else "0 4 * * 0"

    @property
    def calendar(self) -> str:
        """``OnCalendar=`` of a systemd timer."""
        if self.seconds < 3600:
            return f"*:0/{self.seconds // 60}"
        if self.seconds < 86_400:
            return f"0/{self.seconds // 3600}:00"
        return "*-*-* 04:00" if self.seconds == 86_400 else "Sun *-*-* 04:00"

    def __str__(self) -> str:
        return spelled(self.seconds)


def spelled(seconds: int) -> str:
    """As a duration: ``90m`` is none of ours, ``2h`` is."""
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"
