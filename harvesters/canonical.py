"""One spelling of what a source said, and a short digest of it: equal rows are equal bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson


def canonical(value: Any) -> bytes:
    """JSON with its keys in order; what is no JSON in UTF-8 as Python writes it."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return repr(value).encode("utf-8", "backslashreplace")


def digest(content: bytes, size: int = 8) -> bytes:
    """`size` bytes that tell `content` from other."""
    return hashlib.blake2b(content, digest_size=size).digest()
