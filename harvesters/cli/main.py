"""The root command. Subcommands are imported when they are used, so that ``--help`` answers at once."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from harvesters import __version__, sentry, telemetry
from harvesters.cli import streams
from harvesters.cli.choices import Choice, did_you_mean
from harvesters.cli.helptexts import described
from harvesters.cli.progress import coloured
from harvesters.collector import uncollected
from harvesters.errors import ConfigError, Exit, HarvestError, ReaderGone
from harvesters.privacy import protect, redact
from harvesters.settings import Settings

log = logging.getLogger("harvesters")

COMPLETION = "_HARVEST_PY_COMPLETE"
"""The variable in which a shell asks for completions."""

_SECRET_OPTIONS = ("-p", "--password", "-a", "--apikey", "--key", "--secret")

_ABOUT_SETTINGS = ("config", "doctor")
"""Commands that say themselves what is wrong with the settings."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

# Name: (module, attribute, short help). A test holds this table against the commands themselves.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "useractions": ("harvesters.cli.useractions", "useractions", "Harvest Opencast user actions."),
    "load_episodes": (
        "harvesters.cli.load_episodes",
        "load_episodes",
        "Index the episodes that user actions are about.",
    ),
    "export": ("harvesters.cli.export", "export", "Tables of attendance, viewing options and course rolls."),
    "query": ("harvesters.cli.query", "query", "Ask a saved query, or one from standard input."),
    "search": ("harvesters.cli.search", "search", "Search what is indexed: profiles."),
    "zoom": ("harvesters.cli.zoom", "zoom", "Harvest Zoom meetings and participant sessions."),
    "firebase": ("harvesters.cli.firebase", "firebase", "Export and harvest a Firebase Realtime Database."),
    "insights": (
        "harvesters.cli.insights",
        "insights",
        "Answers from BuddyUp's events: sign-ups, buddies, success.",
    ),
    "index": ("harvesters.cli.index", "index", "Index the messages of an SQS queue into Elasticsearch."),
    "backfill": ("harvesters.cli.backfill", "backfill", "Harvest a range of the past, window by window."),
    "worker": ("harvesters.cli.worker", "worker", "Do what is queued: back-fills, analytics."),
    "beat": ("harvesters.cli.beat", "beat", "Queue what workers have to compute each day."),
    "schedule": ("harvesters.cli.schedule", "schedule", "Entries for cron, systemd or Kubernetes."),
    "listings": ("harvesters.cli.listings", "listings", "Put listings and page views on Kafka."),
    "messages": ("harvesters.cli.messages", "messages", "Store, count, export and erase messages of chatbots."),
    "serve": ("harvesters.cli.serve", "serve", "Serve answers as pages and JSON."),
    "logs": ("harvesters.cli.logs", "logs", "Synthetic web-server logs, for trying things and for load."),
    "status": ("harvesters.cli.status", "status", "How the jobs are doing: lag, leases, last runs."),
    "config": ("harvesters.cli.config", "config", "Every setting: its value, and where that comes from."),
    "doctor": ("harvesters.cli.doctor", "doctor", "Check settings, credentials and servers; changes nothing."),
    "pseudonym": ("harvesters.cli.pseudonym", "pseudonym", "The pseudonyms of a value, and what is under them."),
    "deadletters": (
        "harvesters.cli.deadletters",
        "deadletters",
        "What could not be delivered: look, deliver again, delete.",
    ),
    "setup": ("harvesters.cli.setup", "setup", "Prepare Elasticsearch: templates, migrations, retention."),
    "dev": ("harvesters.cli.dev", "dev", "Development environment: simulators and local servers."),
    "completion": ("harvesters.cli.completion", "completion", "Print the shell completion script."),
}


