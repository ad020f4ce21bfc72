"""The mapping of rows to documents, on literal samples."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.zoom import meetings, sessions
from harvesters.zoom.client import encode_uuid
from harvesters.zoom.packed import PackedRows
from harvesters.zoom.values import clock_seconds, lasted, moment, place, without_blanks

FILED = datetime(2026, 11, 2, 12, tzinfo=UTC)
MEETING: dict[str, Any] = {
    "uuid": "/abc==",
    "id": 88_000_000_001,
    "topic": "Lecture",
    "host": "Ann Host",
    "email": "host@example.edu",
    "user_type": "Licensed",
    "start_time": "2026-11-02T10:00:00Z",
    "end_time": "2026-11-02T12:00:00Z",
    "duration": "02:00:00",
    "participants": 3,
    "has_pstn": False,
    "has_recording": True,
    "has_poll": True,
    "dept": "",
    "tracking_fields": [{"field": "Course", "value": ""}],
}
ROW: dict[str, Any] = {
    "id": "",
    "user_id": "16778240",
    "participant_uuid": "55555AAA",
    "user_name": "Guest",
    "email": "",
    "device": "Mac",
    "ip_address": "81.2.69.142",
    "location": "London (GB )",
    "network_type": "Wifi",
    "join_time": "2026-11-02T10:00:00Z",
    "leave_time": "2026-11-03T11:00:00Z",
    "share_desktop": True,
    "recording": False,
    "status": "in_meeting",
    "bo_mtg_id": "",
}


def session(**changes: Any) -> dict[str, Any]:
    row = {**ROW, **changes}
    ((id, _),) = sessions.with_ids("/abc==", [row])
    return sessions.to_document(id, row, "/abc==", "dashboard", FILED, None).body


def test_a_meeting_has_the_fields_of_old_and_the_new_ones_under_zoom() -> None:
    document = meetings.to_document(MEETING, {"id": "h1"}, "dashboard", FILED, 5)
    assert (document.id, document.kind, document.timestamp) == ("/abc==", "meetings", FILED)
    assert document.body == {
        "uuid": "/abc==",
        "meeting_series_id": 88_000_000_001,
        "topic": "Lecture",
        "host": {"host_id": "h1", "name": "Ann Host", "email": "host@example.edu", "user_type": "Licensed"},
        "start_time": "2026-11-02T10:00:00Z",
        "end_time": "2026-11-02T12:00:00Z",
        "duration": 7200,
        "participant_sessions": 5,
        "has_pstn": False,
        "has_voip": None,
        "has_3rd_party_audio": None,
        "has_video": None,
        "has_screen_share": None,
        "has_sip": None,
        "recording": True,
        "total_minutes": None,
        "participants": 3,
        "participants_count": None,
        "avg_jointime_cost": None,
        "zoom": {
            "route": "dashboard",
            "participants": 3,
            "has_poll": True,
            "dept": None,
            "tracking_fields": [{"field": "Course", "value": None}],
        },
    }


def test_a_session_has_the_fields_of_old_and_the_new_ones_under_zoom() -> None:
    body = session()
    zoom = body.pop("zoom")
    assert len(body.pop("id")) == 32
    assert body == {
        "meeting": "/abc==",
        "user_id": "16778240",
        "user_name": "Guest",
        "device": "Mac",
        "ip_address": "81.2.69.142",
        "country": "GB",
        "city": "London",
        "network_type": "Wifi",
        "join_time": "2026-11-02T10:00:00Z",
        "leave_time": "2026-11-03T11:00:00Z",
        "duration": 25 * 3600,
        "share_application": None,
        "share_desktop": True,
        "share_whiteboard": None,
        "recording": False,
    }
    assert zoom == {
        "route": "dashboard",
        "email": None,
        "waiting_room": False,
        "breakout_room": False,
        "location": "London (GB )",
        "id": None,
        "participant_uuid": "55555AAA",
        "status": "in_meeting",
        "bo_mtg_id": None,
    }


def test_flags_that_are_numbers_are_flags() -> None:
    body = meetings.to_document({**MEETING, "has_pstn": 1, "has_recording": 0}, {}, "dashboard", FILED, 5).body
    assert (body["has_pstn"], body["recording"]) == (True, False)
    assert session(recording=1, share_desktop=0, share_whiteboard="")["recording"] is True
    assert session(recording="?")["recording"] == "?"  # Elasticsearch says what is wrong with it


def test_a_new_field_of_zooms_does_not_hide_one_of_ours() -> None:
    new = {"route": "theirs", "waiting_room": "theirs", "another": 1}
    body = meetings.to_document({**MEETING, **new}, {}, "dashboard", FILED, 5).body
    for zoom in (body["zoom"], session(**new)["zoom"]):
        assert (zoom["route"], zoom["another"]) == ("dashboard", 1)
    assert session(**new)["zoom"]["waiting_room"] is False


def test_a_report_row_is_the_same_session() -> None:
    row = {"id": "", "user_id": "16778240", "name": "Guest", "user_email": "g@example.edu", "duration": 90}
    row["join_time"] = ROW["join_time"]
    document = sessions.to_document("x", row, "/abc==", "report", FILED, {"city_name": "London"})
    assert (document.body["user_name"], document.body["zoom"]["email"]) == ("Guest", "g@example.edu")
    assert (document.body["duration"], document.body["geoip"]) == (90, {"city_name": "London"})
    assert sessions.session_id("/abc==", row) == sessions.session_id("/abc==", ROW)


def test_waiting_and_breakout_rooms_are_marked() -> None:
    assert session(status="in_waiting_room")["zoom"]["waiting_room"] is True
    assert session(bo_mtg_id="YnJl")["zoom"]["breakout_room"] is True


def test_a_rejoin_is_a_second_session() -> None:
    assert session()["id"] != session(join_time="2026-11-02T10:30:00Z")["id"]


def test_rows_of_one_key_and_one_join_time_are_all_kept_whatever_their_order() -> None:
    waiting, room = {**ROW, "status": "in_waiting_room"}, {**ROW, "bo_mtg_id": "YnJl"}
    one = dict(sessions.with_ids("u", [ROW, waiting, room, dict(ROW)]))
    other = dict(sessions.with_ids("u", [room, waiting, ROW]))
    assert one == other
    assert len(one) == 3
    assert one[sessions.session_id("u", ROW)] == ROW


@given(st.lists(st.fixed_dictionaries({"user_id": st.sampled_from(["1", "2", ""]), "join_time": st.sampled_from("ab"),
                                       "status": st.sampled_from(["in_meeting", "in_waiting_room"]),
                                       "user_name": st.sampled_from("xy")}), max_size=12))  # fmt: skip
def test_every_different_row_has_its_own_id_whatever_the_order(rows: list[dict[str, str]]) -> None:
    made = list(sessions.with_ids("u", rows))
    assert len({id for id, _ in made}) == len(made) == len({tuple(sorted(row.items())) for row in rows})
    again = list(sessions.with_ids("u", rows[::-1]))
    assert dict(made) == dict(again)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:56", 56),
        ("05:27", 327),
        ("01:00:00", 3600),
        ("30:00:01", 108_001),
        ("90:05", 5405),
        ("", None),
        ("4 mins", None),
        ("1:2:3:4", None),
        (60, None),
        ("a:b", None),
    ],
)
def test_clock_strings(text: Any, seconds: int | None) -> None:
    assert clock_seconds(text) == seconds


@given(st.integers(0, 400_000))
def test_a_clock_string_survives_the_way_there_and_back(seconds: int) -> None:
    hours, rest = divmod(seconds, 3600)
    text = f"{hours:02}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60:02}:{rest % 60:02}"
    assert clock_seconds(text) == seconds


def test_durations_fall_back_from_the_clock_to_the_times_to_the_minutes() -> None:
    ten, noon = datetime(2026, 11, 2, 10, tzinfo=UTC), datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert meetings.duration("00:07", ten, noon) == 7
    assert meetings.duration(121, ten, noon) == 7200
    assert meetings.duration(3, None, None) == 180
    assert meetings.duration(0, None, None) is None
    assert lasted(noon, ten) is None


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("San Jose (US )", ("San Jose", "US")),
        ("United States", (None, "United States")),
        ("Linköping (SE)", ("Linköping", "SE")),
        ("(AT )", (None, "AT")),
        ("New York", ("New York", None)),
        ("united  states", (None, "united  states")),
        ("Viet Nam", (None, "Viet Nam")),
        ("Saint Martin (French part)", (None, "Saint Martin (French part)")),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_places(location: Any, found: tuple[str | None, str | None]) -> None:
    assert place(location) == found


def test_nothing_is_null_at_every_depth() -> None:
    assert without_blanks({"a": "", "b": [{"c": " "}, "d"], "e": 0}) == {"a": None, "b": [{"c": None}, "d"], "e": 0}


@given(st.text(alphabet="ABab01+/=", min_size=1, max_size=30))
def test_a_uuid_arrives_as_it_left(uuid: str) -> None:
    from harvesters.simulators.zoom.server import split_path

    segments = split_path(f"/v2/metrics/meetings/{encode_uuid(uuid)}/participants")
    assert segments == ("metrics", "meetings", uuid, "participants")


@pytest.mark.parametrize("row", [{**MEETING, "end_time": "tomorrow"}, {**MEETING, "start_time": "x"}])
def test_a_time_that_is_none_is_an_error(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        meetings.to_document(row, {}, "dashboard", FILED, 1)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00", "9999-12-31T23:59:59Z"]
)
def test_a_time_at_the_edge_of_the_calendar_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no time of a meeting"):
        moment(text)


@pytest.mark.parametrize(
    ("value", "as_long", "as_float"),
    [
        (12, 12, 12.0),
        ("12", 12, 12.0),
        (" 7 ", 7, 7.0),
        ("2.25", 2, 2.25),
        (2.25, 2, 2.25),
        ("12.0", 12, 12.0),
        ("-1", -1, -1.0),
        (0, 0, 0.0),
        ("", None, None),
        (None, None, None),
        (True, None, None),
        ("many", None, None),
        ("1_000", None, None),
        ("٣", None, None),
        ("nan", None, None),
        (float("inf"), None, None),
        ("1e400", None, None),
        (2**63, None, 2.0**63),
        (10**400, None, None),
        ("9" * 5000, None, None),
        (3.5e38, None, None),
        ([1], None, None),
        ({"a": 1}, None, None),
    ],
)
def test_numbers_to_sum_are_fields_of_their_own(value: Any, as_long: int | None, as_float: float | None) -> None:
    names = ("total_minutes", "participants", "participants_count")
    row = {**MEETING, **dict.fromkeys(names, value), "avg_jointime_cost": value}
    body = meetings.to_document(row, {}, "report", FILED, 5).body
    assert [body[name] for name in names] == [as_long] * 3
    assert body["avg_jointime_cost"] == as_float


@pytest.mark.parametrize(
    ("told", "flag"), [("0", False), ("1", True), ("true", True), ("False", False), (0.0, False), ("", None)]
)
def test_flags_may_be_texts(told: Any, flag: bool | None) -> None:
    body = meetings.to_document({**MEETING, "has_pstn": told, "has_recording": told}, {}, "report", FILED, 5).body
    assert (body["has_pstn"], body["recording"]) == (flag, flag)
    assert session(recording=told)["recording"] is flag


@pytest.mark.parametrize("field", ["duration", "new", "custom_keys"])
def test_a_number_that_cannot_be_stored_is_an_error(field: str) -> None:
    value = [{"value": -math.inf}] if field == "custom_keys" else math.inf
    for read in (lambda: meetings.to_document({**MEETING, field: value}, {}, "report", FILED, 5),
                 lambda: session(**{field: value})):  # fmt: skip
        with pytest.raises(ValueError, match=f"{field} is no number that can be stored"):
            read()


def test_sessions_keep_their_ids_when_their_leave_time_is_filled_in() -> None:
    waiting = {**ROW, "status": "in_waiting_room", "leave_time": "", "leave_reason": "", "duration": 0}
    room = {**ROW, "leave_time": "", "bo_mtg_id": "YnJl", "recording": False}
    first, second = {**ROW, "leave_time": "2026-11-02T10:30:00Z"}, {**ROW, "leave_time": ""}
    rows = [waiting, room, first, second]
    before = dict(zip(("waiting", "room", "first", "second"), sessions.ids("u", rows), strict=True))
    filled = {"leave_time": "2026-11-02T11:59:00Z", "leave_reason": "left", "duration": 7140, "share_desktop": True}
    rows = [first, {**waiting, **filled}, {**second, **filled}, {**room, **filled, "recording": True}]
    after = dict(zip(("first", "waiting", "second", "room"), sessions.ids("u", rows), strict=True))
    assert before == after
    assert len(set(after.values())) == 4


@pytest.mark.slow
@given(st.lists(st.lists(st.dictionaries(st.text(), st.one_of(st.integers(), st.floats(), st.text())))))
def test_packed_rows_are_the_rows(pages: list[list[dict[str, Any]]]) -> None:
    packed = PackedRows(pages)
    rows = [row for page in pages for row in page]
    assert len(packed) == len(rows)
    assert repr(list(packed)) == repr(list(packed)) == repr(rows)
