"""``harvest.py deadletters ls|show|replay|drop``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harvesters.cli.choices import Choice
from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import Moment, running, setting_option
from harvesters.errors import Exit
from harvesters.operate.jobs import BY_NAME, LETTERS_ONLY

if TYPE_CHECKING:
    from harvesters.operate.letters.letter import Letter
    from harvesters.operate.letters.replay import Tally
    from harvesters.operate.letters.selection import Selection

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

_HERE = "harvesters.cli.deadletters"
COMMANDS: dict[str, tuple[str, str, str]] = {
    "ls": (_HERE, "ls", "List dead letters."),
    "show": (_HERE, "show", "Show whole dead letters."),
    "replay": (_HERE, "replay", "Deliver dead letters once more."),
    "drop": (_HERE, "drop", "Delete dead letters."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="What could not be delivered: look, deliver again, delete.")
def deadletters() -> None:
    """What could not be delivered, where HARVEST_DEAD_LETTERS says: look at it, deliver it again, delete it."""


def _which(command: F) -> F:
    """The options that say which letters are meant."""
    options = [
        click.argument("letters", nargs=-1, metavar="[LETTER]…"),
        click.option("--job", type=Choice([*BY_NAME, *LETTERS_ONLY]), help="Letters of this job."),
        click.option("--kind", default="", help="Letters of this kind, such as useractions or meetings."),
        click.option("--reason", default="", metavar="TEXT", help="Letters whose reason has this in it."),
        click.option("--since", type=Moment(), help="Letters from this time on (UTC): YYYYMMDDHHmmss or ISO 8601."),
        click.option("--until", type=Moment(), help="Letters from before this time."),
        click.option("--all", "everything", is_flag=True, help="Every letter."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(short_help="List dead letters.")
@_which
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
def ls(as_json: bool, **which: Any) -> None:
    """List dead letters, oldest first: a short name, when, whose, of what, and why.

    \b
    Examples:
      harvest.py deadletters ls
      harvest.py deadletters ls --job useractions --since 2026-02-13 --json
    """
    from harvesters.operate.letters.replay import look

    lines: list[dict[str, Any]] = []
    with running() as assembly:
        selection = _selection(**which)
        tally = look(assembly, selection, lambda letter: lines.append(letter.line()))
    _check(selection, tally)
    for line in sorted(lines, key=lambda line: str(line["time"])):
        if as_json:
            click.echo(json.dumps(line))
        else:
            words = (line["letter"], line["time"], line["job"] or "?", line["kind"], line["id"] or "-", line["reason"])
            click.echo("  ".join(" ".join(str(word).split()) for word in words))


@click.command(short_help="Show whole dead letters.")
@_which
def show(**which: Any) -> None:
    """Show whole dead letters, with their rows: a JSON object a line.

    \b
    Example:
      harvest.py deadletters show 0a1b2c3d4e5f
    """
    from harvesters.operate.letters.replay import look

    with running() as assembly:
        selection = _selection(**which)
        tally = look(assembly, selection, lambda letter: click.echo(json.dumps(letter.fields)))
    _check(selection, tally)


@click.command(short_help="Deliver dead letters once more.")
@_which
@click.option(
    "-o",
    "--output",
    metavar="sqs|es|FILE",
    help="Where to send them: sqs, es, or a file that JSON lines are appended to. Default: each job's own.",
)
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME", instead="--output")
@click.option("--dry-run", is_flag=True, help="Only list what would be delivered.")
def replay(output: str | None, dry_run: bool, **which: Any) -> int:
    """Deliver dead letters once more, each through its job's own mapping and sink. What is acknowledged is deleted.

    One that dies again stays, with its new reason. Killed at any moment nothing is lost: run it again. Exit code 0:
    all are delivered; 65: some stay.

    \b
    Examples:
      harvest.py deadletters replay --job useractions --dry-run
      harvest.py deadletters replay --all
    """
    from harvesters.operate.letters.replay import NotDurable, look
    from harvesters.operate.letters.replay import replay as deliver

    selection = _required(**which)
    if output == "-":
        raise click.UsageError("standard output acknowledges nothing; `deadletters show` prints letters")
    with running() as assembly:
        if dry_run:
            tally = look(assembly, selection, _would)
            _check(selection, tally)
            return Exit.DONE
        try:
            tally = deliver(assembly, selection, output)
        except NotDurable as error:
            raise click.UsageError(f"{error}: give --output; `deadletters show` prints letters") from error
    log.info("%d of %d letters are delivered, %d stay", tally.gone, tally.found, tally.found - tally.gone)
    _check(selection, tally)
    stays = tally.stay or (selection.whole and tally.strange)
    return Exit.DATA if stays else Exit.DONE


@click.command(short_help="Delete dead letters.")
@_which
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(yes: bool, **which: Any) -> None:
    """Delete dead letters. What they hold is gone for good.

    \b
    Example:
      harvest.py deadletters drop --reason "is no date" --until 2026-01-01 --yes
    """
    from harvesters.operate.letters.replay import drop as delete
    from harvesters.operate.letters.replay import look
    from harvesters.operate.letters.selection import Selection

    selection = meant = _required(**which)
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: give --yes")
    with running() as assembly:
        if not yes:
            tally = look(assembly, selection, lambda letter: None)
            _check(selection, tally)
            if not tally.found:
                return
            click.confirm(f"Delete {tally.found} letters?", abort=True)
            meant = Selection(frozenset(tally.names))  # not what has come meanwhile
        tally = delete(assembly, meant)
    log.info("%d letters are deleted", tally.gone)
    _check(selection, tally)


def _selection(letters: tuple[str, ...], everything: bool, job: str | None, **given: Any) -> Selection:
    from harvesters.operate.letters.selection import Selection

    return Selection(frozenset(letters), job or "", all=everything, **given)


def _required(**which: Any) -> Selection:
    selection = _selection(**which)
    if not selection.given:
        raise click.UsageError("say which letters: LETTER…, --job, --kind, --reason, --since, --until or --all")
    return selection


def _check(selection: Selection, tally: Tally) -> None:
    """Name what is no letter, and names that are none."""
    for where in tally.strange:
        log.warning("%s: this is no letter, or torn, and is left as it is", where)
    if tally.strange:
        log.warning("%d lines or messages are no letters", len(tally.strange))
    if tally.hidden:
        log.warning("about %d letters are behind these in their queue, and are shown when these are gone", tally.hidden)
    unknown = sorted(selection.names - tally.names)
    if unknown:
        raise click.UsageError(f"no such letter: {', '.join(unknown)} (`deadletters ls` lists them)")


def _would(letter: Letter) -> None:
    click.echo(f"{letter.name}  {letter.job or '?'}  {letter.id or '-'}")
