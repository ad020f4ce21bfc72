"""The routes do what /openapi.json says: schemathesis makes up requests, valid ones and others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from harvesters.settings import Settings
from harvesters.standins.kafka import Kafka
from harvesters.web.app import create
from tests.brokers import Broker
from tests.web.conftest import NO_REDIS, Open, Running, serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SCHEMA = schemathesis.openapi.from_dict(create(Settings({"REDIS_URL": NO_REDIS})).openapi())
OPERATIONS: list[Any] = [result.ok() for result in SCHEMA.get_all_operations()]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def server(events: dict[str, str], kafka_server: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {**events, **Broker(kafka_server).environment, "HARVEST_API_RATE": "0"}
    with serving(tmp_path_factory.mktemp("server") / "log", **settings) as running:
        yield running


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_whatever_is_asked_the_answer_is_one_of_those_described(
    operation: Any, mode: GenerationMode, server: Running
) -> None:
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters or operation.body):
        mode = GenerationMode.POSITIVE  # there is nothing that could be wrong

    @settings(max_examples=20)
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=server.url, checks=CHECKS)

    ask()


@pytest.mark.parametrize("path", ["/health", "/ready", "/api/v1/insights", "/docs"])
@pytest.mark.parametrize("query", ["school=osu_edu", "a=&a="])
def test_where_there_are_no_parameters_each_is_an_error_that_is_described(
    path: str, query: str, open_face: Open
) -> None:
    answer = open_face().get(f"{path}?{query}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    if path != "/docs":
        assert "422" in SCHEMA.raw_schema["paths"][path]["get"]["responses"]


def test_every_route_of_the_api_is_described() -> None:
    paths = {operation.path for operation in OPERATIONS}
    assert paths >= {"/health", "/ready", "/api/v1/insights/{answer}", "/api/v1/profiles", "/api/v1/profiles/suggest"}
    assert paths >= {"/api/v1/search", "/api/v1/search/suggest", "/api/v1/listings"}
