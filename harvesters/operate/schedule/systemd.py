"""Units for systemd: a service and a timer a job.

The settings file is read by harvest.py: ``EnvironmentFile=`` knows neither ``export`` nor our quoting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from harvesters.errors import ConfigError, Exit
from harvesters.operate.schedule.entry import Entry, Installation


def units(entries: Iterable[Entry], installation: Installation) -> Iterator[tuple[str, str]]:
    """Name and text of each unit.

    Raises:
        ConfigError: the interpreter's path is one that systemd does not take.
    """
    for entry in entries:
        yield f"{entry.name}.service", _service(entry, installation)
        yield f"{entry.name}.timer", _timer(entry)


def _service(entry: Entry, installation: Installation) -> str:
    log = installation.log(entry)
    program, *words = installation.words(entry, "INFO")
    lines = [
        "[Unit]",
        f"Description=harvest.py {' '.join(entry.job.command)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={' '.join([_program(program), *map(_word, words)])}",
        f"SuccessExitStatus={int(Exit.TRY_LATER)}",
        "NoNewPrivileges=true",
        *([f"StandardOutput=append:{_path(log)}", f"StandardError=append:{_path(log)}"] if log is not None else []),
    ]
    return "\n".join(lines) + "\n"


def _timer(entry: Entry) -> str:
    lines = [
        "[Unit]",
        f"Description=harvest.py {' '.join(entry.job.command)}, every {entry.every}",
        "",
        "[Timer]",
        f"OnCalendar={entry.every.calendar}",
        "RandomizedDelaySec=30",
        "AccuracySec=1s",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def _program(path: str) -> str:
    if any(letter in path for letter in "\"'\\"):
        raise ConfigError(f"systemd takes no quotes and no backslashes in the path of a program: {path}")
    return f'"{path.replace("%", "%%")}"'


def _word(word: str) -> str:
    """One argument; ``%`` and ``$`` mean something else alone."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if not word or any(letter in word for letter in " \t\"'\\;") else plain


def _path(path: Path) -> str:
    return str(path).replace("%", "%%")
