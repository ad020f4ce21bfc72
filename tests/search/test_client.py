"""What the cluster's answers mean, and where the client goes."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote

import pytest

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.cluster import Acquaintance
from harvesters.elastic.errors import Refused, field_of, reason
from harvesters.errors import ConfigError, CredentialsRefused, HarvestError, ProtocolError, TryLater, Unavailable
from harvesters.settings import Settings
from harvesters.simulators.base import Request, Response, Simulator
from tests.certificates import self_signed, with_tls
from tests.clocks import FakeClock, patient
from tests.connecting import Connect
from tests.nodes import Node
from tests.sinks.bulk import HEADERS, WELCOME, answer, error


class Answering(Simulator):
    """Gives the same answer to everything but ``GET /``."""

    def __init__(self, response: Response, root: Response | None = None) -> None:
        super().__init__()
        self.response, self.root = response, root or answer(WELCOME)
        self.seen: list[Request] = []

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        return self.root if request.path == "/" else self.response


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
def test_es_host(connect: Connect, host: str, url: str, remote: bool) -> None:
    client = connect.from_settings(Settings({"ES_HOST": host}), patient())
    assert (client.url, client.remote) == (url, remote)
    assert client.raw is client.raw
    client.close()


def test_a_far_cluster_gets_its_bodies_compressed() -> None:
    near, far = SearchClient("http://127.0.0.1:9200", patient()), SearchClient("http://10.1.2.3:9200", patient())
    sent = [next(iter(client.raw.node_pool.all())).config.http_compress for client in (near, far)]
    assert sent == [False, True]


@pytest.mark.parametrize(
    ("status", "kind", "meaning"),
    [
        (400, "illegal_argument_exception", Refused),
        (401, "security_exception", CredentialsRefused),
        (403, "security_exception", CredentialsRefused),
        (403, "cluster_block_exception", Unavailable),
        (404, "index_not_found_exception", Refused),
        (404, "illegal_index_shard_state_exception", Unavailable),
        (429, "es_rejected_execution_exception", TryLater),
        (429, "cluster_block_exception", Unavailable),
        (503, "cluster_manager", Unavailable),
    ],
)
def test_what_an_answer_means(connect: Connect, status: int, kind: str, meaning: type[Exception]) -> None:
    with Answering(answer({"error": error(kind, "says why")}, status)) as simulator:
        clock = FakeClock()
        client = connect(simulator.url, patient(clock, budget=5))
        with pytest.raises(meaning, match="says why"):
            client.request("GET", "/x")
        client.close()
    assert bool(clock.slept) == (meaning in (Unavailable, TryLater))


def test_a_search_that_makes_too_many_buckets_is_not_asked_again(connect: Connect) -> None:
    """OpenSearch says 503."""
    cause = {"type": "too_many_buckets_exception", "reason": "Trying to create too many buckets."}
    body = {"error": {"type": "search_phase_execution_exception", "reason": "", "caused_by": cause}, "status": 503}
    with Answering(answer(body, 503)) as simulator:
        client = connect(simulator.url, patient())
        with pytest.raises(Refused, match="too many buckets"):
            client.request("POST", "/x/_search", {})
        client.close()
        assert [seen.path for seen in simulator.seen] == ["/", "/x/_search"]


def test_a_status_that_the_caller_understands_is_no_error(connect: Connect) -> None:
    with Answering(answer({"error": error("no")}, 404)) as simulator:
        client = connect(simulator.url, patient())
        assert not client.request("GET", "/x", accept=(404,)).found
        client.close()


@pytest.mark.parametrize(
    ("root", "found"),
    [
        (Response(200, b"{}", {"Content-Type": "application/json"}), "does not say what it is"),
        (Response(200, b"<html>", {"Content-Type": "text/html"}), "does not say what it is"),
        (Response(404, b"<html>", {"Content-Type": "text/html"}), "does not say what it is.*404.*ES_DISTRIBUTION"),
        (answer({"version": {"number": "7.17.29"}}), "is elasticsearch 7.17.29, which is too old"),
        (Response.json({"version": {"number": "7.10.2"}, "tagline": "You Know, for Search"}), "elasticsearch 7.10.2"),
        (Response.json({"version": {"number": "2.6.0", "distribution": "opensearch"}}), "opensearch 2.6.0.*too old"),
        (Response.json({"version": {"number": "1.3.20", "distribution": "opensearch"}}), "OpenSearch 2.7 or newer"),
        (
            Response.json(
                {"version": {"number": "7.10.2"}, "tagline": "The OpenSearch Project: https://opensearch.org/"}
            ),
            "OpenSearch that calls itself 7.10.2.*compatibility.override_main_response_version",
        ),
        (Response.json({"version": {"number": "9.1", "distribution": "elsewhere"}}), "is elsewhere 9.1"),
    ],
)
def test_what_is_not_supported_is_refused_before_anything_is_asked(
    connect: Connect, root: Response, found: str
) -> None:
    with Answering(answer({}), root) as simulator:
        client = connect(simulator.url, patient())
        for _ in range(2):
            with pytest.raises(ProtocolError, match=found):
                client.request("PUT", "/_index_template/useractions", {}, accept=range(300, 600))
        client.close()
        assert {(seen.method, seen.path) for seen in simulator.seen} == {("GET", "/")}


OPENSEARCH = Response.json({"version": {"number": "3.8.0", "distribution": "opensearch"}})


def test_a_cluster_behind_a_proxy_that_strips_headers_is_known(connect: Connect) -> None:
    bare = b'{"version": {"number": "8.19.0"}, "tagline": "You Know, for Search"}'
    with Answering(answer({}), Response(200, bare)) as simulator:
        client = connect(simulator.url, patient())
        assert client.request("GET", "/x").found
        client.close()


def test_messages_name_the_product(connect: Connect) -> None:
    with Answering(answer({"error": error("no")}, 400), OPENSEARCH) as simulator:
        client = connect(simulator.url, patient())
        with pytest.raises(Refused, match=f"^opensearch at 127.0.0.1:{simulator.port}: GET /x: 400"):
            client.request("GET", "/x")
        client.close()


@pytest.mark.parametrize("status", [403, 404])
def test_a_cluster_that_hides_what_it_is_is_named_by_a_setting(connect: Connect, status: int) -> None:
    hidden = Response.json({"Message": "User: x is not authorized to perform: es:ESHttpGet"}, status)
    with Answering(answer({}), hidden) as simulator:
        settings = {"ES_HOST": simulator.url}
        client = connect.from_settings(Settings(settings), patient())
        with pytest.raises(CredentialsRefused if status == 403 else ProtocolError, match="ES_DISTRIBUTION") as told:
            client.request("GET", "/x")
        assert "es:ESHttpGet" in str(told.value)
        client.close()
        client = connect.from_settings(Settings({**settings, "ES_DISTRIBUTION": "opensearch"}), patient())
        assert client.request("GET", "/x").found
        assert client.name == f"opensearch at 127.0.0.1:{simulator.port}"
        client.close()


@pytest.mark.parametrize("kind", ["application/problem+json", "application/vnd.elasticsearch+json", "text/html"])
def test_a_refusal_is_one_in_whatever_words(connect: Connect, kind: str) -> None:
    refusal = Response(401, b'{"detail": "who are you?"}', {"Content-Type": kind})
    with Answering(refusal, refusal) as simulator:
        client = connect(simulator.url, patient())
        with pytest.raises(CredentialsRefused):
            client.request("GET", "/x")
        client.close()


def test_a_cluster_that_is_another_than_the_setting_says(connect: Connect) -> None:
    with Answering(answer({}), OPENSEARCH) as simulator:
        client = connect(simulator.url, patient(), distribution="elasticsearch")
        with pytest.raises(ConfigError, match=r"ES_DISTRIBUTION.*opensearch 3\.8\.0"):
            client.request("GET", "/x")
        client.close()


def test_a_process_asks_once_what_the_cluster_is() -> None:
    with Answering(answer({})) as simulator:
        known = Acquaintance()
        clients = [SearchClient(simulator.url, patient(), known=known) for _ in range(2)]
        simulator.latency = 0.05  # so that all want to know at once
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: clients[number % 2].request("GET", "/x"), range(16)))
        for client in clients:
            client.close()
        assert [seen.path for seen in simulator.seen].count("/") == 1


@pytest.mark.parametrize("body", [b'{"hits": [', b""])
def test_an_answer_that_is_cut_off_is_asked_for_again(connect: Connect, body: bytes) -> None:
    with Answering(Response(200, body, HEADERS)) as simulator:
        clock = FakeClock()
        client = connect(simulator.url, patient(clock, budget=5))
        with pytest.raises(Unavailable):
            client.request("GET", "/x")
        client.close()
    assert clock.slept


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"ES_API_KEY": "a2V5OnNlY3JldA=="}, "ApiKey a2V5OnNlY3JldA=="),
        ({"ES_USER": "elastic", "ES_PASSWORD": "secret-word"}, "Basic ZWxhc3RpYzpzZWNyZXQtd29yZA=="),
        ({"ES_USER": "zo\u00eb", "ES_PASSWORD": "w\u00f6rd\udcff"}, "Basic em/Dqzp3w7ZyZP8="),
        ({}, ""),
    ],
)
def test_credentials(connect: Connect, settings: dict[str, str], header: str) -> None:
    with Answering(answer({})) as simulator:
        client = connect.from_settings(Settings({**settings, "ES_HOST": simulator.url}), patient())
        client.request("GET", "/")
        client.close()
        assert simulator.seen[0].headers.get("authorization", "") == header


def test_a_file_of_certificates_that_is_not_there(connect: Connect) -> None:
    settings = Settings({"ES_CA_CERTS": "/nowhere/ca.pem", "ES_HOST": "https://es.example.edu"})
    client = connect.from_settings(settings, patient())
    with pytest.raises(ConfigError, match="ES_CA_CERTS"):
        client.request("GET", "/")


def test_a_real_node_answers(node: Node) -> None:
    number = node.ask("GET", "/")["version"]["number"]
    with closing(node.client()) as client:
        assert client.cluster.version == number
        assert str(client.cluster) in (f"elasticsearch {number}", f"opensearch {number}")


def test_a_search_that_fails_everywhere_says_where_and_why() -> None:
    root = {"type": "query_shard_exception", "reason": "For input string: true", "index": "useractions-2017.10.01"}
    error = {"root_cause": [root], "type": "search_phase_execution_exception", "reason": "all shards failed"}
    said = reason({"error": error, "status": 400})
    assert said.endswith("all shards failed; useractions-2017.10.01: For input string: true")


def test_a_certificate_that_does_not_fit_is_a_matter_of_configuration_at_once(connect: Connect, tmp_path: Path) -> None:
    simulator = Answering(answer({}))
    url = with_tls(simulator, self_signed(tmp_path))
    with simulator:
        clock = FakeClock()
        client = connect(url, patient(clock, budget=5))
        with pytest.raises(ConfigError, match="ES_CA_CERTS"):
            client.request("GET", "/")
        client.close()
    assert not clock.slept


def test_a_certificate_of_ones_own_is_taken_for_its_host_alone(connect: Connect, tmp_path: Path) -> None:
    for host in ("localhost", "es.example.edu"):
        simulator, certificate = Answering(answer({})), self_signed(tmp_path, host)
        url = with_tls(simulator, certificate)
        with simulator:
            client = connect(url, patient(budget=5), ca_certs=str(certificate))
            if host == "localhost":
                assert client.request("GET", "/").status == 200
            else:
                with pytest.raises(ConfigError, match="secure connection"):
                    client.request("GET", "/")
            client.close()


def test_a_handshake_that_is_torn_is_tried_again(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def tear() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.recv(100)
                    connection.sendall(b"\x16\x03\x03\x00\x50\x02")  # the beginning of a ServerHello
                    connection.close()

        threading.Thread(target=tear, daemon=True).start()
        clock = FakeClock()
        client = connect(f"https://127.0.0.1:{server.getsockname()[1]}", patient(clock, budget=5))
        with pytest.raises(Unavailable):
            client.request("GET", "/")
        client.close()
        server.shutdown(socket.SHUT_RDWR)
    assert clock.slept


@pytest.mark.parametrize("status", [200, 400, 429])
def test_no_body_of_an_answer_stands_in_a_message(connect: Connect, status: int) -> None:
    with Answering(Response(status, b'{"hits": [{"huid": "10564389"}', HEADERS)) as simulator:
        client = connect(simulator.url, patient(budget=5))
        with pytest.raises(HarvestError) as told:
            client.request("GET", "/x")
        client.close()
    assert "10564389" not in str(told.value)
    assert "30 bytes" in str(told.value)


def test_a_servers_own_words_are_cut() -> None:
    assert len(reason({"error": error("illegal_argument_exception", "x" * 5000)})) == 500


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("failed to parse field [is_live] of type [long] in document with id '1'", "is_live"),
        ("mapping set to strict, dynamic introduction of [crn] within [episode] is not allowed", "episode.crn"),
        ("mapping set to strict, dynamic introduction of [creator] within [_doc] is not allowed", "creator"),
        ("object mapping for [episode] tried to parse field [episode] as object", "episode"),
        ('Document contains at least one immense term in field="zoom._valueAndPath" (whose UTF8 …', "zoom"),
        ('Document contains at least one immense term in field="zoom._value" (whose UTF8 …', "zoom"),
        ('Document contains at least one immense term in field="user.name" (whose UTF8 …', "user.name"),
        ("something else", ""),
    ],
)
def test_the_field_that_a_document_broke_on(words: str, field: str) -> None:
    assert field_of(error("document_parsing_exception", words)) == field


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed_elsewhere(connect: Connect, status: int) -> None:
    with Answering(answer({})) as other:
        elsewhere = Response(status, b"", {**HEADERS, "Location": f"{other.url}/x"})
        with Answering(elsewhere) as simulator:
            client = connect(simulator.url, patient(), user="elastic", password="secret-word")
            with pytest.raises(Refused, match=str(status)):
                client.request("PUT", "/x", {})
            client.close()
        assert other.seen == []


def test_a_path_is_asked_for_as_it_is_spelled(connect: Connect) -> None:
    names = ["a%2a", "%3Cx-%7Bnow%2Fd%7D%3E", "\u00e4 b", "a+b", "~x", "%25", "a%2Cb"]
    with Answering(answer({})) as simulator:
        client = connect(simulator.url, patient())
        for name in names:
            client.request("GET", f"/{paths.name(name)}/_search", params={"filter_path": "a,b.*", "x": "1 2"})
        client.close()
    seen = simulator.seen[1:]
    assert [unquote(each.path.split("/")[1]) for each in seen] == names
