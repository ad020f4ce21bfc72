"""One copy of an index: made, filled, compared, and put in the place of the original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harvesters.document import Document
from harvesters.errors import ConfigError, ProtocolError, TooManyDead
from harvesters.migration.ledger import Copy, Ledger
from harvesters.search import scan
from harvesters.search.client import Refused, SearchClient
from harvesters.search.templates import Template
from harvesters.sinks.elastic import ElasticSink
from harvesters.stores.lease import Lease

Body = dict[str, Any]

_UNDER_WAY = 0.2  # seconds that searches get which began to read the original


@dataclass
class Copier:
    """Copies indices of one template.

    Args:
        transform: what becomes of a document.
        lease: checked before anything is written to the copy.
    """

    client: SearchClient
    ledger: Ledger
    template: Template
    transform: Callable[[Body], Body]
    lease: Lease | None = None

    def copy(self, copy: Copy, target: Body) -> tuple[int, int]:
        """Fill `copy.target`, made as `target` says; returns how many documents it has, and how many changed now.

        The original takes no writes from here on, until `swap` removes it or `discard` gives it free.

        Raises:
            TooManyDead: the target refuses a document.
            ProtocolError: it has another number of documents in the end.
        """
        self.ledger.save(copy)
        self.client.request("PUT", f"/{copy.source}/_block/write")
        if not self.client.request("GET", f"/{copy.target}", accept=(404,)).found:
            copy = Copy(copy.logical, copy.source, copy.uuid, copy.target, copy.numbers, copy.undo)
            self.client.request("PUT", f"/{copy.target}", target)
        changed = self._fill(copy)
        self.client.request("PUT", f"/{copy.target}/_settings", {"index": {"refresh_interval": None}})
        before, after = self._count(copy.source), self._count(copy.target)
        if before != after:
            raise ProtocolError(
                f"the copy of {copy.logical} has {after} documents and not {before}; it was removed, and the index is "
                "as it was. Run the migration again."
            )
        return after, changed

    def swap(self, copy: Copy) -> None:
        """Put the copy in the original's place: first in every pattern and alias, then under its name.

        A search that is under way when an index is removed misses its shards. So the original is removed a moment
        after patterns and aliases have stopped to read it: it is hidden from patterns, a second name keeps it in
        them, and that name, like every alias, changes sides in one request.
        """
        self._check()
        aliases = self.client.request("GET", f"/{copy.source}/_alias").body[copy.source]["aliases"]
        wanted: Body = {**self.template.aliases, **aliases}
        if copy.source == copy.logical:
            wanted[copy.stand_in] = {}
            actions: list[Body] = [{"add": {"index": copy.source, "alias": copy.stand_in}}]
            self.client.request("POST", "/_aliases", {"actions": actions})
            self.client.request("PUT", f"/{copy.source}/_settings", {"index.hidden": True})
        actions = [{"remove": {"index": copy.source, "alias": name, "must_exist": False}} for name in wanted]
        actions += [{"add": {"index": copy.target, "alias": name, **options}} for name, options in wanted.items()]
        self.client.request("POST", "/_aliases", {"actions": actions})
        self.ledger.clock.sleep(_UNDER_WAY)
        self.finish(copy)

    def finish(self, copy: Copy) -> None:
        """Remove the original and give the copy its name; a run that was killed, or an answer that was lost, may
        have done so already."""
        if not self.original_there(copy):
            return
        actions: list[Body] = [
            {"remove_index": {"index": copy.source}},
            {"add": {"index": copy.target, "alias": copy.logical}},
            {"remove": {"index": copy.target, "alias": copy.stand_in, "must_exist": False}},
        ]
        try:
            self.client.request("POST", "/_aliases", {"actions": actions})
        except Refused:
            if self.original_there(copy):
                raise

    def is_read(self, copy: Copy) -> bool:
        """Whether patterns and aliases read the copy already, so that it may never be discarded."""
        found = self.client.request("GET", f"/{copy.target}/_alias", accept=(404,))
        return found.found and not {copy.logical, copy.stand_in}.isdisjoint(found.body[copy.target]["aliases"])

    def discard(self, copy: Copy) -> None:
        """Remove the copy, let the original take writes again, and forget about it; not if the copy is read by now."""
        if self.is_read(copy):
            return
        if self.original_there(copy):
            as_before = {"index.blocks.write": None, "index.hidden": None}
            self.client.request("PUT", f"/{copy.source}/_settings", as_before, accept=(403, 404))
            self.client.request("DELETE", f"/{copy.source}/_alias/{copy.stand_in}", accept=(403, 404))
        self.client.request("DELETE", f"/{copy.target}", accept=(403, 404))
        self.ledger.forget(copy)

    def _check(self) -> None:
        if self.lease is not None:
            self.lease.check()

    def original_there(self, copy: Copy) -> bool:
        """Whether the index itself is there, and not another one of its name, nor an alias."""
        found = self.client.request("GET", f"/{copy.source}/_settings", accept=(404,))
        return (
            found.found
            and copy.source in found.body
            and found.body[copy.source]["settings"]["index"]["uuid"] == copy.uuid
        )

    def _fill(self, copy: Copy) -> int:
        changed = 0
        sink = ElasticSink(self.client, lambda document: copy.target, templated=False)
        now = self.ledger.clock.now()
        for hits in scan.pages(self.client, copy.source, copy.cursor):
            self.ledger.clock.sleep(0)  # ends here when told to stop
            documents = []
            for hit in hits:
                if "_source" not in hit or "_routing" in hit:
                    raise ConfigError(f"{copy.source} keeps no _source, or has a _routing: it cannot be copied")
                body = self.transform(hit["_source"])
                changed += repr(body) != repr(hit["_source"])  # in Python 1 equals True, in JSON it does not
                documents.append(Document(hit["_id"], self.template.name, now, body))
            self._check()
            dead = [outcome for outcome in sink.send(documents) if not outcome.delivered]
            if dead:
                raise TooManyDead(
                    f"{len(dead)} documents of {copy.source} do not fit into today's index, such as "
                    f"{dead[0].document.id!r} ({dead[0].reason}). The index is as it was; mend them, and run again."
                )
            copy = copy.after(int(hits[-1]["sort"][0]))
            self.ledger.save(copy)
        return changed

    def _count(self, index: str) -> int:
        self.client.request("POST", f"/{index}/_refresh")
        return int(self.client.request("GET", f"/{index}/_count").body["count"])
