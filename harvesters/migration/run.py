"""Brings indices into today's form: copied under a name that nobody reads, then swapped in one request.

While an index is copied it takes no writes (a harvest into it waits), and every pattern and name goes on reading it.
Patterns and aliases change from the one to the other in one request, and so does the name, so no search ever counts a
document twice or not at all. A killed run goes on where it stopped, by `Ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, TooManyDead
from harvesters.migration.copying import Copier
from harvesters.migration.ledger import Copy, Ledger
from harvesters.migration.migrations import MIGRATIONS, Body, Migration, applied
from harvesters.search import retention, scan, templates
from harvesters.search.client import SearchClient
from harvesters.search.templates import Template
from harvesters.stores.lease import Lease


@dataclass(frozen=True)
class Index:
    """An index as it is: `name` is its own, `logical` what it is called by (an alias after a migration)."""

    name: str
    logical: str
    uuid: str
    mappings: Body
    shards: int
    hidden: bool

    @property
    def properties(self) -> Body:
        """The mapped fields."""
        return dict(self.mappings.get("properties", {}))

    def born(self, migration: Migration) -> bool:
        """Whether it was made by a template of ours that knew of the migration."""
        meta = self.mappings.get("_meta", {})
        return meta.get("harvest") == migration.kind and int(meta.get("version", 0)) >= migration.born


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
            HarvestError: as its subclasses say. What is swapped stays so, what is being copied goes on next time.
        """
        changed = 0
        self._sweep()
        for template, index in self._indices():
            pending = self._pending(index, template)
            if not pending:
                continue
            if not self._needed(index, pending) and not self._count_changes(index, pending):
                for migration in pending:
                    self.ledger.record(migration.number, index.logical, index.uuid, "done", 0)
                continue
            self._move(index, template, pending, undo=False)
            changed += 1
        return changed

    def undo(self, migration: Migration) -> int:
        """Bring indices back into the form before `migration`; returns how many.

        Raises:
            ConfigError: it cannot be undone; the message says why.
        """
        if migration.undo is None:
            raise ConfigError(
                f"migration {migration.number} ({migration.name}) cannot be undone: {migration.irreversible}. "
                "Restore a snapshot of the indices if you need what was there before."
            )
        changed = 0
        for template, index in self._indices():
            if self.ledger.is_done(migration.number, index.logical, index.uuid):
                self._move(index, template, [migration], undo=True)
                changed += 1
        return changed

    def plan(self) -> int:
        """Say what `run` would do, and do nothing; returns how many indices it would change."""
        count = 0
        for template, index in self._indices(settle=False):
            pending = self._pending(index, template)
            if not pending:
                continue
            changes = self._count_changes(index, pending)
            if not changes and not self._needed(index, pending):
                continue
            count += 1
            total = self.client.request("GET", f"/{index.name}/_count").body["count"]
            self.say(f"{index.logical}: would copy {total} documents and change {changes} of them")
            for migration in pending:
                self.say(f"  {migration.number}: {migration.name}")
            copy = self.ledger.copy_of(index.logical)
            if copy is not None and copy.uuid == index.uuid:
                self.say(f"  a run that ended early left a copy, {copy.target}; it would go on")
        return count

    def _indices(self, settle: bool = True) -> Iterator[tuple[Template, Index]]:
        """Our indices; `settle`: what an earlier run had swapped when it ended is brought to its end first."""
        kinds = {migration.kind for migration in self.migrations}
        for template in self._templates:
            if template.name in kinds:
                for name, logical in sorted(retention.indices_of(self.client, template, "open,hidden")):
                    copy = self.ledger.copy_of(logical)
                    if settle and copy is not None and self._settle(copy, template):
                        name = copy.target
                    found = self.client.request("GET", f"/{name}", accept=(404,))
                    if found.found and name in found.body:
                        index = _index(name, logical, found.body[name])
                        if not index.hidden or copy is not None:  # hidden by a swap, and not by its operator
                            yield template, index

    @cached_property
    def _templates(self) -> list[Template]:
        found = list(self.known) if self.known is not None else templates.read()
        if templates.has_ilm(self.client):
            return templates.under_policy(self.client, found)
        return found

    def _pending(self, index: Index, template: Template) -> list[Migration]:
        return [
            migration
            for migration in self.migrations
            if migration.kind == template.name
            and not index.born(migration)
            and not self.ledger.is_done(migration.number, index.logical, index.uuid)
        ]

    def _needed(self, index: Index, pending: Sequence[Migration]) -> bool:
        return any(migration.outdated(index.properties) for migration in pending)

    def _count_changes(self, index: Index, pending: Sequence[Migration]) -> int:
        return sum(
            _differs(applied(pending, hit["_source"]), hit["_source"])
            for hits in scan.pages(self.client, index.name)
            for hit in hits
        )

    def _move(self, index: Index, template: Template, migrations: Sequence[Migration], undo: bool) -> None:
        """Copy, compare, swap, and note it."""
        numbers = tuple(migration.number for migration in migrations)
        word = "reverted" if undo else "migrated"
        fresh = Copy(index.logical, index.name, index.uuid, f"{word}-{numbers[-1]:04d}-{index.logical}", numbers, undo)
        before = self.ledger.copy_of(index.logical)
        copier = Copier(self.client, self.ledger, template, _transform(migrations, undo), self.lease)
        if before is not None and before.after(0) != fresh.after(0):
            copier.discard(before)
            before = None
        copy = before if before is not None else fresh
        if before is not None:
            self.say(f"{index.logical}: going on with the copy that an earlier run left")
        try:
            copied, changed = copier.copy(copy, _target(index, template, migrations, undo))
            copier.swap(copy)
        except (TooManyDead, ProtocolError, ConfigError, CredentialsRefused):
            copier.discard(copy)
            raise
        self._note(copy, changed)
        self.say(f"{index.logical}: copied {copied} documents, changed {changed}; it is now an alias of {copy.target}")

    def _note(self, copy: Copy, changed: int) -> None:
        uuid = self.client.request("GET", f"/{copy.target}").body[copy.target]["settings"]["index"]["uuid"]
        for number in copy.numbers:
            self.ledger.record(number, copy.logical, uuid, "undone" if copy.undo else "done", changed)
        self.ledger.forget(copy)

    def _sweep(self) -> None:
        """Remove copies that an earlier run left and whose originals have been removed since, such as by prune."""
        for template in self._templates:
            names = ",".join(
                f"{word}-*-{pattern}" for pattern in template.patterns for word in ("migrated", "reverted")
            )
            found = self.client.request("GET", f"/_resolve/index/{names}", accept=(404,))
            for name in (index["name"] for index in (found.body.get("indices", ()) if found.found else ())):
                made = retention.MIGRATED.fullmatch(name)
                copy = self.ledger.copy_of(made[1]) if made is not None else None
                copier = Copier(self.client, self.ledger, template, lambda body: body)
                if copy is not None and copy.target == name and not copier.original_there(copy):
                    copier.discard(copy)

    def _settle(self, copy: Copy, template: Template) -> bool:
        """Bring a swap to its end that a run had begun when it was killed; False when none was."""
        copier = Copier(self.client, self.ledger, template, lambda body: body)
        if not copier.is_read(copy):
            return False
        copier.finish(copy)
        self._note(copy, 0)
        return True


def _index(name: str, logical: str, body: Body) -> Index:
    config = body["settings"]["index"]
    hidden = config.get("hidden") == "true"
    return Index(name, logical, config["uuid"], body["mappings"], int(config["number_of_shards"]), hidden)


def _transform(migrations: Sequence[Migration], undo: bool) -> Callable[[Body], Body]:
    if not undo:
        return lambda body: applied(migrations, body)
    back = migrations[0].undo
    assert back is not None
    return back


def _differs(one: Body, other: Body) -> bool:
    return repr(one) != repr(other)  # in Python 1 equals True, in JSON it does not


def _target(index: Index, template: Template, migrations: Sequence[Migration], undo: bool) -> Body:
    """The index to copy into. It takes every document that the old one took: nothing is strict, nothing malformed."""
    settings: dict[str, Any] = dict(template.settings.get("index", {}))
    settings |= {"number_of_shards": index.shards, "refresh_interval": "-1", "mapping": {"ignore_malformed": True}}
    mappings = _lenient(index.mappings if undo else template.mappings)
    if undo:
        mappings.pop("_meta", None)
        for migration in migrations:
            mappings["properties"] = migration.unmap(mappings.get("properties", {}))
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
