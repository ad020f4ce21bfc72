"""Who does what at a made-up BuddyUp: people join, look for buddies, find some, write to them, and leave again.

Each step makes the next one likely and not certain, so that a funnel narrows; people stay for days, weeks or terms, so
that cohorts shrink; some do ten times as much as others. Nothing here knows what an event looks like.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
from random import Random

from harvesters.simulators.firebase.buddyup_rhythm import DAY, HOUR, days_of_a_stay
from harvesters.simulators.firebase.buddyup_world import COURSES, TEST_SCHOOLS, Course, Person, course, person

_MINUTE = 60_000
_GOES_ON = 0.6  # that the next event is of the same person, who is at it
_SIGNS_UP, _ADDS_A_CLASS, _ASKS, _IS_ACCEPTED, _WRITES = 0.88, 0.82, 0.78, 0.6, 0.6
_COMES_BACK, _DELETES = 0.25, 0.1  # of those who leave
_PROFILES = 7  # more than people look at before they ask somebody
_KNOWN = 10  # people whom others name before they have joined
_LIVELY = ((1, 0.6), (3, 0.3), (10, 0.1))  # how much people do, and how many of them
_ALONE = 0.15  # of people look for no buddies


@dataclass(eq=False)
class Member:
    """Somebody who has an account.

    Attributes:
        leaves: milliseconds since 1970.
        lively: how much this one does, against others.
        alone: looks for no buddies.
        places: among those who are at it.
    """

    number: int
    person: Person
    leaves: int
    lively: int
    alone: bool
    places: int = 0
    classes: list[Course] = field(default_factory=list)
    buddies: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does, and with whom."""

    kind: str
    who: Member
    other: Person | None = None


