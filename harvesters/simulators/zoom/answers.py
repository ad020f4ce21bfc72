"""What the simulated Zoom answers on each route, once the request was let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from harvesters.simulators.base import Request
from harvesters.simulators.zoom import shapes
from harvesters.simulators.zoom.data import INSTANT, PERSONAL, Account, Meeting, Participant, User
from harvesters.simulators.zoom.errors import ZoomError, invalid, no_details, no_meeting, not_ended
from harvesters.simulators.zoom.pages import Pages
from harvesters.simulators.zoom.range import DateRange, add_months, read_pair, read_range

EXPIRY = timedelta(days=30)  # a scheduled meeting leaves the list of its host this long after its last instance


@dataclass
class Answers:
    """One method a route: the request, the parameter of its path (or ``""``) and the time, to the JSON body.

    The switches are those of `ZoomSimulator`. Raises `ZoomError`.
    """

    account: Account
    pages: Pages
    account_id: str
    honours_end_time: bool
    time_of_day: bool
    clamp: str
    anonymous: bool
    most_days: int = 0
    echo: str = "iso"

    def report_users(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/report/users``: who held meetings (or did not) within the range, by their start."""
        active = _choice(request, "active", "inactive") == "active"
        span = self._days(request, now)

        def rows() -> list[tuple[User, list[Meeting]]]:
            held = [
                (user, [one for one in self.account.by_host[user.id] if one.ended(now) and span.holds(one.start)])
                for user in self.account.users.values()
                if not user.deleted
            ]
            return [(user, meetings) for user, meetings in held if bool(meetings) is active]

        page = self.pages.cut(request, "/report/users", rows, capped=True)
        users = [shapes.report_user(user, meetings, now) for user, meetings in page.rows]
        totals = {
            "total_meetings": sum(user["meetings"] for user in users),
            "total_participants": sum(user["participants"] for user in users),
            "total_meeting_minutes": sum(user["meeting_minutes"] for user in users),
        }
        return {**span.echo(), **page.envelope(), "page_number": page.page_number, **totals, "users": users}

    def user_meetings(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/users/{}/meetings``: scheduled ones that have not expired, one row per numeric id; nothing instant."""
        kind = _choice(request, "scheduled", "live", "upcoming", "upcoming_meetings", "previous_meetings")
        user, span = self._user(key), read_pair(request)

        def wanted(one: Meeting) -> bool:
            if one.type in (INSTANT, PERSONAL) or one.webinar or not one.visible(now):
                return False
            if span is not None and not span.holds(one.start):
                return False
            if kind == "previous_meetings":
                return one.ended(now)
            if kind == "scheduled":
                return one.end is None or one.end > now - EXPIRY
            return one.live(now) or (kind != "live" and one.start > now)

        def rows() -> list[Meeting]:
            meetings = sorted(filter(wanted, self.account.by_host[user.id]), key=lambda one: one.start)
            return list({one.id: one for one in meetings}.values())

        page = self.pages.cut(request, f"/users/{key}/meetings", rows, capped=False)
        return {**page.envelope(), "meetings": [shapes.user_meeting(one, now) for one in page.rows]}

    def metrics_meetings(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/metrics/meetings``: the Dashboard's list, which knows no webinars."""
        kind = _choice(request, "live", "past", "pastOne")
        by_end = request.param("query_date_type") == "end_time" and self.honours_end_time
        span = self._range(request, now, self.time_of_day)

        def wanted(one: Meeting) -> bool:
            if one.webinar or kind == "live":
                return one.live(now) and not one.webinar
            day = one.end if by_end else one.start
            return day is not None and span.holds(day) and one.ended(now) and one.one_person is (kind == "pastOne")

        page = self.pages.cut(
            request, "/metrics/meetings", lambda: list(filter(wanted, self.account.meetings)), capped=True
        )
        meetings = [shapes.metrics_meeting(one, now) for one in page.rows]
        return {**span.echo(), **page.envelope(), "meetings": meetings}

    def metrics_participants(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/metrics/meetings/{}/participants``: of a running meeting unless ``type=past``."""
        live = _choice(request, "live", "past", "pastOne") == "live"
        meeting = self._meeting(key, now, live=live)
        if meeting.webinar:
            raise no_meeting(key)
        path = f"/metrics/meetings/{key}/participants"
        return self._participants(request, path, meeting, shapes.metrics_participant, now)

    def report_meeting(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/report/meetings/{}``: one meeting that is over."""
        return shapes.report_meeting(self._reported(key, now), now)

    def report_participants(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/report/meetings/{}/participants``: only where there were two."""
        meeting = self._reported(key, now)
        if meeting.one_person:
            raise no_details()
        return self._participants(
            request, f"/report/meetings/{key}/participants", meeting, shapes.report_participant, now
        )

    def report_user_meetings(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/report/users/{}/meetings``: what he held, webinars too, or (``pastJoined``) what he was in; by start."""
        kind = _choice(request, "past", "pastOne", "pastJoined")
        user = self._user(key)
        span = self._days(request, now)
        joined = kind == "pastJoined"

        def rows() -> list[Meeting]:
            pool = self.account.by_guest[user.id] if joined else self.account.by_host[user.id]
            ended = [one for one in pool if one.ended(now) and span.holds(one.start)]
            return [one for one in ended if joined or one.one_person is (kind == "pastOne")]

        page = self.pages.cut(request, f"/report/users/{key}/meetings", rows, capped=True)
        return {
            **span.echo(),
            **page.envelope(),
            "meetings": [shapes.report_meeting(one, now) for one in page.rows],
        }

    def past_instances(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/past_meetings/{numeric id}/instances``: fifteen months of them, on one page."""
        oldest = add_months(now, -15)
        found = [one for one in self.account.instances(key) if one.ended(now) and one.start >= oldest]
        if not key.isdigit() or not found:
            raise no_meeting(key)
        return {"meetings": [{"uuid": one.uuid, "start_time": shapes.iso(one.start)} for one in found]}

    def past_meeting(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/past_meetings/{}``."""
        return shapes.past_meeting(self._past(key, now), now)

    def past_participants(self, request: Request, key: str, now: datetime) -> dict[str, Any]:
        """``/past_meetings/{}/participants``: an empty list where there was one."""
        meeting, path = self._past(key, now), f"/past_meetings/{key}/participants"
        return self._participants(request, path, meeting, shapes.report_participant, now, empty=meeting.one_person)

    def _days(self, request: Request, now: datetime) -> DateRange:
        """The range of a report: whole days, whatever was asked."""
        return self._range(request, now, time_of_day=False)

    def _range(self, request: Request, now: datetime, time_of_day: bool) -> DateRange:
        return read_range(
            request, now, clamp=self.clamp, time_of_day=time_of_day, most_days=self.most_days, echo=self.echo
        )

    def _participants(
        self,
        request: Request,
        path: str,
        meeting: Meeting,
        shape: Callable[[Participant, datetime], dict[str, Any]],
        now: datetime,
        *,
        empty: bool = False,
    ) -> dict[str, Any]:
        if meeting.details_missing:
            raise no_details()

        def rows() -> list[Participant]:
            return [] if empty else [row for row in meeting.participants if row.join <= now]

        page = self.pages.cut(request, path, rows, capped=not path.startswith("/past"))
        shaped = [shape(row, now) for row in page.rows]
        return {
            **page.envelope(),
            "participants": [shapes.withheld(row) for row in shaped] if self.anonymous else shaped,
        }

    def _user(self, key: str) -> User:
        self._refuse(key)
        if key in self.account.foreign_users:
            raise ZoomError(400, 1010, f"User does not belong to this account: {self.account_id}")
        user = self.account.user(key)
        if user is None:
            raise ZoomError(404, 1001, f"User does not exist: {key}")
        return user

    def _refuse(self, key: str) -> None:
        """The answer planned for one meeting or host."""
        if key in self.account.refused:
            raise self.account.refused[key]

    def _meeting(self, key: str, now: datetime, *, live: bool) -> Meeting:
        """The meeting that `key` means: a UUID names one, a number the last instance in that state."""
        self._refuse(key)
        known = [one for one in self.account.instances(key) if one.visible(now) and one.start <= now]
        fitting = [one for one in known if one.live(now) is live]
        if fitting:
            return max(fitting, key=lambda one: one.start)
        raise not_ended() if known and not live else no_meeting(key)

    def _reported(self, key: str, now: datetime) -> Meeting:
        meeting = self._meeting(key, now, live=False)
        if meeting.webinar:
            raise ZoomError(400, 300, f"Can not access webinar info, {key}.")
        return meeting

    def _past(self, key: str, now: datetime) -> Meeting:
        meeting = self._meeting(key, now, live=False)
        if meeting.webinar:
            raise ZoomError(400, 3000, "Cannot access webinar info.")
        return meeting


def _choice(request: Request, default: str, *others: str) -> str:
    kind = request.param("type") or default
    if kind not in (default, *others):
        raise invalid("type")
    return kind
