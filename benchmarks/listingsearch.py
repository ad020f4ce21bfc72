"""Searching listings, as a browser asks for it; a case of the group `serve`."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import accumulate
from statistics import median, quantiles
from typing import Any

import orjson
import requests

from benchmarks.children import serving
from benchmarks.figures import Figure, Target
from benchmarks.firebase import Node, scratch, settings
from benchmarks.groups import Sizes
from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.retry import RetryPolicy
from harvesters.search import templates

NAME = "listing_index"
LISTINGS, SEARCHES, WARM = 200_000, 150, 200
_WORDS = 30_000
_STARTS: list[str] = [
    *"bcdfghjklmnprstvwz",
    *(one + other for one in "bcdfgp" for other in "lr"),
    "st",
    "tr",
    "sh",
    "ch",
    "th",
]
_VOWELS: list[str] = [*"aeiou", "ai", "ea", "ee", "oo", "ou"]
_ENDS: list[str] = [*"nrstlm", "ck", "ng", "st", "", "", "", ""]


def listings(sizes: Sizes) -> Iterator[Figure]:
    """Searches, suggestions and a walk, one after the other, as one person asks."""
    count = sizes.of(LISTINGS)
    dice = random.Random(1)
    words = Vocabulary(dice)
    texts = [" ".join(words.typed(dice.choice((1, 1, 2, 2, 3)))) for _ in range(WARM + SEARCHES)]
    with scratch() as directory, Node(heap="1g") as node:
        _fill(node.url, count, words, dice)
        environment = settings(directory, ES_HOST=node.url, HARVEST_API_RATE="0", HARVEST_SEARCH_TIMEOUT="60")
        with serving(environment, directory / "log") as url:
            face = Face(url)
            for sort in ("relevance", "hot"):
                waits = [face.wait("/api/v1/search", q=text, sort=sort) for text in texts][WARM:]
                yield _figure(f"a search of {count:,} listings by {sort}, over HTTP, median", waits, 50)
            beginnings = [text[:length] for text in texts for length in range(1, min(9, len(text) + 1))]
            waits = [face.wait("/api/v1/search/suggest", q=text) for text in beginnings][WARM:]
            yield _figure("a suggestion of a title, over HTTP, median", waits, 30)
            waits, hits = face.walk(words.known[0])
            yield _figure(f"a page of 100 on a walk of {hits:,} hits, median", waits)
            yield Figure("its last ten pages against its second to eleventh", _ratio(waits), "×")


class Vocabulary:
    """Made-up words of one to three syllables, as common as words are: the tenth is a tenth of the first."""

    def __init__(self, dice: random.Random) -> None:
        def syllable() -> str:
            return dice.choice(_STARTS) + dice.choice(_VOWELS) + dice.choice(_ENDS)

        made = ("".join(syllable() for _ in range(dice.choice((1, 2, 2, 2, 3)))) for _ in range(4 * _WORDS))
        self.known = [*dict.fromkeys(made)][:_WORDS]
        self._dice = dice
        self._weights = [*accumulate(1 / (rank + 3) for rank in range(len(self.known)))]

    def some(self, number: int) -> list[str]:
        """Words of a text."""
        chosen: list[str] = self._dice.choices(self.known, cum_weights=self._weights, k=number)
        return chosen

    def typed(self, number: int) -> list[str]:
        """The same as somebody types them."""
        return [self._mistyped(word) if self._dice.random() < 0.2 else word for word in self.some(number)]

    def _mistyped(self, word: str) -> str:
        at = self._dice.randrange(len(word))
        return word[:at] + word[at + 1 :] if len(word) > 3 else word


class Face:
    """`serve` at `url`, asked over one connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def ask(self, path: str, **asked: Any) -> Any:
        answer = self.session.get(self.url + path, params=asked, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def wait(self, path: str, **asked: Any) -> float:
        """Seconds until the answer is there."""
        started = time.perf_counter()
        self.ask(path, **asked)
        return time.perf_counter() - started

    def walk(self, text: str) -> tuple[list[float], int]:
        """Seconds for each page, and how many hits there were."""
        waits, seen, after = [], set(), ""
        while True:
            started = time.perf_counter()
            page = self.ask("/api/v1/search", q=text, limit=100, after=after)
            waits.append(time.perf_counter() - started)
            seen |= {hit["id"] for hit in page["hits"]}
            if page["next"] is None:
                return waits, len(seen)
            after = page["next"]


def _fill(url: str, count: int, words: Vocabulary, dice: random.Random) -> None:
    """Index listings of two to seven words, and five to sixty more; two in three have been viewed."""
    client = SearchClient(url, RetryPolicy(SystemClock(), 60))
    templates.put(client, templates.find("listings"))
    for first in range(0, count, 5000):
        lines = []
        for number in range(first, min(first + 5000, count)):
            listing = {
                "id": number,
                "title": " ".join(words.some(dice.randint(2, 7))).capitalize(),
                "description": " ".join(words.some(dice.randint(5, 60))),
                "created": f"2026-{1 + number % 12:02}-{1 + number % 28:02}T00:00:00Z",
            }
            if number % 3:
                listing |= {"visits": int(dice.paretovariate(0.7)), "hot": 40 * dice.random()}
            lines.append(b'{"index":{"_index":"%b","_id":"%d"}}\n%b\n' % (NAME.encode(), number, orjson.dumps(listing)))
        client.attempt("POST", "/_bulk", b"".join(lines), lines=True)
    client.request("POST", f"/{NAME}/_refresh")
    client.close()


def _figure(what: str, waits: list[float], bound: float | None = None) -> Figure:
    p95 = f"95th percentile {1000 * quantiles(waits, n=20)[-1]:.0f} ms of {len(waits):,}"
    return Figure(what, 1000 * median(waits), "ms", None if bound is None else Target(bound), p95)


def _ratio(waits: list[float]) -> float:
    return median(waits[-10:]) / median(waits[1:11])
