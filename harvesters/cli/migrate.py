"""``harvest.py setup migrate``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harvesters.cli.runtime import running, setting_option
from harvesters.cli.streams import say
from harvesters.errors import ConfigError, TooManyDead

if TYPE_CHECKING:
    from harvesters.migration.chats import ChatMigrator
    from harvesters.migration.renames import Renames
    from harvesters.migration.run import Migrator

log = logging.getLogger(__name__)


@click.command("migrate", short_help="Bring older indices into today's form.")
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option(
    "--undo", type=int, metavar="NUMBER", help="Take back the migration of this number, where that is possible."
)
@click.option(
    "--rename-projects",
    "renames_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Give projects of messages and analytics other names: a CSV file of old,new,from,to; an empty time is open.",
)
def migrate(dry_run: bool, undo: int | None, renames_file: Path | None) -> None:
    """Bring indices that an older version made into today's form.

    Each index is copied and swapped in one step; searches count every document once all the time. While it is copied
    it takes no writes. A run that was killed goes on where it stopped.

    \b
    Examples:
      harvest.py setup migrate --dry-run
      harvest.py setup migrate
      harvest.py setup migrate --undo 1
      harvest.py setup migrate --rename-projects projects.csv
    """
    from harvesters.firebase.indices import with_prefix
    from harvesters.migration import chats, migrations
    from harvesters.migration.ledger import Ledger
    from harvesters.migration.run import Migrator
    from harvesters.search import templates

    found = migrations.find(undo) if undo is not None else None
    if undo in chats.NUMBERS:
        raise ConfigError(f"migration {undo} ({chats.NUMBERS[undo]}) cannot be undone: restore a snapshot instead")
    if undo is not None and found is None:
        known = ", ".join(f"{each.number} ({each.name})" for each in migrations.MIGRATIONS)
        raise click.UsageError(f"there is no migration {undo}; there are {known}")
    if undo is not None and (dry_run or renames_file is not None):
        raise click.UsageError("--undo has no --dry-run, and no --rename-projects")
    renames = _renames(renames_file)
    with running() as assembly:
        client = assembly.search()
        ledger = Ledger(client, assembly.clock)
        ours = with_prefix(templates.read(), assembly.settings.get("FIREBASE_INDEX_PREFIX"))
        if assembly.settings.get("MIGRATION_FOLDER"):
            log.warning("MIGRATION_FOLDER is set, and not read: our migrations are built in")
        try:
            done = chats.seeds_actions(client, assembly.settings.get("MIGRATION_MANAGER_INDEX"))
            if dry_run:
                count = Migrator(client, ledger, say, known=ours).plan()
                count += chats.ChatMigrator(client, ledger, say, renames=renames, done=done).plan()
                say(f"{count} indices would be migrated" if count else "nothing to migrate")
                return
            ledger.prepare()
            with ledger.lease(assembly.settings.number("HARVEST_LEASE_TTL", minimum=1)) as lease:
                migrator = Migrator(client, ledger, say, lease, known=ours)
                chat = chats.ChatMigrator(client, ledger, say, lease, renames, done)
                count = migrator.undo(found) if found is not None else _both(migrator, chat)
            say(f"{count} indices migrated" if count else "nothing to migrate")
        finally:
            client.close()


def _renames(file: Path | None) -> Renames:
    from harvesters.migration.renames import Renames, RenamesUnreadable

    try:
        return Renames.read(file) if file is not None else Renames()
    except RenamesUnreadable as error:
        raise click.UsageError(str(error)) from error


def _both(migrator: Migrator, chat: ChatMigrator) -> int:
    """Run both; what one of them cannot migrate does not keep the other from its turn."""
    count, failed = 0, []
    for each in (migrator, chat):
        try:
            count += each.run()
        except TooManyDead as error:
            failed.append(str(error))
    if failed:
        raise TooManyDead(" ".join(failed))
    return count
