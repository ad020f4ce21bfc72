"""What the exports about viewers share: which user actions they count, and by what."""

from __future__ import annotations

from collections.abc import Iterable

from harvesters.search.reader import IndexReader, Query

_NOBODY = "anonymous"


def actions_of(useractions: IndexReader, mpids: Iterable[str], *filters: Query) -> Query:
    """The actions of named people on these media packages that match all `filters`."""
    return {
        "bool": {
            "filter": [{"terms": {useractions.exact("mpid"): list(mpids)}}, *filters],
            "must_not": [{"term": {useractions.exact("huid"): _NOBODY}}],
        }
    }


def by_viewer(useractions: IndexReader) -> dict[str, Query]:
    """The sources of a composite aggregation by media package and person."""
    return {name: {"terms": {"field": useractions.exact(name)}} for name in ("mpid", "huid")}
