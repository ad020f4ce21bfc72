"""Which indices of messages, or of logs, are in today's form, and which were made by dynamic mapping."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from cachetools import TTLCache

from harvesters.elastic import paths
from harvesters.elastic.answers import WHOLE
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import error_type
from harvesters.errors import CredentialsRefused
from harvesters.messages.names import MESSAGES
from harvesters.search import form, templates
from harvesters.search.templates import Template

log = logging.getLogger(__name__)

_MARKS = {
    "messages": "harvest.id",
    "logging": "harvest.user",
    "analytics": "id",
}  # keywords in our mapping, and nothing or texts in others
_FRESH = 1.0  # seconds for which it is believed which indices are old
_MIXED = 10.0  # seconds for which it is believed in which of ours the service of old has written
_MANY = 10_000  # indices
_KNOWN = 60.0  # seconds for which an index in our form is believed to be one
_BESIDE = "-2"
_STAY = ("logging",)  # of what is beside an index, no migration puts it into that


def old_indices(client: SearchClient, pattern: str = MESSAGES) -> frozenset[str]:
    """The indices of messages behind `pattern` that are in an older form, or hold documents in one, as they do where
    the service of old goes on writing beside our template. By their own names (no aliases).
    """
    foreign = _foreign_indices(client, pattern)
    return foreign | _mixed_indices(client, pattern, foreign)


def _foreign_indices(client: SearchClient, pattern: str) -> frozenset[str]:
    """Those whose mapping is not ours."""
    mark = _MARKS["messages"]
    asked = {"fields": mark, "include_unmapped": True}
    said = client.request("GET", f"/{paths.pattern(pattern)}/_field_caps", params=asked).body
    types = said["fields"].get(mark, {})
    if "keyword" not in types:
        return frozenset(said["indices"])
    return frozenset(said["indices"]) - frozenset(types["keyword"].get("indices", said["indices"]))


def _mixed_indices(client: SearchClient, pattern: str, foreign: frozenset[str]) -> frozenset[str]:
    """Those whose mapping is ours, with documents that are not."""
    marked = {"exists": {"field": _MARKS["messages"]}}
    left = [{"terms": {"_index": sorted(foreign)}}] if foreign else []
    body = {
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": {"must_not": [marked, *left]}},
        "aggs": {"indices": {"terms": {"field": "_index", "size": _MANY}}},
    }
    said = client.request("POST", f"/{paths.pattern(pattern)}/_search", body, params=WHOLE).body
    return frozenset(bucket["key"] for bucket in said.get("aggregations", {}).get("indices", {}).get("buckets", ()))


class Forms:
    """What is known of the indices; each is asked for as rarely as may be. For all threads of a process.

    Args:
        template: the name of the template that they follow.
        now: seconds that only ever grow.
    """

    def __init__(self, template: str = "messages", now: Callable[[], float] = time.monotonic) -> None:
        self._name = template
        self._lock = threading.Lock()
        self._old: TTLCache[str, frozenset[str]] = TTLCache(1, _FRESH, now)
        self._mixed: TTLCache[str, frozenset[str]] = TTLCache(1, _MIXED, now)
        self._places: TTLCache[str, str] = TTLCache(100_000, _KNOWN, now)
        self._templates_put = False

    @cached_property
    def _template(self) -> Template:
        return templates.find(self._name)

    def old(self, client: SearchClient, fresh: bool = False) -> frozenset[str]:
        """As `old_indices`; if not `fresh`, a second old at most, and ten where the mapping is ours."""
        return frozenset().union(*self.older(client, fresh))

    def older(self, client: SearchClient, fresh: bool = False) -> tuple[frozenset[str], frozenset[str]]:
        """What `old` has, those with a mapping that is not ours, and those with one that is."""
        foreign = mixed = None
        if not fresh:
            with self._lock:
                foreign, mixed = self._old.get(MESSAGES), self._mixed.get(MESSAGES)
        if foreign is None:
            foreign = _foreign_indices(client, MESSAGES)
        if mixed is None:
            mixed = _mixed_indices(client, MESSAGES, foreign)
            with self._lock:
                self._mixed[MESSAGES] = mixed
        with self._lock:
            self._old[MESSAGES] = foreign
        return foreign, mixed

    def places(self, client: SearchClient, indices: Iterable[str]) -> dict[str, str]:
        """Where to write what belongs into each of `indices`: it is made if it is not there.

        An index that dynamic mapping made would refuse some documents, and nothing could be counted in it. Until it is
        migrated, what is new stands beside it, in ``INDEX-2``; logs do so from then on, for the same log is to be found
        in the same place.
        """
        wanted = {*indices}
        with self._lock:
            known = {name: self._places[name] for name in wanted if name in self._places}
        for name in wanted - known.keys():
            known[name] = self._place(client, name)
            with self._lock:
                if known[name] == name:
                    self._places[name] = name
        return known

    def forget(self) -> None:
        """Ask again: somebody has removed indices, or put others in their place."""
        with self._lock:
            self._old.clear()
            self._mixed.clear()
            self._places.clear()

    def _place(self, client: SearchClient, name: str) -> str:
        beside = f"{name}{_BESIDE}"
        if self._name in _STAY and client.request("HEAD", f"/{paths.name(beside)}", accept=(404,)).found:
            return self._place(client, beside)
        answer = client.request("GET", f"/{paths.name(name)}/_mapping", accept=(404,))
        if not answer.found:
            self._put_template(client)
            self._make(client, name)
            answer = client.request("GET", f"/{paths.name(name)}/_mapping")
        ours = all(_is_ours(each, _MARKS[self._name]) for each in answer.body.values())
        return name if ours else self._place(client, beside)

    def _make(self, client: SearchClient, name: str) -> None:
        body = self._template.on(client.cluster).body["template"]
        answer = client.request("PUT", f"/{paths.name(name)}", body, accept=(400,))
        if answer.status == 400 and error_type(answer.body) != "resource_already_exists_exception":
            client.request("PUT", f"/{paths.name(name)}", body)  # raises what it says

    def _put_template(self, client: SearchClient) -> None:
        """Have the template there for whoever else makes an index, as a restored one that is written to."""
        if self._templates_put:
            return
        ensure_template(client, self._name)
        self._templates_put = True


def ensure_template(client: SearchClient, name: str) -> None:
    """Put our template of that name if the cluster has none; where that is not allowed, somebody else has to."""
    try:
        if not client.request("GET", f"/_index_template/{paths.name(name)}", accept=(404,)).found:
            templates.put(client, templates.find(name))
    except CredentialsRefused as error:
        log.warning("the index template %s was not put: %s", name, error)


def _is_ours(said: Mapping[str, Any], mark: str) -> bool:
    """Whether a mapping has the form that ours gives."""
    return form.type_at(said["mappings"], mark) == "keyword"
