"""The answers once more, in plain Python: loops over lists, written from the definitions and not from the queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.firebase.documents import moment_of
from harvesters.insights.question import Question

HOUR, DAY = 3_600_000, 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Told:
    """An event that is counted."""

    at: int
    key: str
    type: str
    creator: str | None
    data: dict[str, Any]
    sentiment: Any
    school: str = ""

    @property
    def own_school(self) -> str:
        return name_of(self.data.get("school_id"))

    @property
    def class_(self) -> str:
        found = [self.data.get("class_id"), self.data.get("course_id")]
        if self.type in ("created_class", "added_class", "dropped_class"):
            found.append(self.data.get("id"))
        if "group" in self.type and self.data.get("subject") != "open":
            found.append(self.data.get("subject"))
        params = self.data.get("params")
        found.append(params.get("course") if isinstance(params, dict) else None)
        return next((name for each in found if (name := name_of(each))), "")

    def person(self, role: str) -> str | None:
        return text_of(self.data.get(role))

    def couple(self) -> tuple[str, str] | None:
        one, other = self.person("requested_by") or self.creator, self.person("accepted_by") or self.creator
        return (min(one, other), max(one, other)) if one and other and one != other else None


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def name_of(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def percentile(values: Iterable[float], share: float) -> float | None:
    found = sorted(values)
    if not found:
        return None
    place = (len(found) - 1) * share
    low = int(place)
    high = min(low + 1, len(found) - 1)
    return found[low] + (found[high] - found[low]) * (place - low)


def median(values: Iterable[float]) -> float | None:
    return percentile(values, 0.5)


def mean(values: Iterable[float]) -> float | None:
    found = [*values]
    return sum(found) / len(found) if found else None


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


class Plain:
    """What is known of `events` (by key, as the database has them) to who asks `question` at `now`."""

    def __init__(self, events: dict[str, Any], zone: ZoneInfo, now: int, question: Question) -> None:
        self.zone, self.q = zone, question
        found = []
        for key, event in events.items():
            if not isinstance(event, dict):
                continue
            moment = moment_of(key, event)
            creator = text_of(event.get("creator"))
            if moment is None or "!!! SYSTEM!!" in (creator or ""):
                continue
            at = (moment - EPOCH) // timedelta(milliseconds=1)
            data = event.get("data")
            if at <= now and (question.end is None or at < question.end):
                found.append(
                    Told(
                        at,
                        key,
                        text_of(event.get("type")) or "",
                        creator,
                        data if isinstance(data, dict) else {},
                        event.get("sentiment"),
                    )
                )
        found.sort(key=lambda told: (told.at, told.key))
        self.schools: dict[str, str] = {}
        for wanted in (("signed_up",), ("account_created",), None):
            for told in found:
                if told.creator and told.own_school and (wanted is None or told.type in wanted):
                    self.schools.setdefault(told.creator, told.own_school)
        tests = question.test_schools
        self.events = [
            Told(t.at, t.key, t.type, t.creator, t.data, t.sentiment, t.own_school or self.school(t.creator))
            for t in found
            if t.own_school not in tests and self.school(t.creator) not in tests
        ]
        last = max((told.at + 1 for told in self.events), default=None)
        self.as_of = question.end if question.end is not None else last
        self.start = question.start if question.start is not None else -1
        self.own: dict[str, list[Told]] = defaultdict(list)
        for told in self.events:
            if told.creator:
                self.own[told.creator].append(told)
        self.chosen = {user for user in self.own if self._fits(user)}
        self.counted = [
            told
            for told in self.events
            if told.at >= self.start
            and question.school in (None, told.school)
            and question.class_ in (None, told.class_)
            and question.student in (None, told.creator)
        ]
        self._pair_up()

    def school(self, user: str | None) -> str:
        return self.schools.get(user or "", "")

    def _fits(self, user: str) -> bool:
        taken = {told.class_ for told in self.own[user] if told.type == "added_class"}
        return (
            self.q.school in (None, self.school(user))
            and (self.q.class_ is None or self.q.class_ in taken)
            and self.q.student in (None, user)
        )

    def _pair_up(self) -> None:
        """Who becomes and ceases to be buddies, in order: (at, pair, +1 or -1)."""
        self.changes: list[tuple[int, tuple[str, str], int]] = []
        self.met: list[tuple[int, tuple[str, str]]] = []
        together: set[tuple[str, str]] = set()
        for told in self.events:
            if told.type not in ("buddied_up", "unbuddied"):
                continue
            pair = told.couple()
            if pair is None or {self.school(one) for one in pair} & {*self.q.test_schools}:
                continue
            if told.type == "buddied_up":
                self.met.append((told.at, pair))
            if (told.type == "buddied_up") != (pair in together):
                together ^= {pair}
                self.changes.append((told.at, pair, 1 if told.type == "buddied_up" else -1))
        self.together = together

    def day(self, at: int) -> date:
        return (EPOCH + timedelta(milliseconds=at)).astimezone(self.zone).date()

    def iso(self, at: int) -> str:
        return (EPOCH + timedelta(milliseconds=at)).astimezone(self.zone).isoformat(timespec="milliseconds")

    def period(self, at: int, by: str | None = None) -> date:
        return first_of(self.day(at), by or self.q.by)

    def dense(self, counted: Iterable[int], by: str | None = None) -> list[date]:
        first = self.q.start if self.q.start is not None else min(counted, default=None)
        if first is None or self.as_of is None:
            return []
        found, last = [], self.period(self.as_of - 1, by)
        current = self.period(first, by)
        while current <= last:
            found.append(current)
            current = next_after(current, by or self.q.by)
        return found

    def deleted(self, user: str) -> int | None:
        last = self.own[user][-1]
        return last.at if last.type == "delete_account" else None

    def sign_up(self, user: str) -> int | None:
        return next((told.at for told in self.own[user] if told.type == "signed_up"), None)

    def requests(self) -> list[tuple[int, str]]:
        """Who takes part in a buddy request, and when."""
        found = []
        for told in self.events:
            if told.type == "buddy_request":
                people = {told.person("requested_by") or told.creator, told.person("target_to")}
                found += [(told.at, person) for person in people if person]
        return found

    def overview(self) -> Rows:
        groups: dict[tuple[Any, ...], list[str | None]] = defaultdict(list)
        for told in self.counted:
            value = {"type": told.type, "school": told.school, "class": told.class_}[self.q.group]
            groups[str(self.period(told.at)), value].append(told.creator)
        return [(*group, len(who), len({*who} - {None})) for group, who in sorted(groups.items())]

    def signups(self) -> Rows:
        joined = [(at, self.school(user)) for user in self.chosen if (at := self.sign_up(user)) is not None]
        rows: Rows = []
        for period in self.dense(at for at, _ in joined if at >= self.start):
            for school in sorted({school for _, school in joined}):
                until = [at for at, where in joined if where == school and self.period(at) <= period]
                new = [at for at in until if at >= self.start and self.period(at) == period]
                rows.append((str(period), school, len(new), len(until)))
        return rows

    def funnel(self) -> Rows:
        reached: list[dict[str, int]] = [{}]
        for user in self.chosen:
            created = [told.at for told in self.own[user] if told.type == "account_created"]
            if created and created[0] >= self.start:
                reached[0][user] = created[0]
        steps: list[list[tuple[int, str]]] = [
            [(t.at, t.creator) for t in self.events if t.type == "signed_up" and t.creator],
            [(t.at, t.creator) for t in self.events if t.type == "added_class" and t.creator],
            self.requests(),
            [(at, one) for at, pair in self.met for one in pair],
        ]
        limit = self.q.within * DAY if self.q.within is not None else None
        for done in steps:
            here: dict[str, int] = {}
            for user, before in reached[-1].items():
                times = [at for at, who in done if who == user and at >= before]
                if times and (limit is None or min(times) - reached[0][user] <= limit):
                    here[user] = min(times)
            reached.append(here)
        names = ("account_created", "signed_up", "added_class", "buddy_request", "buddied_up")
        rows: Rows = [(1, names[0], len(reached[0]), ratio(len(reached[0]), len(reached[0])), None, None, None)]
        for number in range(1, 5):
            previous, this = reached[number - 1], reached[number]
            hours = median((at - previous[user]) / HOUR for user, at in this.items())
            shares = ratio(len(this), len(reached[0])), ratio(len(this), len(previous))
            rows.append((number + 1, names[number], len(this), *shares, len(previous) - len(this), hours))
        return rows

    def _cohort(self, user: str, month: date) -> str | None:
        following = next_after(month, "month")
        if self.day(self.own[user][0].at) >= following:
            return None
        deleted = self.deleted(user)
        if deleted is not None and self.day(deleted) < month:
            return None
        a = len({day for told in self.own[user] if month <= (day := self.day(told.at)) < following})
        n = (following - month).days
        if 7 * a >= 5 * n:
            return "daily"
        if 7 * a > n:
            return "weekly"
        return "monthly" if a >= 2 else "once" if a == 1 else "inactive"

    def cohorts(self) -> Rows:
        names = ["daily", "weekly", "monthly", "once", "inactive"]
        rows: Rows = []
        for month in self.dense((self.own[user][0].at for user in self.chosen), "month"):
            here = {user: self._cohort(user, month) for user in self.chosen}
            before = {user: self._cohort(user, first_of(month - timedelta(days=1), "month")) for user in self.chosen}
            if self.q.moves:
                moves: dict[tuple[int, int], int] = defaultdict(int)
                for user in self.chosen:
                    came, went = before[user], here[user]
                    if came is not None or went is not None:
                        froms, tos = ["new", *names], [*names, "deleted"]
                        moves[froms.index(came or "new"), tos.index(went or "deleted")] += 1
                for (came_, went_), count in sorted(moves.items()):
                    rows.append((str(month), ["new", *names][came_], [*names, "deleted"][went_], count))
                continue
            known = sum(cohort is not None for cohort in here.values())
            active = known - sum(cohort == "inactive" for cohort in here.values())
            for name in names:
                count = sum(cohort == name for cohort in here.values())
                of_active = ratio(count, active) if name != "inactive" else None
                rows.append((str(month), name, count, ratio(count, known), of_active))
        return rows

    def retention(self) -> Rows:
        cohorts: dict[date, list[str]] = defaultdict(list)
        for user in self.chosen:
            at = self.sign_up(user)
            if at is not None and at >= self.start:
                cohorts[self.period(at, "week")].append(user)
        rows: Rows = []
        for cohort, users in sorted(cohorts.items()):
            for week in range(self.q.weeks + 1):
                begins, ends = cohort + timedelta(weeks=week), cohort + timedelta(weeks=week + 1)
                assert self.as_of is not None
                if self.midnight(begins) >= self.as_of:
                    continue
                there = [u for u in users if any(begins <= self.day(told.at) < ends for told in self.own[u])]
                complete = self.as_of >= self.midnight(ends)
                rows.append((str(cohort), len(users), week, len(there), len(there) / len(users), complete))
        return rows

    def midnight(self, day: date) -> int:
        local = datetime.combine(day, datetime.min.time(), self.zone)
        return (local.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)

    def _third(self, user: str) -> int | None:
        buddies: set[str] = set()
        for at, pair, change in self.changes:
            if user in pair:
                other = pair[0] if pair[1] == user else pair[1]
                buddies = buddies | {other} if change > 0 else buddies - {other}
                if len(buddies) == 3:
                    return at
        return None

    def third_buddy(self) -> Rows:
        if self.q.now:
            alive = [user for user in self.chosen if self.deleted(user) is None]
            counts = []
            for user in alive:
                others = {one for pair in self.together if user in pair for one in pair} - {user}
                counts.append(sum(other not in self.own or self.deleted(other) is None for other in others))
            bands = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6+": (6, 10**9)}
            rows: Rows = []
            for band, (low, high) in bands.items():
                users = sum(low <= count <= high for count in counts)
                rows.append((band, users, ratio(users, len(alive))))
            return rows
        thirds = {user: at for user in self.chosen if (at := self._third(user)) is not None}
        rows = []
        for period in self.dense(at for at in thirds.values() if at >= self.start):
            here = {u: at for u, at in thirds.items() if at >= self.start and self.period(at) == period}
            until = sum(self.period(at) <= period for at in thirds.values())
            days = []
            for user, at in here.items():
                begun = self.sign_up(user)
                days.append(max(0, at - (begun if begun is not None else self.own[user][0].at)) / DAY)
            rows.append((str(period), len(here), until, median(days), mean(days)))
        return rows

    def after_buddying(self) -> Rows:
        assert self.q.within is not None
        within = self.q.within * DAY
        pairs: list[tuple[int, float | None]] = []
        first: dict[str, int] = {}
        for at, pair, change in self.changes:
            if change < 0:
                continue
            for one in pair:
                first.setdefault(one, at)
            fits = not self.q.filtered or self.chosen & {*pair}
            if fits and at >= self.start and self.as_of is not None and at + within <= self.as_of:
                wrote = [
                    told.at
                    for told in self.events
                    if told.type == "private_message"
                    and {told.person("sender") or told.creator, told.person("recipient")} == {*pair}
                    and at <= told.at < at + within
                ]
                pairs.append((at, (min(wrote) - at) / HOUR if wrote else None))
        first = {user: at for user, at in first.items() if user in self.chosen and at >= self.start}
        rows: Rows = []
        for period in self.dense([*(at for at, _ in pairs), *first.values()]):
            took = [hours for at, hours in pairs if self.period(at) == period]
            chats = [hours for hours in took if hours is not None]
            seen = [self._profiles(user, at) for user, at in first.items() if self.period(at) == period]
            chat = len(took), len(chats), ratio(len(chats), len(took)), median(chats)
            rows.append((str(period), *chat, len(seen), median(seen), mean(seen)))
        return rows

    def _profiles(self, user: str, before: int) -> int:
        seen = set()
        for told in self.own[user]:
            params = told.data.get("params")
            if told.type == "page_view" and told.at < before and isinstance(params, dict):
                seen.add(text_of(params.get("user_id")))
        return len(seen - {None, user})

    def lifecycle(self) -> Rows:
        born = {user: self.own[user][0].at for user in self.chosen if self.own[user][0].at >= self.start}
        requests = self.requests()

        def of_type(kind: str) -> Callable[[str], list[int]]:
            return lambda user: [told.at for told in self.own[user] if told.type == kind]

        def third(user: str) -> list[int]:
            at = self._third(user)
            return [at] if at is not None else []

        milestones: dict[str, Callable[[str], list[int]]] = {
            "account_created": of_type("account_created"),
            "signed_up": of_type("signed_up"),
            "added_class": of_type("added_class"),
            "buddy_request": lambda user: [at for at, who in requests if who == user],
            "buddied_up": lambda user: [at for at, pair, change in self.changes if user in pair and change > 0],
            "third_buddy": third,
            "chat_message": of_type("chat_message"),
            "private_message": of_type("private_message"),
            "created_group": of_type("created_group"),
            "last_event": lambda user: [self.own[user][-1].at],
            "delete_account": of_type("delete_account"),
        }
        rows: Rows = []
        for name, when in milestones.items():
            reached = {user: min(times) for user in born if (times := when(user))}
            if self.q.student is not None:
                at = reached.get(self.q.student)
                shown = (self.iso(at), (at - born[self.q.student]) / DAY) if at is not None else (None, None)
                rows.append((name, *shown))
                continue
            days = [(at - born[user]) / DAY for user, at in reached.items()]
            points = [percentile(days, share) for share in (0.5, 0.25, 0.75)]
            rows.append((name, len(days), ratio(len(days), len(born)), *points))
        return rows

    def heatmap(self) -> Rows:
        counts: dict[date, int] = defaultdict(int)
        for told in self.counted:
            counts[self.day(told.at)] += 1
        marks = [percentile(counts.values(), share) or 0 for share in (0.25, 0.5, 0.75)]
        rows: Rows = []
        for day in self.dense((told.at for told in self.counted), "day"):
            events = counts.get(day, 0)
            level = 1 + sum(events > mark for mark in marks) if events else 0
            rows.append((str(day), day.isoweekday(), events, level))
        return rows

    def sentiment(self) -> Rows:
        groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for told in self.counted:
            if told.type == "chat_message":
                score = told.sentiment if isinstance(told.sentiment, dict) else None
                groups[str(self.period(told.at)), told.class_].append(score)
        rows: Rows = []
        for group, scores in sorted(groups.items()):
            scored = [score for score in scores if score is not None]
            polar = [score["polarity"] for score in scored]
            means = mean(polar), mean(score["subjectivity"] for score in scored)
            signs = sum(p > 0 for p in polar), sum(p == 0 for p in polar), sum(p < 0 for p in polar)
            rows.append((*group, len(scored), *means, *signs, len(scores) - len(scored)))
        return rows

    def most_active(self) -> Rows:
        groups: dict[str, dict[str, list[Told]]] = defaultdict(lambda: defaultdict(list))
        for told in self.counted:
            if told.creator:
                groups[str(self.period(told.at)) if self.q.by else ""][told.creator].append(told)
        rows: Rows = []
        for period, users in sorted(groups.items()):
            ranked = sorted(users.items(), key=lambda pair: (-len(pair[1]), pair[0]))
            for rank, (user, events) in enumerate(ranked[: self.q.limit], 1):
                if self.q.by:
                    rows.append((period, rank, user, len(events)))
                    continue
                days = len({self.day(told.at) for told in events})
                span = self.iso(events[0].at), self.iso(events[-1].at)
                rows.append((rank, user, self.school(user), len(events), days, *span))
        return rows


def first_of(day: date, by: str) -> date:
    if by == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if by == "week" else day


def next_after(day: date, by: str) -> date:
    return first_of(day + timedelta(days={"day": 1, "week": 7, "month": 31}[by]), by)
