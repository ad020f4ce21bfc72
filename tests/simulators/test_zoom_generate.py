from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from harvesters.simulators.zoom.generate import generate
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.simulators.zoom_caller import Caller, Clock, twice

DAY = {"from_": "2026-11-02", "to": "2026-11-02"}
MONDAY = date(2026, 11, 2)
START = datetime(2026, 11, 2, tzinfo=UTC)
END = START + timedelta(days=1)


def test_a_seed_always_makes_the_same_account() -> None:
    first, again, other = (generate(meetings=60, sessions=600, day=MONDAY, seed=seed) for seed in (1, 1, 2))
    assert first.meetings == again.meetings
    assert first.meetings != other.meetings


def test_the_day_holds_exactly_what_was_asked_for_and_every_trap() -> None:
    account = generate(meetings=1_000, sessions=20_000, day=MONDAY)
    meetings, sessions = account.expected(START, END), account.expected_sessions(START, END)
    assert (len(meetings), len(sessions)) == (1_000, 20_000)
    assert len({(one.uuid, row.user_id, row.join) for one, row in sessions}) == 20_000
    assert len({(one.uuid, row.participant_uuid, row.join) for one, row in sessions}) == 20_000
    assert len({one.id for one in meetings}) < 1_000
    assert min(one.id for one in account.meetings) > 2**32
    assert {"/", "+"} <= {one.uuid[index] for one in meetings for index in (0, 3)}
    assert any("//" in one.uuid for one in meetings)
    assert any(one.one_person for one in meetings)
    assert any(one.blank_times for one in meetings)
    assert any(one.visible_at for one in meetings)
    assert any(one.end and one.end - one.start > timedelta(days=1) for one in meetings)
    assert meetings[0].end == START
    assert any(not row.zoom_id for _, row in sessions)
    assert any(row.bo_mtg_id for _, row in sessions)
    assert any(row.status == "in_waiting_room" for _, row in sessions)
    assert len({(one.uuid, row.participant_uuid) for one, row in sessions}) < 20_000
    assert all(one.start <= row.join <= row.leave <= one.end for one, row in sessions if one.end)
    assert {one.topic for one in account.meetings if one not in meetings} >= {"Neighbour 0", "Neighbour 1"}


def test_late_meetings_are_expected_once_they_can_be_seen() -> None:
    account = generate(meetings=100, sessions=1_000, day=MONDAY)
    late = next(one for one in account.meetings if one.visible_at)
    assert late.visible_at is not None
    moment = late.visible_at - timedelta(seconds=1)
    assert late not in account.expected(START, END, now=moment)
    assert late in account.expected(START, END, now=late.visible_at)


def test_nobody_joins_twice_in_one_second_however_crowded_it_is() -> None:
    account = generate(meetings=1, sessions=10_000, day=MONDAY)
    sessions = account.expected_sessions(START, END)
    assert len({(row.participant_uuid, row.join) for _, row in sessions}) == 10_000


def test_too_few_sessions_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        generate(meetings=10, sessions=5, day=MONDAY)


def test_both_routes_give_back_the_made_up_day() -> None:
    account = generate(meetings=120, sessions=2_000, day=MONDAY)
    clock = Clock(END + timedelta(hours=3))
    with ZoomSimulator(account, now=clock, enforce_limits=False) as simulator:
        caller = Caller(simulator)
        wanted = {one.uuid for one in account.expected(START, END)}
        asked = {"query_date_type": "end_time", "page_size": 50, **DAY}
        rows = [
            row
            for kind in ("past", "pastOne")
            for row in caller.drain("/metrics/meetings", "meetings", type=kind, **asked)
        ]
        assert len(rows) == 120
        assert {row["uuid"] for row in rows} == wanted
        sessions = [
            (uuid, row["participant_uuid"], row["join_time"])
            for uuid in wanted
            for row in caller.drain(
                f"/metrics/meetings/{twice(uuid)}/participants", "participants", type="past", page_size=300
            )
        ]
        assert len(sessions) == len(set(sessions)) == 2_000
        span = {"from_": "2026-11-01", "to": "2026-11-02", "page_size": 300}
        hosts = [row["id"] for row in caller.drain("/report/users", "users", **span)]
        reported = {
            row["uuid"]
            for host in hosts
            for kind in ("past", "pastOne")
            for row in caller.drain(f"/report/users/{twice(host)}/meetings", "meetings", type=kind, **span)
            if row["type"] != 5
        }
        assert wanted <= reported
        caller.session.close()
