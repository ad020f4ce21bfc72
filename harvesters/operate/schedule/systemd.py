"""Units for systemd: a service and a timer a job, and a service of what goes on until it is told to stop.

The settings file is read by harvest.py: ``EnvironmentFile=`` knows neither ``export`` nor our quoting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from harvesters.errors import ConfigError, Exit
from harvesters.operate.schedule.entry import Entry, Installation
from harvesters.operate.schedule.service import Service


def units(
    entries: Iterable[Entry], installation: Installation, services: Iterable[Service] = ()
) -> Iterator[tuple[str, str]]:
    """Name and text of each unit.

    Raises:
        ConfigError: the interpreter's path is one that systemd does not take.
    """
    for entry in entries:
        yield f"{entry.name}.service", _service(entry, installation)
        yield f"{entry.name}.timer", _timer(entry)
    for service in services:
        yield f"harvest-{service.name}.service", _lasting(service, installation)


def _service(entry: Entry, installation: Installation) -> str:
    job = entry.job
    lines = [
        *_head(f"harvest.py {' '.join(job.command)}"),
        "Type=oneshot",
        *_runs(job.name, job.command, installation),
        f"SuccessExitStatus={int(Exit.TRY_LATER)}",
    ]
    return "\n".join(lines) + "\n"


def _lasting(service: Service, installation: Installation) -> str:
    lines = [
        *_head(f"harvest.py {service.name}, which {service.text}"),
        "Type=exec",
        *_runs(service.name, [service.name], installation),
        "Restart=on-failure",
        "RestartSec=10",
        "KillMode=mixed",  # a worker tells its processes itself, when they have finished what is in hand
        f"TimeoutStopSec={service.stops_within}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _head(description: str) -> list[str]:
    needs = ["Wants=network-online.target", "After=network-online.target"]
    return ["[Unit]", f"Description={description}", *needs, "", "[Service]"]


def _runs(name: str, command: Iterable[str], installation: Installation) -> list[str]:
    log = installation.log(name)
    program, *words = installation.words(command, "INFO")
    return [
        f"ExecStart={' '.join([_program(program), *map(_word, words)])}",
        "NoNewPrivileges=true",
        *([f"StandardOutput=append:{_path(log)}", f"StandardError=append:{_path(log)}"] if log is not None else []),
    ]


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
