"""One copy of an index: made, filled, compared, and put in the place of the original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harvesters.document import Document
from harvesters.errors import ConfigError, ProtocolError, TooManyDead
from harvesters.search import scan
from harvesters.search.client import SearchClient
from harvesters.search.ledger import Copy, Ledger
from harvesters.search.templates import Template
from harvesters.sinks.elastic import ElasticSink

Body = dict[str, Any]


@dataclass
class Copier:
    """Copies indices of one template.

    Args:
        transform: what becomes of a document.
    """

    client: SearchClient
    ledger: Ledger
    template: Template
    transform: Callable[[Body], Body]

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
        """Put the copy in the original's place, in one request: its name and its aliases."""
        aliases = self.client.request("GET", f"/{copy.source}/_alias").body[copy.source]["aliases"]
        wanted = {**self.template.aliases, **aliases, copy.logical: {}}
        actions: list[Body] = [{"remove_index": {"index": copy.source}}]
        actions += [{"add": {"index": copy.target, "alias": name, **options}} for name, options in wanted.items()]
        self.client.request("POST", "/_aliases", {"actions": actions})

    def discard(self, copy: Copy) -> None:
        """Remove the copy, let the original take writes again, and forget about it."""
        self.client.request("DELETE", f"/{copy.target}", accept=(404,))
        unblocked = {"index.blocks.write": None}
        self.client.request("PUT", f"/{copy.source}/_settings", unblocked, accept=(404,))
        self.ledger.forget(copy)

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
