"""Which meetings a harvest holds, and what their documents say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from harvesters.errors import ProtocolError, SpanRefused
from harvesters.simulators.base import Request, Response
from harvesters.simulators.zoom.auth import GRANULAR
from harvesters.simulators.zoom.data import PERSONAL, WEBINAR, Account, User
from harvesters.simulators.zoom.generate import generate
from harvesters.timespan import Window, day_window
from tests.clocks import FakeClock
from tests.zoom.conftest import Start
from tests.zoom.harness import DAY, HOST, MORNING, NOON, TODAY, Bench, meeting

REPORTS = tuple(scope for scope in GRANULAR if not scope.startswith("dashboard"))
MIDNIGHT = TODAY.start
ROUTES = pytest.mark.parametrize("options", [{}, {"scopes": REPORTS}], ids=["dashboard", "report"])


@ROUTES
@pytest.mark.parametrize("by_end", [True, False], ids=["end_time", "start_time"])
def test_a_day_of_everything_that_hurts_is_harvested_whole(start: Start, options: dict, by_end: bool) -> None:
    account = generate(meetings=200, sessions=2_400, day=DAY, seed=3)
    bench = start(account=account, honours_end_time=by_end, limits={"Heavy": 5_000}, **options)
    bench.harvest()
    blank = {one.uuid for one in account.meetings if one.blank_times}
    if "scopes" in options:  # reports know one person's meetings without their row, and file blank ones by their start
        assert set(bench.meetings) >= {one.uuid for one in account.expected(*_ends(TODAY))} - blank
        rows = account.expected_sessions(*_ends(TODAY))
        assert len(bench.sessions) == sum(1 for one, _ in rows if not one.one_person)
    else:
        bench.expect()
    assert set(bench.meetings.values()) == {1}


def _ends(window: Window) -> tuple[datetime, datetime]:
    return window.start, window.end


@ROUTES
@pytest.mark.parametrize(
    ("end", "inside"),
    [
        (MIDNIGHT - timedelta(seconds=1), False),
        (MIDNIGHT, True),
        (MIDNIGHT + timedelta(days=1, seconds=-1), True),
        (MIDNIGHT + timedelta(days=1), False),
    ],
)
def test_a_meeting_belongs_to_the_day_it_ended_in(start: Start, options: dict, end: datetime, inside: bool) -> None:
    bench = start(meeting("m==", end, minutes=1700), **options)
    bench.harvest()
    assert set(bench.meetings) == ({"m=="} if inside else set())


@ROUTES
def test_a_meeting_of_thirty_hours_is_found_from_its_end(start: Start, options: dict) -> None:
    bench = start(
        meeting("long==", MIDNIGHT + timedelta(minutes=1), minutes=30 * 60), honours_end_time=False, **options
    )
    bench.harvest()
    assert bench.body("long==")["duration"] == 30 * 3600


@ROUTES
def test_one_person_alone_is_a_meeting(start: Start, options: dict) -> None:
    bench = start(meeting("one==", people=1), **options)
    bench.harvest()
    assert set(bench.meetings) == {"one=="}


@ROUTES
@pytest.mark.parametrize("uuid", ["/abc==", "a//b==", "a/b+c==", "a+b==", "plain=="])
def test_uuids_with_slashes_find_their_participants(start: Start, options: dict, uuid: str) -> None:
    bench = start(meeting(uuid, people=3), **options)
    bench.harvest()
    assert len(bench.bodies(uuid)) == 3


@ROUTES
def test_instances_that_share_a_number_keep_their_own_sessions(start: Start, options: dict) -> None:
    early = meeting("early==", NOON - timedelta(hours=3), people=2, type=PERSONAL)
    bench = start(early, meeting("late==", people=4, type=PERSONAL), **options)
    bench.harvest()
    assert (len(bench.bodies("early==")), len(bench.bodies("late=="))) == (2, 4)


@ROUTES
def test_webinars_and_running_meetings_are_no_meetings_of_the_day(start: Start, options: dict) -> None:
    bench = start(meeting("w==", type=WEBINAR), meeting("live==", None), meeting("m=="), **options)
    bench.harvest()
    assert set(bench.meetings) == {"m=="}


@ROUTES
def test_a_blank_meeting_is_filed_under_the_day_that_listed_it(start: Start, options: dict) -> None:
    bench = start(meeting("blank==", people=0, blank_times=True), **options)
    bench.harvest()
    body = bench.body("blank==")
    assert (body["start_time"], body["end_time"], body["duration"]) == (None, None, None)
    assert bench.sink.documents[0].timestamp == MIDNIGHT


@ROUTES
def test_a_blank_meeting_of_the_day_before_is_left_to_it(start: Start, options: dict) -> None:
    bench = start(
        meeting("blank==", NOON - timedelta(days=1), people=0, blank_times=True), honours_end_time=False, **options
    )
    bench.harvest()
    assert not bench.meetings


@ROUTES
def test_many_days_are_each_filed_and_held_once(start: Start, options: dict) -> None:
    meetings = [meeting(f"d{day}==", NOON - timedelta(days=day), minutes=1500, people=2) for day in range(40)]
    blank = meeting("blank==", NOON - timedelta(days=20), people=0, blank_times=True)
    bench = start(*meetings, blank, honours_end_time=False, limits={"Resource-intensive": 500}, **options)
    window = Window(TODAY.end - timedelta(days=40), TODAY.end)
    bench.harvest(window)
    assert bench.meetings == {one.uuid: 1 for one in [*meetings, blank]}
    filed = {one.id: one.timestamp.date() for one in bench.sink.documents if one.kind == "meetings"}
    assert all(filed[f"d{day}=="] == DAY - timedelta(days=day) for day in range(40))
    assert filed["blank=="] == DAY - timedelta(days=20)
    for call in bench.calls("/metrics/meetings") + bench.calls("/report/users"):
        if "from" in call:
            assert (date.fromisoformat(call["to"]) - date.fromisoformat(call["from"])).days < 30


def test_a_day_of_another_zone_is_that_zones(start: Start) -> None:
    zone = ZoneInfo("America/New_York")
    window = day_window(DAY, zone)
    inside, outside = window.end - timedelta(minutes=1), window.end
    bench = start(meeting("in==", inside), meeting("out==", outside))
    bench.harvest(window)
    assert set(bench.meetings) == {"in=="}


def test_the_day_before_is_listed_only_where_no_row_shows_that_ends_count(start: Start) -> None:
    crossing = meeting("cross==", MIDNIGHT + timedelta(minutes=5))
    bench = start(crossing)
    bench.harvest()
    assert {call["from"] for call in bench.calls("/metrics/meetings") if "from" in call} == {"2026-11-02"}
    alone = start(meeting("m=="))
    alone.harvest()
    ranges = {(call["from"], call["to"]) for call in alone.calls("/metrics/meetings") if "from" in call}
    assert ranges == {("2026-11-02", "2026-11-02"), ("2026-10-31", "2026-11-01")}


@ROUTES
@pytest.mark.parametrize("by_end", [True, False], ids=["end_time", "start_time"])
def test_45_days_of_a_small_account_take_eight_listing_calls(start: Start, options: dict, by_end: bool) -> None:
    meetings = [meeting(f"d{day}==", NOON - timedelta(days=day), minutes=1500 if day % 9 else 30) for day in range(46)]
    bench = start(*meetings, honours_end_time=by_end, **options)
    bench.harvest(Window(TODAY.end - timedelta(days=45), TODAY.end))
    assert bench.meetings == {one.uuid: 1 for one in meetings[:45]}
    lists = [call for path in ("/metrics/meetings", "/report/users") for call in bench.calls(path) if "from" in call]
    assert len(lists) <= 8


def test_a_blank_meeting_of_a_long_range_is_found_by_halves(start: Start) -> None:
    blank = meeting("blank==", NOON - timedelta(days=17), people=0, blank_times=True)
    bench = start(*(meeting(f"d{day}==", NOON - timedelta(days=day)) for day in range(20)), blank)
    bench.harvest(Window(TODAY.end - timedelta(days=20), TODAY.end))
    filed = {one.id: one.timestamp.date() for one in bench.sink.documents if one.kind == "meetings"}
    assert filed["blank=="] == DAY - timedelta(days=17)
    assert len([call for call in bench.calls("/metrics/meetings") if "from" in call]) <= 2 + 5


@ROUTES
@pytest.mark.parametrize("texts", [False, True])
def test_no_more_rows_are_listed_at_once_than_are_held(
    start: Start, options: dict, texts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("notebook", "dashboard", "report"):
        monkeypatch.setattr(f"harvesters.zoom.{name}.MOST_ROWS", 40)
    meetings = [meeting(f"d{day}m{number}==", NOON - timedelta(days=day, minutes=number)) for day in range(30)
                for number in range(9)]  # fmt: skip
    limits = {"Heavy": 5_000, "Resource-intensive": 500}
    bench = start(*meetings, limits=limits, texts=texts, page_cap=10, **options)
    bench.harvest(Window(TODAY.end - timedelta(days=30), TODAY.end))
    assert bench.meetings == {one.uuid: 1 for one in meetings}
    path = "/report/users/hostA/meetings" if options else "/metrics/meetings"
    spans = {(call["from"], call["to"]) for call in bench.calls(path) if call.get("next_page_token")}
    assert max((date.fromisoformat(last) - date.fromisoformat(first)).days for first, last in spans) < 9


def test_lists_are_drained_before_any_meeting_is_asked_for(start: Start) -> None:
    bench = start(account=generate(meetings=90, sessions=200, day=DAY, hosts=40), page_cap=30)
    bench.harvest()
    paths = [one.path for one in bench.simulator.requests if "/metrics/" in one.path]
    first = next(number for number, path in enumerate(paths) if path.endswith("participants"))
    assert not [path for path in paths[first:] if path.endswith("/meetings")]
    bench.expect()


def test_the_end_of_a_list_is_not_inferred_from_a_short_page(start: Start) -> None:
    account = generate(meetings=70, sessions=900, day=DAY)
    bench = start(account=account, page_cap=7, limits={"Heavy": 900, "Resource-intensive": 900})
    bench.harvest()
    bench.expect()


def test_an_expired_page_token_starts_the_list_again(start: Start) -> None:
    bench = start(account=generate(meetings=70, sessions=150, day=DAY), page_cap=30)
    expired = Response.json({"code": 300, "message": "The next page token is invalid or expired."}, 400)
    bench.simulator.fail("status", path="/v2/metrics/meetings", after=1, response=expired)
    bench.harvest()
    bench.expect()


def test_a_token_that_dies_while_the_budget_is_waited_for_starts_the_list_again(start: Start) -> None:
    account = generate(meetings=100, sessions=220, day=DAY)
    bench = start(account=account, page_cap=10, page_token_life=50, limits={"Resource-intensive": 8})
    with pytest.raises(ProtocolError, match="page tokens died"):
        bench.harvest()
    better = start(account=account, page_cap=20, page_token_life=50, limits={"Resource-intensive": 8})
    better.harvest()
    better.expect()


def test_host_ids_come_from_one_list(start: Start) -> None:
    hosts = [User(f"id{number}", f"h{number}@example.edu", f"Host {number}") for number in range(30)]
    bench = start(*(meeting(f"m{number}==", host=host) for number, host in enumerate(hosts)))
    bench.harvest()
    assert bench.body("m7==")["host"] == {
        "host_id": "id7", "name": "Host 7", "email": "h7@example.edu", "user_type": "Licensed",
    }  # fmt: skip
    assert len(bench.calls("/report/users")) == 1
    assert not bench.calls("/users") + bench.calls("/past_meetings")


@pytest.mark.parametrize("allowed", [True, False])
def test_a_host_that_was_deleted_is_asked_for_with_his_meeting_where_that_is_allowed(
    start: Start, allowed: bool
) -> None:
    gone = User("gone", "gone@example.edu", "Gone Host", deleted=True)
    scopes = [scope for scope in GRANULAR if allowed or "past_meeting" not in scope]
    bench = start(meeting("a==", host=gone), meeting("b==", host=gone), scopes=scopes)
    bench.harvest()
    assert bench.body("a==")["host"]["host_id"] == bench.body("b==")["host"]["host_id"] == ("gone" if allowed else None)
    assert len(bench.calls("/past_meetings")) == (1 if allowed else 0)


def test_a_host_that_cannot_be_asked_for_is_skipped_and_counted(start: Start) -> None:
    other = User("other", "other@example.edu", "Other")
    bench = start(meeting("a=="), meeting("b==", host=other), scopes=REPORTS)
    bench.simulator.account.foreign_users.add("other")
    bench.harvest()
    assert set(bench.meetings) == {"a=="}


@ROUTES
def test_meetings_without_details_are_kept_without_sessions(start: Start, options: dict) -> None:
    bench = start(meeting("m==", details_missing=True), meeting("n=="), **options)
    bench.harvest()
    assert set(bench.meetings) == {"m==", "n=="}
    assert bench.body("m==")["participant_sessions"] is None
    assert bench.body("n==")["participant_sessions"] == 2


def _answering(bench: Bench, path: str, **fields: object) -> None:
    """Change fields of the answers of a path."""
    import orjson

    handle = bench.simulator.handle

    def changed(request: Request) -> Response:
        response = handle(request)
        if request.path == f"/v2{path}" and response.status == 200:
            response.body = orjson.dumps({**orjson.loads(response.body), **fields})
        return response

    bench.simulator.handle = changed  # type: ignore[method-assign]


def test_another_day_than_was_asked_for_is_an_error(start: Start) -> None:
    bench = start(meeting("m=="))
    _answering(bench, "/metrics/meetings", **{"from": "2026-10-30", "to": "2026-10-30"})
    with pytest.raises(ProtocolError, match="2026-10-30 was searched instead of 2026-11-02"):
        bench.harvest()


@pytest.mark.parametrize("clamp", ["from", "to"])
@pytest.mark.parametrize("most_days", [1, 9, 29])
@ROUTES
def test_a_range_that_is_cut_short_is_continued_from_what_was_searched(
    start: Start, clamp: str, most_days: int, options: dict
) -> None:
    meetings = [meeting(f"d{day}==", NOON - timedelta(days=day), people=2) for day in range(80)]
    bench = start(*meetings, clamp=clamp, most_days=most_days, limits={"Resource-intensive": 500}, **options)
    bench.harvest(Window(TODAY.end - timedelta(days=80), TODAY.end))
    assert set(bench.meetings) == {one.uuid for one in meetings}


@ROUTES
@pytest.mark.parametrize("echo", ["unpadded", "nonsense"])
def test_a_range_is_read_whole_however_the_echo_is_spelled(start: Start, options: dict, echo: str) -> None:
    most_days = 9 if echo == "unpadded" else 0
    meetings = [meeting(f"d{day}==", NOON - timedelta(days=day)) for day in range(30)]
    bench = start(*meetings, echo=echo, most_days=most_days, limits={"Resource-intensive": 500}, **options)
    bench.harvest(Window(TODAY.end - timedelta(days=30), TODAY.end))
    assert set(bench.meetings) == {one.uuid for one in meetings}


def test_what_zoom_no_longer_keeps_is_refused(start: Start) -> None:
    with pytest.raises(SpanRefused, match="six months"):
        start(meeting("m==")).harvest(day_window(date(2026, 5, 1), UTC))


def test_the_first_day_that_zoom_keeps_is_harvested(start: Start) -> None:
    day = day_window(date(2026, 5, 3), UTC)
    bench = start(meeting("m==", day.start + timedelta(hours=3)))
    bench.harvest(day)
    assert set(bench.meetings) == {"m=="}


@pytest.mark.parametrize("status", [400, 200])
def test_without_a_dashboard_the_reports_are_taken(start: Start, status: int) -> None:
    bench = start(meeting("m=="), plan="pro", refusal_status=status)
    bench.harvest()
    assert bench.body("m==")["zoom"]["route"] == "report"
    assert bench.bodies("m==")[0]["zoom"]["route"] == "report"
    assert len(bench.calls("/metrics/meetings")) == 1


def test_both_routes_give_a_session_the_same_id(start: Start) -> None:
    account = Account(meetings=[meeting("m==", people=5)])
    ids = []
    for options in ({}, {"scopes": REPORTS}):
        bench = start(account=account, **options)
        bench.harvest()
        ids.append(set(bench.sessions))
    assert ids[0] == ids[1]
    assert len(ids[0]) == 5


def test_meetings_in_the_report_have_their_hosts(start: Start) -> None:
    bench = start(meeting("m=="), scopes=REPORTS)
    bench.harvest()
    host = {"host_id": HOST.id, "name": HOST.name, "email": HOST.email, "user_type": "Licensed"}
    assert bench.body("m==")["host"] == host
    assert bench.body("m==")["duration"] == 3600
    assert bench.body("m==")["zoom"]["participants_count"] == 2


def test_late_meetings_are_in_a_later_run_of_the_same_day(start: Start, clock: FakeClock) -> None:
    late = meeting("late==", visible_at=MORNING + timedelta(hours=1))
    bench = start(meeting("m=="), late)
    bench.harvest()
    assert set(bench.meetings) == {"m=="}
    clock.advance(3600)
    bench.harvest()
    assert bench.meetings == {"m==": 2, "late==": 1}
