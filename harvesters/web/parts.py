"""The parts of the web face: what each is called, and which paths are its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part, which a key may open and ``--parts`` may leave out.

    Attributes:
        name: in keys and in ``--parts``; its page is ``/NAME``, its JSON lies under ``/api/v1/NAME``.
        title: in the pages' header.
        module: where its routers are.
        also: another name under which it has pages and JSON.
    """

    name: str
    title: str
    module: str
    also: str = ""

    @property
    def page(self) -> str:
        """The path of its first page."""
        return f"/{self.name}"

    def owns(self, path: str) -> bool:
        """Whether `path` is its page or its JSON, or lies below them."""
        roots = [f"{root}/{name}" for name in (self.name, self.also) if name for root in ("", "/api/v1")]
        return any(path == root or path.startswith(f"{root}/") for root in roots)


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("insights", "Insights", "harvesters.web.insights"),
        Part("profiles", "Profiles", "harvesters.web.profiles"),
        Part("search", "Listings", "harvesters.web.search", also="listings"),
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
    return any(path == root or path.startswith(f"{root}/") for root in OPEN)
