"""``harvest.py logs``: an index of synthetic log events, made, filled and asked."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import running, setting_option, settings_of
from harvesters.cli.streams import say, standard_input
from harvesters.collector import uncollected
from harvesters.errors import HarvestError, ReaderGone, TryLater

if TYPE_CHECKING:
    from harvesters.logs.index import LogIndex
    from harvesters.logs.masks import Mask

T = TypeVar("T")

_OK = 200


class _Named(click.ParamType):  # type: ignore[type-arg]
    """A name. An empty one, as of a variable of the shell that is not set, would stand for another index."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value or self.fail("It is empty. Leave the option out for the index of ELASTIC_INDEX.", param, ctx)


index_option = setting_option("--index", setting="ELASTIC_INDEX", metavar="NAME", type=_Named())
host_option = setting_option("-e", "--es-host", setting="ES_HOST")


class MaskType(click.ParamType):  # type: ignore[type-arg]
    """A mask of times."""

    name = "mask"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mask:
        from harvesters.logs.masks import Mask, MaskError

        if isinstance(value, Mask):
            return value
        try:
            return Mask.parse(str(value))
        except MaskError as error:
            self.fail(str(error), param, ctx)


@click.group(cls=LazyGroup, short_help="Synthetic web-server logs, for trying things and for load.")
def logs() -> None:
    """Synthetic web-server logs: an index of them, or lines of JSON for anything that reads these."""


@logs.command("init", short_help="Make the index, deleting the one that is there.")
@index_option
@host_option
@click.option("--yes", is_flag=True, help="Delete an index that holds documents without a question.")
def init(yes: bool) -> None:
    """Delete the index and make it anew, empty.

    Only an index of log events is deleted: no alias, no data stream, none that has other fields.

    \b
    Example:
      harvest.py logs init
    """
    name = _index_name(filled=True)
    there = _asked(name, lambda index: index.documents())
    if there and not yes:
        _ask(name, there)
    answer = _asked(name, lambda index: index.make(math.inf if yes else there or 0))
    say(f"Response: {answer.status}\n{answer.body}\nSchema generated")


@logs.command("generate", short_help="Generate log events.")
@click.option(
    "--timestamp",
    "mask",
    type=MaskType(),
    default="todayT?:?:?",
    show_default=True,
    help="When they happened, in UTC: DATE T TIME, with ? for any. DATE is today or Y-M-D, TIME now or H:M:S.",
)
@click.option("--count", type=click.IntRange(min=0), default=1, show_default=True, help="How many.")
@click.option("--seed", type=int, help="The same number gives the same events.")
@click.option(
    "--max-tasks", type=click.IntRange(min=1), default=10, show_default=True, help="Requests at once, at most."
)
@click.option("--one-by-one", is_flag=True, help="A request for each event, instead of bulk requests.")
@click.option(
    "-o",
    "--output",
    metavar="es|-|FILE",
    default="es",
    show_default=True,
    help='Where to: es for Elasticsearch (ES_HOST), "-" for JSON lines on standard output, or a file that JSON lines '
    "are appended to (compressed when it ends in .gz).",
)
@index_option
@host_option
def generate(mask: Mask, count: int, seed: int | None, max_tasks: int, one_by_one: bool, output: str) -> None:
    """Generate log events into the index, which `logs init` makes, or as lines of JSON.

    Every date that exists and fits the mask is equally likely.

    \b
    Examples:
      harvest.py logs generate --count 1000
      harvest.py logs generate --timestamp '?-02-29 12:?:?' --count 5 --seed 1 -o -
    """
    name = _index_name(filled=True) if output == "es" else ""
    with running() as assembly:
        with uncollected():
            from harvesters.cli.enginewatch import watched
            from harvesters.logs.events import Events
            from harvesters.logs.generate import Generating

            if output == "es":
                import elastic_transport  # noqa: F401 - what takes its time

        generating = Generating(assembly, Events(mask.at(assembly.clock.now()), seed), count)
        try:
            if output == "es":
                generating.into_index(name, max_tasks, one_by_one, watched)
            else:
                generating.into_file(output)
        except ReaderGone:
            raise
        except HarvestError:
            _say_count(generating.acknowledged, output)
            raise
        _say_count(generating.acknowledged, output)


@logs.command("query", short_help="Ask the index what standard input says.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer alone, as JSON.")
@index_option
@host_option
def query(as_json: bool) -> None:
    """Send the body of a search, read from standard input, to the index, and print the answer.

    \b
    Example:
      echo '{"size": 0, "aggs": {"country": {"terms": {"field": "ua_country"}}}}' | harvest.py logs query
    """
    name, body = _index_name(), _search_body()
    answer = _asked(name, lambda index: index.search(body))
    text = answer.raw.decode("utf-8", "replace")
    say(text if as_json else f"Response: {answer.status}\n{_as_python(text, answer.body)}")
    if answer.status != _OK:
        from harvesters.elastic.errors import reason

        raise click.UsageError(f"Elasticsearch does not understand the query: {reason(answer.body)}")
    if not as_json:
        say("Query finished")


def _index_name(filled: bool = False) -> str:
    """The index of the command; one that is to be `filled` must not be for something else."""
    from harvesters.elastic.asyncclient import require_extra
    from harvesters.firebase.indices import with_prefix
    from harvesters.logs.names import SETTING, require_name, require_not_ours
    from harvesters.search import templates

    require_extra("logs")
    settings = settings_of()
    name = settings.get(SETTING)
    require_name(name)
    if filled:
        known = templates.read()
        require_not_ours(name, [*known, *with_prefix(known, settings.get("FIREBASE_INDEX_PREFIX"))])
    return name


def _asked(name: str, question: Callable[[LogIndex], Awaitable[T]]) -> T:
    """What the index called `name` answers."""
    import asyncio

    from harvesters.logs.index import LogIndex

    with running() as assembly:

        async def ask() -> T:
            async with assembly.search_in_loop() as client:
                return await question(LogIndex(client, name))

        return asyncio.run(ask())


def _ask(name: str, documents: int) -> None:
    """Go on only if somebody at a terminal says so."""
    there = f"{name} holds {documents} document{'s' if documents > 1 else ''}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{there}, and there is no terminal to ask at: give --yes to delete it.")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        click.echo(f"{there}. Delete it? [y/N] ", nl=False, err=True)
        line = sys.stdin.readline()
    finally:
        signal.signal(signal.SIGTERM, before)
    if line.strip().lower() not in ("y", "yes"):
        raise TryLater(f"nothing was done: {there}, and keeps them.")


def _search_body() -> bytes:
    from harvesters import exact

    body = standard_input()
    if not body.strip():
        raise click.UsageError("standard input is empty: give it the body of a search, such as {}")
    try:
        value = exact.loads(body)
    except ValueError as error:
        raise click.UsageError(f"standard input is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.UsageError("standard input is JSON, and no object: give it the body of a search, such as {}")
    return body


def _as_python(text: str, otherwise: Any) -> Any:
    """JSON as Python shows it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # such as an integer of more digits than Python reads
        return otherwise


def _say_count(number: int, output: str) -> None:
    text = f"{number} log events generated"
    if output == "-":
        with suppress(OSError):
            click.echo(text, err=True)
    else:
        say(text)
