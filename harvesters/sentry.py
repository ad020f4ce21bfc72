"""Errors as events of Sentry (extra ``sentry``), in our own words.

An event is what stands in `_ALLOWED`: types, modules, functions and lines, the command, and the exit code. No message
of an error, no argument of a log line, no variable and no address goes into one, for each may quote what a user wrote.
The SDK is only the way out: none of its integrations is on, which would add requests, variables and breadcrumbs.

Everything but the making of an event happens in a thread of its own, the SDK's import too, so a server that is away
slows nothing; at the end of a process it is waited for it, `_LAST_WORDS` at most.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from harvesters import __version__
from harvesters.errors import ConfigError, HarvestError
from harvesters.settings import Settings

DSN = "SENTRY_DSN"
_ALLOWED = {
    *("event_id", "timestamp", "platform", "level", "logger", "logentry", "exception", "tags", "fingerprint"),
    *("release", "environment", "server_name", "sdk"),
}
_TAGS = {"command", "exit_code", "status", "method", "route"}
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
_NAME = re.compile(r"[\w.<>]{1,200}")
_OURS = "harvesters"
_ITS_OWN = ("sentry_sdk", "urllib3")  # what is logged on the way there begins no new event
_LAST_WORDS = 2.0  # seconds that the end of a process waits for the server
_IMPORT = 10.0  # seconds that it waits for what is done on this machine
_WAITING = 100  # events; more are dropped
_A_MINUTE = 100  # events, as an outage makes one of each answer
_FRAMES, _CAUSES = 50, 5


def begin(settings: Settings, command: str = "") -> None:
    """From now on send what is logged as an error, where ``SENTRY_DSN`` is set. Replaces what began before.

    Args:
        command: what runs, for the events.

    Raises:
        ConfigError: the setting is no DSN, or the extra is not installed.
    """
    global _teller
    _teller = None
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    check(settings)
    if not (dsn := settings.get(DSN)):
        return
    release = settings.get("SENTRY_RELEASE") or __version__
    _teller = _Teller(dsn, release, settings.get("SENTRY_ENVIRONMENT") or None, command)
    root.addHandler(_Handler())


def check(settings: Settings) -> None:
    """See that the DSN is one, and the extra installed.

    Raises:
        ConfigError: it is not.
    """
    if not (dsn := settings.get(DSN)):
        return
    try:
        parts = urlsplit(dsn)
        project = parts.path.rpartition("/")[2]
        good = parts.scheme in ("http", "https") and parts.username and parts.hostname and project.isdecimal()
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"{DSN} cannot be read; it should read https://KEY@HOST/PROJECT, as Sentry shows it")
    if find_spec("sentry_sdk") is None:
        raise ConfigError(f"{DSN} needs an extra that is not installed: pip install 'harvest[sentry]'")


def doing(command: str) -> None:
    """Say which command runs."""
    if _teller is not None:
        _teller.command = command


def answered(status: int, method: str, route: str) -> None:
    """Send that a request was answered with a failure of ours.

    Args:
        route: its path as it was declared, with names in the place of values.
    """
    if _teller is None:
        return
    tags = {"status": str(status), "method": method if method in _METHODS else "-", "route": route}
    said = f"{tags['status']} {tags['method']} {route}"
    _teller.tell({"level": "error", "logger": f"{_OURS}.web", "logentry": {"message": said}, "tags": tags}, [said])


def finish() -> None:
    """Wait for what is still to be sent, not for long."""
    if _teller is not None:
        _teller.finish()


class _Handler(logging.Handler):
    """Makes an event of each record that is an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        """Put the event in line; what cannot be told is dropped, never the run."""
        with suppress(Exception):
            if _teller is not None and not record.name.startswith(_ITS_OWN):
                _teller.tell(*_event(record))


def _event(record: logging.LogRecord) -> tuple[dict[str, Any], list[str]]:
    error = _error_of(record)
    place = f"{_named(record.name)}.{_named(record.funcName or '')}:{record.lineno}"
    level = "fatal" if record.levelno >= logging.CRITICAL else "error"
    event: dict[str, Any] = {"level": level, "logger": _named(record.name), "tags": {}}
    if error is None:
        event["logentry"] = {"message": f"error at {place}"}
        return event, [place]
    errors = [*_chain(error)]
    types = [_type(one) for one in errors]
    frames = _frames(error.__traceback__)
    if frames:
        place = f"{frames[-1]['module']}:{frames[-1]['lineno']}"
    if isinstance(error, HarvestError):
        event["tags"]["exit_code"] = str(int(error.code))
    event["logentry"] = {"message": f"{types[0]} at {place}"}
    event["exception"] = {"values": [*map(_told, reversed(errors))]}
    return event, [*types, place]


