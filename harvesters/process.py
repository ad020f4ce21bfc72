"""Who a process is: its number alone is given to others later."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys" / "kernel" / "random" / "boot_id"
_STARTTIME = 22 - 3  # its place in /proc/PID/stat (proc(5)), counted after the command's closing parenthesis


@dataclass(frozen=True)
class Process:
    """A process, so that another one of the same host can tell whether it still lives.

    `system` is the boot id and the pid namespace: two containers share the one, but their pids are not comparable.
    """

    host: str
    system: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Process:
        """This very process."""
        return cls(socket.gethostname(), _system(), os.getpid(), started(os.getpid()) or "")

    @property
    def dead(self) -> bool:
        """True only when it certainly is: it ran under this kernel, in this pid namespace, and is gone."""
        here = Process.current()
        if not self.system or (self.host, self.system) != (here.host, here.system):
            return False
        now = started(self.pid)
        return now is None or bool(now and self.started and now != self.started)


def boot_id() -> str:
    """What tells this boot of the kernel from others; "" where that is not said (no Linux)."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def started(pid: int) -> str | None:
    """When process `pid` started, in clock ticks since boot; None when there is none, or only what is left of one.

    "" for one that is there, or may be, and cannot be seen: /proc may hide the processes of others (hidepid).
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[_STARTTIME]  # a zombie works no more
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (OSError, OverflowError):
        pass
    return ""


def _system() -> str:
    boot = boot_id()
    try:
        return f"{boot} {os.readlink('/proc/self/ns/pid')}" if boot else ""
    except OSError:
        return ""  # leases of dead processes expire by themselves
