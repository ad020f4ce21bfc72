"""Hosts and URLs as people write them in settings."""

from __future__ import annotations

import re

from harvesters.errors import ConfigError

_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")


def base_url(value: str, name: str) -> str:
    """A host, host:port or URL as a base URL without a slash at the end; a bare loopback host means http, others https.

    Raises:
        ConfigError: it is none of these.
    """
    from urllib.parse import urlsplit

    text = value.strip()
    if "://" not in text:
        host = text.rpartition("@")[2]
        bare = host.split("/")[0].rsplit(":", 1)[0] if not host.startswith("[") else host[1:].split("]")[0]
        text = f"{'http' if is_loopback(bare) else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and is_host(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or any(char.isspace() for char in text):
        raise ConfigError(f"{name}: this is no host, host:port or http(s) URL")
    if parts.username or parts.password:
        raise ConfigError(f"{name}: leave user and password out of the URL; they have settings of their own")
    return text.rstrip("/")


def is_host(name: str | None) -> bool:
    """Whether `name` can be one: none of its labels is empty or longer than 63 characters, as a secret may be."""
    try:
        return bool(name and name.encode("idna"))
    except UnicodeError:
        return False


def is_loopback(host: str) -> bool:
    """The host is this machine itself."""
    return host.lower() == "localhost" or host == "::1" or _LOOPBACK.fullmatch(host) is not None