class Campus:
    """Everybody, as time goes by.

    Args:
        weights: how often each kind of deed is done that nothing leads to.
        people: about how many there will be.
        joins: the moments at which they join, in order of time.
    """

    def __init__(
        self, seed: int, random: Random, weights: Mapping[str, int], people: int, joins: Iterator[int]
    ) -> None:
        self.seed, self.random, self.people = seed, random, people
        self._kinds, self._sums = [*weights], [*accumulate(weights.values())]
        self._known = [person(seed, number) for number in range(min(people, _KNOWN))]
        self._members: list[Member] = []
        self._at_it: list[Member] = []  # the livelier, the more often
        self._last: Member | None = None
        self._due: list[tuple[int, int, str, int, int]] = []  # when, a number of its own, what, who, with whom
        self._count = 0
        self._courses = _courses_by_school(seed, people)
        self._joins = joins
        self._next_join = next(joins, None)

    def open(self, ms: int) -> None:
        """Have everybody be there, each with a class, at `ms`."""
        for _ in range(self.people):
            newcomer = self._join(ms)
            self._add_class(newcomer)
            self._settle(newcomer)

    def testers(self) -> list[Member]:
        """One of each test school, who try everything; they are in nobody's way."""
        numbers = range(10_000)
        return [
            self._member(next(number for number in numbers if person(self.seed, number).school_id == school), 0)
            for school in TEST_SCHOOLS
        ]

    def course_of(self, who: Person, among: Sequence[Course] = ()) -> Course:
        """One of these classes, else one of the person's school."""
        return self.random.choice(among or self._courses[who.school_id])

    def somebody(self) -> Person:
        """Anybody."""
        return self._known[int(self.random.random() * len(self._known))]

    def deed(self, ms: int) -> Deed:
        """What happens at `ms`, which is not before the deed before it."""
        while self._next_join is not None and (self._next_join <= ms or not self._members):
            newcomer = self._join(ms)
            self._soon(ms, "account_created", newcomer.number)
            self._next_join = next(self._joins, None)
        while self._due and (self._due[0][0] <= ms or not self._at_it):
            *_, kind, number, other = heappop(self._due)
            if (deed := self._planned(kind, self._members[number], other, ms)) is not None:
                return deed
        who = self._pick(ms)
        kind = self._kinds[bisect_right(self._sums, self.random.random() * self._sums[-1])]
        return self._spontaneous(kind, who, ms)

    def _planned(self, kind: str, who: Member, other: int, ms: int) -> Deed | None:
        """A deed that an earlier one led to, and what it leads to itself; None where it came to nothing."""
        chance = self.random.random()
        if kind == "logged_in":  # somebody is back
            who.leaves = ms + self._stay()
            self._settle(who)
        elif kind == "account_created":
            if chance < _SIGNS_UP:
                self._soon(ms + self._after(15 * _MINUTE), "signed_up", who.number)
        elif kind == "signed_up":
            self._settle(who)
            if chance < _ADDS_A_CLASS:
                self._soon(ms + self._after(3 * HOUR), "added_class", who.number)
        elif kind == "added_class":
            self._add_class(who)
            if chance < _ASKS and not who.alone:
                for _ in range(self.random.randrange(_PROFILES)):
                    seen = int(self.random.random() * len(self._members))
                    self._soon(ms + self._after(8 * HOUR), "page_view", who.number, seen)
                self._soon(ms + self._after(20 * HOUR), "buddy_request", who.number)
        elif kind == "buddy_request":
            return self._request(who, ms)
        elif kind == "buddied_up":
            return self._accept(who, self._members[other], ms)
        return Deed(kind, who, self._members[other].person if other >= 0 else None)

    def _spontaneous(self, kind: str, who: Member, ms: int) -> Deed:
        """Something that `who` does of his own accord, as far as he can; else he looks around."""
        if kind == "added_class":
            self._add_class(who)
        elif kind == "dropped_class" and len(who.classes) > 1:
            who.classes.pop(0)
        elif kind == "buddy_request":
            return self._request(who, ms) or Deed("page_view", who)
        elif kind == "private_message" and who.buddies:
            return Deed(kind, who, self._members[who.buddies[int(self.random.random() * len(who.buddies))]].person)
        elif kind == "unbuddied":
            if not who.buddies:
                return Deed("page_view", who)
            other = self._members[who.buddies.pop(0)]
            if who.number in other.buddies:
                other.buddies.remove(who.number)
            return Deed(kind, who, other.person)
        return Deed(kind, who)

    def _request(self, who: Member, ms: int) -> Deed | None:
        """Ask somebody of the same school who is there."""
        if who.alone or not who.classes:
            return None
        for _ in range(4):
            other = self._at_it[int(self.random.random() * len(self._at_it))] if self._at_it else who
            if (
                other is not who
                and other.person.school_id == who.person.school_id
                and not other.alone
                and other.number not in who.buddies
            ):
                if self.random.random() < _IS_ACCEPTED:
                    self._soon(ms + self._after(9 * HOUR), "buddied_up", other.number, who.number)
                return Deed("buddy_request", who, other.person)
        return None

    def _accept(self, who: Member, asked: Member, ms: int) -> Deed | None:
        if asked.number in who.buddies:
            return None
        who.buddies.append(asked.number)
        asked.buddies.append(who.number)
        if self.random.random() < _WRITES:
            self._soon(ms + self._after(7 * HOUR), "private_message", asked.number, who.number)
        return Deed("buddied_up", who, asked.person)

    def _pick(self, ms: int) -> Member:
        """Who is at it; those who have left meanwhile lose their places."""
        if self._last is not None and self._last.leaves > ms and self.random.random() < _GOES_ON:
            return self._last
        while self._at_it:
            place = int(self.random.random() * len(self._at_it))
            who = self._at_it[place]
            if who.leaves > ms:
                self._last = who
                return who
            self._at_it[place] = self._at_it[-1]
            self._at_it.pop()
            who.places -= 1
            if not who.places:
                self._leave(who, ms)
        return self._last if self._last is not None else self._members[-1]

    def _leave(self, who: Member, ms: int) -> None:
        """One who leaves deletes the account, comes back one day, or does neither."""
        chance = self.random.random()
        if chance < _DELETES:
            self._soon(ms, "delete_account", who.number)
        elif chance < _DELETES + _COMES_BACK:
            self._soon(ms + self._after(25 * DAY), "logged_in", who.number)

    def _join(self, ms: int) -> Member:
        newcomer = self._member(len(self._members), ms)
        self._members.append(newcomer)
        if len(self._members) > len(self._known):
            self._known.append(newcomer.person)
        return newcomer

    def _member(self, number: int, ms: int) -> Member:
        dice = Random(f"{self.seed}/life/{number}")
        lively = dice.choices([times for times, _ in _LIVELY], [share for _, share in _LIVELY])[0]
        return Member(number, person(self.seed, number), ms + self._stay(), lively, dice.random() < _ALONE)

    def _settle(self, who: Member) -> None:
        self._at_it += [who] * who.lively
        who.places += who.lively

    def _add_class(self, who: Member) -> None:
        chosen = self.course_of(who.person)
        if chosen not in who.classes:
            who.classes.append(chosen)

    def _stay(self) -> int:
        return int(days_of_a_stay(self.random) * DAY)

    def _after(self, mean: int) -> int:
        return int(self.random.expovariate(1 / mean))

    def _soon(self, ms: int, kind: str, who: int, other: int = -1) -> None:
        self._count += 1
        heappush(self._due, (ms, self._count, kind, who, other))


def _courses_by_school(seed: int, people: int) -> dict[str, Sequence[Course]]:
    """The classes of each school: one for every six people, and two at least."""
    wanted = max(12, min(COURSES, people // 6))
    found: dict[str, list[Course]] = {}
    for number in range(COURSES):
        one = course(seed, number)
        there = found.setdefault(one.school_id, [])
        if number < wanted or len(there) < 2:
            there.append(one)
    return {school: tuple(there) for school, there in found.items()}
