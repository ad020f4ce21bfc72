"""``harvest.py export …``: tables made from our indices."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

import click

from harvesters.assembly import Assembly
from harvesters.cli.choices import Choice
from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import running, setting_option, settings_of
from harvesters.errors import Interrupted

if TYPE_CHECKING:
    from harvesters.search.reader import IndexReader
    from harvesters.tables.attendance import Witness
    from harvesters.tables.selection import Selection

log = logging.getLogger(__name__)

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Seconds(click.ParamType):  # type: ignore[type-arg]
    """A length of time in whole seconds: ``300``, ``300s``, ``5m`` or ``1h``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+)\s*([smh]?)", str(value).strip().lower())
        seconds = int(match[1]) * _SECONDS[match[2]] if match is not None else 0
        if not seconds:
            self.fail(f"{value!r} is no length of time such as 300, 300s, 5m or 1h", param, ctx)
        return seconds


class Table(Protocol):
    """What every export makes."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Of a row."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """In order."""


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every export has."""
    options = (
        click.option("--term", help="Only episodes of this term, such as 01; default: of all terms."),
        click.option("--year", help="Only episodes of this year, such as 2026; default: of all years."),
        click.option("--json", "as_json", is_flag=True, help="JSON lines instead of CSV."),
        click.option("-o", "--output", metavar="-|FILE", help="Where to write; default: standard output."),
        setting_option("-e", "--es-host", setting="ES_HOST"),
        click.option("--episodes-index", default="episodes", show_default=True, help="Index of the episodes."),
    )
    return reduce(lambda made, option: option(made), reversed(options), command)


_useractions = click.option(
    "-s",
    "--source-index-pattern",
    default="useractions-*",
    show_default=True,
    help="Useraction indices to count in.",
)
_source = click.option(
    "--source", default="", help="Count only actions of the Opencast of that name (OPENCAST_SOURCE); default: of all."
)


@click.group(cls=LazyGroup, short_help="Tables of attendance, viewing options and course rolls.")
def export() -> None:
    """Tables for other programs, as CSV or JSON lines, made from the episodes and user actions in Elasticsearch."""


@export.command(short_help="How much of each episode each person watched.")
@click.option(
    "--live/--no-live", default=False, help="Count the live stream, or (the default) the recording, and its length."
)
@click.option(
    "--chunk-interval", type=Seconds(), default="5m", show_default=True, help="Length of the parts that are counted."
)
@click.option(
    "--from",
    "witness",
    type=Choice(["heartbeat", "footprint", "auto"]),
    default="auto",
    show_default=True,
    help="Which actions show what was watched; auto: footprints for episodes that have no heartbeat.",
)
@_useractions
@_source
@_common
def attendance(
    live: bool, chunk_interval: int, witness: Witness, source_index_pattern: str, source: str, **common: Any
) -> None:
    """How much of each episode each person watched, in percent: mpid,huid,vod_attendance (or live_attendance).

    An episode is cut into parts of --chunk-interval; a part counts when a heartbeat was heard in it while the player
    played (DCE's player sends them), or when a footprint covers some of it (those of stock Opencast up to Paella 6).
    Episodes without a duration are left out, with a warning.

    \b
    Examples:
      harvest.py export attendance --term 01 --year 2026
      harvest.py export attendance --live --chunk-interval 10m --json -o live.jsonl
      harvest.py export attendance --from footprint
    """
    from harvesters.tables.attendance import Attendance

    with _indices(common) as (selection, reader, assembly):
        table = Attendance(selection, reader(source_index_pattern, source), chunk_interval, live, witness)
        _write(table, common, assembly)


@export.command("viewing_options", short_help="Which options of the player each person used.")
@_useractions
@_source
@_common
def viewing_options(source_index_pattern: str, source: str, **common: Any) -> None:
    """How often each person used an option of the player: mpid,huid,captions,playback_speed,view_mode.

    \b
    Example:
      harvest.py export viewing_options --year 2026 -o options.csv
    """
    from harvesters.tables.viewing_options import ViewingOptions

    with _indices(common) as (selection, reader, assembly):
        _write(ViewingOptions(selection, reader(source_index_pattern, source)), common, assembly)


@export.command(short_help="Who takes the courses that have episodes.")
@_common
def rollcall(**common: Any) -> None:
    """Who takes the courses that have episodes: series,huid,status,first_name,mi,last_name,reg_level.

    Asks the registrar's service at BANNER_ENDPOINT_BASE for each series. Fields that HARVEST_PSEUDONYMISE names have
    the pseudonyms that user actions have.

    \b
    Example:
      harvest.py export rollcall --term 01 --year 2026
    """
    from harvesters.tables.banner import BannerClient
    from harvesters.tables.rollcall import Rollcall

    base = settings_of().url("BANNER_ENDPOINT_BASE")
    with _indices(common) as (selection, _, assembly):
        banner = BannerClient(base, assembly.retry, assembly.timeout)
        _write(Rollcall(selection, banner, assembly.outbound), common, assembly)


@contextmanager
def _indices(common: dict[str, Any]) -> Iterator[tuple[Selection, Callable[..., IndexReader], Assembly]]:
    """The chosen episodes, and what reads any other index."""
    from harvesters.search.reader import IndexReader
    from harvesters.tables.selection import Selection

    with running() as assembly:
        client = assembly.search()

        def reader(index: str, source: str = "") -> IndexReader:
            return IndexReader(client, index, source)

        yield Selection(reader(common["episodes_index"]), common["term"], common["year"]), reader, assembly


def _write(table: Table, common: dict[str, Any], assembly: Assembly) -> None:
    from harvesters.tables.output import opened, write_csv, write_json_lines

    write = write_json_lines if common["as_json"] else write_csv
    with opened(common["output"]) as stream:
        count = write(_until_stopped(table.rows(), assembly), table.columns, stream)
    log.info("%d rows exported", count)


def _until_stopped(rows: Iterator[dict[str, Any]], assembly: Assembly) -> Iterator[dict[str, Any]]:
    for row in rows:
        if assembly.stop.is_set():
            raise Interrupted("told to stop: the export is not complete; run the same command again")
        yield row
