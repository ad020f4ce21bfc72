"""Which episodes an export is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from harvesters.search.reader import IndexReader, Query

_BATCH = 200  # episodes whose actions are counted by one aggregation


@dataclass
class Selection:
    """The episodes of a term, a year, or all.

    Args:
        episodes: the index that ``load_episodes`` fills.
        term: such as ``01``; year: such as ``2026``.
    """

    episodes: IndexReader
    term: str | None = None
    year: str | None = None

    @property
    def query(self) -> Query:
        """Finds them in the episodes' index."""
        wanted = {"term": self.term, "year": self.year}
        filters = [{"term": {self.episodes.exact(name): value}} for name, value in wanted.items() if value]
        return {"bool": {"filter": filters}}

    def batches(self, *fields: str) -> Iterator[dict[str, dict[str, Any]]]:
        """By media-package id, a batch at a time: the episodes with `fields`."""
        found = self.episodes.documents(self.query, "mpid", ["mpid", *fields])
        while batch := list(islice(found, _BATCH)):
            yield {str(episode["mpid"]): episode for episode in batch}

    def series(self) -> Iterator[str]:
        """Each series that has such episodes, in order."""
        name = self.episodes.exact("series")
        for bucket in self.episodes.buckets({"series": {"terms": {"field": name}}}, self.query):
            yield str(bucket["key"]["series"])
