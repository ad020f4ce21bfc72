"""An answer as the bytes that were sent: for an export, which need not know what is in it.

So numbers keep their spelling, and nothing is made into objects only to be written down again.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from harvesters.http import parse_json

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_NULL = b"null"
_BLANK = b" \t\r\n"
_BETWEEN = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')  # texts are kept, blanks between tokens are not
_reader = json.JSONDecoder()


def parse_verbatim(body: bytes | bytearray) -> Any:
    """An object or list whose values are `msgspec.Raw`; a scalar as one, null as None.

    Raises:
        Transient: it is no JSON.
    """
    body = body.strip(_BLANK)
    if b"\n" in body:  # pretty printed: an entry is a line
        body = _BETWEEN.sub(rb"\1", body)
    try:
        if body[:1] == b"{":
            return _OBJECT.decode(body)
        if body[:1] == b"[":
            return [_unless_null(item) for item in _LIST.decode(body)]
    except msgspec.DecodeError:
        pass  # cut off, or half of a surrogate pair
    return _slowly(body)


def _unless_null(item: msgspec.Raw) -> msgspec.Raw | None:
    return None if bytes(item) == _NULL else item


def _slowly(body: bytes | bytearray) -> Any:
    """The same by Python's own reader, which takes half of a surrogate pair; and scalars."""
    parse_json(body)  # raises what there is to raise
    text = body.decode("utf-8", "replace")
    if text[:1] not in "{[":
        return _unless_null(msgspec.Raw(text.encode()))
    members: list[tuple[str, msgspec.Raw | None]] = []
    at = _skip(text, 1)
    while text[at] not in "}]":
        key = ""
        if text[0] == "{":
            key, at = _reader.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        _, end = _reader.raw_decode(text, at)
        members.append((key, _unless_null(msgspec.Raw(text[at:end].encode()))))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return dict(members) if text[0] == "{" else [item for _, item in members]


def _skip(text: str, at: int) -> int:
    """The offset of what comes behind blanks."""
    while text[at] in " \t\r\n":
        at += 1
    return at
