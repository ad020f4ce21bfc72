"""The server: uvicorn in this process, or as workers, until a signal ends it and what is under way is answered."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from harvesters import collector, sentry, telemetry
from harvesters.errors import ConfigError, Unavailable
from harvesters.privacy import protect
from harvesters.settings import Settings
from harvesters.web.app import create

log = logging.getLogger(__name__)

_QUEUE = 1024  # connections that wait to be accepted
_LAST_ANSWERS = 10.0  # seconds beyond an answer's own time that the end waits for whoever takes it slowly
_ENDING = (signal.SIGTERM, signal.SIGINT)
_SIGN_OF_LIFE = 30  # seconds without one, after which a worker is replaced


@dataclass(frozen=True)
class Face:
    """The web face as one process hands it to another: calling it makes the app."""

    values: Mapping[str, str]
    flags: Mapping[str, str]
    parts: Sequence[str]
    host: str
    cursor_key: bytes
    log_level: str
    log_format: str

    def __call__(self) -> FastAPI:
        """The app, here; a worker logs as its parent does, and ends when that is gone."""
        settings = Settings(self.values, self.flags)
        if parent := multiprocessing.parent_process():
            telemetry.configure(self.log_level, self.log_format)
            telemetry.log_what_nobody_catches()
            protect(settings.secrets())
            sentry.begin(settings, "harvest.py serve")
            _silence()
            threading.Thread(target=_end_with, args=[parent], name="parent", daemon=True).start()
        app = create(settings, self.parts, self.host, self.cursor_key)
        collector.rest()
        return app


def serve(face: Face, port: int, workers: int, patience: float) -> None:
    """Listen until SIGTERM or Ctrl-C; returns when everything under way is answered.

    Args:
        port: 0 for one that is free; the log says which.
        patience: seconds that an answer may take.

    Raises:
        ConfigError: a setting cannot be read, or the address is none of this machine's, or taken.
        Unavailable: a worker could not start.
    """
    face()  # what is wrong with the settings is said here and once
    config = uvicorn.Config(
        face,
        factory=True,
        workers=workers,
        loop="asyncio",
        http="h11",  # a faster parser loses the body of who offers another protocol, and keeps heads without end
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # it would have what was searched in it
        proxy_headers=False,  # hosts.py knows whom to believe
        server_header=False,
        timeout_graceful_shutdown=math.ceil(patience + _LAST_ANSWERS),
        timeout_worker_healthcheck=_SIGN_OF_LIFE,
    )
    _silence()
    with closing(_listen(face.host, port)) as listener, _signals_restored():
        # From here on they take signals: one that comes before they run is not to be lost.
        server = _server(config) if workers == 1 else _Workers(config, [listener])
        host, port = listener.getsockname()[:2]
        log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        if isinstance(server, _Workers):
            server.run()
            server.raise_for_failure()
        else:
            server.run([listener])


class _Workers(Multiprocess):
    """uvicorn's, with a word where a worker dies, and no socket at which new connections wait in vain at the end."""

    def keep_subprocess_alive(self) -> None:
        for worker in self.processes:
            if worker.exitcode not in (None, 0, STARTUP_FAILURE) and not self.should_exit.is_set():
                log.warning("worker %d ended (%d); another one takes its place", worker.pid, worker.exitcode)
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def raise_for_failure(self) -> None:
        """See that it was a signal that ended it.

        Raises:
            Unavailable: it was a worker that could not start.
        """
        if any(process.exitcode == STARTUP_FAILURE for process in self.processes):
            raise Unavailable("a worker could not start; what it logged says why.")


def _server(config: uvicorn.Config) -> uvicorn.Server:
    """uvicorn's; it raises the signal that ended it once more, which is not to end us before our own exit code."""
    server = uvicorn.Server(config)
    for number in _ENDING:
        signal.signal(number, server.handle_exit)
    return server


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(_QUEUE)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}. Give another --host or --port (WS_HOST, "
            "WS_PORT)."
        ) from error
    return listener


@contextmanager
def _signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _silence() -> None:
    """Of uvicorn's own words only those that say what is wrong."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
