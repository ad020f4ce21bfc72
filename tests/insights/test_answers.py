"""Each answer to events made by hand, worked out by hand."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from harvesters.insights.answers import INSIGHTS
from tests.insights.made import buddied, by_key, event, ms, rows

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
HOUR, DAY = 3_600_000, 86_400_000


def joined(user: str, at: str, school: str = "osu_edu") -> list[dict[str, Any]]:
    """An account, and a profile an hour later."""
    return [
        event("account_created", user, at, school_id=school),
        event("signed_up", user, ms(at) + HOUR, school_id=school),
    ]


class TestOverview:
    def test_events_and_users_of_each_period_and_type(self) -> None:
        events = by_key(
            event("heart", "ana", "2016-01-03T23:00:00"),  # a Sunday
            event("heart", "ana", "2016-01-04T00:00:00"),
            event("heart", "bob", "2016-01-10T23:59:59"),
            event("heart", "ana", "2016-01-05T00:00:00"),
            event("page_view", "ana", "2016-01-05T00:00:00"),
        )
        assert rows("overview", events) == [
            ("2015-12-28", "heart", 1, 1),
            ("2016-01-04", "heart", 3, 2),
            ("2016-01-04", "page_view", 1, 1),
        ]
        assert rows("overview", events, by="month")[0] == ("2016-01-01", "heart", 4, 2)

    def test_by_school_an_event_without_one_is_its_creators(self) -> None:
        events = by_key(
            *joined("ana", "2016-01-01T10:00:00"),
            event("heart", "ana", "2016-01-01T12:00:00", school_id="sydney_edu_au"),
            event("heart", "ana", "2016-01-01T12:00:00"),
            event("heart", None, "2016-01-01T12:00:00"),
        )
        assert rows("overview", events, group="school", by="month") == [
            ("2016-01-01", "", 1, 0),
            ("2016-01-01", "osu_edu", 3, 1),
            ("2016-01-01", "sydney_edu_au", 1, 1),
        ]

    def test_by_class_a_number_is_its_text(self) -> None:
        events = by_key(
            event("added_class", "ana", "2016-01-01T10:00:00", course_id=17),
            event("chat_message", "bob", "2016-01-01T10:00:00", class_id="17"),
            event("created_group", "bob", "2016-01-01T10:00:00", subject="open"),
        )
        assert rows("overview", events, group="class", by="day") == [
            ("2016-01-01", "", 1, 1),
            ("2016-01-01", "17", 2, 2),
        ]

    def test_without_a_creator_an_event_counts_and_belongs_to_no_user(self) -> None:
        events = by_key(*(event("heart", nobody, "2016-01-01T10:00:00") for nobody in (None, "", 5, ["ana"])))
        assert rows("overview", events) == [("2015-12-28", "heart", 4, 0)]

    def test_what_the_system_did_is_left_out(self) -> None:
        events = by_key(event("group_reminder", "12391904!!! SYSTEM!! ", "2016-01-01T10:00:00"))
        assert rows("overview", events) == []

    def test_week_53(self) -> None:
        events = by_key(event("heart", "ana", "2016-01-03T10:00:00"), event("heart", "ana", "2015-12-29T10:00:00"))
        assert rows("overview", events) == [("2015-12-28", "heart", 2, 1)]

    def test_ids_may_be_anything(self) -> None:
        odd = ["'; DROP TABLE event; --", 'a "b",c', "<script>", "a\nb", "\u2028", "🎉", "a\0b"]
        events = by_key(*(event(text, text, "2016-01-01T10:00:00", school_id=text, class_id=text) for text in odd))
        for group in ("type", "school", "class"):
            found = rows("overview", events, group=group)
            assert [row[1] for row in found] == sorted(odd)
        assert [rows("overview", events, school=text, class_=text, student=text)[0][1] for text in odd] == odd

    def test_the_window_is_half_open(self) -> None:
        events = by_key(*(event("heart", "ana", ms("2016-01-01T10:00:00") + at) for at in (0, 1, 2)))
        start = ms("2016-01-01T10:00:00")
        assert rows("overview", events, start=start + 1, end=start + 2)[0][2] == 1
        assert rows("overview", events, start=start + 3) == []


class TestSignups:
    def test_every_period_has_every_school(self) -> None:
        events = by_key(
            *joined("ana", "2016-01-04T10:00:00"),
            *joined("bob", "2016-01-05T10:00:00", "sydney_edu_au"),
            *joined("eve", "2016-01-19T10:00:00"),
            event("signed_up", "ana", "2016-01-20T10:00:00", school_id="osu_edu"),
        )
        expected = [
            ("2016-01-04", "osu_edu", 1, 1),
            ("2016-01-04", "sydney_edu_au", 1, 1),
            ("2016-01-11", "osu_edu", 0, 1),
            ("2016-01-11", "sydney_edu_au", 0, 1),
            ("2016-01-18", "osu_edu", 1, 2),
            ("2016-01-18", "sydney_edu_au", 0, 1),
        ]
        assert rows("signups", events) == expected
        # The start cuts what is counted, not what is known.
        assert rows("signups", events, start=ms("2016-01-04T12:00:00")) == [
            ("2016-01-04", "osu_edu", 0, 1),
            *expected[1:],
        ]
        assert rows("signups", events, start=ms("2016-01-12T00:00:00")) == expected[2:]

    def test_a_user_of_two_schools_counts_at_the_first_sign_ups(self) -> None:
        events = by_key(
            event("account_created", "ana", "2016-01-04T10:00:00", school_id="sydney_edu_au"),
            event("signed_up", "ana", "2016-01-04T11:00:00"),
            event("signed_up", "ana", "2016-01-05T11:00:00", school_id="osu_edu"),
        )
        assert rows("signups", events) == [("2016-01-04", "osu_edu", 1, 1)]
        # As of the first sign-up, the other school is all that is known.
        assert rows("signups", events, end=ms("2016-01-05T00:00:00")) == [("2016-01-04", "sydney_edu_au", 1, 1)]

    def test_test_schools_are_left_out(self) -> None:
        events = by_key(*joined("ana", "2016-01-04T10:00:00", "buddyup_org"), *joined("bob", "2016-01-04T10:00:00"))
        assert rows("signups", events) == [("2016-01-04", "osu_edu", 1, 1)]
        assert len(rows("signups", events, test_schools=())) == 2

    def test_nothing_counted(self) -> None:
        assert rows("signups", {}) == rows("signups", {}, start=0) == []
        events = by_key(event("heart", "ana", "2016-01-04T10:00:00"))
        assert rows("signups", events) == rows("signups", events, start=ms("2016-01-01T00:00:00")) == []


class TestFunnel:
    EVENTS = by_key(
        *joined("ana", "2016-01-01T10:00:00"),
        event("added_class", "ana", "2016-01-01T12:00:00", course_id="c"),
        event("buddy_request", "bob", "2016-01-01T13:00:00", target_to="ana"),
        buddied("ana", "bob", "2016-01-03T13:00:00"),
        *joined("bob", "2016-01-01T10:00:00"),
        event("account_created", "eve", "2016-01-02T10:00:00"),
    )

    def test_steps(self) -> None:
        assert rows("funnel", self.EVENTS) == [
            (1, "account_created", 3, 1.0, None, None, None),
            (2, "signed_up", 2, 0.6667, 0.6667, 1, 1.0),
            (3, "added_class", 1, 0.3333, 0.5, 1, 1.0),
            (4, "buddy_request", 1, 0.3333, 1.0, 0, 1.0),
            (5, "buddied_up", 1, 0.3333, 1.0, 0, 48.0),
        ]

    def test_within_is_counted_from_the_first_step_and_its_last_millisecond_counts(self) -> None:
        created = ms("2016-01-01T10:00:00")
        for late, users in ((0, 1), (1, 0)):
            events = by_key(
                event("account_created", "ana", created), event("signed_up", "ana", created + 2 * DAY + late)
            )
            assert rows("funnel", events, within=2)[1][2] == users

    def test_all_steps_in_one_millisecond_in_any_order(self) -> None:
        at = ms("2016-01-01T10:00:00")
        events = by_key(
            buddied("ana", "bob", at),
            event("buddy_request", "ana", at),
            event("added_class", "ana", at),
            event("signed_up", "ana", at),
            event("account_created", "ana", at),
            event("account_created", "bob", at),
        )
        assert [row[2] for row in rows("funnel", events)] == [2, 1, 1, 1, 1]

    def test_a_step_before_the_one_before_it_is_none(self) -> None:
        events = by_key(
            event("added_class", "ana", "2016-01-01T09:00:00"),
            *joined("ana", "2016-01-01T10:00:00"),
        )
        assert [row[2] for row in rows("funnel", events)] == [1, 1, 0, 0, 0]

    def test_a_pair_with_oneself_or_a_tester_is_none(self) -> None:
        events = by_key(
            *joined("ana", "2016-01-01T10:00:00"),
            event("added_class", "ana", "2016-01-01T12:00:00"),
            event("buddy_request", "ana", "2016-01-01T12:00:00"),
            *joined("tester", "2016-01-01T10:00:00", "testcloud_io"),
            buddied("ana", "ana", "2016-01-01T13:00:00"),
            event("buddied_up", "ana", "2016-01-01T13:00:00", accepted_by="tester"),
        )
        assert [row[2] for row in rows("funnel", events)] == [1, 1, 1, 1, 0]
        assert rows("funnel", events, test_schools=())[4][2] == 1

    def test_who_was_there_before_the_start_does_not_go_in(self) -> None:
        later = event("account_created", "ana", "2016-02-02T10:00:00")
        events = {**self.EVENTS, "later": later}
        assert rows("funnel", events, start=ms("2016-01-02T00:00:00"))[0][2] == 1

    def test_data_that_is_no_object_says_nothing(self) -> None:
        request = event("buddy_request", "ana", "2016-01-01T13:00:00")
        for data in ("text", ["osu_edu"], None):
            found = {**by_key(*joined("ana", "2016-01-01T10:00:00")), "z": {**request, "data": data}}
            assert rows("overview", found)[1] == ("2015-12-28", "buddy_request", 1, 1)

    def test_nobody(self) -> None:
        nothing = [(None, None, None, None), *[(None, None, 0, None)] * 4]
        assert [row[3:] for row in rows("funnel", {})] == nothing
        assert [row[2] for row in rows("funnel", {})] == [0] * 5


class TestCohorts:
    def test_the_days_of_a_month(self) -> None:
        """February 2015 has 28 days: from 20 on it is daily, from 5 weekly, and from 2 monthly."""
        days = {"d20": 20, "w19": 19, "w5": 5, "m4": 4, "m2": 2, "o1": 1}
        events = by_key(
            *(
                event("heart", user, f"2015-02-{day:02}T10:00:00")
                for user, n in days.items()
                for day in range(1, n + 1)
            ),
            event("heart", "gone", "2015-01-05T10:00:00"),
        )
        assert rows("cohorts", events)[5:] == [
            ("2015-02-01", "daily", 1, 0.1429, 0.1667),
            ("2015-02-01", "weekly", 2, 0.2857, 0.3333),
            ("2015-02-01", "monthly", 2, 0.2857, 0.3333),
            ("2015-02-01", "once", 1, 0.1429, 0.1667),
            ("2015-02-01", "inactive", 1, 0.1429, None),
        ]
        assert rows("cohorts", events, moves=True) == [
            ("2015-01-01", "new", "once", 1),
            ("2015-02-01", "new", "daily", 1),
            ("2015-02-01", "new", "weekly", 2),
            ("2015-02-01", "new", "monthly", 2),
            ("2015-02-01", "new", "once", 1),
            ("2015-02-01", "once", "inactive", 1),
        ]

    def test_a_leap_day_is_a_day(self) -> None:
        """29 days: 5 a month are weekly no more than in 28, and 20 are not daily any more."""
        events = by_key(*(event("heart", "ana", f"2016-02-{day:02}T10:00:00") for day in range(10, 30)))
        assert [row[1] for row in rows("cohorts", events) if row[2]] == ["weekly"]

    def test_a_month_that_the_start_cuts_is_counted_whole(self) -> None:
        events = by_key(*(event("heart", "ana", f"2016-02-{day:02}T10:00:00") for day in (1, 2, 20)))
        assert rows("cohorts", events, start=ms("2016-02-15T00:00:00"))[2][:3] == ("2016-02-01", "monthly", 1)

    def test_a_deleted_user_is_known_to_the_end_of_the_month_and_one_who_came_back_on(self) -> None:
        events = by_key(
            event("heart", "ana", "2016-01-05T10:00:00"),
            event("delete_account", "ana", "2016-01-06T10:00:00"),
            event("delete_account", "bob", "2016-01-06T10:00:00"),
            event("heart", "bob", "2016-03-06T10:00:00"),
        )
        assert rows("cohorts", events, moves=True) == [
            ("2016-01-01", "new", "monthly", 1),
            ("2016-01-01", "new", "once", 1),
            ("2016-02-01", "monthly", "deleted", 1),
            ("2016-02-01", "once", "inactive", 1),
            ("2016-03-01", "inactive", "once", 1),
        ]

    @pytest.mark.parametrize(("at", "known"), [("2016-02-01T00:00:00", 1), ("2016-01-31T23:59:59.999", 0)])
    def test_who_is_deleted_as_a_month_begins_is_known_in_it(self, at: str, known: int) -> None:
        events = by_key(event("heart", "ana", "2016-01-05T10:00:00"), event("delete_account", "ana", at))
        found = rows("cohorts", events, end=ms("2016-02-09T00:00:00"))
        assert sum(row[2] for row in found if row[0] == "2016-02-01") == known

    def test_a_day_is_local(self) -> None:
        at = ["2016-01-10T07:00:00", "2016-01-10T09:00:00"]  # on both sides of midnight in Los Angeles
        events = by_key(*(event("heart", "ana", each) for each in at))
        assert [row[1] for row in rows("cohorts", events) if row[2]] == ["once"]
        assert [row[1] for row in rows("cohorts", events, LOS_ANGELES) if row[2]] == ["monthly"]

    def test_nobody_known(self) -> None:
        assert rows("cohorts", {}) == []
        events = by_key(event("heart", None, "2016-01-05T10:00:00"))
        assert rows("cohorts", events, start=ms("2016-01-01T00:00:00"))[0] == ("2016-01-01", "daily", 0, None, None)


class TestRetention:
    EVENTS = by_key(
        *joined("ana", "2016-01-04T10:00:00"),
        *joined("bob", "2016-01-10T10:00:00"),
        event("heart", "ana", "2016-01-11T00:00:00"),
        event("heart", "bob", "2016-01-25T00:00:00"),
    )

    def test_weeks_after_the_sign_up(self) -> None:
        assert rows("retention", self.EVENTS) == [
            ("2016-01-04", 2, 0, 2, 1.0, True),
            ("2016-01-04", 2, 1, 1, 0.5, True),
            ("2016-01-04", 2, 2, 0, 0.0, True),
            ("2016-01-04", 2, 3, 1, 0.5, False),
        ]
        assert len(rows("retention", self.EVENTS, weeks=1)) == 2

    @pytest.mark.parametrize(
        ("end", "weeks", "complete"),
        [("2016-01-18T00:00:00", 2, True), ("2016-01-17T23:59:59", 2, False), ("2016-01-18T00:00:01", 3, False)],
    )
    def test_a_week_that_has_not_begun_has_no_row(self, end: str, weeks: int, complete: bool) -> None:
        found = rows("retention", self.EVENTS, end=ms(end))
        assert (len(found), found[-1][5]) == (weeks, complete)


class TestThirdBuddy:
    EVENTS = by_key(
        *joined("ana", "2016-01-01T10:00:00"),
        buddied("ana", "bob", "2016-01-02T11:00:00"),
        buddied("ana", "eve", "2016-01-03T11:00:00"),
        buddied("ana", "bob", "2016-01-04T11:00:00", "unbuddied"),
        buddied("ana", "tim", "2016-01-05T11:00:00"),
        buddied("bob", "ana", "2016-02-11T11:00:00"),  # again: now there are three
        event("heart", "ana", "2016-03-01T10:00:00"),
    )

    def test_three_at_once(self) -> None:
        assert rows("third-buddy", self.EVENTS) == [
            ("2016-02-01", 1, 1, 41.0, 41.0),
            ("2016-03-01", 0, 1, None, None),
        ]
        assert rows("third-buddy", self.EVENTS, start=ms("2016-02-20T00:00:00"))[0] == ("2016-02-01", 0, 1, None, None)

    def test_a_second_buddied_up_of_a_pair_changes_nothing_whoever_says_it(self) -> None:
        at = "2016-01-02T11:00:00"
        events = by_key(*(buddied(*pair, at) for pair in [("ana", "bob"), ("ana", "bob"), ("bob", "ana")]))
        assert rows("third-buddy", events) == []
        # And one unbuddied ends it.
        events["z"] = buddied("ana", "bob", "2016-01-03T11:00:00", "unbuddied")
        assert rows("third-buddy", events, now=True)[0] == ("0", 2, 1.0)

    def test_who_had_three_buddies_before_the_sign_up_took_no_time(self) -> None:
        events = by_key(
            *(buddied(other, "ana", "2016-01-02T11:00:00") for other in ("bob", "eve", "tim")),
            event("signed_up", "ana", "2016-01-09T11:00:00"),
        )
        assert rows("third-buddy", events) == [("2016-01-01", 1, 1, 0.0, 0.0)]

    def test_now_the_deleted_count_neither_as_users_nor_as_buddies(self) -> None:
        events = by_key(
            *(buddied("ana", other, "2016-01-02T11:00:00") for other in ("bob", "eve", "tim")),
            event("heart", "ana", "2016-01-03T11:00:00"),
            event("delete_account", "bob", "2016-01-04T11:00:00"),
        )
        assert rows("third-buddy", events, now=True) == [
            ("0", 0, 0.0),
            ("1", 2, 0.6667),
            ("2", 1, 0.3333),
            ("3-5", 0, 0.0),
            ("6+", 0, 0.0),
        ]

    def test_bands_and_buddies_who_are_no_users(self) -> None:
        counts = {"b3": 3, "c5": 5, "d6": 6}
        events = by_key(
            *(
                event("buddied_up", user, "2016-01-02T11:00:00", requested_by=user, accepted_by=f"{user}-{number}")
                for user, n in counts.items()
                for number in range(n)
            )
        )
        assert [row[1] for row in rows("third-buddy", events, now=True)] == [0, 0, 0, 2, 1]

    def test_nobody(self) -> None:
        assert rows("third-buddy", {}, now=True) == [(name, 0, None) for name in ("0", "1", "2", "3-5", "6+")]


class TestAfterBuddying:
    AT = ms("2016-01-10T10:00:00")

    def wrote(self, after: int, sender: str = "ana", recipient: str = "bob") -> dict[str, Any]:
        return event("private_message", sender, self.AT + after, sender=sender, recipient=recipient)

    def test_pairs_that_write(self) -> None:
        events = by_key(
            event("page_view", "ana", self.AT - 2, params={"user_id": "bob"}),
            event("page_view", "ana", self.AT - 1, params={"user_id": "eve"}),
            event("page_view", "ana", self.AT - 1, params={"user_id": "ana"}),
            event("page_view", "ana", self.AT, params={"user_id": "tim"}),  # not before
            buddied("ana", "bob", self.AT),
            self.wrote(2 * HOUR, "bob", "ana"),
            self.wrote(3 * HOUR),
            buddied("bob", "eve", "2016-02-10T10:00:00"),
            event("heart", "eve", "2016-02-20T10:00:00"),
        )
        assert rows("after-buddying", events) == [
            ("2016-01-01", 1, 1, 1.0, 2.0, 2, 1.0, 1.0),
            ("2016-02-01", 1, 0, 0.0, None, 1, 0.0, 0.0),
        ]

    @pytest.mark.parametrize(("after", "chats"), [(0, 1), (DAY - 1, 1), (DAY, 0), (-1, 0)])
    def test_the_days_are_half_open(self, after: int, chats: int) -> None:
        events = by_key(buddied("ana", "bob", self.AT), self.wrote(after), event("heart", "ana", self.AT + 2 * DAY))
        assert rows("after-buddying", events)[0][1:3] == (1, chats)

    @pytest.mark.parametrize(("until", "pairs"), [(DAY, 1), (DAY - 1, 0)])
    def test_a_pair_whose_days_are_not_over_does_not_count_yet(self, until: int, pairs: int) -> None:
        events = by_key(buddied("ana", "bob", self.AT), self.wrote(1))
        found = rows("after-buddying", events, end=self.AT + until)
        assert found[0][1] == pairs
        assert found[0][5] == 2  # their first buddy all the same: ana wrote, bob accepted

    def test_buddied_again_is_a_pair_again(self) -> None:
        events = by_key(
            buddied("ana", "bob", self.AT),
            buddied("ana", "bob", self.AT + 1, "unbuddied"),
            buddied("ana", "bob", self.AT + 2),
            event("heart", "ana", self.AT + 3 * DAY),
        )
        assert rows("after-buddying", events)[0][1:6] == (2, 0, 0.0, None, 2)

    def test_a_filter_fits_a_pair_when_one_of_the_two_does(self) -> None:
        events = by_key(
            *joined("ana", "2016-01-01T10:00:00"),
            *joined("bob", "2016-01-01T10:00:00", "sydney_edu_au"),
            buddied("ana", "bob", self.AT),
            event("heart", "ana", self.AT + 2 * DAY),
        )
        for school, pairs in (("osu_edu", 1), ("sydney_edu_au", 1), ("elsewhere", 0)):
            found = rows("after-buddying", events, school=school, start=self.AT)
            assert found[0][1] == pairs
            assert found[0][5] == pairs


class TestLifecycle:
    EVENTS = by_key(
        event("account_created", "ana", "2016-01-01T10:00:00"),
        event("chat_message", "ana", "2016-01-02T10:00:00"),
        event("chat_message", "ana", "2016-01-09T10:00:00"),
        event("account_created", "bob", "2016-01-01T10:00:00"),
        event("chat_message", "bob", "2016-01-05T10:00:00"),
        event("delete_account", "bob", "2016-01-11T10:00:00"),
        event("buddy_request", "bob", "2016-01-03T10:00:00", target_to="ana"),
    )

    def test_milestones(self) -> None:
        found = {row[0]: row[1:] for row in rows("lifecycle", self.EVENTS)}
        assert [*found] == [
            *("account_created", "signed_up", "added_class", "buddy_request", "buddied_up", "third_buddy"),
            *("chat_message", "private_message", "created_group", "last_event", "delete_account"),
        ]
        assert found["account_created"] == (2, 1.0, 0.0, 0.0, 0.0)
        assert found["signed_up"] == (0, 0.0, None, None, None)
        assert found["buddy_request"] == (2, 1.0, 2.0, 2.0, 2.0)
        assert found["chat_message"] == (2, 1.0, 2.5, 1.75, 3.25)
        assert found["last_event"] == (2, 1.0, 9.0, 8.5, 9.5)
        assert found["delete_account"] == (1, 0.5, 10.0, 10.0, 10.0)

    def test_one_student_in_local_time(self) -> None:
        found = {row[0]: row[1:] for row in rows("lifecycle", self.EVENTS, LOS_ANGELES, student="bob")}
        assert found["delete_account"] == ("2016-01-11T02:00:00.000-08:00", 10.0)
        assert found["third_buddy"] == (None, None)

    def test_who_was_there_before_the_start_does_not_count(self) -> None:
        assert {row[1] for row in rows("lifecycle", self.EVENTS, start=ms("2016-01-02T00:00:00"))} == {0}


class TestHeatmap:
    def test_levels(self) -> None:
        counts = {1: 1, 2: 2, 4: 3, 5: 4, 6: 9}
        events = by_key(
            *(event("heart", "ana", f"2016-01-{day:02}T10:00:00") for day, n in counts.items() for _ in range(n))
        )
        # The percentiles of 1, 2, 3, 4, 9 are 2, 3 and 4.
        assert rows("heatmap", events) == [
            ("2016-01-01", 5, 1, 1),
            ("2016-01-02", 6, 2, 1),
            ("2016-01-03", 7, 0, 0),
            ("2016-01-04", 1, 3, 2),
            ("2016-01-05", 2, 4, 3),
            ("2016-01-06", 3, 9, 4),
        ]

    @pytest.mark.parametrize(("day", "hours"), [("2016-03-13", 23), ("2015-11-01", 25)])
    def test_days_on_which_clocks_are_set(self, day: str, hours: int) -> None:
        start = ms(day, LOS_ANGELES)
        events = by_key(*(event("heart", "ana", start + hour * HOUR) for hour in range(-1, 26)))
        found = {row[0]: row[2] for row in rows("heatmap", events, LOS_ANGELES)}
        assert found[day] == hours

    def test_one_event(self) -> None:
        events = by_key(event("heart", "ana", "2016-02-29T10:00:00"))
        assert rows("heatmap", events) == [("2016-02-29", 1, 1, 1)]

    def test_a_window_without_events_has_its_days(self) -> None:
        events = by_key(event("heart", "ana", "2016-01-01T10:00:00"))
        found = rows("heatmap", events, start=ms("2016-01-02T00:00:00"), end=ms("2016-01-04T00:00:00"))
        assert found == [("2016-01-02", 6, 0, 0), ("2016-01-03", 7, 0, 0)]


class TestSentiment:
    def test_messages_of_a_class(self) -> None:
        def message(polarity: float | None, class_: str = "c", **more: Any) -> dict[str, Any]:
            found = event("chat_message", "ana", "2016-01-05T10:00:00", class_id=class_, **more)
            return found if polarity is None else {**found, "sentiment": {"polarity": polarity, "subjectivity": 20}}

        events = by_key(message(50), message(-10.5), message(0), message(None), message(None, "d", body="love"))
        assert rows("sentiment", events) == [
            ("2016-01-04", "c", 3, 13.1667, 20.0, 1, 1, 1, 1),
            ("2016-01-04", "d", 0, None, None, 0, 0, 0, 1),
        ]

    def test_what_rounds_to_nothing_has_no_sign(self) -> None:
        events = by_key({**event("chat_message", "ana", "2016-01-05T10:00:00"), "sentiment": {"polarity": -0.00001}})
        assert str(rows("sentiment", events)[0][3]) == "0.0"

    def test_other_events_are_no_messages(self) -> None:
        events = by_key({**event("heart", "ana", "2016-01-05T10:00:00"), "sentiment": {"polarity": 50}})
        assert rows("sentiment", events) == []


class TestMostActive:
    EVENTS = by_key(
        *(
            event("heart", user, f"2016-0{month}-01T10:00:00")
            for user, month in [("b", 1), ("a", 1), ("c", 2), ("c", 2)]
        ),
        event("heart", None, "2016-01-01T10:00:00"),
        event("heart", "a", "2016-02-02T10:00:00", school_id="osu_edu"),
    )

    def test_by_events_then_id(self) -> None:
        assert rows("most-active", self.EVENTS) == [
            (1, "a", "osu_edu", 2, 2, "2016-01-01T10:00:00.000+00:00", "2016-02-02T10:00:00.000+00:00"),
            (2, "c", "", 2, 1, "2016-02-01T10:00:00.000+00:00", "2016-02-01T10:00:00.000+00:00"),
            (3, "b", "", 1, 1, "2016-01-01T10:00:00.000+00:00", "2016-01-01T10:00:00.000+00:00"),
        ]

    def test_of_each_period(self) -> None:
        assert rows("most-active", self.EVENTS, by="month", limit=1) == [
            ("2016-01-01", 1, "a", 1),
            ("2016-02-01", 1, "c", 2),
        ]


class TestEveryAnswer:
    @pytest.mark.parametrize("name", INSIGHTS)
    def test_two_accounts_in_one_millisecond_and_no_order_of_events(self, name: str) -> None:
        events = by_key(
            *joined("ana", "2016-01-01T10:00:00"),
            *joined("bob", "2016-01-01T10:00:00"),
            *(buddied("ana", other, "2016-01-01T12:00:00") for other in ("bob", "eve", "tim")),
            event("chat_message", "ana", "2016-01-01T12:00:00"),
        )
        backwards = dict(reversed(events.items()))
        assert rows(name, events) == rows(name, backwards) != []

    @pytest.mark.parametrize("name", INSIGHTS)
    def test_what_happens_at_the_end_or_later_is_not_read(self, name: str) -> None:
        events = by_key(*joined("ana", "2016-01-01T10:00:00"))
        end = ms("2016-02-01T00:00:00")
        later = by_key(
            *events.values(),
            *joined("ana", "2016-02-01T00:00:00", "sydney_edu_au"),
            event("delete_account", "ana", end),
        )
        assert rows(name, events, end=end) == rows(name, later, end=end)

    @pytest.mark.parametrize("name", INSIGHTS)
    def test_of_no_event(self, name: str) -> None:
        fixed = {"funnel": 5, "lifecycle": 11}
        assert len(rows(name, {})) == fixed.get(name, 0)
        assert len(rows(name, by_key(event("heart", "ana", "2016-01-01T10:00:00")), student="nobody")) == fixed.get(
            name, 0
        )
