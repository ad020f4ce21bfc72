"""``harvest.py messages serve`` beside a real node, and the same written into the node by hand.

posts    one message a request: of one client, of sixteen, and of sixteen that put bare documents
batches  a thousand messages a request, of two clients, beside one loop that sends bulk requests, and beside two

Clients are bots over requests. What is written by hand goes into an index of the same mapping that is no index of
messages: bare messages one by one, and in bulk requests the documents that the service would make of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import requests

from benchmarks.chatting import BATCH, INDEX
from benchmarks.children import client, serving
from benchmarks.figures import Figure, Target
from benchmarks.firebase import Node, scratch, settings
from benchmarks.groups import Group, Sizes
from harvesters.search import templates
from harvesters.standins.redis import Redis

_CLIENTS = 16
_POSTERS = 2
_SINGLE = 3200
_ALONE = 400
_BATCHES = 40
_WARMING = 3  # rounds before those that count: Java compiles what runs often

Ask = Callable[..., float]


@contextmanager
def _service() -> Iterator[tuple[Ask, Ask]]:
    """What asks the service, and what asks the node; both give messages a second."""
    with scratch() as directory, Node(heap="1g") as node, Redis() as redis:
        environment = settings(directory, ES_HOST=node.url, HARVEST_API_RATE="0", REDIS_URL=redis.url)
        template = templates.find("messages").body["template"]
        requests.put(f"{node.url}/{INDEX}", json=template, timeout=60).raise_for_status()
        numbers = iter(range(1000))

        def ask(url: str, **asked: Any) -> float:
            return float(client("chatting", environment, url=url, prefix=f"{next(numbers):03}-", **asked)["rate"])

        with serving(environment, directory / "log") as url:
            yield partial(ask, url), partial(ask, node.url)


def posts(sizes: Sizes) -> Iterator[Figure]:
    """One by one."""
    alone, together, bare = [], [], []
    with _service() as (service, node):
        for _ in range(_WARMING + sizes.runs):
            together.append(service(do="post", clients=_CLIENTS, times=sizes.of(_SINGLE)))
            bare.append(node(do="put", clients=_CLIENTS, times=sizes.of(_SINGLE)))
            alone.append(service(do="post", clients=1, times=sizes.of(_ALONE)))
    alone, together, bare = alone[_WARMING:], together[_WARMING:], bare[_WARMING:]
    ratio = median(ours / theirs for ours, theirs in zip(together, bare, strict=True))
    yield Figure(f"single posts of {_CLIENTS} clients, beside their bare PUT", ratio, "×", Target(0.5, at_least=True))
    yield Figure(f"single posts of {_CLIENTS} clients", median(together), "/s")
    yield Figure("single posts of one client", median(alone), "/s")


def batches(sizes: Sizes) -> Iterator[Figure]:
    """A thousand at once."""
    alone, together, loop, loops = [], [], [], []
    with _service() as (service, node):
        for _ in range(_WARMING + sizes.runs):
            together.append(service(do="post_batch", clients=_POSTERS, times=sizes.of(_BATCHES)))
            loop.append(node(do="bulk", clients=1, times=sizes.of(_BATCHES)))
            loops.append(node(do="bulk", clients=_POSTERS, times=sizes.of(_BATCHES)))
            alone.append(service(do="post", clients=1, times=sizes.of(_ALONE)))
    what = f"batches of {BATCH:,} of {_POSTERS} clients"
    together = together[_WARMING:]
    for other, name, target in (
        (alone, "one by one", Target(20, at_least=True)),
        (loop, "a loop of bulk requests by hand", Target(0.6, at_least=True)),
        (loops, "two such loops at once", None),
    ):
        ratio = median(ours / theirs for ours, theirs in zip(together, other[_WARMING:], strict=True))
        yield Figure(f"{what}, beside {name}", ratio, "×", target)
    yield Figure(what, median(together), "/s")


GROUP = Group(
    "made-up messages of 430 bytes; bots, service, Redis and node on the same machine",
    {"posts": posts, "batches": batches},
)