class LazyGroup(click.Group):
    """Commands from a table; any spelling with hyphens for underscores, and the other way round, finds them."""

    def __init__(self, *args: Any, table: dict[str, tuple[str, str, str]] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {})
        kwargs["context_settings"].setdefault("token_normalize_func", lambda token: token.replace("_", "-"))
        super().__init__(*args, **kwargs)
        self.table = table if table is not None else {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.table, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        wanted = cmd_name.replace("_", "-")
        for name, (module, attribute, _) in self.table.items():
            if name.replace("_", "-") == wanted:
                with uncollected():
                    command: click.Command = getattr(importlib.import_module(module), attribute)
                return described(command)
        named = (command for name, command in self.commands.items() if name.replace("_", "-") == wanted)
        command_here = next(named, None)
        return described(command_here) if command_here is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; of a name that is mistyped it says which one may be meant."""
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            ctx.fail(f"No such command {name!r}.{did_you_mean(name, self.list_commands(ctx))}")
        found = super().resolve_command(ctx, args)
        sentry.doing(f"{ctx.command_path} {found[0]}")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the table's commands without importing them."""
        rows = [(name, text) for name, (_, _, text) in self.table.items()]
        rows += [(name, described(command).get_short_help_str(80)) for name, command in self.commands.items()]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The root is in no table, so it gets its text here."""
        described(self)
        super().format_help(ctx, formatter)


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example of a crontab line: */2 * * * * /opt/harvest/harvest.py --log-level WARNING useractions",
)
@click.option(
    "--log-level",
    type=Choice(telemetry.LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="Least level that is logged, to standard error.",
)
@click.option(
    "--log-format",
    type=Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How it is logged; the run report is one line of it.",
)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="Settings file, instead of the .env beside harvest.py.",
)
@click.version_option(__version__, prog_name="harvest")
@click.pass_context
def cli(context: click.Context, log_level: str, log_format: str, env_file: Path | None) -> None:
    """Harvest learning-analytics events from where they are born to where they are analysed.

    Settings come from flags, the environment and .env, in this order; docs/reference.md lists them all.
    """
    telemetry.configure(log_level.upper(), log_format, colours=coloured(sys.stderr))
    context.obj = settings = Settings.read(env_file)
    protect(settings.secrets())
    if token := settings.get("LOGGLY_TOKEN"):
        telemetry.ship_to_loggly(settings.get("LOGGLY_URL"), token, settings.get("LOGGLY_TAGS"))
    try:
        sentry.begin(settings, f"{context.command_path} {context.invoked_subcommand}")
    except ConfigError:
        if context.invoked_subcommand not in _ABOUT_SETTINGS:
            raise


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code."""
    streams.complete()
    telemetry.configure("INFO", "text")  # for what happens before the options say how
    telemetry.log_what_nobody_catches()
    code = _last_words(run(arguments))
    if code not in (Exit.DONE, Exit.USAGE) or streams.reader_left():
        # A request may still be under way in a thread that the interpreter would wait for; its answer is not wanted.
        os._exit(code)
    gc.disable()  # the interpreter would look for garbage twice while it ends
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; for `main`, and for tests."""
    try:
        return _call(sys.argv[1:] if arguments is None else arguments)
    except ReaderGone:
        return Exit.DONE
    except HarvestError as error:
        telemetry.log_end(error)
        return error.code
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, EOFError):
        log.warning("interrupted")
        return Exit.TRY_LATER
    except OSError as error:
        if error.errno == errno.EPIPE and streams.reader_left():
            return Exit.DONE
        if error.errno not in NO_ROOM:
            raise
        log.error("%s cannot be written: %s. Make room and run again.", _place(error), error.strerror)
        return Exit.UNAVAILABLE
    finally:
        telemetry.stop_shipping()  # after the last word of the run
        sentry.finish()


def _call(arguments: list[str]) -> int:
    """The command, without what click's own `main` makes of a broken pipe: exit code 1, whatever broke it."""
    if instruction := os.environ.get(COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "harvest.py", COMPLETION, instruction)
    protect(_secrets_in(arguments))
    try:
        with cli.make_context("harvest.py", [*arguments]) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as end:  # --help and --version
        return end.exit_code
    return result if isinstance(result, int) else Exit.DONE


def _secrets_in(arguments: list[str]) -> Iterator[str]:
    """Values of options that are secrets: masked before anything can be wrong with the command line."""
    for option, following in pairwise([*arguments, ""]):
        name, equals, value = option.partition("=")
        if name in _SECRET_OPTIONS:
            yield value if equals else following


def _show(error: click.ClickException) -> None:
    """Say what is wrong with the command line, masked as logs are: somebody may have typed a secret there."""
    with suppress(HarvestError):
        protect(Settings.read(Path(os.devnull), {**os.environ}).secrets())  # it may be wrong before they were read
    text = io.StringIO()
    error.show(file=text)
    with suppress(OSError, ValueError):
        sys.stderr.write(redact(text.getvalue()))
        sys.stderr.flush()


def _place(error: OSError) -> str:
    return str(error.filename) if error.filename else "standard output"


def _last_words(code: int) -> int:
    """Write what is still buffered, and return the exit code that counts then."""
    try:
        sys.stdout.flush()
    except OSError as error:
        streams.drop(sys.stdout)
        if error.errno != errno.EPIPE and code == Exit.DONE:
            log.error("standard output cannot be written: %s", error.strerror)
            code = Exit.UNAVAILABLE
    logging.shutdown()
    try:
        sys.stderr.flush()
    except OSError:
        streams.drop(sys.stderr)
    return code
