"""A listing's page as a page view, and new listings: into a real Kafka."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harvesters.kafka import producer
from harvesters.settings import Settings
from harvesters.standins.kafka import Kafka
from harvesters.web.outbox import Outbox
from tests.brokers import Broker
from tests.listings.shelf import (
    Shelf,
    shelf,  # noqa: F401  (a fixture)
)
from tests.servers import running
from tests.web.conftest import Open, face, serving, wait_for
from tests.web.test_stalled import stalled

# ruff: noqa: F811  (pytest's fixtures)

POST = "/api/v1/listings"
JSON = {"Content-Type": "application/json"}
ANA = {"X-User-Id": "ana"}
KEYS = "shop:s-shop,reader:s-reader:search:read,other:s-other:insights"
NOWHERE = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


@pytest.fixture(autouse=True)
def producer_of_a_test() -> Iterator[None]:
    """Each test has its own settings, and so a producer of its own."""
    yield
    producer.close(0)


def viewed(kafka: Broker) -> list[tuple[str, str]]:
    """Who looked at what, as the topic has it."""
    if kafka.topics.find(kafka.views) is None:
        return []
    values = [json.loads(message.value() or b"") for message in kafka.messages(kafka.views)]
    return sorted((value["user_id"], value["item_id"]) for value in values)


class TestViews:
    @pytest.fixture(autouse=True)
    def lamp(self, shelf: Shelf) -> None:
        shelf.titled("lamp", "a/b")

    def ask(
        self, shelf: Shelf, kafka: Broker, *asked: tuple[dict[Any, Any], str], client: str = "127.0.0.1", **more: str
    ) -> None:
        """Ask for pages, each by headers and path, and close the face."""
        with face(["search"], client, **shelf.settings, **kafka.environment, **more) as opened:
            for headers, path in asked:
                assert opened.get(path, headers=headers).status_code == 200, path

    def test_the_user_is_whom_the_header_names(self, shelf: Shelf, kafka: Broker) -> None:
        users: list[dict[Any, Any]] = [*({"X-User-Id": user} for user in ("ana", "7", " eve "))]
        users += [{b"x-user-id": "zoë".encode()}]
        self.ask(shelf, kafka, *((user, "/listings/lamp") for user in users), (ANA, "/listings?id=a/b"))
        assert viewed(kafka) == [("7", "lamp"), ("ana", "a/b"), ("ana", "lamp"), ("eve", "lamp"), ("zoë", "lamp")]

    def test_the_header_may_have_another_name(self, shelf: Shelf, kafka: Broker) -> None:
        asked = [({"Remote-User": "ana"}, "/listings/lamp"), ({"X-User-Id": "eve"}, "/listings/lamp")]
        self.ask(shelf, kafka, *asked, LISTINGS_USER_HEADER="REMOTE-User")
        assert viewed(kafka) == [("ana", "lamp")]

    def test_without_the_header_it_is_the_key_s_name(self, shelf: Shelf, kafka: Broker) -> None:
        reader = {"X-API-Key": "s-reader"}
        asked = [
            (reader, "/listings/lamp"),
            ({**reader, **ANA}, "/listings/lamp"),
            ({**reader, "X-User-Id": ""}, "/listings/a%2Fb"),
        ]
        self.ask(shelf, kafka, *asked, HARVEST_API_KEYS=KEYS)
        assert viewed(kafka) == [("ana", "lamp"), ("reader", "a/b"), ("reader", "lamp")]

    def test_the_header_is_believed_from_the_proxy_alone_where_one_is_named(self, shelf: Shelf, kafka: Broker) -> None:
        asked = {**ANA, "X-Forwarded-For": "10.0.0.5"}, "/listings/lamp"
        more = {"HARVEST_PROXY": "10.0.0.5"}
        self.ask(shelf, kafka, asked, client="10.0.0.6", **more)
        assert viewed(kafka) == []
        self.ask(shelf, kafka, asked, client="10.0.0.5", **more)
        assert viewed(kafka) == [("ana", "lamp")]

    def test_without_a_user_and_where_nobody_looks_there_is_no_view(self, shelf: Shelf, kafka: Broker) -> None:
        with face(["search"], **shelf.settings, **kafka.environment) as opened:
            assert opened.get("/listings/lamp").status_code == 200
            assert opened.head("/listings/lamp", headers=ANA).status_code == 200
            assert opened.get("/listings/none", headers=ANA).status_code == 404
            for purpose in ("prefetch", "prefetch;prerender", "prefetch; anonymous-client-ip"):
                assert opened.get("/listings/lamp", headers={**ANA, "Sec-Purpose": purpose}).status_code == 200
            twice = [("X-User-Id", "ana"), ("X-User-Id", "eve")]
            assert opened.get("/listings/lamp", headers=twice).status_code == 200
            assert opened.get("/search?q=lamp", headers=ANA).status_code == 200
            assert opened.get("/api/v1/search?q=lamp", headers=ANA).status_code == 200
        assert viewed(kafka) == []

    def test_who_has_no_possible_id_is_logged(
        self, shelf: Shelf, kafka: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.ask(shelf, kafka, ({"X-User-Id": "x" * 513}, "/listings/lamp"))
        assert viewed(kafka) == []
        assert "the page view of 'lamp' by 'xxx" in caplog.text

    def test_no_page_waits_for_kafka_and_what_is_not_sent_is_logged(
        self, shelf: Shelf, kafka: Broker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harvesters.web.outbox._LAST", 0.1)
        started = time.monotonic()
        with face(["search"], **shelf.settings, **{**kafka.environment, **NOWHERE}) as opened:
            for path in ("/listings/lamp", "/listings/a%2Fb", "/listings/lamp"):
                assert opened.get(path, headers=ANA).status_code == 200
            assert opened.get("/search?q=lamp").status_code == 200
            assert time.monotonic() - started < 10  # Kafka is tried for 120 s
        lost = [record.getMessage() for record in caplog.records if record.name == "harvesters.web.outbox"]
        assert len(lost) == 3
        assert "the page view of 'a/b' by 'ana' was not sent" in caplog.text

    def test_views_wait_for_a_kafka_that_comes_back(self, shelf: Shelf) -> None:
        with running(Kafka()) as server:
            kafka = Broker(server)
            with face(["search"], **shelf.settings, **kafka.environment) as opened:
                opened.get("/listings/lamp", headers=ANA)
                wait_for(lambda: bool(viewed(kafka)))
                server.stop()
                assert opened.get("/listings/lamp", headers=ANA).status_code == 200
                server.start()
            assert viewed(kafka) == [("ana", "lamp")] * 2

    def test_only_so_many_views_wait(
        self, kafka: Broker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harvesters.web.outbox._LAST", 0.1)
        monkeypatch.setattr("harvesters.web.outbox._WAITING", 3)
        with closing(Outbox(Settings({**kafka.environment, **NOWHERE}), 1.0)) as outbox:
            for number in range(5):
                outbox.view("ana", str(number))
            lost = [record.getMessage().split("'")[1] for record in caplog.records]
        assert lost == ["3", "4"]

    def test_the_end_waits_for_a_broker_that_is_slow(
        self, shelf: Shelf, kafka: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        outbox = Outbox(kafka.settings, 20.0)
        outbox.view("ana", "1")
        wait_for(lambda: bool(viewed(kafka)))
        with stalled(kafka.server):
            outbox.view("ana", "2")
            ending = threading.Thread(target=outbox.close)
            ending.start()
        ending.join()
        assert viewed(kafka) == [("ana", "1"), ("ana", "2")]
        assert [record for record in caplog.records if record.name == "harvesters.web.outbox"] == []

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_sigterm_sends_what_is_under_way(self, workers: str, shelf: Shelf, kafka: Broker, tmp_path: Path) -> None:
        settings = {**shelf.settings, **kafka.environment, "HARVEST_API_RATE": "0"}
        with serving(tmp_path / "log", "--parts", "search", "--workers", workers, **settings) as server:
            wait_for(lambda: server.get("/health").ok)
            users = [f"u{number:03}" for number in range(100)]
            with ThreadPoolExecutor(8) as clients:
                list(clients.map(lambda user: server.get("/listings/lamp", headers={"X-User-Id": user}), users))
            assert server.end() == 0
        assert viewed(kafka) == [(user, "lamp") for user in users]
        assert "Traceback" not in server.log.read_text()


class TestPost:
    @pytest.fixture
    def shop(self, kafka: Broker, open_face: Open) -> Any:
        return open_face(["search"], **{"HARVEST_SEARCH_TIMEOUT": "20", **kafka.environment})

    def test_it_says_where_kafka_has_the_listing(self, shop: Any, kafka: Broker) -> None:
        value = b'{"id": 42,\n "title": "Lamp \xc3\xa9", "price": 12.50}'
        answer = shop.post(POST, content=value, headers={"Content-Type": "Application/JSON; charset=utf-8"})
        (message,) = kafka.messages(kafka.listings)
        assert answer.status_code == 202
        assert answer.json() == {"id": "42", "topic": kafka.listings, "partition": message.partition(), "offset": 0}
        assert (message.key(), message.value()) == (b"42", value)

    @pytest.mark.parametrize(
        "kind", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json-patch+json"}]
    )
    def test_another_type_is_415(self, kind: dict[str, str], shop: Any, kafka: Broker) -> None:
        answer = shop.post(POST, content=b'{"id": 42}', headers=kind)
        assert (answer.status_code, answer.headers["Content-Type"]) == (415, "application/problem+json")
        assert kafka.topics.find(kafka.listings) is None

    @pytest.mark.parametrize(
        "value", [b"", b"{", b"[]", b"{}", b'{"id": 1.5}', b'{"id": 1, "title": 5}', b'{"id": ""}', b'{"id": "\xff"}']
    )
    def test_what_is_no_listing_is_422_and_says_why(self, value: bytes, shop: Any, kafka: Broker) -> None:
        answer = shop.post(POST, content=value, headers=JSON)
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
        assert answer.json()["detail"].startswith("It is no listing: ")
        assert kafka.topics.find(kafka.listings) is None

    def test_more_than_kafka_takes_is_413(self, shop: Any, kafka: Broker) -> None:
        kafka.make(kafka.listings, max_message_bytes="20000")
        for size, status in ((10_000, 202), (30_000, 413), (10_000_000, 413)):
            answer = shop.post(POST, content=json.dumps({"id": 1, "title": "x" * size}), headers=JSON)
            assert answer.status_code == status, answer.text
        assert len(kafka.messages(kafka.listings)) == 1

    def test_what_is_not_acknowledged_is_503_and_nothing_else_waits(
        self, kafka: Broker, shelf: Shelf, open_face: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harvesters.web.outbox._LAST", 0.1)
        shelf.titled("lamp")
        settings = {**shelf.settings, **kafka.environment, **NOWHERE, "HARVEST_SEARCH_TIMEOUT": "1.5"}
        opened = open_face(["search"], **settings)
        with ThreadPoolExecutor(40) as clients:
            asked = [clients.submit(opened.post, POST, content=b'{"id": 1}', headers=JSON) for _ in range(40)]
            while not all(one.done() for one in asked):
                assert opened.get("/api/v1/search?q=lamp").status_code == 200
            answers = [one.result() for one in asked]
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["Retry-After"] for answer in answers} == {"2"}
        assert "127.0.0.1" not in answers[0].text

    def test_a_wrong_password_is_503_and_the_log_says_why(
        self, kafka: Broker, open_face: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = {**kafka.environment, **kafka.server.secured("wrong"), "HARVEST_SEARCH_TIMEOUT": "20"}
        answer = open_face(["search"], **settings).post(POST, content=b'{"id": 1}', headers=JSON)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert "KAFKA_SASL_PASSWORD" in caplog.text
        assert "KAFKA_SASL_PASSWORD" not in answer.text

    def test_without_the_extra_it_is_503_and_says_so(self, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "confluent_kafka", None)
        answer = shop.post(POST, content=b'{"id": 1}', headers=JSON)
        assert answer.status_code == 503
        assert "pip install 'harvest[kafka]'" in answer.json()["detail"]

    def test_a_key_that_may_read_posts_nothing(self, kafka: Broker, open_face: Open) -> None:
        settings = {"HARVEST_API_KEYS": KEYS, "HARVEST_SEARCH_TIMEOUT": "20", **kafka.environment}
        opened = open_face(["search"], **settings)
        keys = {"s-reader": 403, "s-other": 403, "wrong": 401, "s-shop": 202}
        for key, status in keys.items():
            answer = opened.post(POST, content=b'{"id": 1}', headers={**JSON, "X-API-Key": key})
            assert answer.status_code == status, key
        assert len(kafka.messages(kafka.listings)) == 1
        for path in ("/listings/1", "/listings?id=1", "/search", "/api/v1/search", "/api/v1/search/suggest"):
            assert opened.get(path, headers={"X-API-Key": "s-other"}).status_code == 403, path

    def test_other_methods_name_the_right_one(self, shop: Any) -> None:
        for method, path, right in (("GET", POST, "POST"), ("DELETE", POST, "POST"), ("POST", "/listings/1", "GET")):
            answer = shop.request(method, path)
            assert (answer.status_code, answer.headers["Allow"]) == (405, right)


def test_page_views_say_nothing_in_the_log_when_all_is_well(
    shelf: Shelf, kafka: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.titled("lamp")
    with (
        caplog.at_level(logging.DEBUG, "harvesters.web"),
        face(["search"], **shelf.settings, **kafka.environment) as opened,
    ):
        opened.get("/listings/lamp", headers={"X-User-Id": "sesame"})
    assert viewed(kafka) == [("sesame", "lamp")]
    assert not [record for record in caplog.records if record.name != "httpx2" and "sesame" in record.getMessage()]
