"""One copy of an index: made, filled, compared, and put in the place of the original.

The copy is written by a name that belongs to the lease's generation, an alias that whoever takes over removes. So a
run that slept meanwhile is refused by the cluster, whatever it believes, and can neither write nor swap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from harvesters import exact
from harvesters.elastic import bulk, paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused
from harvesters.errors import ConfigError, Interrupted, ProtocolError, RaceLost, TooManyDead
from harvesters.migration import odd
from harvesters.migration.ledger import Copy, Ledger
from harvesters.search import scan
from harvesters.search.scan import Verbatim
from harvesters.search.templates import Template
from harvesters.stores.lease import Lease

Body = dict[str, Any]

UNDER_WAY = 0.2  # seconds that searches get which began to read the original
_MOST_BYTES = 5 * 1024 * 1024  # of a bulk request
_MOST_ODD = 20  # fields of one document that are set aside one by one


@dataclass
class CopyTally:
    """What became of an index: documents copied, how many changed form, and how many kept something under ``odd``."""

    copied: int = 0
    changed: int = 0
    odd: int = 0


class Uneven(ProtocolError):
    """The copy has another number of documents than the original, or that was written to meanwhile."""


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

    def copy(self, copy: Copy, target: Body) -> CopyTally:
        """Fill `copy.target`, made as `target` says.

        The original takes no writes from here on, until `swap` removes it, or `release` or `discard` gives it free.

        Raises:
            TooManyDead: the target refuses a document.
            Uneven: it has other documents than the original in the end.
        """
        self.check()
        self.ledger.save(copy)
        self.block(copy)
        copy = self._take_over(copy, target)
        tally = self._fill(copy)
        self.client.request("PUT", path_of(copy.target, "_settings"), {"index": {"refresh_interval": None}})
        before, tally.copied = self.count(copy.source), self.count(copy.target)
        if before != tally.copied or self.state(copy.source) != copy.state or not self.blocked(copy):
            raise Uneven(
                f"the copy of {copy.logical} has {tally.copied} documents and not {before}, or the index was written "
                "to meanwhile; the copy was removed, and the index is as it was. Run the migration again."
            )
        return tally

    def swap(self, copy: Copy) -> None:
        """Put the copy in the original's place: first in every pattern and alias, then under its name.

        A search that is under way when an index is removed misses its shards. So the original is removed a moment
        after patterns and aliases have stopped to read it: it is hidden from patterns, a second name keeps it in
        them, and that name, like every alias, changes sides in one request.

        Raises:
            RaceLost: another run has taken over.
        """
        self.check()
        aliases = self.aliases(copy.source)
        wanted: Body = {**self.template.aliases, **aliases}
        if copy.source == copy.logical:
            wanted[copy.stand_in] = {}
            actions: list[Body] = [{"add": {"index": copy.source, "alias": copy.stand_in}}]
            self.client.request("POST", "/_aliases", {"actions": actions})
            self.check()
            self.hide(copy)
        writer = self.ledger.writer(copy.target)
        actions = [{"remove": {"index": copy.target, "alias": writer, "must_exist": True}}]
        actions += [{"remove": {"index": copy.source, "alias": name, "must_exist": False}} for name in wanted]
        actions += [{"add": {"index": copy.target, "alias": name, **options}} for name, options in wanted.items()]
        self.check()
        try:
            self.client.request("POST", "/_aliases", {"actions": actions})
        except Refused as error:
            if not self.has(copy.target, writer) and not self.is_read(copy) and self.original_there(copy):
                raise RaceLost(f"another run has taken the copy of {copy.logical} over") from error
            if not self.is_read(copy):
                raise
        with suppress(Interrupted):  # from here on the end is near, and the way back is not
            self.ledger.clock.sleep(UNDER_WAY)
        self.finish(copy)

    def finish(self, copy: Copy) -> None:
        """Remove the original and give the copy its name; a run that was killed, or an answer that was lost, may
        have done so already."""
        there = self.original_there(copy)
        if copy.write_blocked:
            self.client.request("PUT", path_of(copy.target, "_settings"), {"index.blocks.write": True})
        if not there and self._settings(copy.logical):
            return
        actions: list[Body] = [{"remove_index": {"index": copy.source}}] if there else []
        actions += [
            {"add": {"index": copy.target, "alias": copy.logical}},
            {"remove": {"index": copy.target, "alias": copy.stand_in, "must_exist": False}},
        ]
        self.check()
        try:
            self.client.request("POST", "/_aliases", {"actions": actions})
        except Refused:
            if self.original_there(copy):
                raise

    def is_read(self, copy: Copy) -> bool:
        """Whether patterns and aliases read the copy already, so that it may never be discarded."""
        return self.has(copy.target, copy.logical) or self.has(copy.target, copy.stand_in)

    def discard(self, copy: Copy) -> None:
        """Remove the copy, let the original take writes again, and forget about it; not if the copy is read by now."""
        if self.is_read(copy):
            return
        self.check()
        if self.original_there(copy):
            self.give_back(copy)
        self.client.request("DELETE", path_of(copy.target), accept=(403, 404))
        self.ledger.forget(copy)

    def release(self, copy: Copy) -> bool:
        """Let the original take writes again, and keep the copy; False where the copy is to take its place by now."""
        self.check()
        if self.is_read(copy):
            return False
        if self.original_there(copy):
            self.give_back(copy)
        return True

    def original_there(self, copy: Copy) -> bool:
        """Whether the index itself is there, and not another one of its name, nor an alias."""
        return bool(self._settings(copy.source).get(copy.source, {}).get("uuid") == copy.uuid)

    def blocked(self, copy: Copy) -> bool:
        """Whether it is blocked still: whoever slept may have lifted it."""
        return bool(self._settings(copy.source).get(copy.source, {}).get("blocks", {}).get("write") == "true")

    def _settings(self, name: str) -> dict[str, Body]:
        """The settings of the index, or of those behind the alias, by their own names."""
        found = self.client.request("GET", path_of(name, "_settings"), accept=(404,))
        return {index: body["settings"]["index"] for index, body in found.body.items()} if found.found else {}

    def give_back(self, copy: Copy) -> None:
        as_before = {"index.blocks.write": True if copy.write_blocked else None, "index.hidden": None}
        self.client.request("PUT", path_of(copy.source, "_settings"), as_before, accept=(403, 404))
        stand_in = f"_alias/{paths.name(copy.stand_in)}"
        self.client.request("DELETE", path_of(copy.source, stand_in), accept=(403, 404))

    def check(self) -> None:
        if self.lease is not None:
            self.lease.check()

    def block(self, copy: Copy) -> None:
        answer = self.client.request("PUT", path_of(copy.source, "_block/write"))
        self._only(copy, [index["name"] for index in answer.body["indices"]], "index.blocks.write")

    def hide(self, copy: Copy) -> None:
        self.client.request("PUT", path_of(copy.source, "_settings"), {"index.hidden": True})
        self._only(copy, self._settings(copy.source), "index.hidden")

    def _only(self, copy: Copy, indices: Iterable[str], setting: str) -> None:
        """See that it was the original that got `setting`, and not the copy that has its name by now."""
        others = [name for name in indices if name != copy.source]
        for name in others:
            self.client.request("PUT", path_of(name, "_settings"), {setting: None}, accept=(404,))
        if others:
            raise RaceLost(f"another run has migrated {copy.logical} meanwhile")

    def _take_over(self, copy: Copy, target: Body) -> Copy:
        """The copy, ours to write to: as an earlier run left it, or from its beginning."""
        state = self.state(copy.source)
        if copy.state != state:  # written to since: the sequence numbers of its shards say no more where to go on
            self.client.request("DELETE", path_of(copy.target), accept=(404,))
            copy = copy.begun(state)
        if not self.client.request("GET", path_of(copy.target), accept=(404,)).found:
            copy = copy.begun(state)
            self.client.request("PUT", path_of(copy.target), target)
        self.ledger.save(copy)
        self.own(copy.target)
        return copy

    def own(self, target: str) -> None:
        """Have a target written to by the name of this run's generation, and no other."""
        there = self.aliases(target)
        others = [name for name in there if name.startswith(f"{target}.by-")]
        actions: list[Body] = [{"remove": {"index": target, "alias": name}} for name in others]
        actions.append({"add": {"index": target, "alias": self.ledger.writer(target), "is_hidden": True}})
        self.check()
        self.client.request("POST", "/_aliases", {"actions": actions})

    def _fill(self, copy: Copy) -> CopyTally:
        tally = CopyTally()
        for hits in scan.verbatim(self.client, copy.source, copy.cursor):
            self.ledger.clock.sleep(0)  # ends here when told to stop
            bodies: dict[str, bytes] = {}
            for hit in hits:
                bodies[hit.id], changed = converted(source_of(hit, copy.source), self.transform)
                tally.changed += changed
            tally.odd += self.write(copy, bodies)
            copy = copy.after(int(hits[-1].sort[0]))
            self.ledger.save(copy)
        return tally

    def write(self, copy: Copy, bodies: dict[str, bytes]) -> int:
        """Write documents by their ids; returns how many keep something under ``odd``."""
        wanted: dict[str, bytes] = bodies
        aside: set[str] = set()
        for tries in range(_MOST_ODD + 2):
            self.check()
            refused = self._create(copy, wanted)
            if not refused:
                return len(aside)
            again: dict[str, bytes] = {}
            for id, refusal in refused.items():
                if tries > _MOST_ODD or refusal.status == 413:
                    raise TooManyDead(
                        f"{len(refused)} documents of {copy.source} do not fit into today's index, such as "
                        f"{id!r} ({refusal.reason}). The index is as it was; mend them, and run again."
                    )
                field = refusal.field if tries < _MOST_ODD else ""
                again[id] = exact.dumps(odd.set_aside(exact.loads(wanted[id]), field))
                aside.add(id)
            wanted = again
        return len(aside)

    def _create(self, copy: Copy, bodies: dict[str, bytes]) -> dict[str, bulk.ItemRefusal]:
        """Create documents that are not there yet: an older version never takes the place of a newer one."""
        name = self.ledger.writer(copy.target)
        ids = list(bodies)
        actions = [bulk.write(name, id, bodies[id], "create") for id in ids]
        refused: dict[str, bulk.ItemRefusal] = {}
        for part in _parts(actions):
            try:
                # Without require_alias a name that is no more would become an index.
                found = bulk.deliver(
                    self.client, [actions[at] for at in part], params={"require_alias": "true"}, settled=(409,)
                )
            except bulk.IndexMissing as error:
                if self.original_there(copy):
                    raise RaceLost(f"another run has taken the copy of {copy.logical} over") from error
                raise
            refused.update({ids[part[place]]: refusal for place, refusal in found.items()})
        return refused

    def count(self, index: str) -> int:
        self.client.request("POST", path_of(index, "_refresh"))
        return int(self.client.request("GET", path_of(index, "_count")).body["count"])

    def state(self, index: str) -> str:
        """What changes with each write: the last sequence number of each shard. Searches see all of it afterwards."""
        self.client.request("POST", path_of(index, "_refresh"))
        found = self.client.request("GET", path_of(index, "_stats"), params={"level": "shards"})
        shards = found.body["indices"].get(index, {}).get("shards", {})
        numbers = {
            int(number): max(copy["seq_no"]["max_seq_no"] for copy in copies if "seq_no" in copy)
            for number, copies in shards.items()
        }
        return " ".join(f"{number}:{numbers[number]}" for number in sorted(numbers))

    def aliases(self, index: str) -> Body:
        """The aliases of an index, with what each is."""
        found: Body = self.client.request("GET", path_of(index, "_alias")).body[index]["aliases"]
        return found

    def has(self, index: str, alias: str) -> bool:
        found = self.client.request("GET", path_of(index, "_alias"), accept=(404,))
        return found.found and index in found.body and alias in found.body[index]["aliases"]


