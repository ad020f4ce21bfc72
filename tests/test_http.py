"""`HttpSource`: faults are retried within the budget, and nothing is believed before it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters import http as http_module
from harvesters import patience
from harvesters.errors import ConfigError, CredentialsRefused, RateLimited, Unavailable
from harvesters.http import HttpSource, read_json
from harvesters.privacy import protect
from harvesters.retry import Transient
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.standins.base import free_port
from tests.certificates import self_signed, with_tls
from tests.clocks import NOW, FakeClock, patient
from tests.samples import logged


class Rows(Simulator):
    """Answers everything with one body."""

    body: bytes = b'{"rows":[1,2,3,"' + b"x" * 5000 + b'"]}'

    def handle(self, request: Request) -> Response:
        return Response(200, self.body, {"Content-Type": "application/json"})


@pytest.fixture
def rows() -> Iterator[Rows]:
    with Rows() as simulator:
        yield simulator


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def source(clock: FakeClock, budget: float = 120.0, timeout: float = 30.0) -> HttpSource:
    return HttpSource("the source", patient(clock, budget), timeout)


def get(http: HttpSource, url: str, **arguments: Any) -> Any:
    def judge(response: requests.Response) -> Any:
        http.check_transient(response)
        return read_json(response)

    return http.request("GET", url, judge, **arguments)


def statuses(status: int, retry_after: str | None = None) -> Response:
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return Response(status, b"{}", headers)


class TestFaults:
    @pytest.mark.parametrize("kind", ["reset", "truncate", "cut"])
    def test_a_broken_answer_is_asked_for_again(self, rows: Rows, clock: FakeClock, kind: str) -> None:
        rows.fail(kind, times=2)
        assert get(source(clock), rows.url)["rows"][:3] == [1, 2, 3]
        assert len(clock.slept) == 2
        assert len(rows.requests) == 3

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_status_that_passes_by_itself_is_asked_for_again(self, rows: Rows, clock: FakeClock, status: int) -> None:
        rows.fail("status", times=3, response=statuses(status))
        assert get(source(clock), rows.url)["rows"]
        assert len(clock.slept) == 3

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("form", ["seconds", "http", "iso", "fraction"])
    def test_retry_after_is_honoured_in_every_form(self, rows: Rows, clock: FakeClock, form: str, status: int) -> None:
        moment = NOW + timedelta(seconds=40)
        text = {
            "seconds": "40",
            "fraction": "40.0",
            "http": format_datetime(moment, usegmt=True),
            "iso": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }[form]
        rows.fail("status", response=statuses(status, text))
        assert get(source(clock), rows.url)["rows"]
        assert len(clock.slept) == 1
        assert 40 <= clock.slept[0] <= 41

    def test_an_unreadable_retry_after_is_no_reason_to_fail(self, rows: Rows, clock: FakeClock) -> None:
        rows.fail("status", response=statuses(429, "a little later"))
        assert get(source(clock), rows.url)["rows"]
        assert clock.slept[0] <= 1

    def test_a_wait_beyond_the_budget_gives_up_at_once(self, rows: Rows, clock: FakeClock) -> None:
        rows.fail("status", response=statuses(429, "7200"))
        with pytest.raises(RateLimited, match="asks to be left alone for 7200 s") as gave_up:
            get(source(clock), rows.url)
        assert gave_up.value.code == 75
        assert clock.slept == []
        assert len(rows.requests) == 1

    @pytest.mark.parametrize("kind", ["reset", "cut", "status"])
    def test_after_the_budget_it_gives_up_with_69(self, rows: Rows, clock: FakeClock, kind: str) -> None:
        rows.fail(kind, times=10_000, response=statuses(500))
        with pytest.raises(Unavailable, match=r"^the source: .*HARVEST_RETRY_BUDGET is 60 s") as gave_up:
            get(source(clock, budget=60), rows.url)
        assert gave_up.value.code == 69
        assert sum(clock.slept) <= 60

    def test_who_still_asks_for_fewer_requests_after_the_budget_is_75(self, rows: Rows, clock: FakeClock) -> None:
        rows.fail("status", times=10_000, response=statuses(429, "5"))
        with pytest.raises(RateLimited, match="HARVEST_RETRY_BUDGET is 60 s") as gave_up:
            get(source(clock, budget=60), rows.url)
        assert gave_up.value.code == 75
        assert sum(clock.slept) <= 60

    def test_nobody_listening_is_a_fault_like_others(self, clock: FakeClock) -> None:
        with pytest.raises(Unavailable, match=r"connection failed: .*refused"):
            get(source(clock, budget=5), f"http://127.0.0.1:{free_port()}")

    def test_an_answer_that_does_not_come_in_time_is_asked_for_again(self, rows: Rows, clock: FakeClock) -> None:
        rows.fail("delay", seconds=0.3)
        with logged() as records:
            assert get(source(clock, timeout=0.05), rows.url)["rows"]
        assert "no answer in time" in records[0].getMessage()

    def test_each_request_has_a_budget_of_its_own(self, rows: Rows, clock: FakeClock) -> None:
        http = source(clock, budget=50)
        for _ in range(3):
            rows.fail("status", response=statuses(503, "40"))
            get(http, rows.url)
        assert sum(clock.slept) >= 120


class TestDribbling:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("part", ["head", "chunks", "body"])
    def test_an_answer_without_end_is_given_up_as_a_whole(
        self, rows: Rows, clock: FakeClock, part: str, stream: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_module, "_SHORTEST", 0.2)
        rows.fail(f"dribble-{part}", seconds=0.01, times=10)
        with pytest.raises(Unavailable, match="dribbles") as gave_up:
            get(source(clock, budget=0.2), rows.url, stream=stream)
        assert gave_up.value.code == 69
        assert len(rows.requests) == 1, "the budget was spent on it"

    def test_a_large_answer_may_take_its_time(
        self, rows: Rows, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_module, "_SHORTEST", 0.001)
        monkeypatch.setattr(patience, "SLOWEST", 1)
        rows.body = b'{"rows":[1,2,3,"' + b"x" * 1_000_000 + b'"]}'
        assert get(source(clock, budget=0.001), rows.url)["rows"][:3] == [1, 2, 3]

    def test_silence_before_an_answer_is_no_dribbling(
        self, rows: Rows, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_module, "_SHORTEST", 0.1)
        rows.fail("delay", seconds=0.3)
        assert get(source(clock, budget=0.1), rows.url)["rows"]


class TestCertificate:
    def test_one_that_does_not_fit_is_a_matter_of_configuration(self, clock: FakeClock, tmp_path: Path) -> None:
        simulator = Rows()
        url = with_tls(simulator, self_signed(tmp_path))
        with simulator, pytest.raises(ConfigError, match=r"certificate does not fit: .*REQUESTS_CA_BUNDLE") as refused:
            get(source(clock), url)
        assert refused.value.code == 78
        assert clock.slept == []

    def test_one_of_another_host_does_not_fit_either(
        self, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        simulator = Rows()
        certificate = self_signed(tmp_path, "engage.example.edu")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        url = with_tls(simulator, certificate)
        with simulator, pytest.raises(ConfigError, match="certificate does not fit"):
            get(source(clock), url)

    def test_one_that_is_known_fits(self, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        simulator = Rows()
        certificate = self_signed(tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        url = with_tls(simulator, certificate)
        with simulator:
            assert get(source(clock), url)["rows"]

    def test_a_torn_handshake_is_a_fault_like_others(self, rows: Rows, clock: FakeClock) -> None:
        with pytest.raises(Unavailable, match="gave up") as gave_up:
            get(source(clock, budget=5), rows.url.replace("http:", "https:"))
        assert gave_up.value.code == 69
        assert clock.slept


class TestJudging:
    def test_an_error_of_the_judge_ends_it_at_once(self, rows: Rows, clock: FakeClock) -> None:
        def judge(response: requests.Response) -> None:
            raise CredentialsRefused("no")

        with pytest.raises(CredentialsRefused):
            source(clock).request("GET", rows.url, judge)
        assert len(rows.requests) == 1

    def test_a_redirect_is_not_followed(self, rows: Rows, clock: FakeClock) -> None:
        rows.fail("status", response=Response(302, b"", {"Location": rows.url + "/login.html"}))
        seen = source(clock).request("GET", rows.url, lambda response: response.status_code)
        assert seen == 302
        assert [request.path for request in rows.requests] == ["/"]

    def test_it_says_who_it_is_and_keeps_cookies(self, rows: Rows, clock: FakeClock) -> None:
        http = source(clock)
        rows.fail("status", response=Response(200, b"{}", {"Set-Cookie": "JSESSIONID=abc; Path=/"}))
        get(http, rows.url)
        get(http, rows.url)
        assert rows.requests[0].headers["user-agent"].startswith("harvest/")
        assert rows.requests[1].headers["cookie"] == "JSESSIONID=abc"

    def test_a_secret_in_the_url_shows_in_no_message(self, rows: Rows, clock: FakeClock) -> None:
        protect(["hush-hush"])
        rows.fail("reset", times=10_000)
        with logged() as records, pytest.raises(Unavailable) as gave_up:
            get(source(clock, budget=5), rows.url, params={"auth": "s3cret", "q": "hush-hush"})
        shown = str(gave_up.value) + "".join(record.getMessage() for record in records)
        assert "s3cret" not in shown
        assert "hush-hush" not in shown


class TestReadJson:
    def read(self, body: bytes) -> Any:
        response = requests.Response()
        response._content = body
        return read_json(response)

    def test_json(self) -> None:
        assert self.read('{"a":"ü"}'.encode()) == {"a": "ü"}

    @pytest.mark.parametrize("body", [b"", b"{", b'{"a":[1,2', b"<html>", b'{"a":1}{"b":2}'])
    def test_what_is_cut_off_is_worth_another_try(self, body: bytes) -> None:
        with pytest.raises(Transient, match="cannot be read"):
            self.read(body)

    def test_a_number_of_thousands_of_digits_does_not_hide_the_page(self) -> None:
        found = self.read(b'{"rows":[{"id":1},{"id":2,"inpoint":' + b"9" * 5000 + b',"length":1e400}]}')
        assert [row["id"] for row in found["rows"]] == [1, 2]

    def test_one_odd_row_does_not_hide_the_page(self) -> None:
        found = self.read(b'{"rows":[{"id":1,"title":"\\ud83d"},{"id":2,"odd":NaN},{"id":3,"raw":"\xff"}]}')
        assert [row["id"] for row in found["rows"]] == [1, 2, 3]
        assert found["rows"][0]["title"] == "\ud83d"
