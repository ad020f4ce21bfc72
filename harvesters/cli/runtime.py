"""What the commands share: options that are settings, times, and a run that signals end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from harvesters.assembly import Assembly
from harvesters.cli.progress import progress
from harvesters.settings import Settings
from harvesters.settingtable import SETTINGS
from harvesters.spans import WindowError
from harvesters.timespan import parse_moment, zone
from harvesters.watched import Watched

if TYPE_CHECKING:
    from harvesters.pipeline import Counts
    from harvesters.spans import Plan

log = logging.getLogger(__name__)

_PROGRESS_FROM = 3600.0  # seconds of window from which on a progress bar is worth its line
_FLAGS = "harvesters.flags"
_OPTIONS = "harvesters.options"
_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Moment(click.ParamType):  # type: ignore[type-arg]
    """``YYYYMMDDHHmmss`` or ISO 8601; without an offset in the time zone that `zone_setting` names, or in UTC."""

    name = "time"

    def __init__(self, zone_setting: str = "") -> None:
        self.zone_setting = zone_setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            where = settings_of(ctx).timezone(self.zone_setting) if self.zone_setting else UTC
            return parse_moment(str(value), where)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Zone(click.ParamType):  # type: ignore[type-arg]
    """The name of a time zone."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return zone(str(value)).key
        except ValueError as error:
            self.fail(str(error), param, ctx)


def setting_option(
    *names: str, setting: str, text: str = "", instead: str = "", **arguments: Any
) -> Callable[[Any], Any]:
    """A click option for setting `setting`, whose help says so. Its value goes to the command's settings.

    `instead` is another option that does without the setting, for the error where it is missing.
    """
    entry = _BY_NAME[setting]
    default = f"; default {entry.default}" if entry.default else ""
    help = f"{text or entry.help} [setting {setting}{default}]"

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        context.meta.setdefault(_FLAGS, {})[setting] = value
        context.meta.setdefault(_OPTIONS, {})[setting] = "/".join(names) + (f" or {instead}" if instead else "")

    return click.option(*names, help=help, expose_value=False, callback=keep, **arguments)


def settings_of(context: click.Context | None = None) -> Settings:
    """The settings of the command under way: its flags, the environment, the settings file."""
    context = context or click.get_current_context()
    settings = context.find_root().obj
    if not isinstance(settings, Settings):  # no command runs, as while a shell completes
        settings = Settings()
    return settings.with_flags(context.meta.get(_FLAGS, {}), context.meta.get(_OPTIONS, {}))


@contextmanager
def running(job: str = "", moves: bool = True, stays: bool = False) -> Iterator[Assembly]:
    """The parts of a run, which SIGTERM and Ctrl-C end after the batch in hand; a second one ends it at once.

    A window that is the wrong way round is a mistake in the command line.

    Args:
        job: the name of the job of `operate/jobs.py` that it is a run of, if it is one.
        moves: whether it may move the job's checkpoint, as far as the command line says.
        stays: whether it goes on until it is told to stop.
    """
    context = click.get_current_context()
    assembly = Assembly(settings_of(), job=job or context.command_path, shared=context.meta)
    if job:
        from harvesters.operate.listeners import listeners

        assembly.watched = Watched(job, moves, stays, listeners(assembly, job))

    def stop(number: int, frame: object) -> None:
        if assembly.stop.is_set():
            raise KeyboardInterrupt
        assembly.stop.set()
        log.warning("%s: finishing the batch in hand (again: stop at once)", signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with assembly.watched as watched:
            try:
                if job:
                    _ = assembly.outbound  # pseudonyms that cannot be made end a run before anything is read
                yield assembly
            except (WindowError, click.ClickException):
                watched.forget()
                raise
    except WindowError as error:
        raise click.UsageError(str(error)) from error
    finally:
        assembly.stop.set()  # whatever still waits in a thread of this run need not
        assembly.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def given_by_name(parameter: str) -> bool:
    """Whether the option was given on the command line, and not left at its default."""
    return click.get_current_context().get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE


@contextmanager
def progress_bar() -> Iterator[Callable[[Plan], Callable[[Counts], None]]]:
    """Shows how far a run of more than an hour's window is."""
    with progress("harvesting") as show:

        def on_plan(planned: Plan) -> Callable[[Counts], None]:
            if planned.window is None or planned.window.seconds <= _PROGRESS_FROM:
                return lambda counts: None
            return lambda counts: show(counts.fraction, "")

        yield on_plan
