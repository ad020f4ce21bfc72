"""Push ids, the keys that Firebase clients make: their order is the order of time.

A push id is 20 characters of an alphabet in ASCII order: 8 hold the client's clock in milliseconds since 1970 (48 bits,
big-endian), 12 are random (72 bits), counted up by one for a second id of the same millisecond. The clock is the
client's, corrected by the server's offset; a key written offline arrives later than its time says.
Source: firebase.blog 2015-02, nextPushId of the JavaScript SDK.
"""

from __future__ import annotations

from random import Random

ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
LENGTH = 20
MAX_MS = 64**8 - 1
"""The last millisecond that a push id can hold (in the year 10889)."""

_TIME = 8
_RANDOM = LENGTH - _TIME
_DIGIT = {char: value for value, char in enumerate(ALPHABET)}
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]


def is_push_id(key: str) -> bool:
    """Whether `key` has the form of a push id; a hand-made key of 20 such characters cannot be told apart."""
    return len(key) == LENGTH and all(char in _DIGIT for char in key)


def push_ms(key: str) -> int:
    """Milliseconds since 1970 at which the client made `key`. Raises ValueError when it is not a push id."""
    if not is_push_id(key):
        raise ValueError(f"not a push id: {key!r}")
    ms = 0
    for char in key[:_TIME]:
        ms = ms * 64 + _DIGIT[char]
    return ms


def push_floor(ms: int) -> str:
    """The smallest push id of millisecond `ms`. Raises ValueError outside 0..`MAX_MS`."""
    return _encode(ms, _TIME) + ALPHABET[0] * _RANDOM


class PushIds:
    """Makes push ids as one client does: unique, and ascending as long as its clock does not go back."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._last_ms = -1
        self._tail = 0

    def next(self, ms: int) -> str:
        """The next id at millisecond `ms`."""
        if ms == self._last_ms:
            self._tail = (self._tail + 1) % 64**_RANDOM
        else:
            self._last_ms, self._tail = ms, self._random.getrandbits(6 * _RANDOM)
        return _encode(ms, _TIME) + _encode(self._tail, _RANDOM)


def _encode(number: int, width: int) -> str:
    """`number` in base 64 with `width` digits, an even number, which are taken by twos."""
    if not 0 <= number < 64**width:
        raise ValueError(f"{number} does not fit into {width} characters of a push id")
    pairs = []
    for _ in range(width // 2):
        number, pair = divmod(number, 4096)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))
