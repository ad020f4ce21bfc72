"""Rows of a list that may be long, kept small until they are needed."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator
from typing import Any


class PackedRows:
    """Rows as they came, compressed page by page: 50,000 participants are 150 MB as objects, and some 5 so.

    They can be gone through any number of times.
    """

    def __init__(self, pages: Iterable[list[Any]] = ()) -> None:
        self._count = 0
        self._pages: list[bytes] = []
        for rows in pages:
            self._count += len(rows)
            self._pages.append(zlib.compress(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL), 1))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        for page in self._pages:
            yield from pickle.loads(zlib.decompress(page))
