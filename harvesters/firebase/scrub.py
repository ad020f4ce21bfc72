"""What must not reach an index: secrets always, message bodies and e-mail addresses on request."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

SECRETS = frozenset({"password", "key", "uuid", "token", "authtoken"})
"""Names of fields whose values are secrets or identify a device, as `_plain` spells them; always scrubbed."""

_BODIES = frozenset({"body"})
_EMAILS = frozenset({"email", "emailaddress"})
_ADDRESS = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")
_MASK = "***"


@dataclass(frozen=True)
class Scrubber:
    """Replaces values of fields by null, at any depth.

    Args:
        names: of fields, in any spelling (``auth_token``, ``authToken``).
        addresses: whether e-mail addresses are masked wherever they stand, in texts too.
    """

    names: frozenset[str] = frozenset()
    addresses: bool = False
    _hidden: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hidden", SECRETS | frozenset(_plain(name) for name in self.names))

    @classmethod
    def parse(cls, text: str) -> Scrubber:
        """Read ``FIREBASE_SCRUB``: ``bodies``, ``emails`` and names of fields, separated by commas."""
        words = {word.strip() for word in text.split(",") if word.strip()}
        names = words - {"bodies", "emails"}
        if "bodies" in words:
            names |= _BODIES
        if "emails" in words:
            names |= _EMAILS
        return cls(frozenset(names), "emails" in words)

    def __call__(self, value: Any) -> Any:
        """`value` without what must not be seen; `value` itself is left as it is."""
        if isinstance(value, dict):
            hidden, names, addresses = self._hidden, _PLAIN, self.addresses
            scrubbed = {}
            for key, item in value.items():
                if (names.get(key) or _plain(key)) in hidden:
                    item = None
                elif addresses or item.__class__ is dict or item.__class__ is list:
                    item = self(item)
                scrubbed[key] = item
            return scrubbed
        if isinstance(value, list):
            return [self(item) for item in value]
        if self.addresses and isinstance(value, str) and "@" in value:
            return _ADDRESS.sub(_MASK, value)
        return value


_PLAIN: dict[str, str] = {}
_MOST = 10_000  # names that are remembered; push ids are names too, and there is no end of them


def _plain(name: str) -> str:
    """A name without its separators, in lower case; remembered, as the same few come with every event."""
    if len(_PLAIN) >= _MOST:
        _PLAIN.clear()
    plain = _PLAIN[name] = name.replace("_", "").replace("-", "").lower()
    return plain
