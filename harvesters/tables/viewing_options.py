"""Which options of the player each person used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harvesters.search.reader import IndexReader
from harvesters.tables.selection import Selection
from harvesters.tables.viewers import actions_of, by_viewer, of_types, warn_where_there_are_none

_PAGE = 10_000  # buckets, each with three more inside: 40,000 of the 65,536 that a cluster allows

# How Paella 6, DCE's extension of it, and Paella 7 call an option; a name that ends in * is a beginning.
_OPTIONS = {
    "captions": ("paella:caption:enabled*", "paella:buttonPress-es.upv.paella.captionsSelectorPlugin"),
    "playback_speed": (
        "paella:button:action;es.upv.paella.playbackRatePlugin",
        "paella:buttonPress-es.upv.paella.playbackRateButton",
    ),
    "view_mode": (
        "paella:button:action;es.upv.paella.viewModePlugin",
        "paella:button:action;edu.harvard.dce.paella.viewModeTogglePlugin",
        "paella:buttonPress-es.upv.paella.layoutSelector",
    ),
}


@dataclass
class ViewingOptions:
    """How often each person used captions, playback speed and view mode, for everybody with an action of any kind."""

    selection: Selection
    useractions: IndexReader
    columns: tuple[str, ...] = ("mpid", "huid", *_OPTIONS)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One for each episode and person."""
        action = self.useractions.exact("action.type")
        warn_where_there_are_none(self.useractions, [name for names in _OPTIONS.values() for name in names])
        counts = {option: {"filter": of_types(action, names)} for option, names in _OPTIONS.items()}
        for batch in self.selection.batches():
            query = actions_of(self.useractions, batch)
            for bucket in self.useractions.buckets(by_viewer(self.useractions), query, counts, _PAGE):
                yield {**bucket["key"], **{option: bucket[option]["doc_count"] for option in _OPTIONS}}
