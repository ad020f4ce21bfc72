"""Bearer tokens that are asked for when they are needed, kept while they are good, and replaced when refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from harvesters.clock import Clock
from harvesters.privacy import protect_token


class Token(Protocol):
    """What is kept: the text that is sent, and for how many seconds it is good."""

    @property
    def text(self) -> str:
        """Sent as the bearer."""

    @property
    def life(self) -> float:
        """Seconds from when it was asked for."""


T = TypeVar("T", bound=Token)


@dataclass
class TokenCache(Generic[T]):
    """One token for all threads of a process.

    Args:
        fetch: asks for a new one; its errors are the caller's.
        early: seconds before its end from which on a token is not used any more, but no more than a tenth of its life.
        owner: whose token it is; of each the latest are masked in logs.
    """

    clock: Clock
    fetch: Callable[[], T]
    early: float
    owner: str = "tokens"
    _token: T | None = None
    _until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self) -> T:
        """The token in hand, or a new one shortly before it ends. It is masked in all that we print from then on."""
        with self._lock:
            if self._token is None or self.clock.monotonic() >= self._until:
                began = self.clock.monotonic()
                token = self.fetch()
                protect_token(self.owner, token.text)
                self._token, self._until = token, began + token.life - min(self.early, token.life / 10)
            return self._token

    def forget(self, refused: str | None = None) -> None:
        """Have the next be another; only where `refused` is still the one in hand, if that is given."""
        with self._lock:
            if self._token is not None and refused in (None, self._token.text):
                self._token = None
