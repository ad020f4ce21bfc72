"""Which options of the player each person used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harvesters.search.reader import IndexReader
from harvesters.tables.selection import Selection
from harvesters.tables.viewers import actions_of, by_viewer

_PLUGIN = "paella:button:action;"
_PAGE = 10_000  # buckets, each with three more inside: 40,000 of the 65,536 that a cluster allows


@dataclass
class ViewingOptions:
    """How often each person used captions, playback speed and view mode, for everybody with an action of any kind."""

    selection: Selection
    useractions: IndexReader
    columns: tuple[str, ...] = ("mpid", "huid", "captions", "playback_speed", "view_mode")

    def rows(self) -> Iterator[dict[str, Any]]:
        """One for each episode and person."""
        action = self.useractions.exact("action.type")
        options = {
            "captions": {"prefix": {action: "paella:caption:enabled"}},
            "playback_speed": {"term": {action: f"{_PLUGIN}es.upv.paella.playbackRatePlugin"}},
            "view_mode": {"term": {action: f"{_PLUGIN}edu.harvard.dce.paella.viewModeTogglePlugin"}},
        }
        counts = {name: {"filter": wanted} for name, wanted in options.items()}
        for batch in self.selection.batches():
            query = actions_of(self.useractions, batch)
            for bucket in self.useractions.buckets(by_viewer(self.useractions), query, counts, _PAGE):
                yield {**bucket["key"], **{name: bucket[name]["doc_count"] for name in options}}
