"""The REST interface of a Firebase Realtime Database, read only.

Children are read in pages ordered by key, which needs no index; filtered answers come
unordered and are sorted here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

import orjson
import requests

from harvesters.addresses import base_url
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError
from harvesters.firebase.auth import Auth
from harvesters.firebase.keys import Path, children_of, rank
from harvesters.http import HttpSource, parse_json
from harvesters.privacy import excerpt
from harvesters.sourceclock import SourceClock

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024 * 1024
"""Bytes of an answer beyond which fewer children are asked for. The database itself refuses at 256 MB."""

_CHUNK = 1 << 20
_NOBODY = "-"
"""A key that no client makes: asking for it costs nothing, and who may read a node may read below it."""


class TooBig(Exception):
    """The answer would be, or would take, more than one request may: ask for fewer children."""


class TokenRenewed(Exception):
    """The token was refused, and is forgotten; a new one may not be."""


@dataclass(frozen=True)
class Children:
    """One page: (key, value) in key order, the bytes of the answer, and the seconds that it took.

    Attributes:
        null: the answer is the database's own null, and not just without children.
    """

    pairs: list[tuple[str, Any]]
    size: int
    seconds: float = 0.0
    null: bool = False


class _Answer(NamedTuple):
    """What a request brought: `seconds` are those of the one that succeeded, not of those tried before it."""

    value: Any
    size: int
    seconds: float


class FirebaseClient:
    """One database.

    Args:
        endpoint: its URL; ``?ns=NAME`` names the database where many share an address, as in Google's emulator.
        auth: who we are.
        http: the session and its retry policy.
        max_body: see `MAX_BODY`.

    Raises:
        ConfigError: the endpoint is no URL.
    """

    def __init__(self, endpoint: str, auth: Auth, http: HttpSource, max_body: int = MAX_BODY) -> None:
        base, _, query = endpoint.strip().partition("?")
        self.base_url = base_url(base.removesuffix(".json"), "FIREBASE_ENDPOINT")
        self.fixed = dict(parse_qsl(query))
        if self.fixed.keys() - {"ns"}:
            raise ConfigError("FIREBASE_ENDPOINT: of a query only ?ns=NAME may be given; the secret is FIREBASE_KEY")
        self.auth = auth
        self.http = http
        self.max_body = max_body
        self.clock = SourceClock(http.retry.clock)

    def url(self, path: Path) -> str:
        """Where a node is."""
        return f"{self.base_url}/{'/'.join(quote(key, safe='', errors='surrogatepass') for key in path)}.json"

    def close(self) -> None:
        """Close the connections."""
        self.http.session.close()
        self.auth.close()

    def get(self, path: Path, parse: Callable[[bytearray], Any] = parse_json) -> Any:
        """All of a node, as `parse` reads it; None where there is none.

        Raises:
            TooBig: it is larger than one answer may be.
        """
        return self._get(path, {}, parse).value

    def time(self, path: Path) -> datetime | None:
        """The database's clock; None when it does not tell. Asks for a child of `path` when nothing was asked yet."""
        if self.clock.now() is None:
            try:
                self.get((*path, _NOBODY))
            except (CredentialsRefused, ProtocolError, ConfigError, TooBig) as error:
                log.debug(
                    "asked for the time: %s", error
                )  # such an answer has it too; what is asked for next will tell
        return self.clock.now()

    def keys(self, path: Path) -> Any:
        """A node without what is below its children: an object of true values; a scalar as it is; None."""
        return self._get(path, {"shallow": "true"}).value

    def children(
        self, path: Path, limit: int, parse: Callable[[bytearray], Any] = parse_json, /, **bounds: str | None
    ) -> Children:
        """The first `limit` children of a node within `bounds` (``startAt``, ``startAfter``, ``endAt``, ``endBefore``).

        `parse` reads the answer, and may leave the values as they are.

        Raises:
            TooBig: together they are larger than one answer may be.
            ProtocolError: the answer holds what was not asked for.
        """
        asked = {name: bound for name, bound in bounds.items() if bound is not None}
        params = {name: quoted(bound) for name, bound in asked.items()}
        answer = self._get(path, {"orderBy": '"$key"', "limitToFirst": str(limit), **params}, parse)
        pairs = children_of(answer.value)
        if len(pairs) > limit or (pairs and not _within(pairs[0][0], pairs[-1][0], asked)):
            raise self._dishonoured(path, limit, len(pairs))
        return Children(pairs, answer.size, answer.seconds, answer.value is None)

    def last_key(self, path: Path, until: str) -> str | None:
        """The key of a node's last child up to `until`; None when there is none.

        Raises:
            TooBig: the child is larger than one answer may be.
            ProtocolError: the answer holds what was not asked for.
        """
        answer = self._get(path, {"orderBy": '"$key"', "limitToLast": "1", "endAt": quoted(until)})
        pairs = children_of(answer.value)
        if len(pairs) > 1 or (pairs and rank(pairs[0][0]) > rank(until)):
            raise self._dishonoured(path, 1, len(pairs))
        return pairs[0][0] if pairs else None

    def next_key(self, path: Path, after: str | None) -> str | None:
        """The first key of a node behind `after`, without its value; None when there is none.

        One key is asked for as Google's own command line does it; the documentation does not allow that, so a refusal
        or a wrong answer leads to reading all keys.

        Raises:
            ProtocolError: the keys, too, are more than one answer may hold.
        """
        low = rank(after) if after is not None else None
        one = {"shallow": "true", "orderBy": '"$key"', "limitToFirst": "1"}
        if after is not None:
            one["startAfter"] = quoted(after)
        try:
            found = _keys_behind(self._get(path, one).value, low)
            if found:
                return found[0]
        except (TooBig, ProtocolError):
            log.debug("%s: no shallow answer with limits", self.http.name)
        try:
            found = _keys_behind(self.keys(path), low)
        except TooBig:
            raise ProtocolError(
                f"a child of /{'/'.join(path)} {'behind ' + after + ' ' if after is not None else ''}is more than "
                f"{self.http.name} sends in one answer, and so are the keys beside it, so it cannot be passed over or "
                "looked into. Read its neighbours by their own paths."
            ) from None
        return found[0] if found else None

    def _get(self, path: Path, params: Mapping[str, str], parse: Callable[[bytearray], Any] = parse_json) -> _Answer:
        try:
            return self._send(path, params, parse, renewable=True)
        except TokenRenewed:
            log.info("%s: the token is refused; fetching a new one", self.http.name)
            return self._send(path, params, parse, renewable=False)

    def _send(
        self, path: Path, params: Mapping[str, str], parse: Callable[[bytearray], Any], renewable: bool
    ) -> _Answer:
        clock = self.http.retry.clock

        def judge(response: requests.Response) -> _Answer:
            began = clock.monotonic()
            self.judge_status(response, path, renewable)
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > self.max_body:
                    raise TooBig
            seconds = response.elapsed.total_seconds() + clock.monotonic() - began  # its head came before the judge
            return _Answer(parse(body), len(body), seconds)

        return self.http.request(
            "GET",
            self.url(path),
            judge,
            params={**self.fixed, **params, **self.auth.params()},
            headers=self.auth.headers(),
            stream=True,
        )

    def _dishonoured(self, path: Path, limit: int, sent: int) -> ProtocolError:
        return ProtocolError(
            f"{self.http.name} does not honour orderBy and its limits: asked for {limit} children of "
            f"/{'/'.join(path)}, it sent {sent}, some outside of what was asked for. Is FIREBASE_ENDPOINT "
            "the address of a Realtime Database?"
        )

    def judge_status(self, response: requests.Response, path: Path, renewable: bool) -> None:
        """Raise what an answer without the data means.

        Raises:
            Transient: 429 and 5xx.
            TooBig: the database refuses to send so much at once, or needs too long for it.
            TokenRenewed: a token was refused, and is `renewable`: ask once more.
            CredentialsRefused, ConfigError, ProtocolError: as they say.
        """
        self.clock.hear(response.headers.get("Date"))
        self.http.check_transient(response)
        if response.status_code == 200:
            return
        said = _error_text(response)
        text = excerpt(said)
        if response.status_code in (401, 403):
            if renewable and self.auth.renew():
                raise TokenRenewed
            raise CredentialsRefused(
                f"{self.http.name} refuses to show /{'/'.join(path)}: {text}. Check FIREBASE_KEY or "
                "FIREBASE_CREDENTIALS, and the rules of the database."
            )
        if response.status_code == 404:
            raise ConfigError(f"{self.http.name}: there is no such database ({text}). Check FIREBASE_ENDPOINT.")
        if response.status_code == 413 or (response.status_code == 400 and _asks_for_less(said)):
            raise TooBig
        raise ProtocolError(f"{self.http.name} answered {response.status_code} for /{'/'.join(path)}: {text}")


def quoted(key: str) -> str:
    """A key as the bounds of a query have it."""
    try:
        return orjson.dumps(key).decode()
    except TypeError:  # half of a surrogate pair, which only escapes can write
        return json.dumps(key)


def _within(first: str, last: str, bounds: Mapping[str, str]) -> bool:
    low, high = rank(first), rank(last)
    return (
        ("startAt" not in bounds or low >= rank(bounds["startAt"]))
        and ("startAfter" not in bounds or low > rank(bounds["startAfter"]))
        and ("endAt" not in bounds or high <= rank(bounds["endAt"]))
        and ("endBefore" not in bounds or high < rank(bounds["endBefore"]))
    )


def _keys_behind(shallow: Any, low: tuple[int, int, int, str] | None) -> list[str]:
    return [key for key, _ in children_of(shallow) if low is None or rank(key) > low]


def _asks_for_less(text: str) -> bool:
    lowered = text.lower()
    return "exceeds the maximum size" in lowered or "timeout" in lowered or "timed out" in lowered


def _error_text(response: requests.Response) -> str:
    try:
        answer = orjson.loads(response.content[:100_000])
        return str(answer["error"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return response.reason or str(response.status_code)
