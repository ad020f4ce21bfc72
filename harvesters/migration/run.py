"""Brings indices into today's form: copied under a name that nobody reads, then swapped in one request.

While an index is copied it takes no writes (a harvest into it waits), and every pattern and name goes on reading it.
Patterns and aliases change from the one to the other in one request, and so does the name, so no search ever counts a
document twice or not at all. A killed run goes on where it stopped, by `Ledger`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harvesters.clock import SystemClock
from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused, is_block
from harvesters.errors import ConfigError, CredentialsRefused, HarvestError, ProtocolError, RaceLost, TooManyDead
from harvesters.migration import odd
from harvesters.migration.copying import Copier, Uneven, converted
from harvesters.migration.index import BLOCKS, UNREADABLE, Index
from harvesters.migration.ledger import Copy, Ledger
from harvesters.migration.migrations import MIGRATIONS, Body, Migration, applied
from harvesters.retry import RetryPolicy
from harvesters.search import ilm, ism, retention, scan, templates
from harvesters.search.templates import Template
from harvesters.stores.lease import Lease

log = logging.getLogger(__name__)

_FEW_SECONDS = 5.0
ITS_OWN = (TooManyDead, ProtocolError, ConfigError)
"""What ends the migration of one index, and not of the next."""
FOR_GOOD = (*ITS_OWN, CredentialsRefused)


@dataclass
class Migrator:
    """Migrates one cluster.

    Args:
        say: told what happens, a line each.
        lease: checked before anything is copied or swapped; None for a dry run.
        known: the templates whose indices are migrated; ours unless told otherwise.
    """

    client: SearchClient
    ledger: Ledger
    say: Callable[[str], None]
    lease: Lease | None = None
    migrations: Sequence[Migration] = MIGRATIONS
    known: Sequence[Template] | None = None

    def run(self) -> int:
        """Apply what is pending; returns how many indices were changed.

        Raises:
            TooManyDead: some could not be; they are as they were, and the others are done.
            HarvestError: as its subclasses say. What is swapped stays so, what is being copied goes on next time.
        """
        self._sweep()
        return self._each(self._migrate)

    def _migrate(self, index: Index, template: Template) -> bool:
        pending = self._pending(index, template)
        if not pending or self._closed(index):
            return False
        try:
            if self._needed(index, pending) or self._count_changes(index, pending):
                return self._move(index, template, pending, undo=False)
        except Refused as error:
            if not self._is_gone(index, error):
                raise
            return False
        for migration in pending:
            self.ledger.record(migration.number, index.logical, index.uuid, "done", 0)
        return False

    def undo(self, migration: Migration) -> int:
        """Bring indices back into the form before `migration`; returns how many.

        Raises:
            ConfigError: it cannot be undone; the message says why.
            TooManyDead, HarvestError: as of `run`.
        """
        if migration.undo is None:
            raise ConfigError(
                f"migration {migration.number} ({migration.name}) cannot be undone: {migration.irreversible}. "
                "Restore a snapshot of the indices if you need what was there before."
            )

        def back(index: Index, template: Template) -> bool:
            done = self.ledger.is_done(migration.number, index.logical, index.uuid)
            return done and not self._closed(index) and self._move(index, template, [migration], undo=True)

        return self._each(back)

    def plan(self) -> int:
        """Say what `run` would do, and do nothing; returns how many indices it would change."""
        return sum(self._plan(index, template) for template, index in self._indices(settle=False))

    def _plan(self, index: Index, template: Template) -> bool:
        pending = self._pending(index, template)
        if not pending or self._closed(index):
            return False
        try:
            changes = self._count_changes(index, pending)
            if not changes and not self._needed(index, pending):
                return False
            index.require_free(BLOCKS)
            total = self.client.request("GET", f"/{paths.name(index.name)}/_count").body["count"]
        except Refused as error:
            if not self._is_gone(index, error):
                raise
            return False
        except ConfigError as error:
            self.say(f"{index.logical}: cannot be migrated: {error}")
            return False
        self.say(f"{index.logical}: would copy {total} documents and change {changes} of them")
        for migration in pending:
            self.say(f"  {migration.number}: {migration.name}")
        copy = self.ledger.copy_of(index.logical)
        if copy is not None and copy.uuid == index.uuid:
            self.say(f"  a run that ended early left a copy, {copy.target}; it would go on")
        return True

    def _each(self, change: Callable[[Index, Template], bool]) -> int:
        """Change our indices, and return how many were; one that cannot be does not keep the next from its turn."""
        changed, failed = 0, {}
        for template, index in self._indices():
            try:
                changed += change(index, template)
            except ITS_OWN as error:
                failed[index.logical] = error
                self.say(f"{index.logical}: not migrated: {error}")
        if failed:
            reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
            raise TooManyDead(f"{len(failed)} indices could not be migrated, and are as they were: {reasons}")
        return changed

    def _indices(self, settle: bool = True) -> Iterator[tuple[Template, Index]]:
        """Our indices; `settle`: what an earlier run had swapped when it ended is brought to its end first."""
        kinds = {migration.kind for migration in self.migrations}
        for template in self._templates:
            if template.kind in kinds:
                for name, logical in sorted(retention.indices_of(self.client, template, "open,closed,hidden")):
                    copy = self.ledger.copy_of(logical)
                    if settle and copy is not None and self._settle(copy, template):
                        name = copy.target
                    found = self.client.request("GET", f"/{paths.name(name)}", accept=(403, 404))
                    if found.status == 403:
                        yield template, self._unseen(name, logical, found.body)
                    elif found.found and name in found.body:
                        index = Index.read(name, logical, found.body[name])
                        if not index.hidden or copy is not None:  # hidden by a swap, and not by its operator
                            yield template, index

    def _closed(self, index: Index) -> bool:
        """Whether its operator has closed it; if so, that is said."""
        if index.closed:
            self.say(
                f"{index.logical}: is closed, and stays as it is: open it (POST /{index.name}/_open), and run again"
            )
        return index.closed

    def _unseen(self, name: str, logical: str, refusal: Any) -> Index:
        if not is_block(refusal):
            self.client.request("GET", f"/{paths.name(name)}")  # raises what the refusal means
        return Index(name, logical, block="metadata")

    @cached_property
    def _templates(self) -> list[Template]:
        found = list(self.known) if self.known is not None else templates.read()
        found = [each.on(self.client.cluster) for each in found]
        return ilm.under_policy(self.client, found) if ilm.has_ilm(self.client) else found

    def _pending(self, index: Index, template: Template) -> list[Migration]:
        return [
            migration
            for migration in self.migrations
            if migration.kind == template.kind
            and not index.born(migration)
            and not self.ledger.is_done(migration.number, index.logical, index.uuid)
        ]

    def _needed(self, index: Index, pending: Sequence[Migration]) -> bool:
        return any(migration.outdated(index.properties) for migration in pending)

    def _count_changes(self, index: Index, pending: Sequence[Migration]) -> int:
        index.require_free(UNREADABLE)
        return sum(
            converted(bytes(hit.source), lambda body: applied(pending, body))[1]
            for hits in scan.verbatim(self.client, index.name)
            for hit in hits
            if hit.source
        )

    def _move(self, index: Index, template: Template, migrations: Sequence[Migration], undo: bool) -> bool:
        """Copy, compare, swap, and note it; False where the index is gone by now."""
        index.require_free(BLOCKS)
        numbers = tuple(migration.number for migration in migrations)
        word = "reverted" if undo else "migrated"
        name = f"{word}-{numbers[-1]:04d}-{index.logical}"
        copy = self.ledger.copy_of(index.logical)
        blocked = copy.write_blocked if copy is not None else index.write_blocked  # ours does not count
        fresh = Copy(index.logical, index.name, index.uuid, name, numbers, undo, write_blocked=blocked)
        copier = Copier(self.client, self.ledger, template, _transform(migrations, undo), self.lease)
        if copy is not None and not copy.is_for(fresh):
            copier.discard(copy)
            copy = None
        if copy is not None:
            self.say(f"{index.logical}: going on with the copy that an earlier run left")
        copy = copy if copy is not None else fresh
        target = target_body(index, template, migrations, undo)
        try:
            try:
                tally = copier.copy(copy, target)
            except Uneven:
                copier.discard(copy)
                tally = copier.copy(fresh, target)
            copier.swap(copy)
            self._note(copy, template, tally.changed)
        except (HarvestError, KeyboardInterrupt) as error:
            if isinstance(error, Refused | ConfigError) and self._is_gone(index, error):
                self._discard_quietly(copier, copy)
                return False
            self._let_go(copier, copy, error)
            raise
        aside = f", kept what fits no mapping in {tally.odd} of them under 'odd'" if tally.odd else ""
        self.say(
            f"{index.logical}: copied {tally.copied} documents, changed {tally.changed}{aside}; it is now an alias of "
            f"{copy.target}"
        )
        return True

    def _is_gone(self, index: Index, error: Exception) -> bool:
        """Whether somebody has removed the index meanwhile, as prune does: then its migration is over."""
        found = self.client.request("GET", f"/{paths.name(index.name)}/_settings", accept=(404,))
        there = found.found and index.name in found.body
        if there and found.body[index.name]["settings"]["index"]["uuid"] == index.uuid:
            return False
        if self.lease is not None:
            self.lease.renew()  # it is lost where another run has put its copy in the index's place
            self.lease.check()
        self.say(f"{index.logical}: was removed meanwhile, so there is nothing to migrate ({error.__class__.__name__})")
        return True

    def _let_go(self, copier: Copier, copy: Copy, error: BaseException) -> None:
        """Give the index back to its writers, or say that they wait, and for what."""
        try:
            if isinstance(error, RaceLost):
                return  # it is another run's now
            if isinstance(error, FOR_GOOD):
                copier.discard(copy)
                return
            if self._brief(copier).release(copy) or copy.write_blocked:
                return
        except RaceLost:
            return
        except HarvestError as another:
            log.debug("the write block could not be lifted: %s", another)
        self.say(
            f"{copy.source} is write-blocked: harvests into it wait until harvest.py setup migrate is run again, or "
            f'until PUT /{copy.source}/_settings {{"index.blocks.write": null}}'
        )

    def _brief(self, copier: Copier) -> Copier:
        return replace(copier, client=brief(self.client))

    def _discard_quietly(self, copier: Copier, copy: Copy) -> None:
        try:
            copier.discard(copy)
        except HarvestError as error:
            log.warning("the copy %s is left: %s", copy.target, error)

    def _check(self) -> None:
        if self.lease is not None:
            self.lease.check()

    def _note(self, copy: Copy, template: Template, changed: int) -> None:
        self._check()
        uuid = self.client.request("GET", f"/{paths.name(copy.target)}").body[copy.target]["settings"]["index"]["uuid"]
        for number in copy.numbers:
            self.ledger.record(number, copy.logical, uuid, "undone" if copy.undo else "done", changed)
        self.ledger.forget(copy)
        if template.dated:
            self._govern(copy.target)

    def _govern(self, name: str) -> None:
        try:
            ism.govern(self.client, name)
        except (ProtocolError, CredentialsRefused) as error:
            self.say(f"{name}: is not under the ISM policy: {error} Run setup load_index_templates --retention again.")

    def _sweep(self) -> None:
        """Remove copies that an earlier run left and whose originals have been removed since, such as by prune."""
        for template in self._templates:
            names = ",".join(
                f"{word}-*-{pattern}" for pattern in template.patterns for word in ("migrated", "reverted")
            )
            found = self.client.request("GET", f"/_resolve/index/{paths.pattern(names)}", accept=(404,))
            for name in (index["name"] for index in (found.body.get("indices", ()) if found.found else ())):
                made = retention.MIGRATED.fullmatch(name)
                copy = self.ledger.copy_of(made[1]) if made is not None else None
                copier = Copier(self.client, self.ledger, template, lambda body: body, self.lease)
                if copy is not None and copy.target == name and not copier.original_there(copy):
                    copier.discard(copy)

    def _settle(self, copy: Copy, template: Template) -> bool:
        """Bring a swap to its end that a run had begun when it was killed; False when none was."""
        copier = Copier(self.client, self.ledger, template, lambda body: body, self.lease)
        if not copier.is_read(copy):
            return False
        copier.finish(copy)
        self._note(copy, template, 0)
        return True


def brief(client: SearchClient) -> SearchClient:
    """The same for a run that was told to stop, or whose cluster is away: it tries for a few seconds more."""
    return client.under(RetryPolicy(SystemClock(), _FEW_SECONDS))


def _transform(migrations: Sequence[Migration], undo: bool) -> Callable[[Body], Body]:
    if not undo:
        return lambda body: applied(migrations, body)
    back = migrations[0].undo
    assert back is not None
    return back


def target_body(index: Index, template: Template, migrations: Sequence[Migration], undo: bool) -> Body:
    """The index to copy into. It takes every document that the old one took: nothing is strict, nothing malformed."""
    settings: dict[str, Any] = dict(template.settings.get("index", {}))
    settings |= {"number_of_shards": index.shards, "refresh_interval": "-1", "mapping": {"ignore_malformed": True}}
    mappings = _lenient(index.mappings if undo else template.mappings)
    if undo:
        mappings.pop("_meta", None)
        for migration in migrations:
            mappings["properties"] = migration.unmap(mappings.get("properties", {}))
    mappings["properties"] = {**mappings.get("properties", {}), odd.ODD: odd.MAPPING}
    return {"settings": {"index": settings}, "mappings": mappings}


def _lenient(mapping: Body) -> Body:
    made = {
        name: {field: _lenient(inner) if isinstance(inner, dict) else inner for field, inner in value.items()}
        if name == "properties"
        else value
        for name, value in mapping.items()
    }
    if str(made.get("dynamic")) == "strict":
        made["dynamic"] = False
    return made
