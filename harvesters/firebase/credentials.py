"""What ``FIREBASE_CREDENTIALS`` may hold: the path of a service-account file, its JSON, or the base64 of that.

Containers get the JSON itself. Nothing of it is ever shown: messages name the setting, and the path where it is one.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harvesters.addresses import is_host
from harvesters.errors import ConfigError
from harvesters.privacy import looks_like_path, protect

_NEEDED = ("client_email", "private_key", "private_key_id", "token_uri")
_REMEDY = "Make one in the Firebase console under Project settings, Service accounts."
_LINE = 16  # characters of a line of the key that are worth masking


def service_account(text: str) -> dict[str, Any]:
    """The content of the service-account file that `text` is, or leads to; its secrets are masked from now on.

    Raises:
        ConfigError: it is none.
    """
    if _begins_object(text):
        return _checked(_parsed(text, "the JSON that it holds"), "the JSON that it holds")
    decoded = _decoded(text)
    if decoded is not None:
        protect([text])
        return _checked(_parsed(decoded, "the base64 that it holds"), "the base64 that it holds")
    what = text if looks_like_path(text) else "the file that it names"
    return _checked(_parsed(_read(text, what), what), what)


def _begins_object(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("{")


def _decoded(text: str) -> str | None:
    """The JSON that `text` is the base64 of; None if it is not."""
    try:
        packed = "".join(text.split()).rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
        plain = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None
    return plain if _begins_object(plain) else None


def _read(text: str, what: str) -> str:
    try:
        return Path(text).expanduser().read_bytes().decode("utf-8-sig", "replace")
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise ConfigError(
            f"FIREBASE_CREDENTIALS: {what} cannot be read: {reason}. It may be the path of a service-account file, its "
            "JSON, or the base64 of that."
        ) from None


def _parsed(text: str, what: str) -> Any:
    protect([text])
    try:
        return json.loads(text.lstrip("\ufeff"), strict=False)  # a shell may have made line breaks of the key's \\n
    except (ValueError, RecursionError):
        raise ConfigError(f"FIREBASE_CREDENTIALS: {what} is no JSON of a service account. {_REMEDY}") from None


def _checked(info: Any, what: str) -> dict[str, Any]:
    missing = [name for name in _NEEDED if not isinstance(info, dict) or not isinstance(info.get(name), str)]
    if missing:
        raise ConfigError(
            f"FIREBASE_CREDENTIALS: {what} is no service account, it lacks {', '.join(missing)}. {_REMEDY}"
        )
    key = info["private_key"]
    protect([key, *(line for line in key.split("\n") if len(line) >= _LINE and "PRIVATE KEY" not in line)])
    if not _is_url(info["token_uri"]):
        raise ConfigError(f"FIREBASE_CREDENTIALS: in {what} token_uri is no http(s) URL. {_REMEDY}")
    checked: dict[str, Any] = info
    return checked


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and is_host(parts.hostname) and parts.port != 0
    except ValueError:
        return False
