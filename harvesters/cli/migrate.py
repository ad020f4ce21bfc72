"""``harvest.py setup migrate``."""

from __future__ import annotations

import click

from harvesters.cli.runtime import running, setting_option
from harvesters.cli.streams import say


@click.command("migrate", short_help="Bring older indices into today's form.")
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option(
    "--undo", type=int, metavar="NUMBER", help="Take back the migration of this number, where that is possible."
)
def migrate(dry_run: bool, undo: int | None) -> None:
    """Bring indices that an older version made into today's form.

    Each index is copied and swapped in one step; searches count every document once all the time. While it is copied
    it takes no writes. A run that was killed goes on where it stopped.

    \b
    Examples:
      harvest.py setup migrate --dry-run
      harvest.py setup migrate
      harvest.py setup migrate --undo 1
    """
    from harvesters.firebase.indices import with_prefix
    from harvesters.migration import migrations
    from harvesters.migration.ledger import Ledger
    from harvesters.migration.run import Migrator
    from harvesters.search import templates

    found = migrations.find(undo) if undo is not None else None
    if undo is not None and found is None:
        known = ", ".join(f"{each.number} ({each.name})" for each in migrations.MIGRATIONS)
        raise click.UsageError(f"there is no migration {undo}; there are {known}")
    if undo is not None and dry_run:
        raise click.UsageError("--undo has no --dry-run")
    with running() as assembly:
        client = assembly.search()
        ledger = Ledger(client, assembly.clock)
        ours = with_prefix(templates.read(), assembly.settings.get("FIREBASE_INDEX_PREFIX"))
        try:
            if dry_run:
                count = Migrator(client, ledger, say, known=ours).plan()
                say(f"{count} indices would be migrated" if count else "nothing to migrate")
                return
            ledger.prepare()
            with ledger.lease(assembly.settings.number("HARVEST_LEASE_TTL", minimum=1)) as lease:
                migrator = Migrator(client, ledger, say, lease, known=ours)
                count = migrator.undo(found) if found is not None else migrator.run()
            say(f"{count} indices migrated" if count else "nothing to migrate")
        finally:
            client.close()
