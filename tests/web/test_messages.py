"""The message service: routes, codes and bodies, over a real cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from harvesters import sentry
from harvesters.messages import erasure
from harvesters.messages.erasure import Erased, EraseFailed
from harvesters.messages.model import Message
from harvesters.messages.posting import Draft
from harvesters.web import gathering
from harvesters.web.messagewriting import Writing
from harvesters.web.problems import Problem
from tests.messages.chats import Chats, chats_of_a_test, log, message
from tests.web.conftest import SECRETS, Open, face

BEFORE, AFTER = "2021-01-22", "2021-01-23"
AT = "2021-01-22T17:55:33"


@pytest.fixture
def chats(request: pytest.FixtureRequest) -> Iterator[Chats]:
    with chats_of_a_test(request) as found:
        yield found


@pytest.fixture
def service(chats: Chats) -> Iterator[TestClient]:
    with face(["messages"], ES_HOST=chats.url, HARVEST_SEARCH_TIMEOUT="20", HARVEST_API_RATE="0") as opened:
        yield opened


@pytest.fixture
def alone(open_face: Open) -> TestClient:
    """Without a cluster, for what needs none."""
    return open_face(["messages"])


def refresh(chats: Chats) -> None:
    chats.ask("POST", "/message-*,logging-*/_refresh")


def read(service: TestClient, **asked: Any) -> list[dict[str, Any]]:
    asked = {"project": "wenet", "fromTime": BEFORE, "toTime": AFTER, **asked}
    answer = service.get("/messages", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def post(service: TestClient, *said: Any) -> list[str]:
    answer = service.post("/messages", json=[*said])
    assert answer.status_code == 201, answer.text
    traces: list[str] = answer.json()["traceIds"]
    return traces


class TestPosting:
    def test_what_was_posted_is_given_out(self, chats: Chats, service: TestClient) -> None:
        answer = service.post("/messages", json=[message("1"), message("2", "bert", type="NOTIFICATION")])
        assert answer.status_code == 201
        body = answer.json()
        assert (body["status"], body["code"]) == ("Created: messages stored", 201)
        refresh(chats)
        first, second = body["traceIds"]
        assert service.get("/message", params={"traceId": first}).json() == {**message("1"), "traceId": first}
        both = {"messageId": "2", "userId": "bert"}
        assert service.get("/message", params=both).json()["traceId"] == second
        assert service.get(f"/performance/message/{first}").json() == {**message("1"), "traceId": first}

    def test_to_two_services_at_once_for_two_days(self, chats: Chats, open_face: Open, redis_url: str) -> None:
        """Each of which no search finds yet."""
        settings = {"ES_HOST": chats.url, "HARVEST_SEARCH_TIMEOUT": "20", "REDIS_URL": redis_url}
        services = [open_face(["messages"], **settings) for _ in range(2)]
        with chats.slow_refreshes():
            for day in range(1, 5):
                post(services[day % 2], message("1", timestamp=f"2021-01-0{day}T10:00:00"))
        assert chats.number("message-*") == 1
        assert [each["timestamp"] for each in read(services[0], fromTime="2021-01-01")] == ["2021-01-04T10:00:00"]

    def test_a_day_that_takes_nothing_keeps_no_other_waiting(
        self, chats: Chats, service: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As its operator has blocked it: who posts for it waits until it is open again."""
        monkeypatch.setattr(gathering, "_SLOW", 0.2)
        post(service, message("0"))
        block = f"/message-{BEFORE}/_settings"
        chats.ask("PUT", block, {"index.blocks.write": True})
        with ThreadPoolExecutor(3) as threads:
            stuck = [threads.submit(post, service, message(str(number))) for number in range(1, 4)]
            try:
                for number in range(4, 8):
                    post(service, message(str(number), timestamp="2021-02-01T10:00:00"))
                assert not any(each.done() for each in stuck)
            finally:
                chats.ask("PUT", block, {"index.blocks.write": None})
            for each in stuck:
                each.result(30)
        assert chats.number("message-*") == 8

    def test_one_that_is_none_refuses_all(self, chats: Chats, service: TestClient) -> None:
        answer = service.post("/messages", json=[message("1"), {}, message("")])
        assert answer.status_code == 400
        assert answer.json()["code"] == 400
        assert answer.json()["errors"] == [
            {"index": 1, "reason": "type is missing"},
            {"index": 2, "reason": "messageId is no text or number of 1 to 512 characters"},
        ]
        assert chats.number("message-*") == 0

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"null",
            b"[",
            b"[NaN]",
            b"[1e999999999999",
            b'["\xff"]',
            b"[" * 100_000,
            b'{"a":' * 5000,
            "[é]".encode("latin-1"),
        ],
    )
    @pytest.mark.parametrize("path", ["/messages", "/logs"])
    def test_no_array(self, alone: TestClient, body: bytes, path: str) -> None:
        answer = alone.post(path, content=body)
        assert (answer.status_code, answer.json()["code"]) == (400, 400)

    def test_nothing(self, alone: TestClient) -> None:
        assert alone.post("/messages", json=[]).json()["traceIds"] == []

    @pytest.mark.parametrize(
        "spelled",
        [
            '{"score": 5}',
            '{"score": "high", "score.x": {"": [null, {}]}, ".": 1, "a..b": true}',
            '{"score": [1, {"a": "b"}], "n": 1e400, "big": ' + "9" * 400 + "}",
            '{"half": "\\ud800", "\\udfff": 1}',
            '{"a": ' * 400 + "1" + "}" * 400,
            json.dumps({f"key {number}": number for number in range(5000)}),
            json.dumps({"text": "x y " * 25_000, "k" * 60_000: "é" * 50_000}),
        ],
    )
    def test_metadata_of_any_shape_comes_back_as_it_was(self, chats: Chats, service: TestClient, spelled: str) -> None:
        post(service, message("0", metadata={"score": 1}))
        body = json.dumps([message("1", metadata="HERE", channel={"any": ["thing"]})]).replace('"HERE"', spelled)
        answer = service.post("/messages", content=body.encode())
        assert answer.status_code == 201, answer.text[:300]
        refresh(chats)
        found = service.get("/message", params={"traceId": answer.json()["traceIds"][0]})
        assert found.status_code == 200
        start = found.content.index(b'"metadata":') + len(b'"metadata":')
        given = found.content[start : found.content.rindex(b',"project"')]
        assert _numbers_as_texts(given) == _numbers_as_texts(spelled.encode())
        assert found.json()["channel"] == {"any": ["thing"]}

    def test_a_body_of_nearly_ten_megabytes(self, chats: Chats, service: TestClient) -> None:
        said = [message(str(number), metadata={"text": "x" * 100_000}) for number in range(98)]
        traces = post(service, *said)
        assert len({*traces}) == chats.number("message-*") == 98

    def test_too_large(self, alone: TestClient) -> None:
        answer = alone.post("/messages", content=b" " * 10_000_001)
        assert (answer.status_code, answer.json()["code"]) == (413, 413)


