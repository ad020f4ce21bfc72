"""Messages and analytics of older versions into today's indices, and projects under other names.

Messages of a day, which older versions kept in an index for each project, become one index; analytics go to the day on
which they were made. Each of these is a join: see `joining.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused
from harvesters.errors import ConfigError, HarvestError, RaceLost, TooManyDead
from harvesters.messages import names, stored
from harvesters.messages.dated import Named
from harvesters.migration import oldanalytics, oldmessages
from harvesters.migration.chatindices import ALL, JOIN_OF_ANALYTICS, MESSAGES, ChatIndices, Kind, source
from harvesters.migration.copying import Body, Uneven, converted
from harvesters.migration.index import BLOCKS, Index
from harvesters.migration.joining import SWAPPED, Join, Joiner, Placed
from harvesters.migration.ledger import Copy, Ledger
from harvesters.migration.renames import Renames
from harvesters.migration.run import FOR_GOOD, ITS_OWN, brief, target_body
from harvesters.search import retention, scan, templates
from harvesters.search.templates import Template
from harvesters.stores.lease import Lease

log = logging.getLogger(__name__)

NUMBERS = {10: "messages of a day in one index", 11: "analytics in today's words, by the day on which they were made"}
"""These migrations, which cannot be undone: nothing says any more which index a document came from."""

_SPARE = 1000  # between the numbers of copies of one name


@dataclass
class ChatMigrator:
    """Migrates the messages and analytics of one cluster.

    Args:
        say: told what happens, a line each.
        lease: checked before anything is written; None for a dry run.
        done: actions that the former service's migrator has done, and nobody does again.
    """

    client: SearchClient
    ledger: Ledger
    say: Callable[[str], None]
    lease: Lease | None = None
    renames: Renames = field(default_factory=Renames)
    done: frozenset[int] = frozenset()
    _unknown: dict[str, str] = field(default_factory=dict, init=False)

    @cached_property
    def indices(self) -> ChatIndices:
        """What is there."""
        return ChatIndices(self.client, self.renames, self.done)

    def run(self) -> int:
        """Do what is pending; returns how many indices were replaced.

        Raises:
            TooManyDead: some could not be; they are as they were, and the others are done.
            HarvestError: as its subclasses say. What is swapped stays so, what is being copied goes on next time.
        """
        changed, failed = 0, {}
        for kind in ALL:
            self._sweep(kind)
            for name, indices in self.indices.groups(kind).items():
                try:
                    changed += self._migrate(kind, name, indices)
                except ITS_OWN as error:
                    failed[name] = error
                    self.say(f"{name}: not migrated: {error}")
        self._name_the_unknown()
        if failed:
            reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
            raise TooManyDead(f"{len(failed)} joins could not be made, and all is as it was: {reasons}")
        return changed

    def plan(self) -> int:
        """Say what `run` would do, and do nothing; returns how many indices it would replace."""
        planned = 0
        for kind in ALL:
            for name, indices in self.indices.groups(kind).items():
                try:
                    if self._closed(name, indices) or not self.indices.needed(kind, name, indices):
                        continue
                    for index in indices:
                        index.require_free(BLOCKS)
                except ConfigError as error:
                    self.say(f"{name}: cannot be migrated: {error}")
                    continue
                planned += len(indices)
                self._tell(kind, name, indices)
        self._name_the_unknown()
        return planned

    def _tell(self, kind: Kind, name: str, indices: list[Index]) -> None:
        total = changes = gone = 0
        into = set()
        at = self._now()
        for index in indices:
            copy = source(kind, index)
            for hits in scan.verbatim(self.client, index.name):
                for hit in hits:
                    kept: list[Placed | None] = []

                    def transform(body: Body, copy: Copy = copy, id: str = hit.id, kept: Any = kept) -> Body:
                        kept.append(self._convert(kind)(copy, id, body, at))
                        return kept[0][1] if kept[0] is not None else body

                    total += 1
                    changes += converted(bytes(hit.source), transform)[1] if hit.source else 0
                    gone += kept == [None]
                    into |= {placed[0] for placed in kept if placed is not None}
        what = f"would join {', '.join(index.logical for index in indices)} into {', '.join(sorted(into)) or 'nothing'}"
        dropped = f", and leave {gone} out whose metric is no more" if gone else ""
        self.say(f"{name}: {what}: {total} documents, and change {changes} of them{dropped}")
        self.say(f"  {kind.number}: {NUMBERS[kind.number]}")

    def _migrate(self, kind: Kind, name: str, indices: list[Index]) -> int:
        joiner = self._joiner(kind)
        kept = self.ledger.join_of(name)
        pending = Join.of(kept) if kept is not None else None
        if pending is not None and joiner.is_read(pending):
            self._finished(kind, joiner, pending, 0)
            pending, indices = None, self.indices.groups(kind).get(name, [])
        if not indices or self._closed(name, indices):
            return 0
        if pending is None and not self.indices.needed(kind, name, indices):
            return 0
        for index in indices:
            index.require_free(BLOCKS)
        before = {copy.uuid: copy.write_blocked for copy in pending.sources} if pending is not None else {}
        sources = tuple(
            replace(copy, write_blocked=before.get(copy.uuid, copy.write_blocked))
            for copy in (source(kind, index) for index in indices)
        )
        fresh = Join(name, sources, self._recipe, self._now())
        join = fresh
        if pending is not None:
            if pending.is_for(fresh) and all(joiner.copier.original_there(copy) for copy in pending.sources):
                self.say(f"{name}: going on with what an earlier run left")
                join = pending
            else:
                joiner.discard(pending)
        return self._join(kind, joiner, join, fresh)

    def _join(self, kind: Kind, joiner: Joiner, join: Join, fresh: Join) -> int:
        try:
            try:
                join, tally = joiner.join(join)
            except Uneven:
                joiner.discard(self._as_saved(join))
                join, tally = joiner.join(fresh)
            joiner.swap(join)
        except (HarvestError, KeyboardInterrupt) as error:
            join = self._as_saved(join)
            gone = isinstance(error, Refused | ConfigError) and not all(map(joiner.copier.original_there, join.sources))
            self._let_go(joiner, join, error)
            if gone:
                self.say(f"{join.name}: an index was removed meanwhile; run the migration again for the others")
                return 0
            raise
        self._finished(kind, joiner, join, tally.changed)
        aside = f", kept what fits no mapping in {tally.odd} of them under 'odd'" if tally.odd else ""
        into = ", ".join(f"{logical} ({target})" for logical, target in sorted(join.targets.items())) or "nothing"
        taken = ", ".join(copy.logical for copy in join.sources)
        self.say(f"{join.name}: joined {taken} into {into}: {tally.copied} documents, changed {tally.changed}{aside}")
        return len(join.sources)

    def _as_saved(self, join: Join) -> Join:
        """The join as the ledger has it, which is further than the one that was begun with."""
        kept = self.ledger.join_of(join.name)
        return Join.of(kept) if kept is not None else join

    def _finished(self, kind: Kind, joiner: Joiner, join: Join, changed: int) -> None:
        for logical in joiner.finish(join):
            self.say(f"{logical}: somebody has made it meanwhile; its documents and ours are read, so run this again")
        for logical, target in join.targets.items():
            found = self.client.request("GET", f"/{paths.name(target)}/_settings").body[target]
            self.ledger.record(kind.number, logical, found["settings"]["index"]["uuid"], "done", changed)
        self.ledger.forget_join(join.name)

    def _let_go(self, joiner: Joiner, join: Join, error: BaseException) -> None:
        """Give the indices back to their writers, or say that they wait, and for what."""
        try:
            if isinstance(error, RaceLost):
                return
            if isinstance(error, FOR_GOOD):
                joiner.discard(join)
                return
            if replace(joiner, client=brief(self.client)).release(join):
                return
        except RaceLost:
            return
        except HarvestError as another:
            log.debug("the write blocks could not be lifted: %s", another)
        which = ", ".join(copy.source for copy in join.sources)
        self.say(f"{which}: write-blocked until harvest.py setup migrate is run again")

    def _joiner(self, kind: Kind) -> Joiner:
        template = self._template(kind)
        shards = int(template.settings.get("index", {}).get("number_of_shards", 1))
        body = target_body(Index("", "", shards=shards), template, [], undo=False)
        return Joiner(
            self.client,
            self.ledger,
            template,
            self._convert(kind),
            lambda name: self.indices.found(kind, name),
            body,
            self._busy,
            lambda logical: self._free_name(kind, logical),
            self.lease,
        )

    def _convert(self, kind: Kind) -> Callable[[Copy, str, Body, str], Placed | None]:
        return self._message if kind is MESSAGES else self._analytic

    def _message(self, copy: Copy, id: str, body: Body, at: str) -> Placed:
        said = stored.original(body)
        if "project" in said:
            said["project"] = self.renames.of(said["project"], said.get("timestamp"))
        return self.indices.group_of(copy.logical), oldmessages.message(said, id)

    def _analytic(self, copy: Copy, id: str, body: Body, at: str) -> Placed | None:
        made = oldanalytics.analytic(body, self.done, at)
        if made is None:
            return None
        result, descriptor = made.get("result"), made.get("descriptor")
        created = _day(result.get("creationDt")) if isinstance(result, dict) else None
        if created is None:
            created = self.indices.created(copy)
        if isinstance(descriptor, dict):
            moment = result.get("creationDt") if isinstance(result, dict) else created.isoformat()
            made["descriptor"] = {**descriptor, "project": self.renames.of(descriptor.get("project"), moment)}
            if unknown := oldanalytics.unknown_metric(made):
                self._unknown[id] = f"{copy.logical}: nobody computes {unknown} (analytic {made.get('id')}); it stays"
        named = Named.read(copy.logical)
        stays = named is not None or 7 in self.done
        return (copy.logical if stays else names.analytics_of(created)), made

    def _name_the_unknown(self) -> None:
        for line in self._unknown.values():
            self.say(line)
        self._unknown.clear()

    def _closed(self, name: str, indices: list[Index]) -> bool:
        """Whether the operator has closed one of them; if so, that is said."""
        closed = [index for index in indices if index.closed]
        for index in closed:
            self.say(f"{name}: {index.name} is closed: open it (POST /{index.name}/_open), and run again")
        return bool(closed)

    def _busy(self, logical: str) -> bool:
        """Whether a service may make that index at any moment: analytics are made today, messages are of any day."""
        named = Named.read(logical)
        today = self.ledger.clock.now().date()
        return (
            named is None
            or named.kind != JOIN_OF_ANALYTICS
            or named.day is None
            or named.day >= today - timedelta(days=1)
        )

    def _free_name(self, kind: Kind, logical: str) -> str:
        for spare in range(10):
            name = f"migrated-{kind.number + spare * _SPARE:04d}-{logical}"
            if not self.client.request("GET", f"/{paths.name(name)}/_settings", accept=(404,)).found:
                return name
        raise ConfigError(f"there are ten copies of {logical}: remove those that no alias names")

    def _template(self, kind: Kind) -> Template:
        return templates.find(kind.template).on(self.client.cluster)

    @property
    def _recipe(self) -> str:
        return f"{sorted(self.done)} {self.renames.digest}"

    def _now(self) -> str:
        return self.ledger.clock.now().isoformat()

    def _sweep(self, kind: Kind) -> None:
        """Remove what an earlier run left and whose originals have been removed since, such as by prune."""
        path = f"/{paths.pattern(f'migrated-*-{kind.pattern}')}"
        for name, body in self.client.request("GET", path, params={"expand_wildcards": "all"}).body.items():
            made = retention.MIGRATED.fullmatch(name)
            if made is None or {made[1], made[1] + SWAPPED} & set(body["aliases"]):
                continue
            join = self._join_into(kind, made[1], name)
            joiner = self._joiner(kind)
            if join is not None and not any(joiner.copier.original_there(copy) for copy in join.sources):
                joiner.discard(join)

    def _join_into(self, kind: Kind, logical: str, target: str) -> Join | None:
        for name in {logical, self.indices.group_of(logical)} if kind is MESSAGES else {JOIN_OF_ANALYTICS}:
            kept = self.ledger.join_of(name)
            if kept is not None and target in Join.of(kept).targets.values():
                return Join.of(kept)
        return None


def seeds_actions(client: SearchClient, index: str) -> frozenset[int]:
    """Numbers of the actions that the former service's migrator has noted in `index` as done."""
    ids = {f"{number}-{name}": number for number, name in oldanalytics.ACTIONS.items()}
    ours = f"/_resolve/index/{paths.pattern(','.join(kind.pattern for kind in ALL))}"
    there = client.request("GET", ours, params={"expand_wildcards": "all"}, accept=(404,))
    if not there.found or not there.body.get("indices"):
        return frozenset()
    answer = client.request("POST", f"/{paths.name(index)}/_mget", {"ids": [*ids]}, accept=(404,))
    found = answer.body.get("docs", ()) if answer.found else ()
    return frozenset(ids[each["_id"]] for each in found if each.get("found"))


def _day(value: Any) -> date | None:
    """The day of a time as written."""
    try:
        return datetime.fromisoformat(value).date()
    except (TypeError, ValueError):
        return None
