"""Queries kept as JSON files: ``{"description": …, "index": …, "body": …}``, the body as Elasticsearch has it.

One that counts some types of actions only may name them, in a list ``types``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import orjson

USERACTIONS = "useractions-*"


class QueryError(ValueError):
    """There is no such query, or what was given is none; the message says what to do."""


def files_by_name() -> dict[str, Traversable]:
    """Where each query is: in the package, which in a checkout links to the folder beside ``harvest.py``."""
    folder = files("harvesters.search") / "queries"
    found = {file.name.removesuffix(".json"): file for file in folder.iterdir() if file.name.endswith(".json")}
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class SavedQuery:
    """A search: where (`index`) and what (`body`); `types` are those of the actions that it counts, if not all."""

    name: str
    index: str
    body: dict[str, Any]
    description: str = ""
    types: tuple[str, ...] = ()

    def between(self, start: datetime | None, end: datetime | None) -> SavedQuery:
        """The same, for documents whose ``timestamp`` lies from `start` to before `end` only."""
        bounds = {name: moment.isoformat() for name, moment in (("gte", start), ("lt", end)) if moment is not None}
        if not bounds:
            return self
        filters = [{"range": {"timestamp": bounds}}, self.body.get("query", {"match_all": {}})]
        return replace(self, body={**self.body, "query": {"bool": {"filter": filters}}})


def saved_queries() -> Iterator[SavedQuery]:
    """All of them, by name."""
    for name, file in files_by_name().items():
        yield parse_query(file.read_bytes(), name)


def find_query(name: str) -> SavedQuery:
    """The query called `name`, hyphens or underscores alike.

    Raises:
        QueryError: there is none.
    """
    paths = files_by_name()
    wanted = name.replace("-", "_")
    if wanted in paths:
        return parse_query(paths[wanted].read_bytes(), wanted)
    near = difflib.get_close_matches(wanted, paths, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise QueryError(
        f"there is no query {name!r}.{hint} There are: {', '.join(paths)}; - reads one from standard input"
    )


def parse_query(text: bytes, name: str) -> SavedQuery:
    """A query in the form above, or the bare body of a search, which is for the user actions.

    Raises:
        QueryError: it is neither.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise QueryError(f"the query {name} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise QueryError(f"the query {name} is no JSON object")
    body = value.get("body", value)
    index = value.get("index", USERACTIONS) if "body" in value else USERACTIONS
    if not isinstance(body, dict) or not isinstance(index, str):
        raise QueryError(f'the query {name} should be {{"index": "name", "body": {{…}}}} or the body of a search')
    if "body" not in value:
        return SavedQuery(name, index, body)
    types = value.get("types", [])
    if not isinstance(types, list):
        raise QueryError(f'the query {name} should have a list of "types"')
    return SavedQuery(name, index, body, str(value.get("description", "")), tuple(map(str, types)))
