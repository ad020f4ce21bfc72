"""``harvest.py serve`` beside a real node, asked over HTTP by a process of its own.

typing     100,000 profiles, twenty clients that type a letter every 100 ms, and then press Enter
answers    168,000 events: the first answer, for which they are read from the index, and then each answer
listings   200,000 listings: searches, suggestions, a walk past the 10,000th hit
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks import typists
from benchmarks.children import client, serving
from benchmarks.figures import Figure, Target
from benchmarks.firebase import SEED_EVENTS, Node, load_dump, scratch, settings, settled, write_dump
from benchmarks.groups import Group, Sizes
from benchmarks.listingsearch import listings
from benchmarks.profiles import NAME, PROFILES, filled
from harvesters.clock import SystemClock
from harvesters.elastic.client import SearchClient
from harvesters.insights.answers import INSIGHTS
from harvesters.retry import RetryPolicy

_TYPED = 5000  # names that clients choose among
_TIMES = 9  # that each answer is asked for


def typing(sizes: Sizes) -> Iterator[Figure]:
    """Suggestions beside the same from Elasticsearch, and searches meanwhile."""
    count = sizes.of(PROFILES)
    with scratch() as directory, Node(heap="1g") as node:
        search = SearchClient(node.url, RetryPolicy(SystemClock(), 60))
        names = filled(search, count)[:: max(1, count // _TYPED)]
        search.close()
        environment = settings(directory, ES_HOST=node.url, HARVEST_API_RATE="0")
        with serving(environment, directory / "log") as url:
            runs = [
                typists.Waits(**client("typists", environment, url=url, node=node.port, index=NAME, names=names))
                for _ in range(sizes.runs + 1)
            ]
    # The first one warms the node up.
    yield from typists.figures(runs[1:], f"{count:,} profiles, {typists.CLIENTS} clients typing, over HTTP")


def answers(sizes: Sizes) -> Iterator[Figure]:
    """The answers as JSON."""
    events = sizes.of(SEED_EVENTS)
    first: list[float] = []
    slowest: list[tuple[float, str]] = []
    with scratch() as directory, Node(heap="1g") as node:
        environment = settings(directory, ES_HOST=node.url, HARVEST_API_RATE="0", HARVEST_SEARCH_TIMEOUT="60")
        write_dump(directory / "events.json", events)
        load_dump(directory / "events.json", environment, directory)
        settled(node.url)
        for _ in range(sizes.runs + 1):
            with serving(environment, directory / "log") as url:
                waits = client("asking", environment, url=url, answers=[*INSIGHTS], times=_TIMES)
            first.append(waits["first"])
            slowest.append(max((median(seconds), name) for name, seconds in waits["answers"].items()))
    first, slowest = first[1:], slowest[1:]  # the first one warms the node up
    seconds, name = sorted(slowest)[len(slowest) // 2]
    yield Figure(f"the slowest answer over {events:,} events, over HTTP", 1000 * seconds, "ms", Target(50), f"`{name}`")
    yield Figure("the first answer, for which the events are read", median(first), "s", Target(5))


GROUP = Group(
    f"made-up profiles, {typists.CLIENTS} clients that type a letter every {1000 * typists.PAUSE:.0f} ms for "
    f"{typists.SECONDS:.0f} seconds; made-up BuddyUp events and listings; clients, server and node on the same machine",
    {"typing": typing, "answers": answers, "listings": listings},
)
