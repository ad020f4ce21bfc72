"""Keys, rates, and who is believed to be asking."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from harvesters.errors import ConfigError
from harvesters.standins.redis import Redis
from harvesters.web.keys import read_keys
from harvesters.web.parts import PARTS
from tests.web.conftest import SECRETS, Open

LISTING = "/api/v1/insights"
"""A path that wants a key for insights, and no Elasticsearch."""


def basic(user: str, password: str, encoding: str = "utf-8") -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode(encoding)).decode()}"}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "s-ana"},
        {"Authorization": "Bearer s-ana"},
        {"authorization": "bearer s-ana"},
        {"x-wenet-component-apikey": "s-ana"},
        basic("ana", "s-ana"),
    ],
)
def test_a_key_is_taken_from_each_of_the_headers(headers: dict[str, str], open_face: Open) -> None:
    assert open_face(HARVEST_API_KEYS=SECRETS).get(LISTING, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "s-an"},
        {"X-API-Key": "s-anax"},
        {"X-API-Key": "ana:s-ana"},
        {"Authorization": "Bearer ana:s-ana"},
        {"Authorization": "Basic s-ana"},
        {"Authorization": "Basic !"},
        basic("bob", "s-ana"),
        basic("", "s-ana"),
    ],
)
def test_a_wrong_key_or_none_is_401_and_a_browser_is_asked_for_one(headers: dict[str, str], open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS=SECRETS)
    for path in (LISTING, "/docs", "/openapi.json", "/", "/insights", "/nothing"):
        answer = face.get(path, headers=headers, follow_redirects=False)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_secrets_beyond_ascii_are_compared_too(encoding: str, open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS="zoë:schlüssel")
    assert face.get(LISTING, headers={b"X-API-Key": "schlüssel".encode(encoding)}).status_code == 200
    assert face.get(LISTING, headers=basic("zoë", "schlüssel", encoding)).status_code == 200
    assert face.get(LISTING, headers={b"X-API-Key": "schlössel".encode(encoding)}).status_code == 401


def test_health_and_files_are_open_to_all(open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS=SECRETS)
    assert face.get("/health").json() == {"status": "ok"}
    assert face.get("/static/site.css").status_code == 200
    assert face.get("/ready").status_code == 503  # there is no Elasticsearch; but no key was asked for


def test_a_key_opens_its_parts_alone_on_pages_too(open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS=SECRETS)
    bob = {"X-API-Key": "s-bob"}
    assert [face.get(path, headers=bob).status_code for path in (LISTING, f"{LISTING}/funnel", "/insights")] == [
        403
    ] * 3
    assert face.get("/docs", headers=bob).status_code == 200  # belongs to no part
    page = face.get("/insights", headers={**bob, "Accept": "text/html,*/*"})
    assert page.status_code == 403
    assert "The key does not open this part." in page.text


def test_a_key_that_may_read_does_nothing_else(open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS=SECRETS)
    eve = {"X-API-Key": "s-eve"}
    assert face.get(LISTING, headers=eve).status_code == 200
    assert face.head(LISTING, headers=eve).status_code == 200
    assert face.post(LISTING, headers=eve).status_code == 403
    assert face.post(LISTING, headers={"X-API-Key": "s-ana"}).status_code == 405


def test_keys_come_from_a_file(tmp_path: Path, open_face: Open) -> None:
    path = tmp_path / "keys"
    path.write_text("ana:s-ana\n\nbob: s-bob :profiles\n # eve:s-eve\n")
    face = open_face(HARVEST_API_KEYS=f"@{path}")
    assert face.get(LISTING, headers={"X-API-Key": "s-ana"}).status_code == 200
    assert face.get(LISTING, headers={"X-API-Key": "s-bob"}).status_code == 403
    assert face.get(LISTING, headers={"X-API-Key": "s-eve"}).status_code == 401
    assert face.get(LISTING, headers=basic("# eve", "s-eve")).status_code == 401


@pytest.mark.parametrize(
    "text",
    [
        *(":sesame", "ana", "ana:", "ana::insights", "ana:sesame:", "ana:sesame:cookies", "ana:sesame:insights+"),
        *("ana:sesame:insights:write", "ana:sesame,", ",", "ana:sesame,bob:sesame", "@/nothing/there", "@"),
    ],
)
def test_keys_that_cannot_be_read_are_an_error_that_shows_no_secret(text: str) -> None:
    with pytest.raises(ConfigError, match="HARVEST_API_KEYS") as error:
        read_keys(text, PARTS)
    assert "sesame" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"ana:s-ana\nbob\n", b"ana:s-a,na\n", b"\xff:\xff", b"#ana:s-ana", b"ana: "]
)
def test_a_file_of_keys_that_cannot_be_read_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)):
        read_keys(f"@{path}", PARTS)


def test_who_asks_too_often_waits(open_face: Open) -> None:
    face = open_face(HARVEST_API_RATE="3")
    assert [face.get(LISTING).status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = face.get(LISTING)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert {face.get(path).status_code for path in ("/health", "/static/site.css")} == {200}


def test_each_key_has_a_rate_of_its_own(open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS=SECRETS, HARVEST_API_RATE="1")
    ana, eve = {"X-API-Key": "s-ana"}, {"X-API-Key": "s-eve"}
    assert [face.get(LISTING, headers=key).status_code for key in (ana, ana, eve)] == [200, 429, 200]


def test_no_rate_is_no_limit(open_face: Open) -> None:
    face = open_face(HARVEST_API_RATE="0")
    assert {face.get(LISTING).status_code for _ in range(20)} == {200}


def test_who_guesses_keys_is_not_told_when_one_is_right(open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS=SECRETS, HARVEST_API_RATE="2")
    guesses = ["a", "b", "c", "s-ana"]
    assert [face.get(LISTING, headers={"X-API-Key": guess}).status_code for guess in guesses] == [401, 401, 429, 429]


def test_requests_are_counted_in_redis_for_all_processes(redis_url: str, open_face: Open) -> None:
    one, other = (open_face(REDIS_URL=redis_url, HARVEST_API_RATE="2") for _ in range(2))
    assert [face.get(LISTING).status_code for face in (one, other, one, other)] == [200, 200, 429, 429]


def test_they_are_counted_in_redis_again_when_it_is_back(
    redis_server: Redis, open_face: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvesters.web.app._REDIS_AGAIN", 0.0)
    with Redis() as server:
        one, other = (open_face(REDIS_URL=server.url, HARVEST_API_RATE="2") for _ in range(2))
        server.kill()
        assert [face.get(LISTING).status_code for face in (one, other, one, other)] == [200] * 4
        server.start()
        assert [face.get(LISTING).status_code for face in (one, other, one, other)] == [200, 200, 429, 429]


def test_what_a_client_says_of_its_address_is_not_believed(open_face: Open) -> None:
    face = open_face(HARVEST_API_RATE="1")
    forwarded = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in range(2)]
    assert [face.get(LISTING, headers=one).status_code for one in forwarded] == [200, 429]


def test_a_proxy_is_believed(open_face: Open) -> None:
    face = open_face(client="10.1.2.3", HARVEST_API_RATE="1", HARVEST_PROXY="10.1.0.0/16, ::1")
    forwarded = ["192.0.2.1", "192.0.2.2", "192.0.2.9, 192.0.2.1", "192.0.2.3, 10.1.9.9", "192.0.2.3"]
    answers = [face.get(LISTING, headers={"X-Forwarded-For": one}).status_code for one in forwarded]
    assert answers == [200, 200, 429, 200, 429]


def test_a_household_of_ipv6_is_counted_as_one(open_face: Open) -> None:
    face = open_face(client="10.1.2.3", HARVEST_API_RATE="1", HARVEST_PROXY="10.1.2.3")
    forwarded = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"]
    answers = [face.get(LISTING, headers={"X-Forwarded-For": one}).status_code for one in forwarded]
    assert answers == [200, 429, 200]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]", "10.0.0.1", "[::1]evil.example"],
)
def test_without_keys_a_name_that_is_not_loopback_is_refused(host: str, open_face: Open) -> None:
    answer = open_face().get("/docs", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "127.1.2.3", "[::1]", "[::1]:8000"])
def test_a_name_of_loopback_is_taken(host: str, open_face: Open) -> None:
    assert open_face().get("/docs", headers={"Host": host}).status_code == 200


def test_with_keys_every_name_is_taken(open_face: Open) -> None:
    face = open_face(HARVEST_API_KEYS=SECRETS)
    assert face.get(LISTING, headers={"Host": "harvest.example.edu", "X-API-Key": "s-ana"}).status_code == 200
