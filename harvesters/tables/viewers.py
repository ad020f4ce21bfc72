"""What the exports about viewers share: which user actions they count, and by what."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from harvesters.search.reader import IndexReader, Query

log = logging.getLogger(__name__)

_NOBODY = ("anonymous", "None", "")


def actions_of(useractions: IndexReader, mpids: Iterable[str], *filters: Query) -> Query:
    """The actions of named people on these media packages that match all `filters`."""
    return {
        "bool": {
            "filter": [{"terms": {useractions.exact("mpid"): list(mpids)}}, *filters],
            "must_not": [{"terms": {useractions.exact("huid"): list(_NOBODY)}}],
        }
    }


def by_viewer(useractions: IndexReader) -> dict[str, Query]:
    """The sources of a composite aggregation by media package and person."""
    return {name: {"terms": {"field": useractions.exact(name)}} for name in ("mpid", "huid")}


def warn_where_there_are_none(useractions: IndexReader, types: Sequence[str]) -> None:
    """Say so where no action is of one of `types`: an empty table would look like idle students.

    Args:
        types: one that ends in ``*`` is a beginning.
    """
    # A table that counts would refuse a field that is text here and a keyword there; to look, either will do.
    fields = ("action.type", "action.type.keyword")
    wanted = {"bool": {"should": [of_types(field, types) for field in fields], "minimum_should_match": 1}}
    answer = useractions.search({"size": 0, "track_total_hits": 1, "query": wanted})
    if not answer["hits"]["total"]["value"]:
        log.warning(
            "no action in %s is of a type that is counted (%s); which ones there are: harvest.py query action_types",
            useractions.index,
            ", ".join(types),
        )


def of_types(field: str, types: Sequence[str]) -> Query:
    """Actions of any of `types`; one that ends in ``*`` is a beginning."""
    whole = [name for name in types if not name.endswith("*")]
    begun = [{"prefix": {field: name.removesuffix("*")}} for name in types if name.endswith("*")]
    return {"bool": {"should": [{"terms": {field: whole}}, *begun], "minimum_should_match": 1}}
