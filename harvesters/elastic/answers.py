"""What a cluster answers, read here and not by elasticsearch-py.

Its errors quote a body that it cannot read, and there may be people's ids in that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from harvesters import exact
from harvesters.errors import ProtocolError
from harvesters.retry import Transient

SEEN_AT_ONCE = {"refresh": "true"}
"""Parameters of a write: searches see it when it is answered."""

WHOLE = {"allow_partial_search_results": "false"}
"""What each search is asked with: by default an answer leaves out, with status 200, the shards that failed."""


@dataclass(frozen=True)
class Answer:
    """The status of an answer, its body as JSON, and as the bytes that came."""

    status: int
    body: Any
    raw: bytes = b""

    @property
    def found(self) -> bool:
        """True unless it is 404."""
        return self.status != 404


class Said(dict[str, Any]):
    """What a cluster said; what it did not say, though we need it, is its fault and not ours."""

    def __missing__(self, name: str) -> Any:
        raise ProtocolError(f"an answer of Elasticsearch holds no {name!r}. Check ES_HOST, and what stands before it.")


def read_json(body: bytes, exactly: bool = False) -> Any:
    """An answer's body. What orjson refuses, such as half of a surrogate pair in a document, Python's reader takes.

    Args:
        exactly: numbers that neither 64 bits nor a double can hold keep their spelling.

    Raises:
        Transient: it is no JSON, as a body is that was cut off; the message holds nothing of it.
    """
    if not exactly:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    try:
        return exact.loads(body)
    except ValueError as error:
        place = getattr(error, "pos", None)
        where = f", which breaks off or goes wrong at character {place}" if place is not None else ""
        raise Transient(f"sent JSON that cannot be read: {len(body)} bytes{where}") from None


def error_body(body: Any, headers: Mapping[str, str]) -> Any:
    """An error as JSON; of anything else, such as a proxy's page, its size and type."""
    try:
        if isinstance(body, bytes) and body:
            found = orjson.loads(body)
            if isinstance(found, dict):
                return found
    except orjson.JSONDecodeError:
        pass
    size = len(body) if isinstance(body, bytes | str) else 0
    kind = str(headers.get("content-type") or "no type").partition(";")[0]
    return f"({size} bytes of {kind})" if size else ""
