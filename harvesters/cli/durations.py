"""Durations on the command line."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 36_500 * 86400.0  # seconds; beyond it dates have no place
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")


class Duration(click.ParamType):  # type: ignore[type-arg]
    """``30s``, ``5m``, ``1h``, ``1d``; a number alone is seconds, where `bare` ones are taken."""

    name = "duration"

    def __init__(self, bare: bool = True) -> None:
        self.bare = bare

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        form = _FORM.fullmatch(str(value).strip().lower())
        if form and not form[2] and not self.bare:
            form = None
        seconds = float(form[1]) * _UNITS[form[2] or "s"] if form else 0.0
        if not 0.0 < seconds <= _LONGEST:
            self.fail(f"{value!r} is no duration such as 30s, 5m or 1h", param, ctx)
        return seconds


def length(seconds: float) -> str:
    """A duration in words for people, such as ``2 h 5 min``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
