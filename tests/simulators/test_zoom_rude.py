"""The forms of Zoom's answers that are rude, each behind a switch of the simulator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from harvesters.simulators.zoom.data import Account, Meeting
from harvesters.simulators.zoom.errors import ZoomError
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.simulators.zoom_caller import HOST, NOON, Caller, Clock, meeting

Serve = Callable[..., Caller]
MONTH = {"from_": "2026-10-05", "to": "2026-11-02", "type_": "past"}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a simulator with these meetings and hands out a caller."""
    with ExitStack() as stack:

        def start(*meetings: Meeting, **options: Any) -> Caller:
            simulator = stack.enter_context(ZoomSimulator(Account(meetings=meetings), now=Clock(), **options))
            caller = Caller(simulator)
            stack.callback(caller.session.close)
            return caller

        yield start


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ({"most_days": 9}, "2026-10-05", "2026-10-13"),
        ({"most_days": 9, "clamp": "from"}, "2026-10-25", "2026-11-02"),
        ({"echo": "unpadded"}, "2026-10-5", "2026-11-2"),
        ({"echo": "nonsense"}, "soon", "2026-99-99"),
    ],
)
def test_ranges_are_cut_and_misspelled(serve: Serve, options: dict[str, Any], first: str, last: str) -> None:
    body = serve(meeting("m=="), **options).ok("/metrics/meetings", **MONTH)
    assert (body["from"], body["to"]) == (first, last)


def test_single_meetings_and_hosts_are_refused(serve: Serve) -> None:
    caller = serve(meeting("m=="))
    caller.simulator.account.refused = {"m==": ZoomError(404, 1120, "No."), HOST.id: ZoomError(400, 300, "Nor him.")}
    assert caller.refused("/metrics/meetings/m%3D%3D/participants", type_="past") == (404, 1120, "No.")
    assert caller.refused(f"/report/users/{HOST.id}/meetings", **MONTH) == (400, 300, "Nor him.")
    assert len(caller.ok("/metrics/meetings", **MONTH)["meetings"]) == 1


def test_numbers_are_texts(serve: Serve) -> None:
    body = serve(meeting("m=="), texts=True).ok("/metrics/meetings", **MONTH)
    assert (body["page_count"], body["total_records"]) == ("1", "1")
    (row,) = body["meetings"]
    assert (row["participants"], row["has_voip"], row["has_sip"]) == ("2", "1", "0")


def test_odd_fields_and_what_is_known_later(serve: Serve) -> None:
    odd = meeting("m==", odd={"duration": math.inf}, end_known_at=NOON + timedelta(days=1))
    odd.participants[1].odd, odd.participants[0].leave_known_at = {"location": "New York"}, NOON + timedelta(days=1)
    caller = serve(odd)
    answer = caller.get("/metrics/meetings", **MONTH)
    assert b"1e400" in answer.content
    assert answer.json()["meetings"][0]["end_time"] == ""
    first, second = caller.ok("/metrics/meetings/m%3D%3D/participants", type_="past")["participants"]
    assert (first["leave_time"], second["location"]) == ("", "New York")
    assert second["leave_time"]


@pytest.mark.parametrize(("endless", "rows"), [("round", 1), ("again", 1), ("empty", 0)])
def test_lists_have_no_end(serve: Serve, endless: str, rows: int) -> None:
    caller = serve(meeting("m=="), meeting("n=="), endless=endless, page_cap=1)
    tokens, token = [], ""
    for _ in range(6):
        body = caller.ok("/metrics/meetings", **MONTH, next_page_token=token)
        token = body["next_page_token"]
        tokens.append(token)
    assert all(tokens)
    assert (len(set(tokens)) < len(tokens)) is (endless == "round")
    assert len(body["meetings"]) == rows


@pytest.mark.parametrize("ahead", [-90.0, 90.0])
def test_the_clock_is_off(serve: Serve, ahead: float) -> None:
    date = serve(date_ahead=ahead).grant().headers["Date"]
    assert date == f"{NOON + timedelta(seconds=ahead):%a, %d %b %Y %H:%M:%S} GMT"


def test_no_clock_is_told(serve: Serve) -> None:
    assert "Date" not in serve(date_ahead=math.inf).grant().headers
