"""Pseudonyms: what stands for a value that says who somebody is, the same for each spelling of the value.

``HARVEST_PSEUDONYMISE`` names fields, ``HARVEST_PSEUDONYM_KEY`` the keys. A pseudonym is made of a value and a secret:
nobody without the secret can try all values. The first key is used, older ones serve to look people up.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import orjson

from harvesters.errors import ConfigError
from harvesters.privacy import protect
from harvesters.settings import Settings

KEY = "pseudonym_key"
"""The field that says which key a document's pseudonyms are made with."""

FIELDS, KEYS = "HARVEST_PSEUDONYMISE", "HARVEST_PSEUDONYM_KEY"

_STAYS = ("", "anonymous")
_SHORTEST = 16  # characters of a secret
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME = re.compile(r"[^\s.*]+(?:\.[^\s.*]+)*(?:\.?\*)?")
_RAW = re.compile(r"(?:_raw)+$")  # what a mapping kept aside of a field is that field's
_OURS = frozenset(
    (
        *("_id", "id", "uuid", "action_id", "mpid", "meeting", "source", "type", "route", KEY),
        *("timestamp", "created_at", "start_time", "end_time", "join_time"),
    )
)
"""Fields that ids, indices and the order of documents are made of; they stay."""

_REMEMBERED, _LONGEST = 50_000, 512  # values of so many characters at most: a course's students come back
_HUGE = 400  # digits
_SHAPE = "ID:SECRET"
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Key:
    """One key; `id` stands in documents, `secret` never leaves."""

    id: str
    secret: str = field(repr=False)

    def pseudonym(self, value: Any) -> str | None:
        """What stands for `value`; None for what stays: null, empty, ``anonymous``, true and false.

        An IP address becomes one of IPv6 that cannot be anybody's, for fields that take nothing else.
        """
        text = spelled(value)
        if text is None or text in _STAYS:
            return None
        address = _address(text)
        digits = hmac.digest(self.secret.encode(), (address or text).encode("utf-8", "surrogatepass"), sha256).hex()
        if address is None:
            return digits[:32]
        return ipaddress.IPv6Address(int(f"fd{digits[:30]}", 16)).compressed


def spelled(value: Any) -> str | None:
    """The one spelling of a text or a number; None for what is neither."""
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value).strip()
        return text.lower() if "@" in text else text
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _decimal(repr(value))
    if isinstance(value, orjson.Fragment):
        return _decimal(orjson.dumps(value).decode())
    return None


def _decimal(spelling: str) -> str:
    """A number without exponent, and without zeros that say nothing."""
    try:
        number = Decimal(spelling)
    except InvalidOperation:
        return spelling
    if not number.is_finite() or abs(number.adjusted()) > _HUGE:
        return spelling
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _address(text: str) -> str | None:
    """The one spelling of an IP address; None for what is none."""
    if not (text[:1].isalnum() or text[:1] == ":") or not ("." in text or ":" in text):
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def read_keys(text: str) -> tuple[Key, ...]:
    """The keys of the setting's value, which lists them with commas between, or names a ``@FILE`` with one a line.

    Logs mask their secrets from then on.

    Raises:
        ConfigError: one cannot be read, or its secret is short. The message holds no secret.
    """
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise ConfigError(f"{KEYS}: {path} cannot be read: {reason}") from error
        given = [(line.strip(), f"line {at} of {path}") for at, line in enumerate(lines, 1)]
        given = [(line, where) for line, where in given if line and not line.startswith("#")]
    else:
        given = [(part.strip(), f"key {at} of {KEYS}") for at, part in enumerate(text.split(","), 1) if part.strip()]
    keys = [_key(part, where) for part, where in given]
    if not keys:
        raise ConfigError(f"{KEYS} holds no key: set it to {_SHAPE}, or to @FILE with one a line.")
    if len({key.id for key in keys}) < len(keys):
        raise ConfigError(f"{KEYS}: two keys have the same ID; give each its own.")
    return tuple(keys)


