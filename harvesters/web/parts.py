"""The parts of the web face: what each is called, and which paths are its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part, which a key may open and ``--parts`` may leave out.

    Attributes:
        name: in keys and in ``--parts``; its page is ``/NAME``, its JSON lies under ``/api/v1/NAME``.
        title: in the pages' header.
        module: where its routers are.
        also: another name under which it has pages and JSON.
        roots: where everything of it lies instead; then it has no pages, and its errors are not problem+json but
            what clients of old know.
        open: of these, what wants no key.
    """

    name: str
    title: str
    module: str
    also: str = ""
    roots: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """The path of its first page; "" where it has none."""
        return "" if self.roots else f"/{self.name}"

    def owns(self, path: str) -> bool:
        """Whether `path` is its page or its JSON, or lies below them."""
        ours = [f"{root}/{name}" for name in (self.name, self.also) if name for root in ("", "/api/v1")]
        return _is_below(path, self.roots or ours)


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("insights", "Insights", "harvesters.web.insights"),
        Part("profiles", "Profiles", "harvesters.web.profiles"),
        Part("search", "Listings", "harvesters.web.search", also="listings"),
        Part(
            "messages",
            "Messages",
            "harvesters.web.messages",
            roots=("/messages", "/message", "/logs", "/log", "/analytic", "/performance", "/documentation"),
            open=("/documentation",),
        ),
    )
}
"""All that are built, by name, in the order of the pages' header."""

OPEN = ("/health", "/ready", "/static")
"""Paths that want no key and count against no rate, and what lies below them."""


def part_of(path: str) -> Part | None:
    """The part that `path` belongs to."""
    return next((part for part in PARTS.values() if part.owns(path)), None)


def is_open(path: str) -> bool:
    """Whether anybody may ask for `path`, as often as he likes."""
    return _is_below(path, OPEN)


def wants_key(path: str) -> bool:
    """Whether only who has a key may ask for `path`, where there are keys."""
    part = part_of(path)
    return part is None or path not in part.open


def _is_below(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
