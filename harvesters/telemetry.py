"""Logs, the run report and Loggly. Everything goes to standard error; standard output belongs to the data."""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from harvesters.errors import Exit, HarvestError, TryLater
from harvesters.privacy import redact

_LAST_WORDS = 5.0  # seconds that the end of a run may wait for Loggly
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# These log whole requests, headers and bodies at DEBUG, which is where secrets are.
_TALKATIVE = ("botocore", "boto3", "urllib3", "s3transfer", "elastic_transport", "elasticsearch", "requests")

_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}

_LONGEST_LINE = 5_000  # characters of one line of a message
_LINES = 10_000  # that wait for Loggly at most
_BATCH = 4_000_000  # characters of a request to Loggly, which takes 5 MB
_LONGEST = 900_000  # characters of one event, of which Loggly takes 1 MB

_before_line: Callable[[], None] = lambda: None  # noqa: E731


class TextFormatter(logging.Formatter):
    """``2026-02-13T09:30:00Z INFO message``, secrets masked; the level in colour where that is wanted."""

    def __init__(self, colours: bool = False) -> None:
        super().__init__()
        self.colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """One line a record, and the traceback where there is one."""
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        level = record.levelname
        if self.colours and level in _COLOURS:
            level = f"{_COLOURS[level]}{level}\x1b[0m"
        return redact(f"{when} {level} {_message(self, record)}")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the record's own fields; secrets masked."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(self, record),
        }
        entry.update(getattr(record, "fields", {}))
        # Masked before it is written, so that it stays JSON; in ASCII, so that no sink or stream chokes on it.
        return json.dumps(masked(entry), separators=(",", ":"))