def _key(text: str, where: str) -> Key:
    id, colon, secret = text.partition(":")
    protect([secret or text])
    if not colon or _ID.fullmatch(id) is None:
        raise ConfigError(f"{where} is no {_SHAPE}; an ID is made of letters, digits, '.', '_' and '-'.")
    if len(secret) < _SHORTEST:
        raise ConfigError(
            f"the secret of key {id} ({where}) is too short: it takes {_SHORTEST} characters or more, such as what "
            "`openssl rand -hex 32` prints."
        )
    return Key(id, secret)


@dataclass(frozen=True)
class Names:
    """Which fields have pseudonyms: names at any depth, paths with dots there only; ``*`` at the end is any ending."""

    names: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()
    paths: frozenset[str] = frozenset()
    path_beginnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, parts: Iterable[str]) -> Names:
        """What the setting names.

        Raises:
            ConfigError: one is no name, or names what has to stay.
        """
        parts = list(parts)
        for part in parts:
            if _NAME.fullmatch(part) is None:
                raise ConfigError(
                    f"{FIELDS}: {part!r:.80} is no name of a field; write huid, host.email, or proxy* for all that "
                    "begin so."
                )
        plain = [part for part in parts if "*" not in part]
        open_ended = [part[:-1] for part in parts if "*" in part]
        made = cls(
            frozenset(part for part in plain if "." not in part),
            tuple(part for part in open_ended if "." not in part),
            frozenset(part for part in plain if "." in part),
            tuple(part for part in open_ended if "." in part),
        )
        if fixed := sorted(name for name in _OURS if made.match(name)):
            raise ConfigError(
                f"{FIELDS} names {', '.join(fixed)}: documents are identified and filed by that, so it stays. Take it "
                "out, or name the field that is meant with its path, such as zoom.id."
            )
        return made

    def match(self, path: str) -> bool:
        """Whether the field at `path` is one of them."""
        path = _RAW.sub("", path)
        name = path.rpartition(".")[2]
        return (
            name in self.names
            or name.startswith(self.beginnings)
            or path in self.paths
            or path.startswith(self.path_beginnings)
        )

    def told(self) -> list[str]:
        """In one order, however the setting had them."""
        return sorted((*self.names, *self.paths, *(f"{each}*" for each in (*self.beginnings, *self.path_beginnings))))

    def end(self, name: str) -> bool:
        """Whether a field of that name may be one of them, wherever it is."""
        return self.match(name) or any(self.match(f"{path.rpartition('.')[0]}.{name}") for path in self._all_paths)

    @property
    def _all_paths(self) -> tuple[str, ...]:
        return (*self.paths, *self.path_beginnings)

    def below(self, path: str) -> bool:
        """Whether one of the paths leads through `path`."""
        inside = f"{path}."
        return any(each.startswith(inside) for each in self.paths) or any(
            each.startswith(inside) or inside.startswith(each) for each in self.path_beginnings
        )


