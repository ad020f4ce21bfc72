"""Who gets in at the simulated Opencast, and how the others are told."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import requests
from requests.auth import HTTPDigestAuth

from harvesters.simulators.opencast.server import OpencastSimulator
from tests.simulators.asking import Start

USER, PASSWORD = "matterhorn_system_account", "CHANGE_ME"
WANT_DIGEST = {"X-Requested-Auth": "Digest"}
OPEN, PROTECTED = "/usertracking/actions.json", "/api/version"


def get(simulator: OpencastSimulator, path: str, **options: object) -> requests.Response:
    return requests.get(simulator.url + path, timeout=10, allow_redirects=False, **options)  # type: ignore[arg-type]


def who(simulator: OpencastSimulator, **options: object) -> str:
    return str(get(simulator, "/info/me.json", **options).json()["user"]["username"])


def test_the_digest_challenge_is_exactly_springs(opencast: Start) -> None:
    answer = get(opencast(), PROTECTED, headers=WANT_DIGEST)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "text/html"
    pattern = r'Digest realm="Opencast", qop="auth", nonce="[A-Za-z0-9+/]+=*"'
    assert re.fullmatch(pattern, answer.headers["WWW-Authenticate"])


def test_the_old_realm(opencast: Start) -> None:
    answer = get(opencast(version=1), PROTECTED, headers=WANT_DIGEST)
    assert 'realm="Opencast Matterhorn"' in answer.headers["WWW-Authenticate"]


def test_digest_lets_in_whom_knows_the_password(opencast: Start) -> None:
    simulator = opencast(auth="digest")
    assert get(simulator, PROTECTED, headers=WANT_DIGEST, auth=HTTPDigestAuth(USER, PASSWORD)).status_code == 200
    wrong = get(simulator, PROTECTED, headers=WANT_DIGEST, auth=HTTPDigestAuth(USER, "wrong"))
    assert wrong.status_code == 401
    assert "stale" not in wrong.headers["WWW-Authenticate"]


def test_digest_covers_a_query(opencast: Start) -> None:
    digest = HTTPDigestAuth(USER, PASSWORD)
    assert get(opencast(), PROTECTED + "?a=b%20c&d=e", headers=WANT_DIGEST, auth=digest).status_code == 200


def test_an_expired_nonce_is_stale_and_the_client_tries_again(opencast: Start) -> None:
    clock = [datetime(2024, 1, 1, tzinfo=UTC)]
    simulator = opencast(now=lambda: clock[0], nonce_validity=300)
    simulator.gate.accept_sessions = False
    digest = HTTPDigestAuth(USER, PASSWORD)
    assert get(simulator, PROTECTED, headers=WANT_DIGEST, auth=digest).status_code == 200
    clock[0] += timedelta(seconds=301)
    before = len(simulator.requests)
    answer = get(simulator, PROTECTED, headers=WANT_DIGEST, auth=digest)
    assert answer.status_code == 200
    assert len(simulator.requests) - before == 2
    assert answer.history[0].headers["WWW-Authenticate"].endswith(', stale="true"')


def test_a_nonce_is_good_on_every_node_with_the_same_key(opencast: Start) -> None:
    one, two = opencast(), opencast()
    digest = HTTPDigestAuth(USER, PASSWORD)
    get(one, PROTECTED, headers=WANT_DIGEST, auth=digest)
    assert get(two, PROTECTED, headers=WANT_DIGEST, auth=digest).history == []


@pytest.mark.parametrize(
    ("version", "page"),
    [(1, "/login.html"), (2, "/admin-ng/login.html"), (13, "/admin-ng/login.html"), (14, "/login.html")],
)
def test_without_a_header_a_protected_path_redirects_to_a_page(opencast: Start, version: int, page: str) -> None:
    simulator = opencast(version=version)
    answer = get(simulator, PROTECTED)
    assert (answer.status_code, answer.headers["Location"]) == (302, simulator.url + page)
    followed = requests.get(simulator.url + PROTECTED, timeout=10)
    assert (followed.status_code, followed.headers["Content-Type"]) == (200, "text/html")


def test_xmlhttprequests_get_419_from_version_2(opencast: Start) -> None:
    headers = {"X-Requested-With": "XMLHttpRequest"}
    assert get(opencast(version=2), PROTECTED, headers=headers).status_code == 419
    assert get(opencast(version=1), PROTECTED, headers=headers).status_code == 302
    assert get(opencast(version=2), PROTECTED, headers=headers | WANT_DIGEST).status_code == 401


@pytest.mark.parametrize(("version", "status"), [(12, 302), (13, 401)])
def test_a_basic_challenge_can_be_asked_for_from_13(opencast: Start, version: int, status: int) -> None:
    answer = get(opencast(version=version), PROTECTED, headers={"X-Requested-Auth": "Basic"})
    assert answer.status_code == status
    assert answer.headers.get("WWW-Authenticate") == ('Basic realm="Opencast"' if status == 401 else None)


@pytest.mark.parametrize(
    ("version", "header", "suppressed"),
    [
        (8, "X-Opencast-Matterhorn-Authorization", True),
        (8, "X-Requested-Auth", False),
        (9, "X-Opencast-Matterhorn-Authorization", False),
        (9, "X-Requested-Auth", True),
    ],
)
def test_which_header_keeps_a_request_from_being_anonymous(
    opencast: Start, version: int, header: str, suppressed: bool
) -> None:
    answer = get(opencast(version=version), OPEN, headers={header: "Digest"})
    assert (answer.status_code != 200) is suppressed


def test_open_paths_take_the_authenticated_caller_only_with_the_header(opencast: Start) -> None:
    simulator = opencast()
    assert who(simulator, auth=HTTPDigestAuth(USER, PASSWORD)) == "anonymous"
    assert who(simulator, auth=HTTPDigestAuth(USER, PASSWORD), headers=WANT_DIGEST) == USER


def test_anonymous_access_can_be_closed(opencast: Start) -> None:
    assert get(opencast(anonymous=False), OPEN).status_code == 302


def test_basic(opencast: Start) -> None:
    simulator = opencast(auth="basic")
    assert get(simulator, PROTECTED, auth=(USER, PASSWORD)).status_code == 200
    wrong = get(simulator, OPEN, auth=(USER, "wrong"))
    assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (401, 'Basic realm="Opencast"')
    assert get(simulator, PROTECTED, headers=WANT_DIGEST).status_code == 302
    assert get(opencast(auth="digest"), PROTECTED, auth=(USER, PASSWORD)).status_code == 302


@pytest.mark.parametrize("header", ["Digest", "Digest nonsense", 'Digest username="x"', "Digest a=b, c", "Basic ???"])
def test_broken_credentials_are_refused(opencast: Start, header: str) -> None:
    assert get(opencast(), OPEN, headers={"Authorization": header}).status_code == 401


def test_the_session_cookie_stands_for_the_credentials(opencast: Start) -> None:
    simulator = opencast()
    with requests.Session() as session:
        session.headers.update(WANT_DIGEST)
        first = session.get(simulator.url + PROTECTED, auth=HTTPDigestAuth(USER, PASSWORD), timeout=10)
        assert "JSESSIONID" in first.cookies
        assert session.get(simulator.url + PROTECTED, timeout=10).status_code == 200
        assert simulator.gate.sessions_created == 1
        simulator.gate.expire_sessions()
        assert session.get(simulator.url + PROTECTED, timeout=10).status_code == 401


def test_without_the_cookie_every_request_makes_a_session(opencast: Start) -> None:
    simulator = opencast()
    for _ in range(3):
        get(simulator, PROTECTED, auth=(USER, PASSWORD))
    assert simulator.gate.sessions_created == 3


def test_a_session_can_be_refused(opencast: Start) -> None:
    simulator = opencast()
    simulator.gate.accept_sessions = False
    cookie = get(simulator, PROTECTED, auth=(USER, PASSWORD)).cookies
    assert get(simulator, PROTECTED, cookies=cookie).status_code == 302


def test_the_role_can_be_missing(opencast: Start) -> None:
    simulator = opencast()
    simulator.gate.forbidden = True
    answer = get(simulator, OPEN, auth=(USER, PASSWORD))
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/html")
