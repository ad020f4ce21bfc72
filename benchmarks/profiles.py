"""Searching profiles while many type: suggestions for each letter, a search for each whole text.

    typing    100,000 profiles on a real node, twenty clients that type a letter every 100 ms, and then press Enter

What the suggestions are held against is the same query over a bare connection: every other letter is asked that way, so
that both have the same node, at the same time.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from itertools import chain
from statistics import median, quantiles
from typing import Any

import orjson

from benchmarks.figures import Figure, Target
from benchmarks.firebase import Node
from benchmarks.groups import Group, Sizes
from harvesters.clock import SystemClock
from harvesters.document import Document
from harvesters.elastic.client import SearchClient
from harvesters.firebase.people import EntityMapper, profile
from harvesters.profiles.index import ProfileIndex
from harvesters.profiles.search import search
from harvesters.profiles.suggest import suggest
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.sinks.elastic import ElasticSink

NAME = "buddyupprofiles"
PROFILES, CLIENTS, PAUSE, SECONDS = 100_000, 20, 0.1, 10.0
_SYLLABLES = ("an", "ber", "chi", "do", "el", "fa", "gre", "hu", "in", "ju", "ka", "łu", "ma", "ngu", "ö", "pe", "ro")

Ask = Callable[[str], Any]


def typing(sizes: Sizes) -> Iterator[Figure]:
    """Suggestions beside the same by hand, and searches meanwhile."""
    count = sizes.of(PROFILES)
    with Node(heap="1g") as node:
        client = SearchClient(node.url, RetryPolicy(SystemClock(), 60), connections=2 * CLIENTS)
        names = _filled(client, count)
        _typed(node.port, client, names)  # warms the node up
        runs = [_typed(node.port, client, names) for _ in range(sizes.runs)]
        client.close()
    ours, bare, texts = ([*chain(*waits)] for waits in zip(*map(astuple, runs), strict=True))
    yield Figure(
        f"{count:,} profiles, {CLIENTS} clients typing: suggestions, 95th percentile",
        _p95(ours),
        "ms",
        Target(50),
        _spread(ours),
    )
    ratio = median(_p95(run.ours) / _p95(run.bare) for run in runs)
    yield Figure("the same against the bare query", ratio, "×", Target(4), f"{_p95(bare):.1f} ms; {_spread(bare)}")
    yield Figure("searches meanwhile, 95th percentile", _p95(texts), "ms", Target(100), _spread(texts))


@dataclass
class Waits:
    """Seconds that suggestions were waited for, the same by hand, and searches."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    texts: list[float] = field(default_factory=list)


def _typed(port: int, client: SearchClient, names: list[str]) -> Waits:
    """All clients type names, one after the other, for some seconds."""
    waits, index = Waits(), ProfileIndex(client)

    def type_names(number: int) -> None:
        dice, by_hand = random.Random(number), _bare(port)
        time.sleep(PAUSE * number / CLIENTS)
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            name = dice.choice(names)
            turn = dice.randrange(2)
            for length in range(1, len(name) + 1):
                if (length + turn) % 2:
                    waits.ours.append(_timed(lambda text: suggest(index, text), name[:length]))
                else:
                    waits.bare.append(_timed(by_hand, name[:length]))
            at = dice.randrange(len(name))
            waits.texts.append(_timed(lambda text: search(index, text), name[:at] + name[at + 1 :]))

    threads = [threading.Thread(target=type_names, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


def _timed(ask: Ask, text: str) -> float:
    """Seconds until `text` is answered; the next letter comes when its time has."""
    started = time.perf_counter()
    ask(text)
    seconds = time.perf_counter() - started
    time.sleep(max(0.0, PAUSE - seconds))
    return seconds


class _Noted:
    """In the place of an index: notes what it is asked."""

    body: Mapping[str, Any]

    def search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.body = body
        return {"hits": []}


def _bare(port: int) -> Ask:
    """Asks the same over a connection of its own, and reads the answer."""
    connection, noted = http.client.HTTPConnection("127.0.0.1", port), _Noted()

    def ask(text: str) -> Any:
        suggest(noted, text)  # type: ignore[arg-type]
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/{NAME}/_search", orjson.dumps(noted.body), headers)
        return orjson.loads(connection.getresponse().read())["hits"]["hits"]

    return ask


def _filled(client: SearchClient, count: int) -> list[str]:
    """Index so many people; returns their names."""
    templates.put(client, templates.find(NAME))
    mapper, sink, names = EntityMapper(NAME, profile), ElasticSink(client, lambda document: NAME), []
    for first in range(0, count, 5000):
        documents = []
        for number in range(first, min(first + 5000, count)):
            made = mapper.document(mapper.row(f"-K{number:07d}", _person(number)))
            assert isinstance(made, Document)
            names.append(str(made.body["name"]))
            documents.append(made)
        if not all(outcome.delivered for outcome in sink.send(documents)):
            raise RuntimeError("the node refused a profile")
    client.request("POST", f"/{NAME}/_forcemerge", params={"max_num_segments": 1})  # as `firebase profiles` has it done
    return names


def _person(number: int) -> dict[str, Any]:
    """Somebody: names of two to four syllables, a bio of twenty words, common ones oftener."""
    dice = random.Random(number)
    names = ["".join(dice.choices(_SYLLABLES, k=dice.randint(2, 4))).title() for _ in range(2)]
    bio = " ".join(
        f"{_SYLLABLES[word % 17]}{word:x}" for word in (int(dice.paretovariate(0.5)) % 30_000 for _ in range(20))
    )
    return {
        "first_name": names[0],
        "last_name": names[1],
        "bio": bio,
        "schools": {f"school{number % 20}": True},
        "classes": {f"class{dice.randrange(2000)}": True for _ in range(4)},
    }


def _spread(seconds: list[float]) -> str:
    return f"median {1000 * median(seconds):.1f} ms of {len(seconds):,}"


def _p95(seconds: list[float]) -> float:
    """The 95th percentile, in milliseconds."""
    return 1000 * quantiles(seconds, n=20)[-1]


GROUP = Group(
    f"made-up profiles, {CLIENTS} clients that type a letter every {1000 * PAUSE:.0f} ms for {SECONDS:.0f} seconds",
    {"typing": typing},
)
