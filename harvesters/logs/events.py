"""Log events as a web server might write them, of made-up users: each value is as likely as any other.

Events come in blocks of a thousand, each drawn whole from the generator, so that the first events of a seed are the
same however many follow. What a field may be is written out once as JSON, with the fields beside it where their
combinations are few: a line is put together from a dozen pieces.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Iterator
from itertools import product

from harvesters.logs.masks import Moments

COUNTRIES = ("VI", "EG", "US", "UK", "CN", "CA", "DE", "MX", "FR", "BR")
BROWSERS = ("Chrome", "Safari", "IE", "Firefox", "Edge")
SYSTEMS = ("Mac", "Android", "Linux", "IOS", "windows")
RESPONSE_CODES = (501, 100, 200, 201, 303, 411, 403, 406, 507, 208, 426)
FIELDS = (
    *("logID", "eventTime", "url", "ua_country", "userId", "browser", "ua_os", "responseCode", "ttfb", "location"),
)
BLOCK = 1000
"""Events that are drawn together."""

_URLS = tuple(f"http://example.com/?url={number:03d}" for number in range(16))
_USERS = tuple(f"user{number:03d}" for number in range(1, 16))
_TTFB = range(40, 1061)  # hundredths of a second
_DEGREE = 100_000  # five decimals
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # of a UUID: its upper two bits are fixed
_ID = slice(len('{"logID":"'), len('{"logID":"') + 36)


def id_of(line: bytes) -> str:
    """The ``logID`` of an event."""
    return line[_ID].decode()


class Events:
    """Any number of events at `moments`.

    Args:
        seed: the same one gives the same events at moments of the same name, on every machine; None: others each time.
    """

    def __init__(self, moments: Moments, seed: int | None = None) -> None:
        self._key = f"{seed} {moments.name}" if seed is not None else secrets.token_hex(32)
        number = int.from_bytes(hashlib.sha256(self._key.encode()).digest(), "big")
        # Its `random` is the one method of whose numbers Python promises that they stay the same.
        self._draw = random.Random(number).random
        self._dates = moments.dates
        self._minutes = [f"T{hour}:{minute}:" for hour, minute in product(moments.hours, moments.minutes)]
        self._seconds = moments.seconds
        self._visits = [
            f'","url":"{url}","ua_country":"{country}","userId":"{user}",'
            for url, country, user in product(_URLS, COUNTRIES, _USERS)
        ]
        self._agents = [
            f'"browser":"{browser}","ua_os":"{system}","responseCode":{code},"ttfb":'
            for browser, system, code in product(BROWSERS, SYSTEMS, RESPONSE_CODES)
        ]
        self._times = [f'{hundredths / 100},"location":{{"lat":' for hundredths in _TTFB]

    def blocks(self, count: int) -> Iterator[list[bytes]]:
        """`count` events as lines of JSON, without their newlines, a block at a time."""
        for first in range(0, count, BLOCK):
            yield self._block(first)[: count - first]

    def _block(self, first: int) -> list[bytes]:
        draw, dates, minutes, seconds = self._draw, self._dates, self._minutes, self._seconds
        visits, agents, times, variants = self._visits, self._agents, self._times, _VARIANTS
        few, more, sixty = len(dates), len(minutes), len(seconds)
        of_visits, of_agents, of_times = len(visits), len(agents), len(times)
        latitudes, longitudes = 180 * _DEGREE + 1, 360 * _DEGREE + 1
        bits = hashlib.shake_128(f"{self._key} {first}".encode()).hexdigest(16 * BLOCK)
        lines = [
            f'{{"logID":"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variants[digits[16]]}{digits[17:20]}-{digits[20:]}",'
            f'"eventTime":"{dates[int(draw() * few)]}{minutes[int(draw() * more)]}{seconds[int(draw() * sixty)]}'
            f"{visits[int(draw() * of_visits)]}{agents[int(draw() * of_agents)]}{times[int(draw() * of_times)]}"
            f'{int(draw() * latitudes) / _DEGREE - 90:.5f},"lon":{int(draw() * longitudes) / _DEGREE - 180:.5f}}}}}'
            for digits in [bits[place : place + 32] for place in range(0, 32 * BLOCK, 32)]
        ]
        return "\n".join(lines).encode().split(b"\n")
