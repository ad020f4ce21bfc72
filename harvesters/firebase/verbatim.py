"""The children in an answer as the bytes that were sent: for an export, which need not know what is in them.

So numbers keep their spelling, and nothing is made into objects only to be written down again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harvesters.http import parse_json

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_NULL = b"null"


def parse_verbatim(body: bytes | bytearray) -> Any:
    """An object or list whose values are `msgspec.Raw`; whatever else there is as `parse_json` reads it.

    Raises:
        Transient: it is no JSON.
    """
    if b"\n" in body:
        return parse_json(body)  # pretty printed: its bytes would not fit into a line
    try:
        if body[:1] == b"{":
            return _OBJECT.decode(body)
        if body[:1] == b"[":
            return [None if bytes(item) == _NULL else item for item in _LIST.decode(body)]
    except msgspec.DecodeError:
        pass  # cut off, or half of a surrogate pair: the other reader tells
    return parse_json(body)
