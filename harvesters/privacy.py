"""What must not be seen: secrets in anything that we print, log, raise or store."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, quote_plus

MASK = "***"

# Credentials in URLs and headers, whatever their value: ?auth=, access_token=, user:password@, Authorization: …
_SHAPES = (
    re.compile(
        r"(?i)([?&;](?:auth|access_token|token|key|secret|password|X-Amz-Signature|X-Amz-Credential)=)[^&\s\"'<>]+"
    ),
    re.compile(r"(?i)(://)[^/\s:@\"']*:[^/\s@\"']+(?=@)"),
    re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?)(?:\w+ +)?[^\r\n]+"),
    re.compile(r"(/inputs/)[^/\s]+"),
    re.compile(r"(/bulk/)[^/\s]+(?=/tag/)"),
    re.compile(r"()\{[^{}]*PRIVATE KEY[^{}]*\}?"),  # a service account
    re.compile(r"()-----BEGIN[A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END[A-Z ]*PRIVATE KEY-----|\Z)"),
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]{64,}={0,2}\s*")
_TOKENS = 3
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def protect(secrets: Iterable[str]) -> None:
    """Have `redact` mask these values from now on, in the spellings in which they may turn up."""
    for secret in secrets:
        if len(secret) >= 3:  # masking one or two letters would mask half of every line
            _known.update(_spellings(secret))
    _compile()


def protect_token(token: str, earlier: Sequence[str] = ()) -> list[str]:
    """As `protect`, for a secret that is replaced every hour or so; `earlier` is what this returned the last time.

    The last few stay masked, as a message may be late; the others are worth nothing any more and are forgotten, for a
    process that runs for months would mask thousands.
    """
    kept = [*earlier, token][-_TOKENS:]
    for old in set(earlier) - set(kept):
        _known.difference_update(_spellings(old))
    protect(kept)
    return kept


def _compile() -> None:
    global _pattern
    if _known:
        _pattern = re.compile("|".join(re.escape(value) for value in sorted(_known, key=len, reverse=True)))


def _spellings(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogateescape")  # an environment variable may be no UTF-8
    urls = {quote(raw, safe=""), quote_plus(raw)}
    json_texts = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, *urls, *json_texts, repr(secret)[1:-1], repr(raw)[2:-1], base64.b64encode(raw).decode()}


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
        return b"PRIVATE KEY" in base64.b64decode(packed + "=" * (-len(packed) % 4))
    except ValueError:
        return False


def looks_like_path(value: str) -> bool:
    """Whether `value`, which may be a path or a secret document, is a path: base64 and JSON never look like this."""
    return value.startswith(("/", "~", "./", "../")) or value.lower().endswith(".json")


def redact(text: str) -> str:
    """`text` without secrets."""
    if _pattern is not None:
        text = _pattern.sub(MASK, text)
    for shape in _SHAPES:
        text = shape.sub(rf"\1{MASK}", text)
    return text
