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
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from harvesters.errors import Exit
from harvesters.privacy import redact

_LAST_WORDS = 5.0  # seconds that the end of a run may wait for Loggly
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# These log whole requests, headers and bodies at DEBUG, which is where secrets are.
_TALKATIVE = ("botocore", "boto3", "urllib3", "s3transfer", "elastic_transport", "elasticsearch", "requests")


_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}


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
        return json.dumps(_masked(entry), separators=(",", ":"))


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return redact(str(value))


def _message(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + formatter.formatException(record.exc_info)
    return message


class LogglyHandler(logging.Handler):
    """Ships records to Loggly from a thread of its own; what Loggly does not take is dropped, never the run."""

    def __init__(self, url: str, token: str, tags: str) -> None:
        super().__init__()
        names = ",".join(tag for tag in ("harvest", *tags.replace(" ", "").split(",")) if tag)
        self._url = f"{url.rstrip('/')}/bulk/{token}/tag/{names}/"
        self._start()
        os.register_at_fork(after_in_child=self._start)  # threads do not come along into a fork
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record in line; a full line drops it."""
        if not record.name.startswith(_TALKATIVE):  # shipping logs makes such records: no echo
            try:
                self._lines.put_nowait(self.format(record))
            except queue.Full:
                return

    def close(self) -> None:
        """Send what is in line, for five seconds at most."""
        until = time.monotonic() + _LAST_WORDS
        with suppress(queue.Full):
            self._lines.put(None, timeout=_LAST_WORDS)
        self._thread.join(max(0.0, until - time.monotonic()))
        super().close()

    def _start(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        self._thread = threading.Thread(target=self._ship, name="loggly", daemon=True)
        self._thread.start()

    def _ship(self) -> None:
        import requests

        done = False
        while not done:
            lines = [self._lines.get()]
            while len(lines) < 500 and not self._lines.empty():
                lines.append(self._lines.get())
            done = None in lines
            body = "\n".join(line for line in lines if line is not None)
            if body:
                try:
                    requests.post(self._url, data=body.encode(), headers={"Content-Type": "text/plain"}, timeout=5)
                except requests.RequestException:
                    continue


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Log to standard error (or `stream`) at `level`, as ``text`` or ``json``; replaces an earlier configuration."""
    stream = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(stream)
    colours = stream.isatty() and not os.environ.get("NO_COLOR")
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter(colours))
    root = logging.getLogger()
    for old in [*root.handlers]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    sys.excepthook = _log_bug


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


def _log_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("harvesters").critical(
        "this is a bug in harvest.py; please report it with the traceback", exc_info=(kind, error, trace)
    )


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
