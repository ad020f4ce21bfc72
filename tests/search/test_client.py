"""What the cluster's answers mean, and where the client goes."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused, reason
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, TryLater, Unavailable
from harvesters.settings import Settings
from harvesters.simulators.base import Request, Response, Simulator
from tests.clocks import FakeClock, patient
from tests.nodes import Node
from tests.sinks.bulk import HEADERS, answer, error


class Answering(Simulator):
    """Gives the same answer to everything."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response
        self.seen: list[Request] = []

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        return self.response


@pytest.mark.parametrize(
    ("host", "url", "remote"),
    [
        ("", "http://localhost:9200", False),
        ("127.0.0.1", "http://127.0.0.1:9200", False),
        ("localhost:9201", "http://localhost:9201", False),
        ("es.example.edu", "https://es.example.edu:9200", True),
        ("https://es.example.edu", "https://es.example.edu", True),
        ("es.example.edu:9200", "https://es.example.edu:9200", True),
        ("http://es.example.edu:9200/prefix/", "http://es.example.edu:9200/prefix", True),
        ("[::1]", "http://[::1]:9200", False),
        ("http://[::1]:9200", "http://[::1]:9200", False),
    ],
)
def test_es_host(host: str, url: str, remote: bool) -> None:
    client = SearchClient.from_settings(Settings({"ES_HOST": host}), patient())
    assert (client.url, client.remote) == (url, remote)
    assert client.raw is client.raw
    client.close()


def test_a_far_cluster_gets_its_bodies_compressed() -> None:
    near, far = SearchClient("http://127.0.0.1:9200", patient()), SearchClient("http://10.1.2.3:9200", patient())
    sent = [next(iter(client.raw.transport.node_pool.all())).config.http_compress for client in (near, far)]
    assert sent == [False, True]


@pytest.mark.parametrize(
    ("status", "kind", "meaning"),
    [
        (400, "illegal_argument_exception", Refused),
        (401, "security_exception", CredentialsRefused),
        (403, "security_exception", CredentialsRefused),
        (403, "cluster_block_exception", Unavailable),
        (404, "index_not_found_exception", Refused),
        (429, "es_rejected_execution_exception", TryLater),
        (429, "cluster_block_exception", Unavailable),
        (503, "cluster_manager", Unavailable),
    ],
)
def test_what_an_answer_means(status: int, kind: str, meaning: type[Exception]) -> None:
    with Answering(answer({"error": error(kind, "says why")}, status)) as simulator:
        clock = FakeClock()
        client = SearchClient(simulator.url, patient(clock, budget=5))
        with pytest.raises(meaning, match="says why"):
            client.request("GET", "/x")
        client.close()
    assert bool(clock.slept) == (meaning in (Unavailable, TryLater))


def test_a_status_that_the_caller_understands_is_no_error() -> None:
    with Answering(answer({"error": error("no")}, 404)) as simulator:
        client = SearchClient(simulator.url, patient())
        assert not client.request("GET", "/x", accept=(404,)).found
        client.close()


def test_what_is_no_elasticsearch_is_refused() -> None:
    with Answering(Response(200, b"{}", {"Content-Type": "application/json"})) as simulator:
        client = SearchClient(simulator.url, patient())
        with pytest.raises(ProtocolError, match="no Elasticsearch"):
            client.request("GET", "/")
        client.close()


def test_opensearch_takes_no_media_type_of_elasticsearch() -> None:
    body = b'{"error": "Content-Type header [application/vnd.elasticsearch+json] is not supported", "status": 406}'
    with Answering(Response(406, body, {"Content-Type": "application/json"})) as simulator:
        client = SearchClient(simulator.url, patient())
        with pytest.raises(ProtocolError, match=r"OpenSearch is none.*Content-Type header"):
            client.request("PUT", "/_index_template/useractions", {})
        client.close()


@pytest.mark.parametrize("accept", [(404,), range(300, 600)])
def test_a_web_server_that_finds_nothing_is_no_elasticsearch_without_indices(accept: Collection[int]) -> None:
    with Answering(Response(404, b"<html>", {"Content-Type": "text/html"})) as simulator:
        client = SearchClient(simulator.url, patient())
        for _ in range(2):
            with pytest.raises(ProtocolError, match="no Elasticsearch"):
                client.request("GET", "/_resolve/index/useractions-*", accept=accept)
        client.close()


def test_an_answer_that_is_cut_off_is_asked_for_again() -> None:
    with Answering(Response(200, b'{"hits": [', HEADERS)) as simulator:
        clock = FakeClock()
        client = SearchClient(simulator.url, patient(clock, budget=5))
        with pytest.raises(Unavailable):
            client.request("GET", "/")
        client.close()
    assert clock.slept


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"ES_API_KEY": "a2V5OnNlY3JldA=="}, "ApiKey a2V5OnNlY3JldA=="),
        ({"ES_USER": "elastic", "ES_PASSWORD": "secret-word"}, "Basic ZWxhc3RpYzpzZWNyZXQtd29yZA=="),
        ({}, ""),
    ],
)
def test_credentials(settings: dict[str, str], header: str) -> None:
    with Answering(answer({})) as simulator:
        client = SearchClient.from_settings(Settings({**settings, "ES_HOST": simulator.url}), patient())
        client.request("GET", "/")
        client.close()
        assert simulator.seen[0].headers.get("authorization", "") == header


def test_a_file_of_certificates_that_is_not_there() -> None:
    settings = Settings({"ES_CA_CERTS": "/nowhere/ca.pem", "ES_HOST": "https://es.example.edu"})
    client = SearchClient.from_settings(settings, patient())
    with pytest.raises(ConfigError, match="ES_CA_CERTS"):
        client.request("GET", "/")


def test_a_real_node_answers(node: Node) -> None:
    assert node.ask("GET", "/")["version"]["number"].startswith(("8.", "9."))


def test_a_search_that_fails_everywhere_says_where_and_why() -> None:
    root = {"type": "query_shard_exception", "reason": "For input string: true", "index": "useractions-2017.10.01"}
    error = {"root_cause": [root], "type": "search_phase_execution_exception", "reason": "all shards failed"}
    said = reason({"error": error, "status": 400})
    assert said.endswith("all shards failed; useractions-2017.10.01: For input string: true")
