"""Three ratios with wide margins, in seconds: a change that made something slow is seen on any machine.

``make bench ARGS=--guard``; ``.ci/run`` ends with it. What is compared is measured in turns, and a figure that misses
its bound is measured a second time, because other programs may have come in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks import elastic, useractions
from benchmarks.children import harvest_help
from benchmarks.figures import Figure, Target
from benchmarks.groups import Sizes

SMALL = Sizes(scale=0.5, runs=1)
STARTS = 4


def one_by_one() -> Figure:
    """Actions to SQS, against one message at a time."""
    return replace(next(useractions.queue(SMALL)), target=Target(20, at_least=True))


def sink() -> Figure:
    """Documents into Elasticsearch, against a loop by hand."""
    return replace(next(elastic.sink(SMALL)), target=Target(0.6, at_least=True))


def helped() -> Figure:
    """The fastest of some starts that do nothing."""
    return Figure("`harvest.py --help`", min(harvest_help() for _ in range(STARTS)), "s", Target(0.4))


CHECKS: tuple[Callable[[], Figure], ...] = (one_by_one, sink, helped)


def guarded() -> Iterator[Figure]:
    """The figure of each check."""
    for check in CHECKS:
        figure = check()
        yield figure if figure.met else check()
