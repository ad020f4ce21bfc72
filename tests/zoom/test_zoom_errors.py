"""Logging in, scopes, and every error of Zoom's table."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, Unavailable
from harvesters.privacy import protect
from harvesters.simulators.base import Response
from harvesters.simulators.zoom.auth import CLASSIC, GRANULAR
from harvesters.simulators.zoom.data import User
from harvesters.simulators.zoom.errors import ZoomError
from harvesters.simulators.zoom.generate import generate
from harvesters.zoom.auth import Jwt
from harvesters.zoom.client import ZoomClient
from harvesters.zoom.limits import HEAVY
from harvesters.zoom.refusals import NoSuchMeeting
from tests.zoom.conftest import Start
from tests.zoom.harness import DAY, NOON, Bench, meeting

REPORTS = tuple(scope for scope in GRANULAR if not scope.startswith("dashboard"))
LIST = "/v2/metrics/meetings"


def answer(code: int | None, message: str, status: int = 400, **fields: Any) -> Response:
    return Response.json({**({"code": code} if code is not None else {}), "message": message, **fields}, status)


def refuse(bench: Bench, response: Response, times: int = 1, path: str = LIST, after: int = 0) -> None:
    bench.simulator.fail("status", path=path, times=times, after=after, response=response)


@pytest.mark.parametrize("status", [401, 400, 403, 200])
def test_a_token_that_ends_is_renewed_once_and_the_call_sent_again(start: Start, status: int) -> None:
    bench = start(meeting("m=="))
    refuse(bench, answer(124, "Access token is expired.", status))
    bench.harvest()
    bench.expect()
    assert bench.simulator.tokens.issued == 2


def test_each_request_may_renew_it(start: Start) -> None:
    bench = start(*(meeting(f"m{number}==") for number in range(5)))
    bench.workers = 1
    for after in (1, 3, 5):
        refuse(bench, answer(124, "Access token is expired.", 401), after=after)
    bench.harvest()
    bench.expect()


def test_a_token_that_is_refused_again_ends_the_run(start: Start) -> None:
    bench = start(meeting("m=="))
    refuse(bench, answer(124, "Invalid access token.", 401), times=2)
    with pytest.raises(CredentialsRefused, match="ZOOM_CLIENT_ID"):
        bench.harvest()


def test_a_token_is_kept_until_shortly_before_its_end(start: Start) -> None:
    bench = start(*(meeting(f"m{number}==") for number in range(30)), limits={HEAVY: 1}, token_life=10)
    bench.workers = 1
    bench.harvest()
    assert 3 <= bench.simulator.tokens.issued <= 6
    assert not bench.simulator.limits.refused


@pytest.mark.parametrize("code", [4711, 4700, 104, 201])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_missing_scopes_are_named(start: Start, code: int, status: int) -> None:
    bench = start(meeting("m=="))
    refuse(bench, answer(code, "Invalid access token, does not contain scopes:[a:b:c].", status))
    with pytest.raises(CredentialsRefused, match=r"scopes:\[a:b:c\].*App Marketplace"):
        bench.harvest()


def test_scopes_are_read_before_the_first_call(start: Start) -> None:
    bench = start(meeting("m=="), scopes=["meeting:read:list_meetings:admin"])
    with pytest.raises(CredentialsRefused) as caught:
        bench.harvest()
    assert caught.value.code == 77
    for name in ("dashboard:read:list_meetings:admin", "report:read:user:admin", "report:read:list_users:admin"):
        assert name in str(caught.value)
    assert not bench.calls("/")


def test_classic_scopes_are_named_as_such(start: Start) -> None:
    with pytest.raises(CredentialsRefused, match="dashboard_meetings:read:admin, report:read:admin for the Dashboard"):
        start(meeting("m=="), scopes=["meeting:read:admin"]).harvest()


@pytest.mark.parametrize(("scopes", "route"), [(CLASSIC, "dashboard"), (("report:read:admin",), "report")])
def test_classic_apps_work(start: Start, scopes: tuple[str, ...], route: str) -> None:
    bench = start(meeting("m=="), scopes=scopes)
    bench.harvest()
    assert bench.body("m==")["zoom"]["route"] == route
    bench.expect()


def test_no_dashboard_and_no_scopes_for_reports_names_them(start: Start) -> None:
    scopes = [scope for scope in GRANULAR if scope.startswith("dashboard") or scope == "report:read:list_users:admin"]
    with pytest.raises(CredentialsRefused, match=r"enabled Dashboard feature.*report:read:user:admin"):
        start(meeting("m=="), plan="pro", scopes=scopes).harvest()


@pytest.mark.parametrize("status", [400, 200])
def test_a_plan_without_reports_is_explained(start: Start, status: int) -> None:
    with pytest.raises(CredentialsRefused, match="Pro plan"):
        start(meeting("m=="), plan="free", refusal_status=status).harvest()


def test_a_refusal_in_the_middle_is_no_reason_to_change_the_route(start: Start) -> None:
    bench = start(meeting("m=="))
    refuse(bench, answer(200, "No permission"), path=f"{LIST}/")
    with pytest.raises(CredentialsRefused, match="No permission"):
        bench.harvest()


@pytest.mark.parametrize(
    ("response", "error", "text"),
    [
        (answer(300, "Validation Failed.", errors=[{"field": "from", "message": "Invalid field."}]),
         ProtocolError, r"code 300: Validation Failed. \[from: Invalid field.\]"),
        (answer(2300, "This API endpoint is not recognized.", 404), ProtocolError, "not recognized"),
        (Response(404, b"<html>nothing here</html>"), ConfigError, "ZOOM_API_URL"),
        (Response(302, b"", {"Location": "https://example.edu"}), ConfigError, "ZOOM_API_URL"),
        (Response.json({"status": False, "errorCode": 9999, "errorMessage": "odd"}), ProtocolError, "9999: odd"),
        (Response.json({"status": False, "errorMessage": "no number"}), ProtocolError, "200: no number"),
        (Response.json({"status": False, "errorCode": "E_1", "errorMessage": "a word"}), ProtocolError, "200: a word"),
        (answer(1010, "User does not belong to this account."), ProtocolError, "1010: User does not belong"),
        (answer(3001, "Meeting does not exist.", 404), ProtocolError, "3001: Meeting does not exist"),
        (answer(3000, "This is a webinar."), ProtocolError, "3000: This is a webinar"),
    ],
)  # fmt: skip
def test_errors_that_nobody_expects_say_what_zoom_said(
    start: Start, response: Response, error: type[Exception], text: str
) -> None:
    response.headers["x-zm-trackingid"] = "v=2.0;rid=WEB_1"
    bench = start(meeting("m=="))
    refuse(bench, response)
    with pytest.raises(error, match=text) as caught:
        bench.harvest()
    assert "WEB_1" in str(caught.value)


@pytest.mark.parametrize(
    "response",
    [
        Response(500, b""),
        Response(503, b"", {"Retry-After": "2"}),
        Response(200, b'{"meetings": ['),
        Response(200, b""),
        Response(200, b"[]"),
    ],
)
def test_what_passes_by_itself_is_tried_again(start: Start, response: Response) -> None:
    bench = start(meeting("m=="))
    refuse(bench, response, times=2)
    bench.harvest()
    bench.expect()


@pytest.mark.parametrize("kind", ["reset", "truncate", "cut"])
def test_broken_connections_are_tried_again(start: Start, kind: str) -> None:
    bench = start(meeting("m=="), meeting("n=="))
    for after in (0, 2, 4):
        bench.simulator.fail(kind, path="/", after=after)
    bench.harvest()
    bench.expect()


def test_what_does_not_pass_ends_the_run_with_69(start: Start) -> None:
    bench = start(meeting("m=="))
    refuse(bench, Response(503, b""), times=99)
    with pytest.raises(Unavailable) as caught:
        bench.harvest()
    assert caught.value.code == 69


@pytest.mark.parametrize("path", [LIST, f"{LIST}/", "/v2/report/users"])
@pytest.mark.parametrize("body", [{}, {"message": "hello"}, {"error": {"code": 300, "message": "API v1 says it so"}}])
def test_an_answer_that_has_no_list_is_no_empty_list(start: Start, path: str, body: dict[str, Any]) -> None:
    bench = start(meeting("m=="))
    refuse(bench, Response.json(body), path=path, times=99)
    with pytest.raises(ProtocolError, match="answers without a list"):
        bench.harvest()


def test_an_empty_list_may_be_left_out(start: Start) -> None:
    bench = start(meeting("m=="))
    refuse(bench, Response.json({"from": "2026-11-02", "to": "2026-11-02", "next_page_token": ""}), times=1)
    bench.harvest()
    refuse(bench, Response.json({"page_size": 300}), path=f"{LIST}/", times=1)
    bench.harvest()


@pytest.mark.parametrize("status", [200, 401])
def test_401_in_the_body_is_a_token_that_ended(start: Start, status: int) -> None:
    bench = start(meeting("m=="))
    refused = Response.json({"status": False, "errorCode": 401, "errorMessage": "Unauthorized"}, status)
    refuse(bench, refused)
    bench.harvest()
    bench.expect()
    refuse(bench, refused, times=2)
    with pytest.raises(CredentialsRefused):
        bench.harvest()


ROUTES = pytest.mark.parametrize("options", [{}, {"scopes": REPORTS}], ids=["dashboard", "report"])
ODD = pytest.mark.parametrize(
    "error",
    [
        ZoomError(400, 300, "Invalid meeting id."),
        ZoomError(404, 300, "Invalid meeting id."),
        ZoomError(404, 1120, "Invite is invalid or has expired."),
        ZoomError(400, 99_123, "Nobody has seen this one."),
        ZoomError(200, 99_123, "Nor this one."),
    ],
    ids=lambda error: f"{error.status}-{error.code}",
)


@ROUTES
@ODD
def test_one_meeting_that_zoom_refuses_is_kept_without_sessions_and_named(
    start: Start, options: dict[str, Any], error: ZoomError, caplog: pytest.LogCaptureFixture
) -> None:
    bench = start(meeting("m=="), meeting("n=="), **options)
    bench.simulator.account.refused["m=="] = error
    bench.harvest()
    assert bench.body("m==")["participant_sessions"] is None
    assert bench.body("n==")["participant_sessions"] == 2
    assert bench.reported["meetings_refused"] == bench.reported["without_sessions"] == 1
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert any(f"code {error.code}: {error.message.rstrip('.')}" in text for text in warned)


@ODD
def test_one_host_that_zoom_refuses_is_skipped_and_counted_once(
    start: Start, error: ZoomError, caplog: pytest.LogCaptureFixture
) -> None:
    other = User("other", "other@example.edu", "Other")
    bench = start(meeting("a=="), meeting("b==", host=other), scopes=REPORTS)
    bench.simulator.account.refused["other"] = error
    bench.harvest()
    assert set(bench.meetings) == {"a=="}
    assert bench.reported["hosts_refused"] == 1
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert sum(f"code {error.code}: {error.message.rstrip('.')}" in text for text in warned) == 1


@ODD
def test_a_host_whose_id_zoom_refuses_with_his_meeting_is_nobody_we_know(
    start: Start, error: ZoomError, caplog: pytest.LogCaptureFixture
) -> None:
    gone = User("gone", "gone@example.edu", "Gone Host", deleted=True)
    bench = start(meeting("a==", host=gone))
    refuse(bench, error.response(), path="/v2/past_meetings")
    bench.harvest()
    assert bench.body("a==")["host"]["host_id"] is None
    assert bench.body("a==")["participant_sessions"] == 2
    assert bench.reported["hosts_without_id"] == 1
    assert f"code {error.code}: {error.message.rstrip('.')}" in caplog.text


@pytest.mark.parametrize("code", [124, 200, 4700, 4711, 104, 201])
@ROUTES
def test_what_concerns_the_account_ends_the_run_also_where_one_meeting_is_asked_for(
    start: Start, options: dict[str, Any], code: int
) -> None:
    bench = start(meeting("m=="), **options)
    bench.simulator.account.refused["m=="] = ZoomError(400, code, "No.")
    with pytest.raises(CredentialsRefused):
        bench.harvest()


@ODD
@pytest.mark.parametrize("path", [LIST, "/v2/report/users"])
def test_the_same_error_of_a_list_of_all_ends_the_run(start: Start, error: ZoomError, path: str) -> None:
    bench = start(meeting("m=="))
    refuse(bench, error.response(), path=path)
    with pytest.raises(ProtocolError, match="tracking id"):
        bench.harvest()


@ROUTES
@pytest.mark.parametrize(("count", "refused", "fatal"), [(50, 5, False), (50, 6, True), (49, 49, False)])
def test_many_refused_meetings_are_an_error_of_ours(
    start: Start, options: dict[str, Any], count: int, refused: int, fatal: bool
) -> None:
    meetings = [meeting(f"m{number:02}==", NOON + timedelta(minutes=number)) for number in range(count)]
    bench = start(*meetings, limits={"Heavy": 5_000}, **options)
    for one in meetings[:refused]:
        bench.simulator.account.refused[one.uuid] = ZoomError(400, 300, "Invalid meeting id.")
    if not fatal:
        bench.harvest()
        assert set(bench.meetings) == {one.uuid for one in meetings}
        return
    for _ in range(2):  # given again, the same command is no wiser
        with pytest.raises(ProtocolError, match=f"refused {refused} of {count} meetings") as caught:
            bench.harvest()
        assert caught.value.code == 76
    bench.simulator.account.refused.clear()
    bench.harvest()
    assert all(bench.body(one.uuid)["participant_sessions"] == 2 for one in meetings)


def test_webinars_do_not_hide_a_broken_client_when_a_run_is_continued(start: Start) -> None:
    meetings = [meeting(f"m{number:02}==", NOON + timedelta(minutes=number)) for number in range(71)]
    bench = start(*meetings, limits={"Heavy": 5_000})
    for one in meetings[:20]:
        bench.simulator.account.refused[one.uuid] = ZoomError(400, 3000, "It is a webinar.")
    for one in meetings[64:70]:
        bench.simulator.account.refused[one.uuid] = ZoomError(400, 300, "Invalid meeting id.")
    fault = bench.simulator.fail("status", path=f"{LIST}/m70", times=10_000, response=Response(500))
    with pytest.raises(Unavailable):
        bench.harvest()
    fault.times = 0
    with pytest.raises(ProtocolError, match="refused 6 of 51 meetings"):
        bench.harvest()


def test_the_checkpoint_does_not_pass_meetings_that_were_refused_by_a_broken_client(
    start: Start, tmp_path: Path
) -> None:
    meetings = [meeting(f"m{number:02}==", NOON + timedelta(minutes=number)) for number in range(60)]
    bench = start(*meetings, limits={"Heavy": 5_000})
    for one in meetings[5:25]:
        bench.simulator.account.refused[one.uuid] = ZoomError(404, 1120, "No.")
    path = tmp_path / "state" / "zoom-last-end-timestamp"
    path.parent.mkdir()
    path.write_text("20261102000000Z")
    for _ in range(2):
        with pytest.raises(ProtocolError, match="20 of 60 meetings"):
            bench.live()
    assert path.read_text() <= f"{meetings[5].end:%Y%m%d%H%M%SZ}"
    bench.simulator.account.refused.clear()
    bench.live()
    assert bench.body("m20==")["participant_sessions"] == 2


@pytest.mark.parametrize("code", [3001, 1001, 1010])
def test_meetings_without_details_are_no_error_however_many(start: Start, code: int) -> None:
    meetings = [meeting(f"m{number:02}==", NOON + timedelta(minutes=number)) for number in range(60)]
    bench = start(*meetings, limits={"Heavy": 5_000})
    for one in meetings:
        bench.simulator.account.refused[one.uuid] = ZoomError(404, code, "No.")
    bench.harvest()
    assert bench.reported["without_sessions"] == 60
    assert bench.reported["meetings_refused"] == 0


@pytest.mark.parametrize(("code", "fatal"), [(1120, True), (1001, False), (1010, False), (3001, False), (3000, False)])
def test_many_refused_hosts_are_an_error_of_ours(start: Start, code: int, fatal: bool) -> None:
    hosts = [User(f"id{number}", f"h{number}@example.edu", f"Host {number}") for number in range(50)]
    bench = start(*(meeting(f"m{number}==", host=host) for number, host in enumerate(hosts)),
                  scopes=REPORTS, limits={"Heavy": 5_000})  # fmt: skip
    for host in hosts[:6]:
        bench.simulator.account.refused[host.id] = ZoomError(404, code, "No.")
    if fatal:
        with pytest.raises(ProtocolError, match="6 of 50 hosts"):
            bench.harvest()
        assert not bench.meetings
    else:
        bench.harvest()
        assert bench.reported["hosts_refused"] == 6


@pytest.mark.parametrize("code", [3001, 1001, 1010])
def test_what_is_not_there_does_not_hide_refused_meetings(start: Start, code: int) -> None:
    meetings = [meeting(f"m{number:02}==", NOON + timedelta(minutes=number)) for number in range(70)]
    bench = start(*meetings, limits={"Heavy": 5_000})
    for one in meetings[:20]:
        bench.simulator.account.refused[one.uuid] = ZoomError(404, code, "No.")
    for one in meetings[20:26]:
        bench.simulator.account.refused[one.uuid] = ZoomError(400, 300, "Invalid meeting id.")
    with pytest.raises(ProtocolError, match="refused 6 of 50 meetings"):
        bench.harvest()


@pytest.mark.parametrize(("refused", "fatal"), [(5, False), (6, True)])
def test_what_is_not_there_does_not_hide_refused_hosts(start: Start, refused: int, fatal: bool) -> None:
    hosts = [User(f"id{number}", f"h{number}@example.edu", f"Host {number}") for number in range(70)]
    bench = start(*(meeting(f"m{number}==", host=host) for number, host in enumerate(hosts)),
                  scopes=REPORTS, limits={"Heavy": 5_000})  # fmt: skip
    for host in hosts[:20]:
        bench.simulator.account.refused[host.id] = ZoomError(404, 1001, "User does not exist.")
    for host in hosts[20 : 20 + refused]:
        bench.simulator.account.refused[host.id] = ZoomError(404, 1120, "No.")
    if fatal:
        with pytest.raises(ProtocolError, match="6 of 50 hosts"):
            bench.harvest()
    else:
        bench.harvest()
        assert bench.reported["hosts_refused"] == 25


def test_what_zoom_said_decides_and_not_what_is_masked_of_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harvesters.privacy._known", {})
    monkeypatch.setattr("harvesters.privacy._pattern", None)
    protect(["page"])
    bench = start(account=generate(meetings=70, sessions=150, day=DAY), page_cap=30)
    refuse(bench, answer(300, "The next page token is invalid or expired."), after=1)
    bench.harvest()
    bench.expect()


@pytest.mark.parametrize("endless", ["round", "again", "empty"])
@pytest.mark.parametrize("path", ["/metrics/meetings", "participants"])
def test_a_list_without_an_end_is_an_error(start: Start, endless: str, path: str) -> None:
    bench = start(meeting("m==", people=8), page_cap=3, limits={"Heavy": 5_000, "Resource-intensive": 5_000})
    bench.simulator.account.add(*(meeting(f"n{number}==") for number in range(7)))
    pages = bench.simulator.answers.pages
    pages.endless, pages.endless_path = endless, path
    with pytest.raises(ProtocolError, match="the list has no end") as caught:
        bench.harvest()
    assert caught.value.code == 76
    assert len(bench.simulator.requests) < 330  # of eight meetings


@pytest.mark.parametrize("days", [1, 2, 30])
def test_an_answer_that_searched_no_day_at_all_is_no_whole_one(start: Start, days: int) -> None:
    bench = start(meeting("m=="))
    turned = {"from": f"{DAY}", "to": f"{DAY - timedelta(days=days)}", "meetings": [], "next_page_token": ""}
    refuse(bench, Response.json(turned))
    with pytest.raises(ProtocolError, match="was searched instead of"):
        bench.harvest()


def test_the_time_at_zoom_is_that_of_its_answers(start: Start) -> None:
    for ahead in (-90, 0, 40):
        bench = start(meeting("m=="), date_ahead=ahead)
        client = bench.client()
        assert client.time() == bench.clock.now() + timedelta(seconds=ahead)
        bench.clock.advance(7)
        assert client.time() == bench.clock.now() + timedelta(seconds=ahead)
        assert not bench.calls("/")  # the token's answer told it
    assert start(meeting("m=="), date_ahead=math.inf).client().time() is None


@pytest.mark.parametrize("code", [1001, 1010, 3001])
def test_participants_that_are_refused_leave_the_meeting_without_sessions(start: Start, code: int) -> None:
    bench = start(meeting("m=="))
    refuse(bench, answer(code, "There is no such thing."), path=f"{LIST}/")
    bench.harvest()
    assert bench.body("m==")["participant_sessions"] is None
    assert not bench.sessions


def test_code_0_is_success(start: Start) -> None:
    bench = start(meeting("m=="))
    handle = bench.simulator.handle

    def polite(request: Any) -> Response:
        response = handle(request)
        response.body = response.body.replace(b'"next_page_token"', b'"code":0,"next_page_token"', 1)
        return response

    bench.simulator.handle = polite  # type: ignore[method-assign]
    bench.harvest()
    bench.expect()


def test_3001_for_one_call(start: Start) -> None:
    client = start(meeting("m==")).client()
    with pytest.raises(NoSuchMeeting, match="3001"):
        client.get("/metrics/meetings/other/participants", HEAVY, type="past")


def test_a_webinar_that_reports_do_not_mark_is_left_out(start: Start) -> None:
    bench = start(meeting("m=="), meeting("n=="))
    refuse(bench, answer(300, "Can not access webinar info, 1."), path=f"{LIST}/")
    bench.harvest()
    assert len(bench.meetings) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"client_secret": "other"}, "invalid_client Invalid client_id or client_"),
        ({"account_id": "other"}, "Invalid account_id"),
    ],
)
def test_a_login_that_is_refused_is_explained(start: Start, options: dict[str, str], text: str) -> None:
    with pytest.raises(CredentialsRefused, match=text):
        start(meeting("m=="), **options).harvest()


def test_the_grant_is_in_the_body(start: Start) -> None:
    bench = start(meeting("m=="))
    bench.harvest()
    request = next(one for one in bench.simulator.requests if one.path == "/oauth/token")
    assert request.query == ()
    assert request.form() == {"grant_type": "account_credentials", "account_id": "account"}


def _with_jwt(bench: Bench, secret: str = "jwt-secret-of-thirty-two-characters") -> ZoomClient:
    client = bench.client()
    client.auth = Jwt("key", secret, bench.clock)
    return client


def test_a_jwt_pair_works_where_it_is_taken(start: Start) -> None:
    bench = start(meeting("m=="), jwt=True)
    client = _with_jwt(bench)
    assert client.get("/metrics/meetings", HEAVY, **{"type": "past", "from": "2026-11-02", "to": "2026-11-02"})
    token = client.auth.token().text
    claims = pyjwt.decode(
        token, "jwt-secret-of-thirty-two-characters", algorithms=["HS256"], options={"verify_exp": False}
    )
    assert claims["iss"] == "key"
    bench.clock.advance(61)
    assert client.auth.token().text != token


@pytest.mark.parametrize("status", [400, 200])
def test_elsewhere_it_says_that_zoom_ended_it_and_what_to_do(start: Start, status: int) -> None:
    client = _with_jwt(start(meeting("m=="), refusal_status=status))
    with pytest.raises(CredentialsRefused, match=r"does not enabled REST API.*2023.*Server-to-Server OAuth.*CLIENT_ID"):
        client.get("/metrics/meetings", HEAVY)


def test_a_wrong_jwt_secret_says_so_too(start: Start) -> None:
    with pytest.raises(CredentialsRefused, match="2023"):
        _with_jwt(start(meeting("m=="), jwt=True), "wrong").get("/metrics/meetings", HEAVY)


def test_the_token_says_where_the_region_is(start: Start) -> None:
    bench = start(meeting("m=="))
    client = bench.client()
    client._api_url = ""
    assert client.api_url == bench.simulator.api_url


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ("https://api-eu.zoom.us", "https://api-eu.zoom.us/v2"),
        ("https://api-eu.zoom.us/v2/", "https://api-eu.zoom.us/v2"),
        ("http://127.0.0.1:8090", "http://127.0.0.1:8090/v2"),
        ("http://api.example.edu", "https://api.zoom.us/v2"),  # no token goes over an open line
        ("nonsense", "https://api.zoom.us/v2"),
        ("", "https://api.zoom.us/v2"),
    ],
)
def test_a_region_is_believed_where_the_line_to_it_is_safe(start: Start, told: str, used: str) -> None:
    bench = start(meeting("m=="))
    grant = Response.json({"access_token": "t", "expires_in": 3600, "api_url": told})
    bench.simulator.fail("status", path="/oauth/token", response=grant)
    client = bench.client()
    client._api_url = ""
    assert client.api_url == used
