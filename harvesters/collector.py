"""Python's cyclic garbage collector, kept out of the way while a run starts, and while it parses much."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def rest() -> None:
    """Look for cyclic garbage less often: parsed JSON has no cycles, and looking takes a fifth of parsing it."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection while modules are imported and clients are made.

    That makes hundreds of thousands of objects which live to the end: looking through them finds nothing, and takes a
    sixth of a run that has little to do. They are not looked through later either.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.freeze()
            gc.enable()