def path_of(index: str, what: str = "") -> str:
    """The path of an index, or of something of it."""
    return f"/{paths.name(index)}/{what}".rstrip("/")


def source_of(hit: Verbatim, index: str) -> bytes:
    """The document of a hit.

    Raises:
        ConfigError: it cannot be written again as it is.
    """
    if not hit.source or hit.routing is not None:
        raise ConfigError(f"{index} keeps no _source, or has a _routing: it cannot be copied")
    return bytes(hit.source)


def converted(source: bytes, transform: Callable[[Body], Body]) -> tuple[bytes, bool]:
    """The document after `transform`, on one line, and whether it is another; the same bytes where it is not."""
    precise = exact.rounds(source)
    try:
        body = exact.loads(source) if precise else orjson.loads(source)
    except orjson.JSONDecodeError:
        body, precise = exact.loads(source), True
    changed = transform(body)
    if repr(changed) == repr(body):  # in Python 1 equals True, in JSON it does not
        return source.replace(b"\n", b" ").replace(b"\r", b" "), False
    return exact.dumps(changed) if precise else orjson.dumps(changed), True


def _parts(actions: list[bytes]) -> list[list[int]]:
    """Places of actions that fit into one request each."""
    parts: list[list[int]] = [[]]
    size = 0
    for place, action in enumerate(actions):
        if parts[-1] and size + len(action) > _MOST_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(place)
        size += len(action)
    return parts
