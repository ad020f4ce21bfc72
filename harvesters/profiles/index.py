"""The index of profiles, asked; one that cannot answer says so, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused
from harvesters.errors import ConfigError
from harvesters.profiles import fields
from harvesters.search import form
from harvesters.search.reader import IndexReader

_TEMPLATE = "buddyupprofiles"
_LONGEST_ID = 8191  # characters; the template's ignore_above

Query = dict[str, Any]


class OlderForm(ConfigError):
    """The index is in the form of an older version, which cannot be searched."""


@dataclass(frozen=True)
class ProfileIndex:
    """The index, or alias, `name`."""

    client: SearchClient
    name: str = _TEMPLATE

    def search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The ``hits`` of one search.

        Raises:
            OlderForm: it has no words to find people by.
            ConfigError: there is no such index.
            Unavailable: Elasticsearch does not answer.
        """
        try:
            answer = IndexReader(self.client, self.name, filled_by="firebase profiles").search(body)
        except Refused:  # as of a field to sort by that an older index has not
            self._require_folded()
            raise
        hits: dict[str, Any] = answer["hits"]
        if not hits["hits"]:
            self._require_folded()
        return hits

    def _require_folded(self) -> None:
        """See that an answer without hits is one: an older index has no folded words, so it never has hits.

        Raises:
            OlderForm: it is such an index.
        """
        if differs := form.difference(self.client, self.name, _TEMPLATE, fields.NAME, fields.BIO, fields.ORDER):
            raise OlderForm(
                f"profiles cannot be searched in {self.client.name}: {differs}. The index is in the form of an older "
                "version: run harvest.py setup load_index_templates, then harvest.py setup migrate."
            )


def only(school: str | None, class_id: str | None) -> list[Query]:
    """The filters for a school and a class, each by its exact id; None for any."""
    asked = {"school_ids": school, "class_ids": class_id}
    return [_has(field, id) for field, id in asked.items() if id is not None]


def scoring(query: Query, points: int) -> Query:
    """A query whose hits get exactly so many points."""
    return {"constant_score": {"filter": query, "boost": points}}


def _has(field: str, id: str) -> Query:
    """One with half of a surrogate pair is nobody's, and so is one that is too long to be in the index."""
    if len(id) > _LONGEST_ID:
        return {"match_none": {}}
    return {"term": {field: id.encode("utf-8", "replace").decode()}}
