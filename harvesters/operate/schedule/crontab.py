"""A crontab, for cron on Debian and its relatives: what a line means to dash, with no PATH and no profile.

Mail is sent for any output, so a run by the clock logs errors alone, and what ends with 75 (another run is at it) is a
warning. With a log of its own all goes there, and the mail is one line that names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from harvesters.errors import Exit
from harvesters.operate.schedule.entry import Entry, Installation

_SPREAD = 30  # seconds, over which the hosts of a site begin
# The same on a host each time, and on another host another; dash has no $RANDOM.
_PAUSE = f"sleep $(($(uname -n | cksum | cut -d ' ' -f 1) % {_SPREAD}))"


def crontab(entries: Iterable[Entry], installation: Installation, mailto: str | None = None) -> str:
    """The lines of all entries."""
    lines = ["# Made by: harvest.py schedule crontab"]
    if mailto is not None:
        lines.append(f'MAILTO="{mailto}"')
    lines += [f"{entry.every.cron} {_escaped('; '.join(_commands(entry, installation)))}" for entry in entries]
    return "\n".join(lines) + "\n"  # cron refuses a file whose last line has no end


def _commands(entry: Entry, installation: Installation) -> Iterator[str]:
    yield _PAUSE
    log = installation.log(entry.job.name)
    command = shlex.join(installation.words(entry.job.command, "ERROR" if log is None else "INFO"))
    if not entry.job.leased:
        lock = installation.state_dir / f"{entry.name}.lock"
        held = f"flock -n -E {int(Exit.TRY_LATER)} {_quoted(lock)}"
        command = f"mkdir -p {_quoted(lock.parent)} && {held} {command}"
    if log is not None:
        told = f"{entry.job.name} ended with $code: see {log}"
        command += f" >>{_quoted(log)} 2>&1 || {{ code=$?; [ $code -eq 75 ] || echo {_with_code(told)}; }}"
    yield command


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _with_code(text: str) -> str:
    """`text` quoted, but for the variable in it."""
    before, _, after = text.partition("$code")
    return f"{shlex.quote(before)}$code{shlex.quote(after)}"


def _escaped(command: str) -> str:
    """To cron a ``%`` is the end of the command."""
    return command.replace("%", "\\%")
