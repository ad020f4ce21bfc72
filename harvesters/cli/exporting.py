"""What the exports of messages share: their options, the span of time, and the platform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from functools import reduce
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from harvesters.cli.progress import Show, progress
from harvesters.cli.runtime import setting_option
from harvesters.errors import ConfigError, Interrupted
from harvesters.settings import Settings

if TYPE_CHECKING:
    from harvesters.assembly import Assembly
    from harvesters.messages.platform import Platform
    from harvesters.messages.windows import Bounds


def platform_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the platform is, and the span of time."""
    options = (
        setting_option("-i", "--instance", setting="INSTANCE"),
        setting_option("-a", "--apikey", setting="APIKEY"),
        setting_option("-r", "--range", setting="TIME_RANGE"),
        setting_option("-s", "--start", setting="START_TIME"),
        setting_option("-e", "--end", setting="END_TIME"),
    )
    return reduce(lambda made, option: option(made), reversed(options), command)


@contextmanager
def mistakes() -> Iterator[None]:
    """A `ValueError` in the block is a mistake in the command line, or in the variables that stand for it."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def span(settings: Settings) -> tuple[Bounds | None, tzinfo]:
    """The span of time that was given, and the zone of its dates.

    Raises:
        UsageError: it is none.
    """
    from harvesters.messages.exports import timerange

    zone = settings.timezone("MESSAGES_TIMEZONE")
    with mistakes():
        return timerange.chosen(settings, datetime.now(UTC), zone), zone


@contextmanager
def platform_of(assembly: Assembly) -> Iterator[Platform]:
    """The platform, let go of at the end."""
    from harvesters.messages.platform import Platform

    with Platform.from_settings(assembly.settings, assembly.retry) as platform:
        yield platform


@contextmanager
def bar(assembly: Assembly) -> Iterator[Show]:
    """Shows how far an export is; whoever shows that it goes on is ended there when the run is told to stop."""
    with progress("exporting") as show:

        def look(part: float, text: str) -> None:
            if assembly.stop.is_set():
                raise Interrupted("told to stop: the export is not complete; run the same command again")
            show(part, text)

        yield look


def require_extra(package: str) -> None:
    """See that a package of the extra is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec(package) is None:
        raise ConfigError("exports need an extra that is not installed: pip install 'harvest[messages]'")
