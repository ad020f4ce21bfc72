"""``harvest.py messages serve`` beside a real node, and the same written into the node by hand.

posts    one message a request: of one client, of sixteen, and of sixteen that put bare documents
batches  a thousand messages a request, of two clients, beside two that send bulk requests
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

from benchmarks.chatting import BATCH
from benchmarks.children import client, serving
from benchmarks.figures import Figure, Target
from benchmarks.firebase import Node, scratch, settings
from benchmarks.groups import Group, Sizes

_CLIENTS = 16
_POSTERS = 2
_SINGLE = 3200
_ALONE = 400
_BATCHES = 40

Ask = Callable[..., float]


@contextmanager
def _service() -> Iterator[tuple[Ask, Ask]]:
    """What asks the service, and what asks the node; both give messages a second."""
    with scratch() as directory, Node(heap="1g") as node:
        environment = settings(directory, ES_HOST=node.url, HARVEST_API_RATE="0")
        numbers = iter(range(1000))

        def ask(url: str, **asked: Any) -> float:
            return float(client("chatting", environment, url=url, prefix=f"{next(numbers):03}-", **asked)["rate"])

        with serving(environment, directory / "log") as url:
            yield partial(ask, url), partial(ask, node.url)


def posts(sizes: Sizes) -> Iterator[Figure]:
    """One by one."""
    alone, together, bare = [], [], []
    with _service() as (service, node):
        for _ in range(sizes.runs + 1):
            together.append(service(do="post", clients=_CLIENTS, times=sizes.of(_SINGLE)))
            bare.append(node(do="put", clients=_CLIENTS, times=sizes.of(_SINGLE)))
            alone.append(service(do="post", clients=1, times=sizes.of(_ALONE)))
    # The first one warms the node up.
    ratio = median(ours / theirs for ours, theirs in zip(together[1:], bare[1:], strict=True))
    yield Figure(f"single posts of {_CLIENTS} clients, beside their bare PUT", ratio, "×", Target(0.5, at_least=True))
    yield Figure(f"single posts of {_CLIENTS} clients", median(together[1:]), "/s")
    yield Figure("single posts of one client", median(alone[1:]), "/s")


def batches(sizes: Sizes) -> Iterator[Figure]:
    """A thousand at once."""
    alone, together, bulk = [], [], []
    with _service() as (service, node):
        for _ in range(sizes.runs + 1):
            together.append(service(do="post_batch", clients=_POSTERS, times=sizes.of(_BATCHES)))
            bulk.append(node(do="bulk", clients=_POSTERS, times=sizes.of(_BATCHES)))
            alone.append(service(do="post", clients=1, times=sizes.of(_ALONE)))
    what = f"batches of {BATCH:,} of {_POSTERS} clients"
    for other, name, bound in ((alone, "one by one", 20.0), (bulk, "bulk requests by hand", 0.6)):
        ratio = median(ours / theirs for ours, theirs in zip(together[1:], other[1:], strict=True))
        yield Figure(f"{what}, beside {name}", ratio, "×", Target(bound, at_least=True))
    yield Figure(what, median(together[1:]), "/s")


GROUP = Group(
    "made-up messages of 430 bytes; bots, service and node on the same machine",
    {"posts": posts, "batches": batches},
)