class Pseudonyms:
    """The pseudonyms of the fields that `names` name, by the first of `keys`. Threads may share it."""

    def __init__(self, names: Names, keys: Sequence[Key]) -> None:
        self.names = names
        self.key = keys[0]
        self._short = lru_cache(_REMEMBERED)(self._text)
        self._secret = hmac.digest(self.key.secret.encode(), b"digests of harvest", sha256)

    def of(self, value: Any) -> Any:
        """What stands for a single value; the value itself where it stays."""
        if value.__class__ is str and len(value) <= _LONGEST:
            return self._short(value)
        return self.key.pseudonym(value) or value

    def whole(self, value: Any) -> Any:
        """The same with all that is in `value`; the names in an object whose values are true and false are values."""
        if isinstance(value, dict):
            named = bool(value) and all(isinstance(item, bool) for item in value.values())
            return {(self.of(name) if named else name): self.whole(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.whole(item) for item in value]
        return self.of(value)

    def digest(self, content: bytes, size: int) -> bytes:
        """As `canonical.digest`, but nobody without the key can try what it was made of."""
        return blake2b(content, digest_size=size, key=self._secret).digest()

    def _text(self, value: str) -> str:
        return self.key.pseudonym(value) or value


class Plan:
    """Where the fields of one kind of document are that have pseudonyms.

    Args:
        match: whether the field at a path is one.
        below: whether a path leads through it that has to be known to the end.
    """

    def __init__(self, pseudonyms: Pseudonyms, match: Callable[[str], bool], below: Callable[[str], bool]) -> None:
        self._whole = pseudonyms.whole
        self._of = pseudonyms.of
        self.match = match
        self.below = below
        self._anywhere = _Place(self, None)
        self._root = _Place(self, "")

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        """`body` with pseudonyms; what it shares with others, such as an episode, is left as it is."""
        return self._object(body, self._root)

    def _object(self, value: dict[str, Any], place: _Place) -> dict[str, Any]:
        if not value.keys() <= place.known:
            place.learn(value)
        changed: dict[str, Any] | None = None
        # Most names are none of ours, which sets say for all of them at once: 3 us a user action, and not 7.
        named = value.keys() & place.named if place.named else _NONE
        for name in named:
            item = value[name]
            kind = item.__class__
            made = self._whole(item) if kind is dict or kind is list else self._of(item)
            if made is not item:
                if changed is None:
                    changed = value.copy()
                changed[name] = made
        for name, item in value.items():
            kind = item.__class__
            if (kind is dict or kind is list) and item and name not in named:
                inner = place.inner.get(name, self._anywhere)
                made = self._object(item, inner) if kind is dict else self._list(item, inner)
                if made is not item:
                    if changed is None:
                        changed = value.copy()
                    changed[name] = made
        return value if changed is None else changed

    def _list(self, value: list[Any], place: _Place) -> list[Any]:
        made = [self._item(item, place) for item in value]
        return value if all(new is old for new, old in zip(made, value, strict=True)) else made

    def _item(self, item: Any, place: _Place) -> Any:
        if item.__class__ is dict:
            return self._object(item, place)
        return self._list(item, place) if item.__class__ is list else item


class _Place:
    """One place in documents; all that no path leads to are one.

    Attributes:
        known: names that have been met there.
        named: those of them that have pseudonyms.
        inner: the places of those that a path leads through.
    """

    _MOST = 10_000  # names remembered; push ids are names too, and there is no end of them

    def __init__(self, plan: Plan, path: str | None) -> None:
        self.plan = plan
        self.path = path
        self.known: set[str] = set()
        self.named: set[str] = set()
        self.inner: dict[str, _Place] = {}

    def learn(self, names: Iterable[str]) -> None:
        """Find out about names that are not known."""
        if len(self.known) > self._MOST:
            self.known, self.named, self.inner = set(), set(), {}
        for name in names:
            if name in self.known:
                continue
            path = f"?.{name}" if self.path is None else f"{self.path}{name}"
            if self.plan.match(path):
                self.named.add(name)
            if self.path is not None and self.plan.below(path):
                self.inner[name] = _Place(self.plan, f"{path}.")
            self.known.add(name)


def from_settings(settings: Settings) -> Pseudonyms | None:
    """What the settings say; None where no field is named.

    Raises:
        ConfigError: a field cannot be read, or there is no key that is good enough.
    """
    names = settings.names(FIELDS)
    if not names:
        return None
    return Pseudonyms(Names.parse(names), keys_of(settings, f"{FIELDS} is set, and {KEYS} is not"))


def keys_of(settings: Settings, missing: str = f"{KEYS} is not set") -> tuple[Key, ...]:
    """All keys.

    Raises:
        ConfigError: as `read_keys`, or there is none.
    """
    text = settings.get(KEYS)
    if not text:
        raise ConfigError(f"{missing}: put it into .env or the environment, as {_SHAPE} or @FILE.")
    return read_keys(text)
