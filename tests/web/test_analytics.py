"""``/analytic``: what is kept, given out, deleted and queued."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from starlette.testclient import TestClient

from harvesters.errors import ConfigError
from tests.messages.desk import MOVING, TOTAL, Desk, desk_for_a_test
from tests.web import conftest
from tests.web.conftest import NO_REDIS, silent  # noqa: F401 - fixture

GIVEN = {**TOTAL, "timespan": MOVING}


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with desk_for_a_test(request) as desk:
        desk.load_ours()
        yield desk


@contextmanager
def face(**settings: str) -> Iterator[TestClient]:
    """The part that serves them."""
    with conftest.face(["messages"], **{"HARVEST_SEARCH_TIMEOUT": "5", **settings}) as client:
        yield client


def refused(answer: Any, status: int) -> str:
    """That an answer is an error, as clients of old know it; what it says."""
    assert answer.status_code == status
    assert [*answer.json()] == ["status", "code"]
    assert answer.json()["code"] == status
    return str(answer.json()["status"])


def test_an_analytic_from_its_beginning_to_its_end(desk: Desk) -> None:
    with face(ES_HOST=desk.url) as client:
        made = client.post("/analytic", json={**GIVEN, "type": "COUNT", "timespan": {"type": "DEFAULT", "value": "3D"}})
        assert made.status_code == 200
        assert [*made.json()] == ["id"]
        id = made.json()["id"]
        read = client.get("/analytic", params={"id": id, "project": "ignored"})
        assert read.json() == {"id": id, "descriptor": GIVEN, "result": None}
        result = desk.computer().compute(id)
        assert result is not None
        assert client.get("/analytic", params={"id": id}).json()["result"] == result
        for _ in range(2):
            gone = client.delete("/analytic", params={"id": id})
            assert (gone.status_code, gone.json()) == (200, {})
        refused(client.get("/analytic", params={"id": id}), 404)
        assert desk.analytics() == {}


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"count"', b'{"type": "count"}', "é".encode("latin-1")])
def test_what_is_no_descriptor_is_refused(body: bytes) -> None:
    with face() as client:
        assert refused(client.post("/analytic", content=body), 400).startswith("Malformed request: ")


@pytest.mark.parametrize(
    "timespan",
    [
        {"type": "moving", "value": "9999Y"},
        {"type": "moving", "value": "9" * 6000 + "d"},
        {"type": "fixed", "start": "2021-03-02", "end": "2021-03-01"},
        {"type": "fixed", "start": "2021-03-01T00:00:00", "end": "2021-03-01T01:00:00+02:00"},
    ],
)
def test_a_window_that_cannot_be_is_refused(timespan: Any) -> None:
    with face() as client:
        answer = client.post("/analytic", json={**GIVEN, "timespan": timespan})
    assert refused(answer, 400).startswith("Malformed request: analytic not valid. Cause: ")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("query", ["", "?id=", "?project=p"])
def test_an_id_is_wanted(method: str, query: str) -> None:
    with face() as client:
        assert "`id`" in refused(client.request(method, f"/analytic{query}"), 400)


def test_elasticsearch_is_away() -> None:
    with face(HARVEST_SEARCH_TIMEOUT="0.2") as client:
        for method, query in (("POST", ""), ("GET", "?id=x"), ("DELETE", "?id=x")):
            answer = client.request(method, f"/analytic{query}", json=GIVEN)
            refused(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("query", "task", "arguments"),
    [
        ("?id=x", "tasks.update_analytic", ["x"]),
        ("?id=x&timeWindowType=nonsense", "tasks.update_analytic", ["x"]),
        ("?timeWindowType=moving", "tasks.update_analytics", ["moving"]),
        ("?timeWindowType=FIXED", "tasks.update_analytics", ["fixed"]),
        ("", "tasks.update_analytics", [None]),
    ],
)
def test_computing_is_queued(redis_url: str, query: str, task: str, arguments: list[Any]) -> None:
    with face(REDIS_URL=redis_url) as client:
        answer = client.post(f"/analytic/compute{query}")
    assert (answer.status_code, answer.json()) == (200, {})
    with Redis.from_url(redis_url) as redis:
        (queued,) = [json.loads(each) for each in redis.lrange("messages", 0, -1)]
    assert queued["headers"]["task"] == task
    assert queued["headers"]["argsrepr"] == str(arguments)


@pytest.mark.parametrize("query", ["?timeWindowType=default", "?timeWindowType=custom", "?timeWindowType=", "?id="])
def test_what_is_no_kind_of_window(query: str) -> None:
    with face() as client:
        refused(client.post(f"/analytic/compute{query}"), 400)


def test_no_broker_answers(silent: str) -> None:  # noqa: F811
    mute = f"redis://{silent}/0"
    for told in ({"CELERY_BROKER_URL": NO_REDIS}, {"CELERY_BROKER_URL": mute}, {"REDIS_URL": mute}):
        with face(HARVEST_API_RATE="600", **told) as client:
            began = time.monotonic()
            answer = client.post("/analytic/compute?id=x")
            refused(answer, 503)
            assert "Retry-After" in answer.headers
            assert time.monotonic() - began < 5


@pytest.mark.parametrize("value", ["40001", "many"])
def test_a_threshold_that_is_none_keeps_it_from_starting(value: str) -> None:
    with pytest.raises(ConfigError, match="CARDINALITY"), face(CARDINALITY_PRECISION_THRESHOLD=value):
        pass


@pytest.mark.parametrize("path", ["/analytic", "/analytic/compute"])
def test_other_methods(path: str) -> None:
    with face() as client:
        refused(client.put(path), 405)
