"""``HARVEST_PING_URL``: somebody else's clock is told when a run begins and how it ended, as healthchecks.io wants it.

The address is the credential, so no part of it that could be one is ever shown.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from requests import Response

from harvesters.clock import SystemClock
from harvesters.errors import ConfigError, Exit, HarvestError, Unavailable
from harvesters.http import HttpSource
from harvesters.operate.aside import Aside, Complaint
from harvesters.operate.records import shown
from harvesters.privacy import protect
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.telemetry import Report, masked
from harvesters.watched import RunRecord, Step, Watched

SETTING = "HARVEST_PING_URL"
MOST = 10_000
"""Bytes of a body; what is longer is cut off by some servers, and then it is no JSON."""

_START, _END = 2.0, 4.0  # seconds for a ping; the one at the end may have to wait for the one at the start
_PATIENT = 30.0  # seconds in which a start is tried again while the run goes on
_LONG = 12  # characters from which on a part of the address may be a key


@dataclass(frozen=True)
class PingUrl:
    """Where pings of a job go."""

    parts: SplitResult

    @classmethod
    def of(cls, settings: Settings, job: str) -> PingUrl:
        """The one that the settings name; from then on it is masked in whatever is logged, and so are its parts.

        Raises:
            ConfigError: it is none.
        """
        template = settings.get(SETTING)
        url = template.replace("{job}", job)
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise ConfigError(f"{SETTING} is no address: give it as https://HOST/… ({{job}} is the job's name).")
        words = [*parts.path.split("/"), *(word.partition("=")[2] for word in parts.query.split("&"))]
        # The job's name is no key, and stands in logs.
        keys = [word for word in (*words, parts.path.rstrip("/")) if len(word) >= _LONG and word.strip("/") != job]
        bare = urlunsplit((*parts[:2], parts.path.rstrip("/"), "", ""))
        protect([url, bare, *keys, *([parts.password] if parts.password else [])])
        return cls(parts)

    @property
    def host(self) -> str:
        """Its host, which may be shown."""
        return str(self.parts.hostname)

    def ping(self, what: str, rid: str) -> str:
        """The address of one ping: `what` goes behind the path, and the query stays at the end."""
        query = "&".join(part for part in (self.parts.query, f"rid={rid}") if part)
        return urlunsplit((self.parts.scheme, self.parts.netloc, self.parts.path.rstrip("/") + what, query, ""))


@dataclass(frozen=True)
class _Brief(RetryPolicy):
    """As long as a run may wait for it."""

    def gave_up(self, reason: str, tries: int, seconds: float, kind: type[HarvestError] = Unavailable) -> HarvestError:
        return kind(reason if tries == 1 else f"{reason} ({tries} tries)")


class Pinger:
    """Pings for the runs of one job; a listener of `Watched`."""

    def __init__(self, settings: Settings, job: str) -> None:
        self._settings = settings
        self._job = job
        self._complain = Complaint(f"{SETTING} is not told how this run went")
        self._anew()

    def began(self, run: Watched) -> None:
        """``URL/start``."""
        self._anew()
        self._started = True
        rid, retry = self._rid, _Brief(SystemClock(self._ending), _PATIENT)
        self._aside.do(lambda: self._send("/start", rid, b"", retry, _START))

    def goes_on(self, run: Watched, record: RunRecord) -> None:
        """There is no ping for that."""

    def stepped(self, run: Watched, step: Step) -> None:
        """Nor for that."""

    def ended(self, run: Watched, record: RunRecord, report: Report | None) -> None:
        """``URL`` for exit code 0, ``URL/CODE`` for others, with the report."""
        self._last(f"/{record.exit_code}" if record.exit_code else "", _body(self._job, record, report))

    def held(self, run: Watched) -> None:
        """``URL/log``: that changes nothing there. A start that was told of is ended."""
        self._last(f"/{int(Exit.TRY_LATER)}" if self._started else "/log", b"")

    def _anew(self) -> None:
        self._rid = str(uuid.uuid4())
        self._started = False
        self._ending = threading.Event()  # a start that was not taken yet is not tried again then
        self._aside = Aside("ping", self._complain)

    def _last(self, what: str, body: bytes) -> None:
        self._ending.set()
        rid, retry = self._rid, _Brief(SystemClock(), _END)
        self._aside.last(lambda: self._send(what, rid, body, retry, _END))
        self._anew()

    def _send(self, what: str, rid: str, body: bytes, retry: RetryPolicy, timeout: float) -> None:
        url = PingUrl.of(self._settings, self._job)
        with closing(HttpSource(url.host, retry, timeout)) as server:
            headers = {"Content-Type": "application/json"} if body else {}
            server.request("POST", url.ping(what, rid), _judge(server), data=body, headers=headers)


def _judge(server: HttpSource) -> Callable[[Response], None]:
    def judge(response: Response) -> None:
        server.check_transient(response)
        if response.status_code >= 300:
            raise Unavailable(f"{server.name} answered {response.status_code}. Check {SETTING}.")
        if response.content[:100].startswith(b"OK (not found)"):
            raise Unavailable(f"{server.name} knows no such check. Check {SETTING}.")

    return judge


def _body(job: str, record: RunRecord, report: Report | None) -> bytes:
    """The report as JSON; what makes it too long is left out, the longest first."""
    fields: dict[str, Any] = masked(dict(report.fields)) if report is not None else {}
    while True:
        text = json.dumps({"job": job, **(shown(record) or {}), "report": fields}, separators=(",", ":")).encode()
        if len(text) <= MOST or not fields:
            return text
        del fields[max(fields, key=lambda name: len(json.dumps(fields[name])))]
