"""The root command. Subcommands are imported when they are used, so that ``--help`` answers at once."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from harvesters import __version__, telemetry
from harvesters.collector import uncollected
from harvesters.errors import Exit, HarvestError, Interrupted, ReaderGone
from harvesters.settings import Settings

log = logging.getLogger("harvesters")

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
    "zoom": ("harvesters.cli.zoom", "zoom", "Harvest Zoom meetings and participant sessions."),
    "firebase": ("harvesters.cli.firebase", "firebase", "Export and harvest a Firebase Realtime Database."),
    "index": ("harvesters.cli.index", "index", "Index the messages of an SQS queue into Elasticsearch."),
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
                return command
        return next((found for name, found in self.commands.items() if name.replace("_", "-") == wanted), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the table's commands without importing them."""
        rows = [(name, text) for name, (_, _, text) in self.table.items()]
        rows += [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example of a crontab line: */2 * * * * /opt/harvest/harvest.py --log-level WARNING useractions",
)
@click.option(
    "--log-level",
    type=click.Choice(telemetry.LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="Least level that is logged, to standard error.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
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
    telemetry.configure(log_level.upper(), log_format)
    context.obj = settings = Settings.read(env_file)
    from harvesters.privacy import protect

    protect(settings.secrets())
    if token := settings.get("LOGGLY_TOKEN"):
        telemetry.ship_to_loggly(settings.get("LOGGLY_URL"), token, settings.get("LOGGLY_TAGS"))


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code."""
    code = run(arguments)
    sys.stdout.flush() if code != _READER_GONE else _drop_stdout()
    code = 0 if code == _READER_GONE else code
    if code not in (Exit.DONE, Exit.USAGE):
        # A request may still be under way in a thread that the interpreter would wait for; its answer is not wanted.
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)
    gc.disable()  # the interpreter would look for garbage twice while it ends
    sys.exit(code)


_READER_GONE = -1


def run(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; for `main`, and for tests."""
    try:
        result = cli.main(arguments, prog_name="harvest.py", standalone_mode=False)
        return result if isinstance(result, int) else Exit.DONE
    except ReaderGone:
        return _READER_GONE
    except BrokenPipeError:
        return _READER_GONE
    except HarvestError as error:
        level = logging.WARNING if isinstance(error, Interrupted) else logging.ERROR
        log.log(level, "%s", error, extra={"fields": {"exit_code": int(error.code)}})
        return error.code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        log.warning("interrupted")
        return Exit.TRY_LATER
    finally:
        telemetry.stop_shipping()  # after the last word of the run


def _drop_stdout() -> None:
    # What is still buffered cannot be written; Python would complain about that at its end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
