"""``harvest.py insights``: one command an answer, made from what the answer says of itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from harvesters import collector
from harvesters.cli.choices import Choice, format_option
from harvesters.cli.firebase import maybe_sentiment, node_path
from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import Moment, given_by_name, running, setting_option, settings_of
from harvesters.errors import ConfigError
from harvesters.exact import whole
from harvesters.firebase.documents import milliseconds
from harvesters.insights.answer import Insight, unheard_of
from harvesters.insights.answers import INSIGHTS
from harvesters.insights.question import EARLIEST, GROUPS, LATEST, PERIODS, Question

if TYPE_CHECKING:
    from harvesters.assembly import Assembly
    from harvesters.insights.answer import Answer
    from harvesters.insights.events import Row
    from harvesters.insights.history import History
    from harvesters.insights.store import Store
    from harvesters.settings import Settings

log = logging.getLogger(__name__)

Shown = Callable[[TextIO], object]
"""Writes an answer."""

_ZONE = "FIREBASE_TIMEZONE"
_MEMORY = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?)?B", re.IGNORECASE)
_CENTURY = 36_525  # days
_MOST = 1_000_000  # users

# Options of some answers: their click types and help. Defaults are the answers'.
_OPTIONS: dict[str, tuple[Any, str]] = {
    "group": (Choice(GROUPS), "What events are counted by."),
    "by": (Choice(PERIODS), "How long a period is."),
    "within": (click.IntRange(1, _CENTURY), "Days that may pass."),
    "weeks": (click.IntRange(0, _CENTURY // 7), "Weeks after the one of the sign-up that are looked at."),
    "limit": (click.IntRange(1, _MOST), "Users that are shown; with --by, of each period."),
    "moves": (bool, "Who moves from cohort to cohort, instead of their sizes."),
    "now": (bool, "How many buddies users have, instead of when they got their third."),
    "score": (bool, "Score messages that have no score (needs pip install 'harvest[sentiment]')."),
}


@click.group(cls=LazyGroup, short_help="Answers from BuddyUp's events: sign-ups, buddies, success.")
def insights() -> None:
    """Answers from BuddyUp's events, in Elasticsearch or in a file.

    \b
    Where do new users stop, who fails to add a class?     funnel
    Who comes daily, weekly, a few times a month?          cohorts (--moves: who moves between these)
    Do they come back; do we want more stickiness?         retention, cohorts
    How many sign up at each school?                       signups
    Do users send private chats after buddying up?         after-buddying
    How many profiles before buddying up?                  after-buddying
    What other actions lead to buddying up?                lifecycle, after-buddying (order, which is no proof)
    What is an average student's life-cycle?               lifecycle
    Which events lead to a successful experience?          lifecycle (order, which is no proof)
    Who makes the third buddy, how many have three to five? third-buddy, third-buddy --now
    Who is most active, over time?                         most-active, most-active --by month
    A heatmap of a student, class or university?           heatmap --student, --class, --school
    How do classes sound?                                  sentiment
    What happens at all?                                   overview

    Each command's --help says what its words mean; docs/insights.md has all of it.
    """


def _question_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every answer, and of the report."""
    options = (
        click.option("-s", "--start", type=Moment(_ZONE), help="Count only what happens from then on."),
        click.option("-e", "--end", type=Moment(_ZONE), help="Read nothing that happens then or later."),
        click.option("--school", metavar="ID", help="Only this school."),
        click.option("--class", "class_", metavar="ID", help="Only this class."),
        click.option("--student", metavar="ID", help="Only this user."),
        click.option("--include-test-schools", is_flag=True, help="Do not leave out FIREBASE_TEST_SCHOOLS."),
        click.option(
            "--from",
            "files",
            multiple=True,
            type=click.Path(path_type=Path),
            help="Read this dump, or these documents of `firebase events -o FILE`, instead of Elasticsearch. Can be "
            "given again: an event that comes again takes the place of the earlier one.",
        ),
        click.option("--path", default="", help="Where in the dumps the events are, such as events."),
        setting_option("--es-host", setting="ES_HOST"),
    )
    return reduce(lambda made, option: option(made), reversed(options), command)


def _command(insight: Insight) -> click.Command:
    """The command of an answer."""

    def run(style: str, output: str | None, **given: Any) -> None:
        own = {name: given.pop(name) for name in insight.options}
        if own.get("now") and given_by_name("by"):
            raise click.UsageError("--now has no periods: leave --by out")
        asked = Asked.of(given, **own)
        asked.ask(lambda history: partial(write, insight.answer(history, asked.question), style), output)

    command = run
    for name, default in reversed([*insight.options.items()]):
        kind, text = _OPTIONS[name]
        if kind is bool:
            option = click.option(f"--{name}", is_flag=True, help=text)
        else:
            option = click.option(f"--{name}", type=kind, default=default or None, show_default=True, help=text)
        command = option(command)
    command = format_option(command)
    command = click.option("-o", "--output", metavar="-|FILE", help="Where to write; default: standard output.")(
        command
    )
    example = f"\b\nExample:\n  harvest.py insights {insight.name} --start 2016-01-01"
    help = "\n\n".join([insight.text, insight.definition, example])
    return click.command(insight.name, short_help=insight.text, help=help)(_question_options(command))


