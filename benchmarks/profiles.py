"""Searching profiles while many type: suggestions for each letter, a search for each whole text.

typing    100,000 profiles on a real node, twenty clients that type a letter every 100 ms, and then press Enter
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from benchmarks import typists
from benchmarks.figures import Figure
from benchmarks.firebase import Node
from benchmarks.groups import Group, Sizes
from harvesters.clock import SystemClock
from harvesters.document import Document
from harvesters.elastic.client import SearchClient
from harvesters.firebase.people import EntityMapper, indexed_profile
from harvesters.profiles.index import ProfileIndex
from harvesters.profiles.search import search
from harvesters.profiles.suggest import suggest
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.sinks.elastic import ElasticSink

NAME = "buddyupprofiles"
PROFILES = 100_000
_SYLLABLES = ("an", "ber", "chi", "do", "el", "fa", "gre", "hu", "in", "ju", "ka", "łu", "ma", "ngu", "ö", "pe", "ro")


def typing(sizes: Sizes) -> Iterator[Figure]:
    """Suggestions beside the same by hand, and searches meanwhile."""
    count = sizes.of(PROFILES)
    with Node(heap="1g") as node:
        client = SearchClient(node.url, RetryPolicy(SystemClock(), 60), connections=2 * typists.CLIENTS)
        names, index = filled(client, count), ProfileIndex(client)

        def connect() -> typists.Asks:
            return typists.Asks(
                lambda text: suggest(index, text), typists.by_hand(node.port, NAME), lambda text: search(index, text)
            )

        typists.type_names(names, connect)  # warms the node up
        runs = [typists.type_names(names, connect) for _ in range(sizes.runs)]
        client.close()
    yield from typists.figures(runs, f"{count:,} profiles, {typists.CLIENTS} clients typing")


def filled(client: SearchClient, count: int) -> list[str]:
    """Index so many people; returns their names."""
    templates.put(client, templates.find(NAME))
    mapper, sink, names = EntityMapper(NAME, indexed_profile), ElasticSink(client, lambda document: NAME), []
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
    client.request("POST", f"/{NAME}/_refresh")
    if not suggest(ProfileIndex(client), names[0]):
        raise RuntimeError(f"nobody is called {names[0]}, who is there")
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


GROUP = Group(
    f"made-up profiles, {typists.CLIENTS} clients that type a letter every {1000 * typists.PAUSE:.0f} ms for "
    f"{typists.SECONDS:.0f} seconds",
    {"typing": typing},
)