def _error_of(record: logging.LogRecord) -> BaseException | None:
    """What a record tells of: an exception with it, or the one that makes up its message."""
    if record.exc_info and record.exc_info[1] is not None:
        return record.exc_info[1]
    arguments = record.args if isinstance(record.args, tuple) else ()
    given = getattr(record, "error", None)
    return next((one for one in (given, *arguments) if isinstance(one, BaseException)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what caused it."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen and len(seen) < _CAUSES:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _told(error: BaseException) -> dict[str, Any]:
    kind, module = _type(error), _named(type(error).__module__)
    return {"type": kind.rpartition(".")[2], "module": module, "stacktrace": {"frames": _frames(error.__traceback__)}}


def _type(error: BaseException) -> str:
    return f"{_named(type(error).__module__)}.{_named(type(error).__qualname__)}"


def _frames(trace: TracebackType | None) -> list[dict[str, Any]]:
    """Where the error went through: names from the code alone."""
    found: list[dict[str, Any]] = []
    while trace is not None:
        module = _named(str(trace.tb_frame.f_globals.get("__name__", "")))
        found.append(
            {
                "module": module,
                "function": _named(trace.tb_frame.f_code.co_qualname),
                "filename": f"{module.replace('.', '/')}.py",
                "lineno": trace.tb_lineno,
                "in_app": module.partition(".")[0] == _OURS,
            }
        )
        trace = trace.tb_next
    return found[-_FRAMES:]


def _named(name: str) -> str:
    """A name as Python has them."""
    return name if _NAME.fullmatch(name) else "-"


class _Teller:
    """Hands events to the SDK, in a thread of this process."""

    def __init__(self, dsn: str, release: str, environment: str | None, command: str) -> None:
        self._dsn, self._release, self._environment = dsn, release, environment
        self.command = command
        self.anew()

    def anew(self) -> None:
        """As it was made; in a fork, too, for threads do not come along into one."""
        self._client: Any = None
        self._line: queue.Queue[dict[str, Any]] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._idle = threading.Condition()
        self._under_way = 0
        self._waited = False  # for all that was told
        self._minute, self._told = 0.0, 0

    def tell(self, event: dict[str, Any], alike: list[str]) -> None:
        """Put the event in line, unless there are too many.

        Args:
            alike: what events that tell of the same have in common.
        """
        tags = {name: str(value) for name, value in event["tags"].items() if name in _TAGS}
        event |= {"tags": tags | {"command": self.command or "-"}, "fingerprint": alike, "platform": "python"}
        event["timestamp"] = datetime.now(UTC)
        with self._lock:
            now = time.monotonic()
            if now - self._minute >= 60:
                self._minute, self._told = now, 0
            self._told += 1
            if self._told > _A_MINUTE:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="sentry", daemon=True)
                self._thread.start()
        with self._idle:
            try:
                self._line.put_nowait(event)
                self._under_way += 1
                self._waited = False
            except queue.Full:
                return

    def finish(self) -> None:
        """Wait until the SDK has everything, and for the server."""
        if self._thread is None or self._waited:
            return
        with self._idle:
            self._idle.wait_for(lambda: not self._under_way, _IMPORT)
            self._waited = True
        if self._client is not None:
            with suppress(Exception):
                self._client.flush(timeout=_LAST_WORDS)

    def _work(self) -> None:
        while True:
            event = self._line.get()
            with suppress(Exception):
                if self._client is None:
                    self._client = self._made()
                self._client.capture_event(event)
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def _made(self) -> Any:
        import socket

        from sentry_sdk import Client

        return Client(
            dsn=self._dsn,
            release=self._release,
            environment=self._environment,
            server_name=socket.gethostname(),
            before_send=_only_allowed,
            before_breadcrumb=lambda crumb, hint: None,
            before_send_transaction=lambda event, hint: None,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            enable_backpressure_handling=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            send_client_reports=False,
            attach_stacktrace=False,
            spotlight=False,
            debug=False,
        )


def _only_allowed(event: Any, hint: Any) -> Any:
    """The last look at what leaves: nothing that somebody else may have put there."""
    return {name: value for name, value in event.items() if name in _ALLOWED}


_teller: _Teller | None = None


def _start_in_fork() -> None:
    if _teller is not None:
        _teller.anew()


os.register_at_fork(after_in_child=_start_in_fork)
atexit.register(finish)  # for what ends a process without `finish`, as a bug does
