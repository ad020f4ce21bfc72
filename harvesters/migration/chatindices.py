"""The indices of messages and analytics that are there, and which of them are to be joined."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from harvesters.elastic import paths
from harvesters.elastic.answers import WHOLE
from harvesters.elastic.client import SearchClient
from harvesters.errors import ConfigError
from harvesters.messages import names
from harvesters.messages.dated import Named
from harvesters.migration.index import BLOCKS, Index
from harvesters.migration.joining import SWAPPED
from harvesters.migration.ledger import Copy
from harvesters.migration.renames import Renames
from harvesters.search import retention, scan

log = logging.getLogger(__name__)

JOIN_OF_ANALYTICS = "analytic"
"""What the join of all analytics is called."""

_BORN = 1  # version of the templates whose new indices are in today's form


@dataclass(frozen=True)
class Kind:
    """Messages, or analytics.

    Attributes:
        number: of the migration.
        template: its name.
        project: the field of a document that names the project.
    """

    number: int
    template: str
    pattern: str
    project: str


MESSAGES = Kind(10, "messages", names.MESSAGES, "project")
ALL = (MESSAGES, Kind(11, "analytics", names.ANALYTICS, "descriptor.project"))


@dataclass
class ChatIndices:
    """The indices of a cluster.

    Args:
        done: actions that the former service's migrator has done, and nobody does again.
    """

    client: SearchClient
    renames: Renames
    done: frozenset[int]
    _created: dict[str, int] = field(default_factory=dict, init=False)
    _halfway: set[str] = field(default_factory=set, init=False)  # names that somebody had taken in the end

    def created(self, copy: Copy) -> date:
        """The UTC day on which a source was made."""
        return datetime.fromtimestamp(self._created[copy.uuid] / 1000, UTC).date()

    def group_of(self, logical: str) -> str:
        """What the index of messages that is called `logical` is joined to."""
        named = Named.read(logical)
        return logical if named is None or (named.project and 7 in self.done) else named.today

    def groups(self, kind: Kind) -> dict[str, list[Index]]:
        """The indices of a kind, by the name of what they are joined to."""
        groups: dict[str, list[Index]] = {}
        indices = [*self._indices(kind)]
        for index in indices:
            named = Named.read(index.logical)
            if kind is not MESSAGES:
                old = (named is None and 7 not in self.done) or index.logical in self._halfway
                if old or not self._born(kind, index) or self._renames(kind, index):
                    groups.setdefault(JOIN_OF_ANALYTICS, []).append(index)
            elif named is None:
                log.info("%s: is called as no index of messages is, and stays as it is", index.logical)
            else:
                groups.setdefault(self.group_of(index.logical), []).append(index)
        return dict(sorted(groups.items()))

    def found(self, kind: Kind, name: str) -> Copy | None:
        """The index that is called `name`, as a source."""
        answer = self.client.request("GET", f"/{paths.name(name)}", accept=(404,))
        if not answer.found:
            return None
        if len(answer.body) > 1:
            raise ConfigError(f"{name} is an alias of {len(answer.body)} indices: give it to one of them")
        ((own, body),) = answer.body.items()
        index = Index.read(own, name, body)
        index.require_free(BLOCKS)
        self._created[index.uuid] = index.created
        return source(kind, index)

    def needed(self, kind: Kind, name: str, indices: list[Index]) -> bool:
        """Whether these are to be joined to `name`."""
        return kind is not MESSAGES or any(
            not self._born(kind, index)
            or index.logical != name
            or name in self._halfway
            or self._mixed(index)
            or self._renames(kind, index)
            for index in indices
        )

    def _indices(self, kind: Kind) -> Iterator[Index]:
        self._halfway.clear()
        answer = self.client.request("GET", f"/{paths.pattern(kind.pattern)}", params={"expand_wildcards": "all"})
        for name, body in sorted(answer.body.items()):
            made = retention.MIGRATED.fullmatch(name)
            logical = made[1] if made is not None else name
            if made is not None and not {logical, logical + SWAPPED} & set(body["aliases"]):
                continue
            index = Index.read(name, logical, body)
            self._created[index.uuid] = index.created
            if made is not None and logical not in body["aliases"]:
                self._halfway.add(logical)
            theirs = index.hidden and logical + SWAPPED not in body["aliases"]  # hidden, and not by a swap
            ours = kind is MESSAGES or Named.read(logical) or {"descriptor", "query"} & set(index.properties)
            if ours and not theirs:
                yield index

    def _born(self, kind: Kind, index: Index) -> bool:
        meta = index.mappings.get("_meta", {})
        return meta.get("harvest") == kind.template and int(meta.get("version", 0)) >= _BORN

    def _mixed(self, index: Index) -> bool:
        """Whether the service of old has written beside our template, as it does where both run."""
        if index.closed or index.block:
            return False
        self.client.request("POST", f"/{paths.name(index.name)}/_refresh")
        theirs = {"bool": {"must_not": {"exists": {"field": "harvest.id"}}}}
        body = {"size": 1, "track_total_hits": False, "_source": False, "query": theirs}
        found = self.client.request("POST", f"/{paths.name(index.name)}/_search", body, params=WHOLE)
        return bool(found.body["hits"]["hits"])

    def _renames(self, kind: Kind, index: Index) -> bool:
        """Whether something in an index of today's form gets another project."""
        if not self.renames or index.closed or index.block:
            return False
        only = {"terms": {kind.project: sorted({row.old for row in self.renames.rows})}}
        fields = ["project", "timestamp", "descriptor.project", "result.creationDt"]
        self.client.request("POST", f"/{paths.name(index.name)}/_refresh")
        for hits in scan.pages(self.client, index.name, source=fields, only=only):
            for hit in hits:
                said = hit["_source"]
                moment = said.get("timestamp", (said.get("result") or {}).get("creationDt"))
                project = said.get("project", (said.get("descriptor") or {}).get("project"))
                moment = moment or datetime.fromtimestamp(index.created / 1000, UTC).date().isoformat()
                if self.renames.of(project, moment) != project:
                    return True
        return False


def source(kind: Kind, index: Index) -> Copy:
    """An index as one that is taken in."""
    return Copy(index.logical, index.name, index.uuid, "", (kind.number,), False, write_blocked=index.write_blocked)
