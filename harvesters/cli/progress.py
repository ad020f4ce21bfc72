"""How far a long command is: one bar, on terminals only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from harvesters import telemetry

_STEPS = 1000

Show = Callable[[float, str], None]
"""Takes the part that is done, from 0 to 1, and a few words on where it is (or "")."""


@contextmanager
def progress(label: str, stream: TextIO | None = None) -> Iterator[Show]:
    """A bar on standard error, drawn from its first call on; without a terminal there is none.

    It has no colours. Log lines that come meanwhile take its line, and it goes on below them. It never goes back.
    """
    stream = stream if stream is not None else sys.stderr
    if not steerable(stream):
        yield _hide
        return
    bars: list[Any] = []

    def show(fraction: float, text: str = "") -> None:
        with suppress(OSError):  # a terminal may be closed; what the command does goes on
            if not bars:
                bars.append(_bar(label, stream))
            bar = bars[0]
            bar.update(max(0, int(min(1.0, fraction) * _STEPS) - bar.pos), text)

    before = telemetry.on_each_line(lambda: clear(stream) if bars else None)
    try:
        yield show
    finally:
        telemetry.on_each_line(before)
        with suppress(OSError):
            for bar in bars:
                bar.__exit__(None, None, None)


def steerable(stream: TextIO) -> bool:
    """Whether it is a terminal on which a line can be written over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether colours are wanted there: it is a terminal, and ``NO_COLOR`` is not set (no-color.org)."""
    return steerable(stream) and not os.environ.get("NO_COLOR")


def _hide(fraction: float, text: str = "") -> None:
    """Nobody looks."""


def _bar(label: str, stream: TextIO) -> Any:
    bar: Any = click.progressbar(
        length=_STEPS,
        label=label,
        file=stream,
        item_show_func=lambda item: item,
        show_eta=False,
        update_min_steps=0,  # the text moves where the bar does not
    )
    bar.__enter__()
    return bar


def clear(stream: TextIO) -> None:
    """Empty the line that is written over, for another one to take its place."""
    stream.write("\r\x1b[K")
