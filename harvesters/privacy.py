"""What must not be seen: secrets in anything that we print, log, raise or store."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
LIMIT = 500
"""Characters of a server's own words that stand in a message of ours at most."""

# Credentials in URLs and headers, whatever their value: ?auth=, access_token=, user:password@, Authorization: …
_SHAPES = (
    re.compile(
        r"(?i)([?&;](?:auth|access_token|token|key|secret|password|X-Amz-Signature|X-Amz-Credential)=)[^&\s\"'<>]+"
    ),
    re.compile(r"(?i)(://)[^/\s:@\"']*:[^/\s@\"']+(?=@)"),
    re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?)(?:\w+ +)?[^\r\n]+"),
    re.compile(r"(?i)(signature['\"]?\s*[:=]\s*)[0-9a-f]{64}"),
    re.compile(r"(/inputs/)[^/\s]+"),
    re.compile(r"(/bulk/)[^/\s]+(?=/tag/)"),
    re.compile(r"()\{[^{}]*PRIVATE KEY[^{}]*\}?"),  # a service account
    re.compile(r"()-----BEGIN[A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END[A-Z ]*PRIVATE KEY-----|\Z)"),
)
# What says who somebody is where no field does: in the paths and in the words of a server's refusals.
_PEOPLE = (re.compile(r"(/users/)[^/?\s]+"), re.compile(r"()[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+"))
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]{64,}={0,2}\s*")
_MOST = 1_000_000  # characters that are looked at for an excerpt
_SHORTEST = 3  # characters: masking one or two letters would mask half of every line
_KEPT = 16  # tokens of one owner: what is in use in any thread, and what may yet come in a late message

_lock = threading.Lock()
_known: dict[str, frozenset[str]] = {}
_tokens: dict[str, OrderedDict[str, frozenset[str]]] = {}
_pattern: re.Pattern[str] | None = None
_hide_people = False


def protect(secrets: Iterable[str]) -> None:
    """Have `redact` mask these values from now on, in the spellings in which they may turn up; never forgotten."""
    new = {secret: _spellings(secret) for secret in secrets if len(secret) >= _SHORTEST and secret not in _known}
    if new:
        with _lock:
            _known.update(new)
            _compile()


def hide_people(wanted: bool) -> None:
    """Whether `redact` masks e-mail addresses, and ids of users in paths, from now on."""
    global _hide_people
    _hide_people = wanted


def protect_token(owner: str, token: str) -> None:
    """As `protect`, for tokens that are replaced as time goes by: of one owner's the latest are masked.

    `owner`: whose token it is, such as the account; there should be few of them.
    """
    if len(token) < _SHORTEST:
        return
    with _lock:
        tokens = _tokens.setdefault(owner, OrderedDict())
        new = token not in tokens
        tokens.setdefault(token, _spellings(token))
        tokens.move_to_end(token)
        while len(tokens) > _KEPT:
            tokens.popitem(last=False)
        if new:
            _compile()


def _compile() -> None:
    global _pattern
    spellings = set().union(*_known.values(), *(known for tokens in _tokens.values() for known in tokens.values()))
    _pattern = re.compile("|".join(re.escape(value) for value in sorted(spellings, key=len, reverse=True)))


def _spellings(secret: str) -> frozenset[str]:
    raw = secret.encode("utf-8", "surrogateescape")  # an environment variable may be no UTF-8
    urls = {quote(raw, safe=""), quote_plus(raw)}
    json_texts = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return frozenset({secret, *urls, *json_texts, repr(secret)[1:-1], repr(raw)[2:-1], base64.b64encode(raw).decode()})


def protect_basic(user: str, password: str) -> None:
    """Mask the password, and the Basic credentials that it makes with `user`."""
    protect([password, base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode()])


def holds_private_key(value: str) -> bool:
    """Whether `value` holds a private key, such as a service account's JSON, or is the base64 of what does."""
    if "PRIVATE KEY" in value:
        return True
    if _BASE64.fullmatch(value) is None:
        return False
    packed = "".join(value.split()).rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return b"PRIVATE KEY" in base64.b64decode(packed[: len(packed) // 4 * 4])  # its end may be lost
    except ValueError:
        return False


def looks_like_path(value: str) -> bool:
    """Whether `value`, which may be a path or a secret document, is a path: base64 and JSON never look like this."""
    return value.startswith(("/", "~", "./", "../")) or value.lower().endswith(".json")


def redact(text: str) -> str:
    """`text` without secrets."""
    if _pattern is not None:
        text = _pattern.sub(MASK, text)
    for shape in (*_SHAPES, *_PEOPLE) if _hide_people else _SHAPES:
        text = shape.sub(rf"\1{MASK}", text)
    return text


def excerpt(text: Any, limit: int = LIMIT) -> str:
    """What a server says of an error, fit for a message: masked, on one line, and at most `limit` characters.

    A page of HTML, and what is no text of an error but the answer itself, belongs into no message: pass what the server
    names as its reason.
    """
    if isinstance(text, bytes | bytearray):
        text = bytes(text[:_MOST]).decode("utf-8", "replace")
    # Masked before it is cut, so that no half of a secret is left at the end.
    masked = redact(str(text)[:_MOST])[: 10 * limit]
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in masked).split())
    return words if len(words) <= limit else f"{words[: limit - 2]} …"
