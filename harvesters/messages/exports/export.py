"""The files of ``messages export``: each asks only for what it needs, and all take their names together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TextIO

from harvesters.messages.exports import counts
from harvesters.messages.exports.array import Array
from harvesters.messages.exports.files import whole_files
from harvesters.messages.exports.people import (
    People,
    cohorts_of,
    gender_of,
    name_of,
    yes_or_no,
)
from harvesters.messages.exports.repair import repair
from harvesters.messages.exports.sheet import Sheet
from harvesters.messages.exports.tasks import ANSWER, exported, question_and_answer
from harvesters.messages.platform import Platform
from harvesters.messages.windows import Bounds

Row = dict[str, Any]
Show = Callable[[float, str], None]

USER_COLUMNS = (
    *("name", "surname", "email", "gender", "incentive cohort", "ilog", "survey"),
    *("questions", "answers", "first activity", "last activity"),
)
_LOOK = 500  # messages between two looks at the bar


@dataclass(frozen=True)
class Asked:
    """The files that are wanted; None for one that is not."""

    analytics: Path | None = None
    questions: Path | None = None
    users: Path | None = None
    tasks: Path | None = None
    messages: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Those that are."""
        return [path for each in fields(self) if (path := getattr(self, each.name)) is not None]

    @property
    def platform(self) -> bool:
        """Whether the platform has to be asked."""
        return self.paths != [self.messages]


class Source(Protocol):
    """The messages of the application in the span of time."""

    def messages(self, kind: str | None = None) -> Iterator[Row]:
        """Each once, in time order; of one type where `kind` says so."""

    def segments(self, metric: str) -> Mapping[str, int]:
        """How many there are: ``all`` by type, ``requests`` by type of content."""

    def users(self, metric: str) -> int:
        """How many users are ``total``, ``active``, ``engaged`` or ``new``."""


@dataclass(frozen=True)
class _Members:
    """Who enabled the application in the span; who ever enabled i-Log and the survey; in which cohort they are."""

    users: Sequence[str]
    ilog: frozenset[str]
    survey: frozenset[str]
    cohorts: Mapping[str, str]


@dataclass
class Export:
    """One export.

    Args:
        app: the application, which is the project of its messages.
        ilog, survey: applications; who enabled them is marked.
        source: asked where a file needs messages.
        platform: None where no file needs it.
        show: told how far it is.
    """

    asked: Asked
    app: str
    bounds: Bounds
    zone: tzinfo
    source: Source
    platform: Platform | None
    ilog: str = ""
    survey: str = ""
    show: Show = lambda part, text: None

    def write(self) -> None:
        """Write the files; those that are there stay unless all are complete."""
        with whole_files(self.asked.paths) as streams:
            to = dict(zip(self.asked.paths, streams, strict=True))
            self._ask_platform()
            self._write_tasks(to)
            if self.asked.messages is not None or self.asked.users is not None:
                self._read_messages(to)
            if self.asked.users is not None:
                self._write_users(Sheet(self.asked.users, to[self.asked.users], self.zone))
            if self.asked.analytics is not None:
                self._write_counts(Sheet(self.asked.analytics, to[self.asked.analytics], self.zone))

    @cached_property
    def _tally(self) -> counts.Tally:
        return counts.Tally()

    @cached_property
    def _tasks(self) -> list[Row]:
        return self._asking("tasks").tasks(self.app, *self.bounds)

    @cached_property
    def _transactions(self) -> list[Row]:
        return self._asking("transactions").transactions(self.app, *self.bounds)

    @cached_property
    def _members(self) -> _Members:
        platform = self._asking("users")
        users = platform.users(self.app, *self.bounds)
        ilog, survey = (frozenset(platform.users(app)) for app in (self.ilog, self.survey))
        return _Members(users, ilog, survey, cohorts_of(platform.cohorts(), self.app))

    def _ask_platform(self) -> None:
        """Ask for what is needed, before the many messages are read: a mistake shows at once."""
        if self.platform is not None:
            _ = self._tasks
        if self.asked.users is not None or self.asked.analytics is not None:
            _ = self._transactions
        if self.asked.users is not None:
            _ = self._members

    def _asking(self, what: str) -> Platform:
        assert self.platform is not None
        self.show(0.0, what)
        return self.platform

    def _write_tasks(self, to: dict[Path, TextIO]) -> None:
        if self.asked.tasks is not None:
            array = Array(to[self.asked.tasks])
            for task in self._tasks:
                array.add(exported(task))
            array.close()
        if self.asked.questions is not None:
            sheet = Sheet(self.asked.questions, to[self.asked.questions], self.zone)
            self._head(sheet, ("question", "answer"), ("total questions", len(self._tasks)))
            sheet.rows(map(question_and_answer, self._tasks))

    def _read_messages(self, to: dict[Path, TextIO]) -> None:
        """Write the messages, if they are asked for, and count them; else look at what users sent."""
        if self.asked.messages is None:
            for message in self._watched(self.source.messages("request")):
                self._tally.add(message)
            return
        array = Array(to[self.asked.messages])
        counted = self.asked.analytics is not None or self.asked.users is not None
        for message in self._watched(self.source.messages()):
            if counted:
                self._tally.add(message)
            if isinstance(message.get("metadata"), dict):
                message["metadata"] = repair(message["metadata"], "question", "answer")
            array.add(message)
        array.close()

    def _watched(self, messages: Iterator[Row]) -> Iterator[Row]:
        """The same, while the bar shows how far into the span they are."""
        start, end = self.bounds
        for count, message in enumerate(messages):
            if not count % _LOOK and (moment := counts.moment_of(message)) is not None:
                start = start if start is not None else moment
                whole = max((end - start).total_seconds(), 1.0)
                self.show(0.1 + 0.6 * (moment - start).total_seconds() / whole, f"{count} messages")
            yield message

    def _write_users(self, sheet: Sheet) -> None:
        assert self.platform is not None
        members = self._members
        questions = Counter(str(task.get("requesterId")) for task in self._tasks)
        answers = Counter(str(one.get("actioneerId")) for one in self._transactions if one.get("label") == ANSWER)
        self._head(sheet, USER_COLUMNS, ("total users", len(members.users)))
        for user, profile in People(self.platform, members.users, lambda part: self.show(0.7 + 0.3 * part, "profiles")):
            first, last = self._tally.activity.get(user, (None, None))
            sheet.row(
                *(name_of(profile, "first"), name_of(profile, "last"), profile.get("email"), gender_of(profile)),
                *(members.cohorts.get(user, ""), yes_or_no(user in members.ilog), yes_or_no(user in members.survey)),
                *(questions[user], answers[user], first, last),
            )

    def _write_counts(self, sheet: Sheet) -> None:
        users = {f"{name} users": self.source.users(name) for name in ("total", "active", "engaged", "new")}
        if self.asked.messages is not None:  # as they were when they were written
            messages = counts.of_segments(self._tally.kinds, self._tally.contents)
        else:
            messages = counts.of_segments(self.source.segments("all"), self.source.segments("requests"))
        done = counts.of_transactions(self._transactions)
        self._head(sheet, ("metric", "count", "description"))
        sheet.rows(counts.rows({**users, **messages, "questions": len(self._tasks), **done}))

    def _head(self, sheet: Sheet, columns: Sequence[str], *total: tuple[str, int]) -> None:
        start, end = self.bounds
        sheet.head([("app id", self.app), ("from", start), ("to", end), *total], columns)