def _numbers_as_texts(body: bytes) -> Any:
    return json.loads(body, parse_int=str, parse_float=lambda text: "1e400" if "e" in text.lower() else text)


class TestReading:
    def test_both_bounds_belong_to_the_range_with_and_without_offsets(self, chats: Chats, service: TestClient) -> None:
        post(service, *(message(str(second), timestamp=f"2021-01-22T17:55:3{second}") for second in range(5)))
        refresh(chats)
        for asked in (
            {"fromTime": f"{AT[:-1]}1", "toTime": f"{AT[:-1]}3Z"},
            {"fromTime": "2021-01-22T18:55:31+01:00", "toTime": f"{AT[:-1]}3"},
            {"fromTime": "2021-01-22T18:55:31 01:00", "toTime": "2021-01-22 18:55:33 01:00"},
        ):
            assert [each["messageId"] for each in read(service, **asked)] == ["1", "2", "3"]

    def test_filters(self, chats: Chats, service: TestClient) -> None:
        post(service, message("1"), message("2", "bert"), message("3", type="notification", channel="signal"))
        post(service, message("4", project="Wenet"))
        refresh(chats)
        assert [each["messageId"] for each in read(service, userId="bert")] == ["2"]
        assert [each["messageId"] for each in read(service, channel="signal")] == ["3"]
        assert [each["messageId"] for each in read(service, type="Notification")] == ["3"]
        assert len(read(service)) == 3

    def test_page_by_page(self, chats: Chats, service: TestClient) -> None:
        post(service, *(message(f"{number:02}", timestamp=AT) for number in range(25)))
        refresh(chats)
        found: list[str] = []
        cursor: dict[str, str] = {}
        for expected in (10, 10, 5):
            asked = {"project": "wenet", "fromTime": BEFORE, "toTime": AFTER, "maxSize": "10", **cursor}
            answer = service.get("/messages", params=asked)
            assert len(answer.json()) == expected
            found += [each["messageId"] for each in answer.json()]
            if expected == 10:
                cursor = {"cursor": answer.headers["X-Next-Cursor"]}
        assert "X-Next-Cursor" not in answer.headers
        assert sorted(found) == [f"{number:02}" for number in range(25)]
        other = service.get("/messages", params={**asked, "userId": "anna"})
        assert (other.status_code, other.json()["code"]) == (400, 400)

    def test_by_moving_from_time_as_clients_of_old_do(self, chats: Chats, service: TestClient) -> None:
        post(service, *(message(f"{number:02}", timestamp=f"{AT}.{number:06}") for number in range(25)))
        refresh(chats)
        found, start = {}, BEFORE
        for _ in range(4):
            page = read(service, fromTime=start, maxSize=10)
            found.update({each["messageId"]: each for each in page})
            start = page[-1]["timestamp"]
        assert len(found) == 25

    @pytest.mark.parametrize(
        "wrong",
        [
            {"project": None},
            {"project": ""},
            {"fromTime": None},
            {"toTime": "tomorrow"},
            {"fromTime": "2021-01-24"},
            {"maxSize": "0"},
            {"maxSize": "10001"},
            {"maxSize": "ten"},
            {"type": "question"},
            {"cursor": "x"},
            {"colour": "red"},
            {"user_id": "anna"},
        ],
    )
    def test_wrong_parameters(self, alone: TestClient, wrong: dict[str, Any]) -> None:
        asked = {"project": "wenet", "fromTime": BEFORE, "toTime": AFTER, **wrong}
        answer = alone.get("/messages", params={name: text for name, text in asked.items() if text is not None})
        assert answer.status_code == 400
        assert set(answer.json()) == {"status", "code"}

    def test_a_conversation(self, chats: Chats, service: TestClient) -> None:
        traces = post(service, *(message(str(n), conversationId="a/b", timestamp=f"{AT}.{9 - n}") for n in range(3)))
        chats.put("message-2020-11-02", {"auto": message("old", conversationId="a/b", timestamp="2020-11-02")})
        refresh(chats)
        found = service.get("/performance/conversation/a/b").json()
        assert [each["_id"] for each in found] == ["auto", *reversed(traces)]
        assert found[1] == {
            "_index": "message-2021-01-22",
            "_id": traces[2],
            "_source": message("2", conversationId="a/b", timestamp=f"{AT}.700000"),
        }

    def test_nothing_is_there(self, service: TestClient) -> None:
        assert read(service) == []
        for path in ("/performance/message/x", "/performance/message/", "/performance/conversation/x"):
            answer = service.get(path)
            assert (answer.status_code, answer.json()) == (404, {"message": "resource not found"})
        answer = service.get("/message", params={"traceId": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, 404)


class TestDeleting:
    def test_a_message_that_was_posted_just_before(self, chats: Chats, service: TestClient) -> None:
        post(service, message("1"), message("1", project="other"), message("2"))
        answer = service.delete("/message", params={"messageId": "1", "userId": "anna"})
        assert answer.json() == {"status": "Ok: message deleted", "code": 200, "deleted": 2}
        assert service.delete("/message", params={"messageId": "1", "userId": "anna"}).json()["deleted"] == 0
        assert chats.number("message-*") == 1

    @pytest.mark.parametrize(
        "asked", [{}, {"userId": "anna"}, {"messageId": "1"}, {"traceId": ""}, {"project": "wenet"}]
    )
    def test_which_one_is_not_said(self, alone: TestClient, asked: dict[str, str]) -> None:
        for method in ("GET", "DELETE"):
            answer = alone.request(method, "/message", params=asked)
            assert (answer.status_code, answer.json()["code"]) == (400, 400)

    def test_a_person(self, chats: Chats, service: TestClient) -> None:
        post(service, message("1"), message("2", project="other"), message("3", "bert"))
        assert service.post("/logs", json=[log("1"), log("2", "bert")]).status_code == 201
        answer = service.delete("/messages", params={"userId": "anna"})
        assert answer.json() == {"status": "Ok: message deleted", "code": 200, "deleted": 2, "deletedLogs": 1}
        assert chats.number("message-*") == chats.number("logging-*") == 1

    def test_only_what_all_parameters_say(self, chats: Chats, service: TestClient) -> None:
        """As `delete_user_messages` of wenet-common sends them."""
        first, _ = post(service, message("1"), message("2"))
        service.post("/logs", json=[log("1")])
        asked = {"userId": "anna", "project": "wenet", "messageId": "1", "traceId": first}
        assert service.delete("/messages", params={**asked, "project": "x"}).json()["deleted"] == 0
        assert service.delete("/messages", params=asked).json()["deleted"] == 1
        assert chats.number("message-*") == chats.number("logging-*") == 1

    def test_whose_is_not_said(self, alone: TestClient) -> None:
        assert alone.delete("/messages").status_code == 400

    @pytest.mark.parametrize("name", ["project", "messageId", "traceId", "userId"])
    def test_an_empty_word_is_not_to_erase_all_of_a_person(self, alone: TestClient, name: str) -> None:
        answer = alone.delete("/messages", params={"userId": "anna", name: ""})
        assert (answer.status_code, answer.json()["code"]) == (400, 400)

    def test_a_failure_tells_what_went_before_it(self, alone: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> Erased:
            raise EraseFailed("away", Erased(3, 1))

        monkeypatch.setattr(erasure, "erase", fail)
        answer = alone.delete("/messages", params={"userId": "anna"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert {name: answer.json()[name] for name in ("code", "deleted", "deletedLogs")} == {
            "code": 503,
            "deleted": 3,
            "deletedLogs": 1,
        }


class TestLogs:
    def test_good_ones_are_stored_and_others_named(self, chats: Chats, service: TestClient) -> None:
        said = [log("1"), {}, log("2", timestamp="then"), log("1"), log("3", metadata="x", project="A B")]
        answer = service.post("/logs", json=said)
        assert answer.status_code == 201
        body = answer.json()
        assert body["errors"] == [
            {"index": 1, "reason": "logId is missing"},
            {"index": 2, "reason": "timestamp is no time in ISO 8601"},
        ]
        first, again, other = body["traceIds"]
        assert first == again != other
        assert len(chats.all("logging-wenet-2021-01-22")) == 1
        assert chats.number("logging-*") == 2


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "code"),
        [
            ("PUT", "/messages", 405),
            ("POST", "/message", 405),
            ("GET", "/logs", 405),
            ("GET", "/log", 405),
            ("POST", "/log", 405),
            ("POST", "/documentation", 405),
            ("GET", "/messages/x", 404),
            ("GET", "/message/", 404),
            ("POST", "/messages?x=1", 400),
            ("GET", "/message?traceId=a&traceId=b", 400),
        ],
    )
    def test_are_a_text_and_a_code(self, alone: TestClient, method: str, path: str, code: int) -> None:
        answer = alone.request(method, path, headers={"Accept": "text/html"})
        assert answer.status_code == code
        assert set(answer.json()) == {"status", "code"}
        assert answer.json()["code"] == code

    @pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
    def test_of_performance_are_a_message(self, alone: TestClient, method: str) -> None:
        for path in ("/performance/index/x", "/performance/index"):
            answer = alone.request(method, path)
            assert (answer.status_code, answer.json()) == (405, {"message": "method not allowed"})
        assert alone.post("/performance/message/x").json() == {"message": "method not allowed"}

    def test_no_cluster(self, alone: TestClient) -> None:
        for path in ("/message?traceId=x", "/messages?project=p&fromTime=2021-01-01&toTime=2021-01-02"):
            answer = alone.get(path)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
            assert set(answer.json()) == {"status", "code"}
        answer = alone.get("/performance/message/x")
        assert (answer.status_code, [*answer.json()]) == (503, ["message"])

    def test_another_machine_asks_without_keys(self, open_face: Open) -> None:
        answer = open_face(["messages"]).get("/messages", headers={"Host": "example.org"})
        assert (answer.status_code, answer.json()["code"]) == (400, 400)

    def test_too_often(self, open_face: Open) -> None:
        client = open_face(["messages"], HARVEST_API_RATE="1")
        answers = [client.get("/documentation") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert answers[1].headers["Retry-After"]
        assert answers[1].json()["code"] == 429


class TestKeys:
    SECRETS = f"{SECRETS},bot:s-bot:messages,reader:s-reader:messages:read"

    @pytest.mark.parametrize(
        ("headers", "method", "code"),
        [
            ({}, "GET", 401),
            ({"X-API-Key": "wrong"}, "POST", 401),
            ({"x-wenet-component-apikey": "s-bob"}, "GET", 403),
            ({"x-wenet-component-apikey": "s-reader"}, "POST", 403),
            ({"x-wenet-component-apikey": "s-reader"}, "DELETE", 403),
            ({"x-wenet-component-apikey": "s-reader"}, "GET", 400),
            ({"x-wenet-component-apikey": "s-bot"}, "DELETE", 400),
            ({"Authorization": "Bearer s-bot"}, "GET", 400),
        ],
    )
    def test_open_the_part_or_its_reading(
        self, open_face: Open, headers: dict[str, str], method: str, code: int
    ) -> None:
        client = open_face(["messages"], HARVEST_API_KEYS=self.SECRETS)
        answer = client.request(method, "/messages", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (code, code)

    def test_the_documentation_wants_none(self, open_face: Open) -> None:
        client = open_face(["messages"], HARVEST_API_KEYS=self.SECRETS)
        assert client.get("/documentation").status_code == 200
        assert client.get("/performance/message/x").json().keys() == {"message"}


class TestDocumentation:
    def test_names_every_route(self, alone: TestClient) -> None:
        import yaml

        answer = alone.get("/documentation")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        said = yaml.safe_load(answer.text)
        assert (said["openapi"][:2], said["info"]["version"]) == ("3.", "2.3.0")
        assert set(said["paths"]) == {
            "/messages",
            "/message",
            "/logs",
            "/analytic",
            "/analytic/compute",
            "/performance/message/{traceId}",
            "/performance/conversation/{conversationId}",
            "/documentation",
        }
        assert said["components"]["securitySchemes"]["apikey"]["name"] == "x-wenet-component-apikey"
        _follow(said, said)

    def test_the_front_door_leads_to_the_routes(self, alone: TestClient) -> None:
        answer = alone.get("/", follow_redirects=False)
        assert answer.headers["location"] == "/docs"
        assert alone.get("/docs").status_code == 200


def _follow(said: Any, whole: dict[str, Any]) -> None:
    """Each reference leads somewhere."""
    if isinstance(said, dict):
        if "$ref" in said:
            place: Any = whole
            for name in said["$ref"].removeprefix("#/").split("/"):
                place = place[name]
        for inner in said.values():
            _follow(inner, whole)
    elif isinstance(said, list):
        for inner in said:
            _follow(inner, whole)


class TestClientOfOld:
    """What the library of the service of old sends (`LoggingUtility`)."""

    def test_posts_reads_and_deletes(self, chats: Chats, service: TestClient) -> None:
        at = datetime.fromisoformat("2021-01-22T17:55:33+01:00")
        said = {
            "messageId": "1",
            "conversationId": None,
            "channel": "telegram",
            "userId": "anna",
            "timestamp": at.isoformat(),
            "project": "wenet",
            "type": "request",
            "content": {"type": "text", "value": "hello"},
            "metadata": {},
        }
        answer = service.post("/messages", json=[said])
        assert answer.status_code == 201
        (trace,) = answer.json()["traceIds"]
        refresh(chats)
        start, end = (at + timedelta(seconds=seconds) for seconds in (-1, 1))
        # It writes bounds into the URL without encoding them: the + of an offset arrives as a blank.
        path = f"/messages?project=wenet&fromTime={start.isoformat()}&toTime={end.isoformat()}&userId=anna&maxSize=1000"
        found = service.get(httpx.URL(path))
        assert [each["messageId"] for each in found.json()] == ["1"]
        assert service.get(f"/message?project=wenet&traceId={trace}").json()["messageId"] == "1"
        assert service.get("/message?project=wenet&messageId=1&userId=anna").json()["traceId"] == trace
        assert service.delete(f"/message?project=wenet&traceId={trace}").status_code == 200
        assert chats.number("message-*") == 0


@pytest.mark.parametrize("path", ["/messages", "/logs"])
def test_a_post_that_fails_is_told_by_its_route(path: str, alone: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Any, ...]] = []

    async def away(*_: object) -> None:
        raise Problem(503, "away")

    monkeypatch.setattr(Writing, path[1:], away)
    monkeypatch.setattr(sentry, "answered", lambda *answer: told.append(answer))
    assert alone.post(path, json=[]).status_code == 503
    assert alone.get("/nothing/here").status_code == 404
    assert told == [(503, "POST", path)]


def test_a_large_post_is_read_beside_the_loop(alone: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """One costly message would keep everybody waiting there, whatever is beside it."""
    reading: set[int] = set()
    parse = Message.parse

    def parsed(said: Any) -> Message:
        reading.add(threading.get_ident())
        return parse(said)

    async def stored(self: Writing, drafts: Sequence[Draft]) -> None:
        assert len(drafts) == 201
        assert reading.isdisjoint({threading.get_ident()})

    monkeypatch.setattr(Message, "parse", parsed)
    monkeypatch.setattr(Writing, "messages", stored)
    large = message("large", metadata={"text": "x" * 60_000})
    assert alone.post("/messages", json=[large, *(message(str(each)) for each in range(200))]).status_code == 201
