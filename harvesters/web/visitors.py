"""Whose page view a request is."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from harvesters.web.gate import KEY
from harvesters.web.headers import BODILESS
from harvesters.web.hosts import TRUSTED


@dataclass(frozen=True)
class Visitors:
    """Users, as the proxy that logs them in names them in `header` (``LISTINGS_USER_HEADER``)."""

    header: str

    def user(self, scope: Scope) -> str | None:
        """Who looks at a page: whom the header names, else the key's name; None where nobody looks, or who is unknown.

        The header is believed from a proxy of ours alone, where one is named. Sent twice, it names nobody.
        """
        if scope.get(BODILESS) or self._is_ahead(scope):
            return None
        named = [value for value in _values(scope, self.header) if value.strip()] if scope[TRUSTED] else []
        if not named:
            key: str | None = scope[KEY]
            return key
        return _text(named[0]).strip() if len(named) == 1 else None

    def _is_ahead(self, scope: Scope) -> bool:
        """Whether a browser asks in case that somebody will look (``Sec-Purpose: prefetch``)."""
        return any(value.partition(b";")[0].strip() == b"prefetch" for value in _values(scope, "sec-purpose"))


def _values(scope: Scope, name: str) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name.lower().encode("latin-1", "replace")]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
