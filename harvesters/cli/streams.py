"""The three standard streams as a process gets them: closed, without a reader, or on a full disk."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

import click

_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


def complete() -> None:
    """Open what was closed before we began, so that no file of ours takes the place of a standard stream.

    A closed standard output is one whose reader has left: what is written there fails, and is not taken for delivered.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(_at(0, os.open(os.devnull, os.O_RDONLY)), "r", encoding="utf-8")
    if sys.stdout is None:
        reader, writer = os.pipe()
        os.close(reader)
        sys.stdout = os.fdopen(_at(1, writer), "w", encoding="utf-8")
    if sys.stderr is None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        sys.stderr = os.fdopen(_at(2, nowhere), "w", encoding="utf-8", errors="backslashreplace")


def reader_left() -> bool:
    """Whether nobody reads standard output any more. A file or a terminal has no reader that could leave."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & _GONE for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def say(text: str) -> None:
    """Print what is done, for commands whose work matters more than their words: a reader may leave, the work goes on.

    Raises:
        OSError: standard output takes nothing for another reason, such as a full disk.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        if not reader_left():
            raise
        drop(sys.stdout)


def standard_input() -> bytes:
    """All of standard input.

    Raises:
        click.UsageError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise click.UsageError(f"standard input cannot be read: {error.strerror}") from error


def drop(stream: TextIO) -> None:
    """Have what is still buffered go nowhere: it cannot be written, and Python would complain about that at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _at(number: int, descriptor: int) -> int:
    """`descriptor` as `number`, if that is free; children inherit it."""
    try:
        os.fstat(number)
    except OSError:
        os.dup2(descriptor, number)
        os.close(descriptor)
        return number
    if descriptor == number:
        os.set_inheritable(number, True)
    return descriptor