for _insight in INSIGHTS.values():
    insights.add_command(_command(_insight))


@insights.command("report", short_help="All answers in one HTML file, with charts.")
@_question_options
@click.option("-o", "--output", required=True, metavar="-|FILE", help="The file, replaced when it is complete.")
def report_(output: str, **given: Any) -> None:
    """All answers in one HTML file, with charts, tables and definitions, for a browser or a printer.

    \b
    Example:
      harvest.py insights report --school osu_edu --output report.html
    """
    from harvesters.insights.report import report

    def work(history: History) -> Shown:
        page = report(history, asked.question)
        return lambda stream: stream.write(page)

    asked = Asked.of(given)
    asked.ask(work, output)


@dataclass(frozen=True)
class Asked:
    """A question, and where its events are."""

    question: Question
    files: tuple[Path, ...]
    inside: tuple[str, ...]
    score: bool = False

    @classmethod
    def of(cls, given: dict[str, Any], score: bool = False, **own: Any) -> Asked:
        """As the options say: the common ones, and those of the answer."""
        start, end = given["start"], given["end"]
        for name, moment in (("--start", start), ("--end", end)):
            if moment is not None and not EARLIEST <= moment < LATEST:
                raise click.UsageError(f"{name}: {moment} is not between {EARLIEST.year} and {LATEST.year}")
        for name in ("school", "class_", "student"):
            if given[name] is not None and whole(given[name]) != given[name]:
                raise click.UsageError(f"--{name.rstrip('_')}: {given[name]!r} is no text in UTF-8")
        if start is not None and end is not None and start >= end:
            raise click.UsageError(f"the start ({start}) is not before the end ({end})")
        for path in given["files"]:
            if not path.is_file():  # each file is read more than once, so a pipe is none
                raise click.UsageError(f"--from {path}: there is no such file")
        test_schools = () if given["include_test_schools"] else tuple(settings_of().names("FIREBASE_TEST_SCHOOLS"))
        question = Question(
            start=milliseconds(start) if start is not None else None,
            end=milliseconds(end) if end is not None else None,
            school=given["school"],
            class_=given["class_"],
            student=given["student"],
            test_schools=test_schools,
            **{name: value for name, value in own.items() if value is not None},
        )
        return cls(question, given["files"], node_path(given["path"]), score)

    def ask(self, work: Callable[[History], Shown], output: str | None) -> None:
        """Write what `work` makes of the events; SIGTERM and Ctrl-C end it, in the middle of a query too.

        Raises:
            HarvestError: as its subclasses say.
        """
        from harvesters.insights.calendar import Calendar
        from harvesters.insights.stopping import Stoppable, until_stopped
        from harvesters.insights.store import Store
        from harvesters.tables.output import opened

        collector.rest()
        calendar = Calendar(settings_of().timezone(_ZONE))
        with running() as assembly, Store(calendar, _memory(assembly.settings), assembly.stop) as store:
            rows = self._rows(assembly)
            now = assembly.clock.now()

            def answer() -> None:
                shown = self._answered(store, rows, now, work)
                with opened(output) as stream:
                    shown(cast(TextIO, Stoppable(stream, assembly.stop)))

            until_stopped(answer, assembly.stop, store.interrupt)

    def _answered(self, store: Store, rows: Iterator[Row], now: datetime, work: Callable[[History], Shown]) -> Shown:
        from harvesters.insights.history import History

        store.add(rows)
        if left_out := store.settle(milliseconds(now)):
            log.warning("left out are events: %s", left_out)
        history = History(store, self.question.end, self.question.test_schools)
        if unknown := unheard_of(history, self.question):
            log.warning("there is no event of %s", " or ".join(unknown))
        return work(history)

    def _rows(self, assembly: Assembly) -> Iterator[Row]:
        from harvesters.firebase.parts import open_indices
        from harvesters.insights.events import Reading
        from harvesters.insights.source import File, file_rows, index_rows

        reading = Reading(maybe_sentiment(self.score))
        if not self.files:
            return index_rows(assembly.search(), open_indices(assembly.settings).events, reading)
        files = [File(path, self.inside) for path in self.files]
        return file_rows(files, reading)


def write(answer: Answer, style: str, stream: TextIO) -> None:
    """Write the rows as `query` does; floats have four decimals."""
    from harvesters.tables.output import WRITERS

    shown = _decimals if style != "json" else lambda value: value
    rows = [dict(zip(answer.columns, map(shown, row), strict=True)) for row in answer.rows]
    WRITERS[style](rows, answer.columns, stream)


def _decimals(value: Any) -> Any:
    return Decimal(f"{value:.4f}") if isinstance(value, float) else value


def _memory(settings: Settings) -> str:
    value = settings.get("HARVEST_INSIGHTS_MEMORY")
    if _MEMORY.fullmatch(value) is None:
        raise ConfigError(f"HARVEST_INSIGHTS_MEMORY={value!r} is no size of memory; write it as 512MB or 2GB")
    return value
