"""Keys to the web face (``HARVEST_API_KEYS``): who has one, and what it opens."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from harvesters.errors import ConfigError
from harvesters.privacy import protect, protect_basic

SETTING = "HARVEST_API_KEYS"

_READ = "read"
_READING = ("GET", "HEAD")
_HEADERS = (b"x-api-key", b"x-wenet-component-apikey")
_SHAPE = "NAME:SECRET or NAME:SECRET:PART+PART, a part also as PART:read"


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        name: whose it is: not secret, and the user's name where a browser asks for one.
        parts: by the name of a part, whether the key opens reading alone; None: everything.
    """

    name: str
    secret: str
    parts: Mapping[str, bool] | None = None

    def opens(self, part: str | None, method: str) -> bool:
        """Whether it opens `part` for `method`. What belongs to no part (None) is open to every key."""
        if part is None or self.parts is None:
            return True
        return part in self.parts and (not self.parts[part] or method in _READING)


class Keys:
    """All keys; none means that nobody needs one."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._by_digest = {_digest(spelling): key for key in keys for spelling in _spellings(key)}

    def __bool__(self) -> bool:
        return bool(self._by_digest)

    def find(self, headers: Iterable[tuple[bytes, bytes]]) -> Key | None:
        """The key that a request's headers present, None for a wrong one or none.

        How long it takes does not tell how much of a wrong key is right: digests are compared, each to its end.
        """
        found = None
        for presented in _presented(headers):
            digest = _digest(presented)
            for known, key in self._by_digest.items():
                if hmac.compare_digest(known, digest):
                    found = key
        return found


def read_keys(text: str, parts: Collection[str]) -> Keys:
    """The keys of the setting's value, which lists them with commas between, or names a ``@FILE`` with one a line.

    In a file a line that begins with ``#`` is a comment: a key that is taken out like this opens nothing.

    Logs mask their secrets from then on.

    Args:
        parts: the names that there are.

    Raises:
        ConfigError: one cannot be read. The message holds no secret.
    """
    keys: list[Key] = []
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        for number, line in enumerate(_lines(path), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                keys.append(_read(line.strip(), f"line {number} of {path}", parts))
        if not keys:
            raise ConfigError(f"{SETTING}: {path} holds no key; it should have one a line: {_SHAPE}.")
    elif text:
        entries = enumerate(text.split(","), 1)
        keys = [_read(entry.strip(), f"entry {number}", parts) for number, entry in entries]
    if len({key.secret for key in keys}) < len(keys):
        raise ConfigError(f"{SETTING}: two keys have the same secret: give each its own.")
    protect(key.secret for key in keys)
    for key in keys:
        protect_basic(key.name, key.secret)
    return Keys(keys)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{SETTING}: {path} is no UTF-8.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{SETTING}: {path} cannot be read: {getattr(error, 'strerror', error)}.") from error


def _read(entry: str, where: str, parts: Collection[str]) -> Key:
    def fail(reason: str) -> NoReturn:
        raise ConfigError(f"{SETTING}: {where} {reason}; it should read {_SHAPE}.")

    name, *rest = map(str.strip, entry.split(":", 2))  # no header has blanks around a value
    if not name or not rest or not rest[0]:
        fail("has no name" if not name else "has no secret")
    if "," in entry:
        fail("has a comma in it")
    if len(rest) < 2:
        return Key(name, rest[0])
    opened: dict[str, bool] = {}
    for word in rest[1].split("+"):
        part, colon, right = word.partition(":")
        if part not in parts:
            fail(f"opens a part that is none (there are {', '.join(parts)})")
        if colon and right != _READ:
            fail("gives a right that is none (there is read)")
        opened[part] = bool(colon) and opened.get(part, True)  # the wider right counts, where one is named twice
    return Key(name, rest[0], opened)


def _spellings(key: Key) -> Iterable[bytes]:
    """What a request may present: the secret, or NAME:SECRET of Basic; programs send ü as UTF-8 or as Latin-1."""
    for text in (key.secret, f"{key.name}:{key.secret}"):
        yield text.encode("utf-8", "surrogateescape")
        with suppress(UnicodeEncodeError):
            yield text.encode("latin-1")


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    for name, value in headers:
        if name in _HEADERS:
            if b":" not in value:  # NAME:SECRET is for Basic alone
                yield value.strip()
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                if b":" not in rest:
                    yield rest.strip()
            elif scheme.lower() == b"basic":
                try:
                    credentials = base64.b64decode(rest.strip(), validate=True)
                except (binascii.Error, ValueError):
                    continue
                if b":" in credentials:
                    yield credentials


def _digest(text: bytes) -> bytes:
    return sha256(text).digest()
