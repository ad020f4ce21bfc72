"""Which version of a listing stays, whoever writes it and in whatever order: the later one, by `Place.after`.

Every write says which version it takes the place of, so that of two processes one has to look again:

- A listing is made (``create``), which a listing that is there refuses.
- One that is there is replaced, or deleted, under the sequence number that was read with it. `visits`, `hot` and
  `created` are read with it too, and are in what is written, so there is no moment without them.
- A deletion is remembered before the listing is removed. Who makes a listing looks before and afterwards whether it was
  deleted by a later message, and removes it then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from harvesters.elastic import bulk, paths
from harvesters.elastic.client import SearchClient
from harvesters.listings.change import Change, Fates, turns
from harvesters.listings.deletions import Deletions
from harvesters.listings.indexname import ensure_index
from harvesters.listings.place import Place
from harvesters.listings.stored import Listings
from harvesters.listings.turn import TEMPLATE, Turn
from harvesters.search import templates
from harvesters.search.templates import Template


class Versions:
    """The listings in the index `index`; safe to use from several threads."""

    def __init__(self, client: SearchClient, index: str) -> None:
        self.client, self.index = client, index
        self._listings, self._deletions = Listings(client, index), Deletions(client, index)

    def prepare(self) -> None:
        """Make the index where it is missing, and remove what came back after its deletion.

        That may be where a process was stopped before it made a listing, went on when its partitions were another's
        that had deleted it, and was killed before it looked again.

        Raises:
            ConfigError: no index can be called so, or it leads to several.
        """
        self._deletions.prepare()
        ensure_index(self.client, self.index, {"settings": self._form.settings, "mappings": self._form.mappings})
        self._ensure_template()
        for places in self._deletions.recent():
            self._remove(places)

    def apply(self, changes: Sequence[Change]) -> Fates:
        """Make the changes, in order; what became of each, or the words with which Elasticsearch refused it for good.

        Raises:
            SinkUnavailable, RateLimited: it went on refusing, or not answering, for longer than the retry budget.
            CredentialsRefused, ConfigError, ProtocolError: it will not take anything from us as things are.
        """
        fates: Fates = {}
        for turn in turns(changes, fates):
            Turn(self._listings, self._deletions, turn, fates).run()
        return fates

    def refresh(self) -> None:
        """Have searches see what was changed."""
        self.client.request("POST", f"/{paths.name(self.index)}/_refresh", accept=(403, 404))

    def _remove(self, places: Mapping[str, Place]) -> None:
        """Delete listings that are older than their deletion."""
        waiting = dict(places)
        while waiting:
            found = self._listings.find([*waiting])
            waiting = {id: place for id, place in waiting.items() if id in found and found[id].older(place)}
            lines = [bulk.delete(self.index, id, **found[id].version.conditions) for id in waiting]
            refused = bulk.deliver(self.client, lines, settled=(404,)) if lines else {}
            waiting = {id: place for at, (id, place) in enumerate(waiting.items()) if at in refused}

    def _ensure_template(self) -> None:
        """Put the template where there is none, for an index that is removed and made anew while we run."""
        name, body = TEMPLATE, self._form.body
        if [self.index] != self._form.patterns:
            name, body = f"{self.index}-{TEMPLATE}", {**body, "index_patterns": [self.index]}
        path = f"/_index_template/{paths.name(name)}"
        if not self.client.request("GET", path, accept=(404,)).found:
            self.client.request("PUT", path, body, accept=(400,))  # 400: somebody has one for that name

    @cached_property
    def _form(self) -> Template:
        return templates.find(TEMPLATE).on(self.client.cluster)
