"""The one bar that long commands draw."""

from __future__ import annotations

import errno
import io
import logging
import re
from collections.abc import Iterator
from typing import TextIO

import pytest

from harvesters import telemetry
from harvesters.cli.progress import coloured, progress, steerable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def logged() -> Iterator[Terminal]:
    """A terminal that log lines go to as well."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = Terminal()
    telemetry.configure("INFO", "text", stream)
    yield stream
    root.handlers[:], root.level = before


def test_it_shows_how_far_a_command_is_and_where() -> None:
    stream = Terminal()
    with progress("exporting", stream) as show:
        show(0.25, "3 children")
        show(0.5, "7 children")
    text = stream.getvalue()
    assert "exporting" in text
    assert re.search(r"25%.*3 children", text)
    assert re.search(r"50%.*7 children", text)
    assert text.endswith(("\n\x1b[?25h", "\n"))


def test_it_neither_goes_back_nor_beyond_its_end() -> None:
    stream = Terminal()
    with progress("exporting", stream) as show:
        for fraction in (0.5, 0.2, -1.0, 1.0, 7.5):
            show(fraction, "")
    shown = [int(percent) for percent in re.findall(r"(\d+)%", stream.getvalue())]
    assert shown == sorted(shown)
    assert shown[-1] == 100


def test_nothing_is_drawn_by_a_command_that_has_nothing_to_show() -> None:
    stream = Terminal()
    with progress("exporting", stream):
        pass
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["a file", "a dumb terminal"])
def test_nothing_is_drawn_where_no_line_can_be_written_over(stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with progress("exporting", stream) as show:
        show(0.5, "half")
    assert stream.getvalue() == ""  # type: ignore[attr-defined]


def test_log_lines_stand_on_lines_of_their_own(logged: Terminal) -> None:
    log = logging.getLogger("harvesters.test")
    with progress("exporting", logged) as show:
        log.info("before")
        show(0.5, "half")
        log.info("between")
        show(0.6, "more")
    log.info("after")
    lines = [line.rpartition("\r\x1b[K")[2] for line in logged.getvalue().splitlines()]
    for word in ("before", "between"):
        assert any(re.fullmatch(rf"\S+ INFO {word}", line) for line in lines), lines
    assert re.search(r"\S+ INFO after\n$", logged.getvalue())
    assert logged.getvalue().count("\r\x1b[K") == 1


def test_a_terminal_that_is_closed_costs_the_bar_alone() -> None:
    class Closing(Terminal):
        closing = False

        def write(self, text: str) -> int:
            if self.closing:
                raise OSError(errno.EIO, "Input/output error")
            return super().write(text)

    stream = Closing()
    with progress("exporting", stream) as show:
        show(0.1, "")
        stream.closing = True
        show(0.5, "half")
        reached = True
    assert reached


def test_colours_are_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coloured(Terminal())
    assert not coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(Terminal())
    assert steerable(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert coloured(Terminal())
