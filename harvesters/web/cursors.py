"""Where the next page begins, as a text that only we can make."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

_MAC = 32  # bytes


class Forged(Exception):
    """It was not made by us, is cut off, or belongs to another query."""


class Cursors:
    """Signs places in a list, each bound to the query that it belongs to. They do not expire.

    Args:
        key: ``HARVEST_CURSOR_KEY``; who has another one does not understand ours.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, query: Mapping[str, Any], place: Sequence[Any]) -> str:
        """The text for `place`, which is JSON-able."""
        said = orjson.dumps([*place])
        return _text(self._mac(query, said) + said)

    def read(self, query: Mapping[str, Any], text: str) -> list[Any]:
        """The place.

        Raises:
            Forged: as it says.
        """
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise Forged from None
        mac, said = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(query, said)) or text != _text(raw):  # that has other spellings
            raise Forged
        place: list[Any] = orjson.loads(said)
        return place

    def _mac(self, query: Mapping[str, Any], said: bytes) -> bytes:
        bound = orjson.dumps(query, option=orjson.OPT_SORT_KEYS)
        return hmac.digest(self._key, len(bound).to_bytes(8, "big") + bound + said, sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
