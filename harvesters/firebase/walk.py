"""Reading a node of any size: page by page in key order, and into children that are too big for one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harvesters.errors import ProtocolError
from harvesters.firebase.client import FirebaseClient, TooBig
from harvesters.firebase.keys import Path
from harvesters.firebase.paging import PageSize
from harvesters.http import parse_json

Entry = tuple[Path, Any]


@dataclass(frozen=True)
class Entries:
    """What one request brought: values by their path below the node that is walked, and the bytes of the answer."""

    entries: list[Entry]
    size: int


@dataclass
class Walk:
    """Everything below `path`.

    An entry is one child, or where that is too big a child of it, and so on: from there come paths of several keys.
    `parse` reads the pages, and may leave the values as they are.
    """

    client: FirebaseClient
    path: Path
    size: PageSize = field(default_factory=PageSize)
    parse: Callable[[bytearray], Any] = parse_json
    refused: int = 0

    def pages(self, after: Path = ()) -> Iterator[Entries]:
        """All entries behind the one at `after` (none: from the first); a node without children is one entry, ``()``.

        Raises:
            ProtocolError: a single value is larger than an answer may be.
        """
        any_entries = False
        for page in self._below((), after):
            any_entries = True
            yield page
        if not any_entries and not after:
            yield from self._leaf(())

    def _below(self, here: Path, after: Path) -> Iterator[Entries]:
        last: str | None = None
        if after:
            last = after[0]
            if len(after) > 1:
                yield from self._below((*here, last), after[1:])
        while True:
            limit = self.size.now
            try:
                page = self.client.children(self.path + here, limit, self.parse, startAfter=last)
            except TooBig:
                self.refused += 1
                if not self.size.shrink():
                    last = self.client.next_key(self.path + here, last)
                    if last is None:
                        return
                    yield from self._inside((*here, last))
                continue
            if page.pairs:
                self.size.learn(len(page.pairs), page.size, page.seconds)
                last = page.pairs[-1][0]
                yield Entries([((*here, key), value) for key, value in page.pairs], page.size)
            if len(page.pairs) < limit:
                return

    def _inside(self, here: Path) -> Iterator[Entries]:
        """A child that is too big for one answer."""
        any_entries = False
        for page in self._below(here, ()):
            any_entries = True
            yield page
        if not any_entries:
            yield from self._leaf(here)

    def _leaf(self, here: Path) -> Iterator[Entries]:
        """A node that has no children: a value of its own, unless it is nothing (any more)."""
        try:
            value = self.client.get(self.path + here, self.parse)
        except TooBig:
            raise ProtocolError(
                f"/{'/'.join(self.path + here)} holds a single value that {self.client.http.name} does not send in "
                "one answer. Export its neighbours by their own paths."
            ) from None
        if value is not None:
            yield Entries([(here, value)], 0)
