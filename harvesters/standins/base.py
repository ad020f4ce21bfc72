"""What every stand-in shares: a child process on a loopback port, waited for, stopped, and never left behind."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, ClassVar, Self

HOST = "127.0.0.1"
_TIE = Path(__file__).with_name("tie.py")
# What a server needs of our environment. An allow-list, so that no secret of the user's travels along.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "JAVA_HOME", "LD_LIBRARY_PATH", "PYTHONPATH")


class StandInMissing(Exception):
    """This machine cannot run the server. `reason` says what is missing, `remedy` what would change that."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class StandInFailed(Exception):
    """The server was started and died, or did not answer in time; the message ends with the end of its log."""


class StandIn:
    """One server process on 127.0.0.1. Use as a context manager, or `start` and `close`.

    `directory` holds its data and its log and is kept; without one they are temporary and `close` removes them. After
    `stop` or `kill`, `start` brings the server back on the same port with the same directory.

    The process dies with ours, however ours ends (on Linux; the thread that called `start` counts as ours, so call it
    from the main one). A `detached` process outlives us instead, and needs a directory. `launched` is called with the
    process id as soon as there is one, so that somebody can end a detached process whatever becomes of us.
    """

    name: ClassVar[str]
    patience: ClassVar[float] = 60.0
    """Seconds that a start may take."""

    def __init__(self, *, port: int = 0, directory: Path | None = None, detached: bool = False) -> None:
        if detached and directory is None:
            raise ValueError("a detached stand-in needs a directory")
        self.launched: Callable[[int], object] = lambda pid: None
        self.port = port or free_port()
        self.detached = detached
        self._directory = directory.absolute() if directory is not None else None
        self._temporary: TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def installed(cls) -> bool:
        """Whether `start` would work now without fetching anything."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """The command line of the server; may first install it. Raises StandInMissing."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server is ready for its clients."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The settings that point a harvester at this server."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where clients find it, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def directory(self) -> Path:
        """Where its data and its log are."""
        if self._directory is None:
            self._temporary = TemporaryDirectory(prefix=f"harvest-{self.name}-", ignore_cleanup_errors=True)
            self._directory = Path(self._temporary.name)
        return self._directory

    @property
    def log(self) -> Path:
        """The file that takes the server's output."""
        return self.directory / f"{self.name}.log"

    @property
    def running(self) -> bool:
        """Whether the process that we started is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None or not self.running:
            raise StandInFailed(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it answers. Raises StandInMissing or StandInFailed; does nothing if it runs."""
        if self.running:
            return self
        command = self.command()
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = self._launch(command, log)
        try:
            self.launched(self._process.pid)
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self, grace: float = 15.0) -> None:
        """SIGTERM, and SIGKILL for what still runs after `grace` seconds. Port and data stay ours."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stop, and remove the directory if it is a temporary one."""
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = self._directory = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _launch(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        if sys.platform == "linux" and not self.detached:
            command = [sys.executable, "-I", "-S", str(_TIE), str(os.getpid()), *command]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            start_new_session=True,  # Ctrl-C is for us alone: a harvest in flight can still finish its batch
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + self.patience
        while not self.answers():
            if not self.running:
                raise StandInFailed(f"{self.name} ended while starting: {self._last_words()}")
            if time.monotonic() > deadline:
                raise StandInFailed(f"{self.name} did not answer in {self.patience:.0f} s: {self._last_words()}")
            time.sleep(0.02)

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-1000:].strip() or "its log is empty"


def free_ports(count: int) -> list[int]:
    """So many different ports as `free_port` finds them: none is taken yet when the next one is looked for."""
    found: dict[int, None] = {}
    while len(found) < count:
        found[free_port()] = None
    return [*found]


def free_port() -> int:
    """A loopback port that nothing listens on.

    Drawn from the system, for tests seed Python's own generator, and processes with one seed would draw the same ports.
    Taken from below the range of which systems give ports to outgoing connections, so that it is still free when the
    server binds it a second later, and again when the server is restarted.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def http_status(port: int, path: str, method: str = "GET") -> int:
    """The status that a loopback server answers with; 0 if it does not. Never through a proxy."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def child_environment(*servers: StandIn) -> dict[str, str]:
    """Our environment for a child process that is to use `servers`, and none of the user's own AWS settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for server in servers:
        environment.update(server.environment())
    return environment
