"""Zoom's REST API v2: one call, or all pages of a list, within the budgets and with a good token."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase

from harvesters.addresses import is_loopback
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError
from harvesters.http import HttpSource
from harvesters.retry import RetryPolicy
from harvesters.sourceclock import SourceClock
from harvesters.zoom.auth import Auth
from harvesters.zoom.limits import LIGHT, Budgets, Ticket
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.refusals import (
    Misunderstood,
    PageTokenExpired,
    PlanMissing,
    TokenRefused,
    TooManyCalls,
    read_answer,
)
from harvesters.zoom.waits import Waits

T = TypeVar("T")

log = logging.getLogger(__name__)

PAGE_SIZE = 300
DEFAULT = "https://api.zoom.us/v2"
_ENVELOPE = {"next_page_token", "page_size", "page_count", "total_records", "from", "to"}  # what is around any list
_IDLE_PAGES = 30  # in a row; a list may have an empty page, as where rows are filtered after it was cut
_MOST_PAGES = 20_000  # six million rows; no account holds as many in a month, no meeting ever
_NOBODY = "-"  # no meeting's UUID
_RESTARTS = 4  # a token lives fifteen minutes; a list that cannot be read in that time never will be


@dataclass(frozen=True)
class Listed:
    """One page of a list: its rows, what the answer says besides, and the token of the next page ("" at the end)."""

    rows: list[Any]
    answer: dict[str, Any]
    token: str


class ZoomClient:
    """One Zoom account.

    Args:
        api_url: such as ``https://api.zoom.us/v2``; "" takes what the token response says.
        workers: calls that may be under way at once.
    """

    def __init__(
        self, api_url: str, auth: Auth, budgets: Budgets, retry: RetryPolicy, timeout: float = 60.0, workers: int = 48
    ) -> None:
        self.auth = auth
        self.budgets = budgets
        self.clock = retry.clock
        self.workers = workers
        self._api_url = api_url
        self._retry = retry
        self._http = HttpSource("Zoom", retry, timeout, connections=workers)
        self._date = SourceClock(retry.clock)

    @property
    def api_url(self) -> str:
        """Where the API is."""
        if not self._api_url:
            region = self.auth.token().api_url.removesuffix("/v2")
            self._api_url = f"{region}/v2" if _trusted(region) else DEFAULT
        return self._api_url

    def scopes(self) -> frozenset[str] | None:
        """What the token may do; None where nobody says."""
        return self.auth.token().scopes

    def time(self) -> datetime | None:
        """What time it is at Zoom, by the latest answer, or else that which brings a token; None where nobody says.

        Where no token is fetched, or comes without a time, one light call is made for it.
        """
        told = self._date.now() or self.auth.time()
        if told is None:
            try:
                self.get(f"/past_meetings/{_NOBODY}", LIGHT)
            except (CredentialsRefused, ProtocolError, ConfigError) as error:
                # Such an answer has it, too. Whether something is wrong, the next call will tell.
                log.debug("asked for the time: %s", error)
        return told or self._date.now()

    def close(self) -> None:
        """Close the connections; another call opens new ones."""
        self._http.close()
        self.auth.close()

    def get(self, path: str, category: str, **params: Any) -> dict[str, Any]:
        """The answer to one call of class `category`; `path` begins with a slash and is encoded.

        Raises:
            Refusal: one that the harvest can deal with, by its subclass.
            PlanMissing: the account has no such feature.
            CredentialsRefused, ProtocolError, ConfigError, Unavailable: as their names say.
            RateLimited: the budget is used up for longer than we may wait.
        """
        url = f"{self.api_url}{path}"
        renewed = False
        waits = Waits()
        while True:  # a token is renewed once, and `waits` come to an end
            call = _Call(self._http, self.budgets, category, waits, self._date)
            try:
                return self._http.request("GET", url, call.judge, call.again, params=params, auth=_Bearer(self.auth))
            except TooManyCalls:
                continue
            except TokenRefused as refusal:
                if renewed:
                    raise CredentialsRefused(f"{refusal}: {self.auth.advice}") from None
                self.auth.renew(call.bearer)
                renewed = True
            except PlanMissing as error:
                if error.foreign:
                    raise CredentialsRefused(f"{error} {self.auth.advice}") from None
                raise
            except Misunderstood as refusal:
                problem = refusal.problem
                if problem.code is None and (problem.status == 404 or 300 <= problem.status < 400):
                    raise ConfigError(f"{problem}. Check ZOOM_API_URL ({self.api_url}).") from None
                raise
            finally:
                call.close()

    def pages(self, path: str, category: str, field: str, token: str = "", **params: Any) -> Iterator[Listed]:
        """All pages of a list, from `token` on; the other parameters are sent again with every page.

        The end is where there is no further token, however many rows a page has.

        Raises:
            PageTokenExpired: it has to be begun again.
            ProtocolError: the answer has no such list, or the list has no end.
        """
        progress = _Progress(f"{self.api_url}{path}", token)
        while True:  # as long as there is progress
            extra = {"next_page_token": token} if token else {}
            answer = self.get(path, category, page_size=PAGE_SIZE, **params, **extra)
            rows = answer.get(field)
            if rows is None and (field in answer or _ENVELOPE & answer.keys()):
                rows = []
            if not isinstance(rows, list):
                raise ProtocolError(f"{self.api_url}{path} answers without a list of {field}: is this Zoom's API v2?")
            token = str(answer.get("next_page_token") or "")
            if token:
                progress.check(token, rows)
            yield Listed(rows, answer, token)
            if not token:
                return

    def drain(self, path: str, category: str, field: str, **params: Any) -> PackedRows:
        """All rows of a list, begun again when its token dies on the way."""
        return self.persistently(
            path, lambda: PackedRows(page.rows for page in self.pages(path, category, field, **params))
        )

    def persistently(self, path: str, read: Callable[[], T]) -> T:
        """What `read` returns, called again when a page token dies on the way."""
        for _ in range(_RESTARTS):
            try:
                return read()
            except PageTokenExpired as refusal:
                last = refusal
        raise ProtocolError(f"{last}. {path} was begun {_RESTARTS} times, and its page tokens died each time.")


class _Progress:
    """Sees to it that a list comes to an end: its tokens do not go round, and its pages bring something new."""

    def __init__(self, what: str, token: str) -> None:
        self.what = what
        self._tokens = {token}
        self._rows: set[int] = set()
        self._idle = 0

    def check(self, token: str, rows: list[Any]) -> None:
        """Note a page that another is to follow.

        Raises:
            ProtocolError: there will be no end.
        """
        if token in self._tokens:
            raise ProtocolError(f"{self.what} gives a page token that it gave before: the list has no end")
        self._tokens.add(token)
        known = len(self._rows)
        self._rows.update(hash(repr(row)) for row in rows)
        self._idle = self._idle + 1 if len(self._rows) == known else 0
        if self._idle >= _IDLE_PAGES:
            raise ProtocolError(f"{self.what} gave {_IDLE_PAGES} pages in a row with nothing new: the list has no end")
        if len(self._tokens) > _MOST_PAGES:
            raise ProtocolError(f"{self.what} gave over {_MOST_PAGES} pages: the list has no end")


class _Call:
    """One call and its repetitions: each takes a slot of the budget."""

    def __init__(self, http: HttpSource, budgets: Budgets, category: str, waits: Waits, date: SourceClock) -> None:
        self.http = http
        self.date = date
        self.budgets = budgets
        self.category = category
        self.waits = waits
        self.bearer = ""
        self._ticket: Ticket | None = budgets.acquire(category, waits)

    def again(self) -> None:
        self.close()
        self._ticket = self.budgets.acquire(self.category, self.waits)

    def close(self) -> None:
        if self._ticket is not None:
            self.budgets.dropped(self._ticket)
            self._ticket = None

    def judge(self, response: requests.Response) -> dict[str, Any]:
        self.date.hear(response.headers.get("Date"))
        self.bearer = str(response.request.headers.get("Authorization", "")).removeprefix("Bearer ")
        if response.status_code >= 500:
            self.http.check_transient(response)
        good = False
        try:
            answer = read_answer(response)
            good = True
            return answer
        except TooManyCalls:
            if self._ticket is not None:
                self.budgets.refused(self._ticket, response.headers, response.text, self.waits)
                self._ticket = None
            raise
        finally:
            if self._ticket is not None:
                self.budgets.answered(self._ticket, response.headers, good)
                self._ticket = None


class _Bearer(AuthBase):
    def __init__(self, auth: Auth) -> None:
        self.auth = auth

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.auth.token().text}"
        return request


def _trusted(url: str) -> bool:
    """A token is sent to where it says only over TLS, or within this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def encode_uuid(uuid: str) -> str:
    """A meeting's UUID as a path segment: encoded twice where it holds a slash.

    Zoom asks for that when it begins with ``/`` or contains ``//``; a single slash inside breaks the path as well.
    """
    once = quote(uuid, safe="")
    return quote(once, safe="") if "/" in uuid else once