def masked(value: Any) -> Any:
    """The value as JSON can have it, without secrets."""
    if isinstance(value, dict):
        return {str(key): masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return redact(str(value))


def _message(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + formatter.formatException(record.exc_info)
    if len(message) <= _LONGEST_LINE:
        return message
    # Libraries quote whole answers in their exceptions. Masked before it is cut, so that no half of a secret is left.
    return "\n".join(_shortened(line) for line in redact(message).split("\n"))


def _shortened(line: str) -> str:
    more = len(line) - _LONGEST_LINE
    return line if more <= 0 else f"{line[:_LONGEST_LINE]} … ({more} more characters)"


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes a line a record. Where that fails, the run goes on: with a line that says so, if that can be written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, below whatever else is drawn on that terminal."""
        with suppress(OSError, ValueError):
            _before_line()
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Without Python's own report, which shows the arguments as they are."""
        kind, error, _ = sys.exc_info()
        if kind is None or isinstance(error, OSError | RecursionError):
            return
        place = f"{record.filename}:{record.lineno}"
        with suppress(OSError, ValueError):
            self.stream.write(redact(f"a log line of {place} cannot be written: {kind.__name__}: {error}") + "\n")
            self.flush()


class LogglyHandler(logging.Handler):
    """Ships records to Loggly from a thread of its own; what Loggly does not take is dropped, never the run."""

    def __init__(self, url: str, token: str, tags: str) -> None:
        super().__init__()
        names = ",".join(tag for tag in ("harvest", *tags.replace(" ", "").split(",")) if tag)
        self._url = f"{url.rstrip('/')}/bulk/{token}/tag/{names}/"
        self.setFormatter(JsonFormatter())
        self.start()
        _shipping.add(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record in line; a full line drops it."""
        if record.name.startswith(_TALKATIVE):  # shipping logs makes such records: no echo
            return
        try:
            self._lines.put_nowait(self.format(record)[:_LONGEST])
        except Exception:  # a full line, or a record that cannot be formatted, of which the other handler tells
            return

    def close(self) -> None:
        """Send what is in line, for five seconds at most."""
        until = time.monotonic() + _LAST_WORDS
        with suppress(queue.Full):
            self._lines.put(None, timeout=_LAST_WORDS)
        self._thread.join(max(0.0, until - time.monotonic()))
        _shipping.discard(self)
        super().close()

    def start(self) -> None:
        """Begin with an empty line; in a fork, too, for threads do not come along into one."""
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=_LINES)
        self._thread = threading.Thread(target=self._ship, name="loggly", daemon=True)
        self._thread.start()

    def _ship(self) -> None:
        import requests

        done = False
        while not done:
            lines = [self._lines.get()]
            size = len(lines[0] or "")
            while len(lines) < 500 and size < _BATCH - _LONGEST and not self._lines.empty():
                lines.append(self._lines.get())
                size += len(lines[-1] or "")
            done = None in lines
            body = "\n".join(line for line in lines if line is not None)
            if body:
                try:
                    requests.post(self._url, data=body.encode(), headers={"Content-Type": "text/plain"}, timeout=5)
                except requests.RequestException:
                    continue


_shipping: weakref.WeakSet[LogglyHandler] = weakref.WeakSet()


def _start_in_fork() -> None:
    for handler in [*_shipping]:
        handler.start()


os.register_at_fork(after_in_child=_start_in_fork)


def configure(level: str, style: str, stream: TextIO | None = None, colours: bool = False) -> None:
    """Log to standard error (or `stream`) at `level`, as ``text`` or ``json``; replaces an earlier configuration."""
    handler = LineHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter(colours))
    root = logging.getLogger()
    for old in [*root.handlers]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def on_each_line(call: Callable[[], None]) -> Callable[[], None]:
    """Have `call` be called before each line that is logged (a bar makes room); returns what was called until now."""
    global _before_line
    before, _before_line = _before_line, call
    return before


def log_what_nobody_catches() -> None:
    """For a process of ours: what ends it or one of its threads, and what Python warns of, is logged, so masked too."""
    sys.excepthook = log_bug
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable
    warnings.showwarning = _log_warning


def ship_to_loggly(url: str, token: str, tags: str) -> LogglyHandler:
    """Send log events to Loggly too, until `stop_shipping`."""
    handler = LogglyHandler(url, token, tags)
    logging.getLogger().addHandler(handler)
    return handler


def stop_shipping() -> None:
    """Send what is still in line to Loggly, and no more after that."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogglyHandler)]:
        root.removeHandler(handler)
        handler.close()


def log_end(error: HarvestError) -> None:
    """The last word of a run that did not get to its end."""
    level = logging.WARNING if isinstance(error, TryLater) else logging.ERROR
    logging.getLogger("harvesters").log(level, "%s", error, extra={"fields": {"exit_code": int(error.code)}})


def log_bug(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """An exception that nobody foresaw, with its traceback; Ctrl-C is none."""
    log = logging.getLogger("harvesters")
    if issubclass(kind, KeyboardInterrupt):
        log.warning("interrupted")
        return
    log.critical(
        "this is a bug in harvest.py; please report it with the traceback",
        exc_info=(kind, error if error is not None else kind(), trace),
    )


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    if not issubclass(arguments.exc_type, SystemExit):
        log_bug(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)


def _log_unraisable(unraisable: Any) -> None:
    trouble = (unraisable.exc_type, unraisable.exc_value or unraisable.exc_type(), unraisable.exc_traceback)
    what = unraisable.err_msg or "ignored an exception in"
    logging.getLogger("harvesters").warning("%s %s", what, _name(unraisable.object), exc_info=trouble)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logging.getLogger("py.warnings").warning("%s:%d: %s: %s", filename, lineno, category.__name__, message)


def _name(thing: object) -> str:
    """What an object is, without what it holds."""
    return str(getattr(thing, "__qualname__", "") or type(thing).__qualname__)


@dataclass(frozen=True)
class Report:
    """What a run did.

    Attributes:
        command: as the user calls it.
        outcome: ``done``, or what ended the run early.
        code: the exit code that says the same.
        fields: what it covered, moved and cost; JSON-able.
    """

    command: str
    outcome: str
    code: Exit
    fields: dict[str, Any]


def log_report(report: Report) -> None:
    """The one line at the end of a run, at INFO."""
    text = " ".join(f"{name}={_plain(value)}" for name, value in report.fields.items())
    logging.getLogger("harvesters.report").info(
        "%s %s: %s",
        report.command,
        report.outcome,
        text,
        extra={"fields": {"report": report.command, "outcome": report.outcome, **report.fields}},
    )


def per_second(count: int, seconds: float) -> float:
    """A rate for the report; 0 where no time passed."""
    return round(count / seconds, 1) if seconds > 0 else 0.0


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return "/".join(str(part) for part in value.values())
    return f"{value:g}" if isinstance(value, float) else str(value)
