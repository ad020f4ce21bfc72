from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests

from harvesters.simulators.zoom.auth import CLASSIC, GRANULAR
from harvesters.simulators.zoom.data import INSTANT, WEBINAR, Account, Meeting, User
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.simulators.zoom_caller import HOST, NOON, Caller, Clock, meeting, once, twice

Serve = Callable[..., Caller]
DAY = {"from_": "2026-11-02", "to": "2026-11-02"}
LATE = timedelta(hours=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(clock: Clock) -> Iterator[Serve]:
    """Starts a simulator with these meetings and hands out a caller."""
    with ExitStack() as stack:

        def start(*meetings: Meeting, **options: Any) -> Caller:
            account = options.pop("account", None) or Account(meetings=meetings)
            simulator = stack.enter_context(ZoomSimulator(account, now=clock, **options))
            caller = Caller(simulator)
            stack.callback(caller.session.close)
            return caller

        yield start


def uuids(rows: list[dict[str, Any]]) -> set[str]:
    return {row["uuid"] for row in rows}


# Tokens


def test_a_token_names_its_scopes_and_lives_an_hour(serve: Serve, clock: Clock) -> None:
    caller = serve()
    token = caller.grant().json()
    assert token["token_type"] == "bearer"
    assert token["expires_in"] == 3600
    assert set(token["scope"].split()) == set(GRANULAR)
    assert token["api_url"] == caller.simulator.url
    assert caller.get("/metrics/meetings", **DAY).status_code == 200
    clock.advance(3600)
    assert caller.refused("/metrics/meetings", **DAY) == (401, 124, "Access token is expired.")


def test_the_grant_belongs_into_the_body_and_the_client_into_the_basic_header(serve: Serve) -> None:
    caller = serve()
    form = {"grant_type": "account_credentials", "account_id": "account"}
    in_query = caller.session.post(caller.simulator.oauth_url, params=form, auth=("client", "secret"))
    assert in_query.status_code == 400
    in_body = caller.session.post(
        caller.simulator.oauth_url, data={**form, "client_id": "client", "client_secret": "secret"}
    )
    assert in_body.status_code == 401
    assert in_body.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "account_credentials"}, "invalid_request"),
        ({"grant_type": "account_credentials", "account_id": "other"}, "invalid_request"),
        ({"grant_type": "password", "account_id": "account"}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_grant_is_refused(serve: Serve, form: dict[str, str], error: str) -> None:
    answer = serve().grant(**form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_wrong_secret_is_an_invalid_client(serve: Serve) -> None:
    caller = serve()
    caller.credentials = ("client", "wrong")
    answer = caller.grant()
    assert (answer.status_code, answer.json()["reason"]) == (400, "Invalid client_id or client_secret")


def test_client_credentials_give_a_token_that_can_do_nothing(serve: Serve) -> None:
    caller = serve()
    caller.bearer = caller.grant(grant_type="client_credentials").json()["access_token"]
    assert caller.refused("/report/users", **DAY) == (400, 200, "Invalid api key or secret.")


def test_a_made_up_or_missing_bearer_is_invalid(serve: Serve) -> None:
    caller = serve()
    caller.bearer = "nonsense"
    assert caller.refused("/report/users", **DAY) == (401, 124, "Invalid access token.")
    bare = requests.get(f"{caller.simulator.api_url}/report/users", params={"access_token": caller.bearer})
    assert bare.status_code == 401


def test_tokens_live_side_by_side_unless_the_account_is_strict(serve: Serve) -> None:
    for strict, status in ((False, 200), (True, 401)):
        caller = serve(single_token=strict)
        caller.bearer = caller.grant().json()["access_token"]
        caller.grant()
        assert caller.get("/report/users", **DAY).status_code == status


@pytest.mark.parametrize(
    ("scopes", "missing"),
    [
        (["report:read:list_users:admin"], "dashboard:read:list_meetings:admin"),
        (["report:read:admin"], "dashboard_meetings:read:admin"),
    ],
)
def test_a_missing_scope_is_named_in_the_apps_own_vocabulary(serve: Serve, scopes: list[str], missing: str) -> None:
    caller = serve(scopes=scopes)
    assert caller.get("/report/users", **DAY).status_code == 200
    status, code, message = caller.refused("/metrics/meetings", **DAY)
    assert (status, code) == (400, 4711)
    assert missing in message


def test_classic_scopes_open_every_route(serve: Serve) -> None:
    caller = serve(meeting("m1=="), scopes=CLASSIC)
    for path in ("/metrics/meetings", "/report/users", "/report/users/hostA/meetings", "/users/hostA/meetings"):
        assert caller.get(path, **DAY).status_code == 200
    for path in ("/report/meetings/m1%3D%3D", "/past_meetings/m1%3D%3D", "/past_meetings/88000000001/instances"):
        assert caller.get(path).status_code == 200


def jwt_token(clock: Clock, secret: str = "s" * 32, life: float = 60.0) -> str:
    return jwt.encode({"iss": "key", "exp": int(clock() + life)}, secret, algorithm="HS256")


def test_jwt_apps_are_over_unless_the_server_is_an_old_one(serve: Serve, clock: Clock) -> None:
    caller = serve()
    caller.bearer = jwt_token(clock)
    assert caller.refused("/report/users", **DAY) == (400, 200, "Account does not enabled REST API.")
    old = serve(jwt=True, jwt_secret="s" * 32)
    old.bearer = jwt_token(clock)
    assert old.get("/report/users", **DAY).status_code == 200
    for bad in (jwt_token(clock, secret="t" * 32), jwt_token(clock, life=-1)):
        old.bearer = bad
        assert old.refused("/report/users", **DAY)[:2] == (401, 124)


# Plans


@pytest.mark.parametrize("options", [{"plan": "pro"}, {"dashboard": False}])
@pytest.mark.parametrize("status", [400, 200])
def test_without_the_dashboard_only_the_reports_answer(serve: Serve, options: dict[str, Any], status: int) -> None:
    caller = serve(meeting("m1=="), refusal_status=status, **options)
    for path in ("/metrics/meetings", "/metrics/meetings/m1==/participants"):
        answer, code, message = caller.refused(path, type="past", **DAY)
        assert (answer, code) == (status, 200)
        assert "Dashboard" in message
    assert caller.get("/report/users", **DAY).status_code == 200


def test_a_free_account_has_no_reports_either(serve: Serve) -> None:
    assert serve(plan="free").refused("/report/users", **DAY) == (400, 200, "No permission")


# The Dashboard's list


def test_the_dashboard_lists_running_meetings_unless_told_otherwise(serve: Serve) -> None:
    caller = serve(meeting("past=="), meeting("live==", end=None))
    rows = caller.ok("/metrics/meetings", **DAY)["meetings"]
    assert uuids(rows) == {"live=="}
    assert rows[0]["end_time"] == ""


def test_meetings_of_one_person_are_listed_apart_and_webinars_not_at_all(serve: Serve) -> None:
    caller = serve(meeting("two=="), meeting("one==", 1), meeting("web==", 5, type=WEBINAR))
    assert uuids(caller.ok("/metrics/meetings", type="past", **DAY)["meetings"]) == {"two=="}
    assert uuids(caller.ok("/metrics/meetings", type="pastOne", **DAY)["meetings"]) == {"one=="}


def test_durations_are_clock_strings_and_ids_have_no_host_id(serve: Serve) -> None:
    long = meeting("long==", minutes=26 * 60 + 5)
    caller = serve(meeting("short==", minutes=5), long)
    rows = caller.ok("/metrics/meetings", type="past", query_date_type="end_time", **DAY)["meetings"]
    assert {row["uuid"]: row["duration"] for row in rows} == {"short==": "05:00", "long==": "26:05:00"}
    assert "host_id" not in rows[0]
    assert (rows[0]["host"], rows[0]["email"], rows[0]["id"]) == (HOST.name, HOST.email, 88_000_000_001)


def test_blank_meetings_have_empty_times_and_are_listed_among_the_past(serve: Serve) -> None:
    caller = serve(meeting("blank==", 0, blank_times=True))
    (row,) = caller.ok("/metrics/meetings", type="past", **DAY)["meetings"]
    assert (row["start_time"], row["end_time"], row["duration"], row["participants"]) == ("", "", "", 0)


def test_ranges_mean_the_start_unless_end_time_is_asked_for_and_honoured(serve: Serve) -> None:
    over_midnight = meeting("night==", end=datetime(2026, 11, 2, 0, 30, tzinfo=UTC))
    for honours, found in ((True, {"night=="}), (False, set())):
        caller = serve(over_midnight, honours_end_time=honours)
        assert uuids(caller.ok("/metrics/meetings", type="past", **DAY)["meetings"]) == set()
        body = caller.ok("/metrics/meetings", type="past", query_date_type="end_time", **DAY)
        assert uuids(body["meetings"]) == found


def test_ranges_are_whole_utc_days_unless_the_time_of_day_is_honoured(serve: Serve) -> None:
    asked = {"from_": "2026-11-02 10:30:00", "to": "2026-11-02 11:30:00", "query_date_type": "end_time"}
    held = (meeting("early==", end=NOON - 3 * LATE), meeting("in=="))
    body = serve(*held).ok("/metrics/meetings", type="past", **asked)
    assert uuids(body["meetings"]) == {"early==", "in=="}
    assert (body["from"], body["to"]) == ("2026-11-02", "2026-11-02")
    body = serve(*held, time_of_day=True).ok("/metrics/meetings", type="past", **asked)
    assert uuids(body["meetings"]) == {"in=="}
    assert body["to"] == asked["to"]


@pytest.mark.parametrize(
    ("clamp", "echo"), [("to", ("2026-08-30", "2026-09-29")), ("from", ("2026-09-01", "2026-09-30"))]
)
def test_more_than_a_month_is_cut_and_only_the_echo_says_so(serve: Serve, clamp: str, echo: tuple[str, str]) -> None:
    caller = serve(clamp=clamp)
    for path in ("/metrics/meetings", "/report/users"):
        body = caller.ok(path, from_="2026-08-30", to="2026-09-30")
        assert (body["from"], body["to"]) == echo


def test_reports_go_six_months_back_and_no_further(serve: Serve) -> None:
    caller = serve()
    assert caller.ok("/report/users", from_="2026-04-20", to="2026-05-10")["from"] == "2026-05-02"
    assert caller.refused("/report/users", from_="2026-04-01", to="2026-04-20")[:2] == (400, 300)


@pytest.mark.parametrize(
    "params",
    [
        {"to": "2026-11-02"},
        {"from_": "2026-11-02", "to": "02.11.2026"},
        {"from_": "2026-11-32", "to": "2026-11-02"},
        {"from_": "2026-11-03", "to": "2026-11-02"},
        {"from_": "2026-11-02", "to": "2026-11-02", "type": "all"},
        {"from_": "2026-11-02", "to": "2026-11-02", "page_size": "many"},
    ],
)
def test_parameters_that_make_no_sense_are_named(serve: Serve, params: dict[str, str]) -> None:
    answer = serve().get("/metrics/meetings", **params)
    assert (answer.status_code, answer.json()["code"]) == (400, 300)
    assert answer.json()["errors"][0]["field"] in {"from", "to", "type", "page_size"}


def test_a_late_meeting_appears_when_its_time_has_come(serve: Serve, clock: Clock) -> None:
    caller = serve(meeting("late==", visible_at=NOON + LATE))
    assert caller.ok("/metrics/meetings", type="past", **DAY)["meetings"] == []
    assert caller.refused("/metrics/meetings/late==/participants", type="past")[:2] == (404, 3001)
    clock.advance(3600)
    caller.bearer = ""
    assert uuids(caller.ok("/metrics/meetings", type="past", **DAY)["meetings"]) == {"late=="}


# Paging


def crowd(count: int) -> list[Meeting]:
    return [meeting(f"m{index}==", number=88_000_000_000 + index) for index in range(count)]


def test_pages_hold_thirty_rows_by_default_and_three_hundred_at_most(serve: Serve) -> None:
    caller = serve(*crowd(650), enforce_limits=False)
    asked = {"type": "past", **DAY}
    assert len(caller.ok("/metrics/meetings", **asked)["meetings"]) == 30
    body = caller.ok("/metrics/meetings", **asked, page_size=1000)
    assert (len(body["meetings"]), body["total_records"], body["page_count"]) == (300, 650, 3)
    assert len(uuids(caller.drain("/metrics/meetings", "meetings", **asked, page_size=300))) == 650


def test_heavy_endpoints_may_give_less_than_they_were_asked_for(serve: Serve) -> None:
    caller = serve(*crowd(120), enforce_limits=False, page_cap=50)
    body = caller.ok("/metrics/meetings", type="past", page_size=300, **DAY)
    assert (len(body["meetings"]), body["page_size"]) == (50, 300)
    assert body["next_page_token"]
    assert len(caller.drain("/metrics/meetings", "meetings", type="past", page_size=300, **DAY)) == 120


def test_a_page_token_works_again_but_only_for_the_same_question(serve: Serve) -> None:
    caller = serve(*crowd(40), enforce_limits=False)
    asked = {"type": "past", **DAY}
    token = caller.ok("/metrics/meetings", **asked)["next_page_token"]
    pages = [caller.ok("/metrics/meetings", **asked, next_page_token=token)["meetings"] for _ in range(2)]
    assert pages[0] == pages[1]
    assert len(pages[0]) == 10
    invalid = (400, 300, "The next page token is invalid or expired.")
    assert caller.refused("/metrics/meetings", **asked, page_size=20, next_page_token=token) == invalid
    assert caller.refused("/metrics/meetings", type="pastOne", **DAY, next_page_token=token) == invalid
    assert caller.refused("/report/users/hostA/meetings", **DAY, next_page_token=token) == invalid


def test_a_page_token_dies_after_a_quarter_of_an_hour(serve: Serve, clock: Clock) -> None:
    caller = serve(*crowd(40))
    token = caller.ok("/metrics/meetings", type="past", **DAY)["next_page_token"]
    clock.advance(899)
    assert caller.get("/metrics/meetings", type="past", **DAY, next_page_token=token).status_code == 200
    clock.advance(1)
    assert caller.refused("/metrics/meetings", type="past", **DAY, next_page_token=token)[1] == 300


# Participants and single meetings

SLASHED = ["/abc+def==", "ab//cd==", "ab/cd=="]


@pytest.mark.parametrize("uuid", SLASHED)
@pytest.mark.parametrize(
    "path", ["/metrics/meetings/{}/participants", "/report/meetings/{}/participants", "/past_meetings/{}"]
)
def test_a_uuid_with_a_slash_must_be_encoded_twice(serve: Serve, path: str, uuid: str) -> None:
    caller = serve(meeting(uuid), enforce_limits=False)
    assert caller.get(path.format(twice(uuid)), type="past").status_code == 200
    for encoded in (once(uuid), uuid):
        assert caller.refused(path.format(encoded), type="past")[:2] == (404, 3001)


def test_a_plus_must_be_quoted(serve: Serve) -> None:
    caller = serve(meeting("ab+cd=="))
    assert caller.get(f"/past_meetings/{once('ab+cd==')}").status_code == 200
    assert caller.get(f"/past_meetings/{twice('ab+cd==')}").status_code == 200
    assert caller.refused("/past_meetings/ab+cd==")[:2] == (404, 3001)


def test_participants_are_of_a_running_meeting_unless_told_otherwise(serve: Serve) -> None:
    caller = serve(meeting("past=="), meeting("live==", end=None), enforce_limits=False)
    assert caller.refused("/metrics/meetings/past==/participants")[:2] == (404, 3001)
    assert caller.refused("/metrics/meetings/live==/participants", type="past")[2].endswith("or not end.")
    (host, guest) = caller.ok("/metrics/meetings/past==/participants", type="past")["participants"]
    assert (host["id"], host["participant_user_id"]) == ("hostA", "hostA")
    assert (guest["id"], guest["participant_user_id"], guest["email"]) == ("", "", "")
    assert "duration" not in guest
    assert caller.ok("/metrics/meetings/live==/participants")["participants"][0]["leave_time"] == ""


def test_a_number_means_the_last_instance_only(serve: Serve) -> None:
    caller = serve(meeting("first==", end=NOON - 5 * LATE), meeting("last==", 3), enforce_limits=False)
    assert caller.ok("/report/meetings/88000000001")["uuid"] == "last=="
    assert len(caller.ok("/metrics/meetings/88000000001/participants", type="past")["participants"]) == 3
    instances = caller.ok("/past_meetings/88000000001/instances")["meetings"]
    assert uuids(instances) == {"first==", "last=="}
    assert caller.refused("/past_meetings/88000000009/instances")[:2] == (404, 3001)


def test_report_participants_have_seconds_and_there_are_two_at_least(serve: Serve) -> None:
    caller = serve(meeting("two=="), meeting("one==", 1), enforce_limits=False)
    host, _ = caller.ok("/report/meetings/two==/participants")["participants"]
    assert (host["duration"], host["name"], host["user_email"]) == (3600, HOST.name, HOST.email)
    assert caller.refused("/report/meetings/one==/participants")[:2] == (404, 3001)
    assert caller.ok("/past_meetings/one==/participants")["participants"] == []
    assert len(caller.ok("/metrics/meetings/one==/participants", type="past")["participants"]) == 1


def test_reports_and_past_meetings_count_whole_minutes(serve: Serve) -> None:
    caller = serve(meeting("two=="), enforce_limits=False)
    report, past = caller.ok("/report/meetings/two=="), caller.ok("/past_meetings/two==")
    assert (report["duration"], report["total_minutes"], report["participants_count"]) == (60, 120, 2)
    assert past["host_id"] == "hostA"


def test_details_may_be_missing_of_a_meeting_that_is_listed(serve: Serve) -> None:
    caller = serve(meeting("gone==", details_missing=True), enforce_limits=False)
    assert uuids(caller.ok("/metrics/meetings", type="past", **DAY)["meetings"]) == {"gone=="}
    for path in ("/metrics/meetings/gone==/participants", "/report/meetings/gone==/participants"):
        status, code, message = caller.refused(path, type="past")
        assert (status, code) == (404, 3001)
        assert "details info is not available" in message


def test_a_private_account_withholds_names_and_addresses(serve: Serve) -> None:
    caller = serve(meeting("m1=="), anonymous=True)
    row = caller.ok("/metrics/meetings/m1==/participants", type="past")["participants"][0]
    assert {row[name] for name in ("user_name", "ip_address", "location", "email")} == {""}
    assert row["user_id"]


# Hosts


def test_report_users_are_those_who_held_a_meeting_in_the_range(serve: Serve) -> None:
    idle, gone = User("idle", "idle@example.edu", "Idle"), User("gone", "gone@example.edu", "Gone", deleted=True)
    account = Account([idle], [meeting("m1=="), meeting("m2==", host=gone)])
    caller = serve(account=account, enforce_limits=False)
    (user,) = caller.ok("/report/users", **DAY)["users"]
    assert (user["id"], user["email"], user["meetings"], user["meeting_minutes"]) == ("hostA", HOST.email, 1, 60)
    assert [one["id"] for one in caller.ok("/report/users", type="inactive", **DAY)["users"]] == ["idle"]


def test_the_report_of_a_host_holds_webinars_and_counts_by_start(serve: Serve) -> None:
    night = meeting("night==", end=datetime(2026, 11, 2, 0, 30, tzinfo=UTC))
    caller = serve(meeting("m1=="), meeting("one==", 1), meeting("web==", 5, type=WEBINAR), night, enforce_limits=False)
    rows = caller.ok("/report/users/hostA/meetings", **DAY)["meetings"]
    assert {row["uuid"]: row["type"] for row in rows} == {"m1==": 2, "web==": 5}
    assert uuids(caller.ok("/report/users/host@example.edu/meetings", type="pastOne", **DAY)["meetings"]) == {"one=="}
    assert caller.refused("/report/meetings/web==/participants") == (400, 300, "Can not access webinar info, web==.")
    assert caller.refused("/past_meetings/web==")[:2] == (400, 3000)


def test_past_joined_lists_what_a_user_was_a_participant_of(serve: Serve) -> None:
    joined = meeting("m1==")
    joined.participants[1].zoom_id = "student"
    account = Account([User("student", "s@example.edu", "S")], [joined, meeting("m2==")])
    caller = serve(account=account)
    rows = caller.ok("/report/users/student/meetings", type="pastJoined", **DAY)["meetings"]
    assert uuids(rows) == {"m1=="}


def test_the_meetings_of_a_user_are_the_scheduled_ones_without_instances(serve: Serve) -> None:
    caller = serve(
        meeting("a==", end=NOON - 9 * LATE),
        meeting("b=="),
        meeting("instant==", number=5, type=INSTANT),
        meeting("expired==", number=6, end=NOON - timedelta(days=31)),
        meeting("soon==", number=7, end=NOON + 3 * LATE),
    )
    rows = caller.ok("/users/hostA/meetings")["meetings"]
    assert uuids(rows) == {"b==", "soon=="}
    assert rows[0]["host_id"] == "hostA"
    assert uuids(caller.ok("/users/hostA/meetings", type="upcoming")["meetings"]) == {"soon=="}
    assert uuids(caller.ok("/users/hostA/meetings", from_="2026-11-03")["meetings"]) == {"b==", "soon=="}
    assert caller.ok("/users/hostA/meetings", from_="2026-11-03", to="2026-11-04")["meetings"] == []


def test_strangers_are_told_apart(serve: Serve) -> None:
    caller = serve(account=Account(foreign_users=["alien"]))
    assert caller.refused("/users/nobody/meetings") == (404, 1001, "User does not exist: nobody")
    assert caller.refused("/users/alien/meetings")[:2] == (400, 1010)


def test_what_is_no_route_is_said_to_be_none(serve: Serve) -> None:
    assert serve().refused("/accounts")[:2] == (404, 2300)
