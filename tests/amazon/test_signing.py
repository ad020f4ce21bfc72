"""Signed requests, as an independent reader of Amazon's rules finds them."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from harvesters.elastic import bulk, paths
from harvesters.elastic.asyncclient import AsyncSearchClient
from harvesters.elastic.client import SearchClient
from harvesters.errors import ConfigError, CredentialsRefused, RateLimited, Unavailable
from harvesters.privacy import redact
from harvesters.search.description import describe
from harvesters.settings import Settings
from harvesters.simulators.amazon.credentials import Credentials
from harvesters.simulators.base import Response
from tests.amazon.conftest import REGION, Domain
from tests.clocks import FakeClock, patient
from tests.connecting import Connect

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-key"}


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/useractions-*/_search", {"filter_path": "errors,items.*.status", "ignore_unavailable": True}),
        (f"/{paths.name('<x-{now/d}>')}/_doc/{paths.name('a/b c+d%e=é')}", {"b": "2", "a": "1 2", "A": "~"}),
        (f"/{paths.pattern('a,b*,-c')}/_count", None),
        ("/x/_search", {"empty": ""}),
    ],
)
@pytest.mark.parametrize("body", [None, {"query": "ü"}])
def test_paths_queries_and_bodies_arrive_as_they_were_signed(
    connect: Connect, domain: Domain, path: str, params: dict[str, Any] | None, body: Any
) -> None:
    client = connect.from_settings(domain.settings, patient())
    assert client.request("POST" if body else "GET", path, body, params=params).found
    client.close()
    assert domain.service.refused == []


def test_what_is_signed_is_the_compressed_body(connect: Connect, domain: Domain, compressing: None) -> None:
    client = connect.from_settings(domain.settings, patient())
    assert client.request("POST", "/x/_search", {"query": {"match_all": {}}}).found
    client.close()
    assert domain.service.refused == []
    assert [seen.headers.get("content-encoding") for seen in domain.service.requests] == [None, "gzip"]


def test_the_path_prefix_is_signed_too(connect: Connect, domain: Domain) -> None:
    domain.more["ES_HOST"] = f"{domain.service.url}/prefix"
    client = connect.from_settings(domain.settings, patient())
    assert client.request("GET", "/x").body["path"] == "/prefix/x"
    client.close()


def test_only_host_and_amazons_own_headers_are_signed(connect: Connect, domain: Domain) -> None:
    client = connect.from_settings(domain.settings, patient())
    client.request("POST", "/x", {})
    client.close()
    for seen in domain.service.requests:
        assert (
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token," in seen.headers["authorization"]
        )
        assert seen.headers["host"] == f"127.0.0.1:{domain.service.port}"


def test_keys_of_a_user_are_signed_with_too(connect: Connect, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    from harvesters.simulators.amazon.signature import Key

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    domain.service.keys = {KEYS["AWS_ACCESS_KEY_ID"]: Key(KEYS["AWS_SECRET_ACCESS_KEY"])}
    client = connect.from_settings(domain.settings, patient())
    assert client.request("GET", "/x").found
    client.close()


@pytest.mark.parametrize("lifetime", [timedelta(seconds=2), timedelta(hours=1)])
def test_a_service_outlives_its_first_credentials(connect: Connect, domain: Domain, lifetime: timedelta) -> None:
    """Whether boto3 knows that they end, or learns it from a refusal."""
    domain.credentials.lifetime = lifetime
    client = connect.from_settings(domain.settings, patient())
    for _ in range(3):
        assert client.request("POST", "/x", {}).found
        domain.credentials.rotate()
    assert client.request("POST", "/x", {}).found
    client.close()
    refused = 0 if lifetime < timedelta(minutes=1) else 3
    assert domain.service.refused == ["The security token included in the request is expired"] * refused


def test_credentials_that_stay_expired_are_refused_with_the_servers_words(connect: Connect, domain: Domain) -> None:
    client = connect.from_settings(domain.settings, patient())
    client.request("GET", "/x")
    domain.credentials.rotate()
    old = dict(domain.service.keys)
    domain.service.keys = {name: key for name, key in old.items() if key.ends is not None}
    with pytest.raises(CredentialsRefused, match="security token included in the request is"):
        client.request("GET", "/x")
    client.close()


def test_an_access_policy_that_forbids_is_named(connect: Connect, domain: Domain) -> None:
    client = connect.from_settings(domain.settings, patient())
    client.request("GET", "/x")
    domain.service.allowed = False
    with pytest.raises(CredentialsRefused, match=r"not authorized to perform: es:ESHttpPost.*access policy"):
        client.request("POST", "/x", {})
    client.close()


@pytest.mark.parametrize(
    ("response", "meaning"),
    [
        (Response(429, b"Too Many Requests", {"Content-Type": "text/plain"}), RateLimited),
        (Response.html(503, "Service Unavailable"), Unavailable),
        (Response.json({"message": "Endpoint request timed out"}, 504), Unavailable),
        (Response.json({"Message": "Internal error"}, 500), Unavailable),
    ],
)
def test_what_amazon_says_itself_counts_by_its_status(
    connect: Connect, domain: Domain, response: Response, meaning: type[Exception]
) -> None:
    clock = FakeClock()
    client = connect.from_settings(domain.settings, patient(clock, budget=5))
    client.request("GET", "/x")
    domain.service.fail("status", path="/x", times=1, response=response)
    assert client.request("GET", "/x").found
    assert clock.slept
    domain.service.fail("status", path="/x", times=1000, response=response)
    with pytest.raises(meaning):
        client.request("GET", "/x")
    client.close()


def test_a_body_that_is_too_large_is_halved(domain: Domain) -> None:
    domain.service.most_bytes = 200
    client = SearchClient.from_settings(domain.settings, patient())
    lines = [bulk.write("x", str(number), b'{"text":"%b"}' % (b"x" * 60)) for number in range(6)]
    sent: list[int] = []
    answer = domain.behind.handle

    def counting(request: Any) -> Response:
        if not request.path.endswith("/_bulk"):
            return answer(request)
        sent.append(len(request.body.splitlines()) // 2)
        return Response.json({"errors": False, "items": [{"index": {"status": 201}}] * sent[-1]})

    domain.behind.handle = counting  # type: ignore[method-assign]
    assert bulk.deliver(client, lines) == {}
    client.close()
    assert sum(sent) == 6
    assert max(sent) < 6


def test_no_credential_stands_in_a_message_or_a_log(
    connect: Connect, domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect.from_settings(domain.settings, patient())
    client.request("GET", "/x")
    (id,) = [name for name, key in domain.credentials.keys.items() if key.ends is None]
    key = domain.credentials.keys[id]
    given = domain.service.requests[-1].headers["authorization"]
    echo = f"Authorization={given} {id} {key.secret} {key.token}"
    domain.service.fail("status", path="/x", response=Response.json({"message": echo}, 403))
    with pytest.raises(CredentialsRefused) as told:
        client.request("GET", "/x")
    client.close()
    for text in (redact(str(told.value)), redact(caplog.text)):
        secrets = {"id": id, "secret": key.secret, "token": key.token, "signature": given.rpartition("=")[2]}
        assert [name for name, secret in secrets.items() if secret in text] == []


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "scope"),
        [
            ({"ES_HOST": "search-x-abc.eu-central-1.es.amazonaws.com"}, "aws (es, eu-central-1)"),
            ({"ES_HOST": "https://search-x-abc.us-gov-west-1.es.amazonaws.com/"}, "aws (es, us-gov-west-1)"),
            ({"ES_HOST": "abc.us-east-2.aoss.amazonaws.com"}, "aws (aoss, us-east-2)"),
            ({"ES_HOST": "x.us-east-2.es.amazonaws.com", "ES_AWS_REGION": "eu-west-1"}, "aws (es, eu-west-1)"),
            ({"ES_HOST": "es.example.edu", "ES_AWS_REGION": "eu-west-1"}, "aws (es, eu-west-1)"),
            ({"ES_HOST": "es.example.edu", "ES_AWS_SERVICE": "aoss", "ES_AWS_REGION": "x"}, "aws (aoss, x)"),
        ],
    )
    def test_what_is_signed_for(self, role: Credentials, settings: dict[str, str], scope: str) -> None:
        client = SearchClient.from_settings(Settings({"ES_AUTH": "aws", **settings}), patient())
        assert str(client.aws) == scope
        assert ":9200" not in client.url

    def test_the_region_of_boto3(self, role: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = Settings({"ES_AUTH": "aws", "ES_HOST": "es.example.edu"})
        with pytest.raises(ConfigError, match="ES_AWS_REGION"):
            SearchClient.from_settings(settings, patient())
        monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
        assert str(SearchClient.from_settings(settings, patient()).aws) == "aws (es, ap-south-1)"

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"ES_AUTH": "AWS"}, "ES_AUTH='AWS'"),
            ({"ES_AUTH": "basic"}, "ES_AUTH='basic'"),
            ({"ES_AWS_SERVICE": "s3"}, "ES_AWS_SERVICE='s3'"),
            ({"ES_API_KEY": "a2V5"}, "ES_AUTH=aws and ES_API_KEY"),
            ({"ES_USER": "elastic"}, "ES_AUTH=aws and ES_USER"),
            ({"ES_PASSWORD": "word"}, "ES_AUTH=aws and ES_PASSWORD"),
        ],
    )
    def test_settings_that_contradict_each_other(self, settings: dict[str, str], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            SearchClient.from_settings(Settings({"ES_AUTH": "aws", "ES_AWS_REGION": REGION, **settings}), patient())

    @pytest.mark.parametrize("region", ["eu west", "eu-wést-1", "eu-west-1/es"])
    def test_what_is_no_region(self, region: str) -> None:
        with pytest.raises(ConfigError, match="is no region"):
            SearchClient.from_settings(Settings({"ES_AUTH": "aws", "ES_AWS_REGION": region}), patient())

    def test_a_profile_that_is_not_there_has_no_region(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobodys")
        with pytest.raises(ConfigError, match="nobodys"):
            SearchClient.from_settings(Settings({"ES_AUTH": "aws", "ES_HOST": "es.example.edu"}), patient())

    def test_no_credentials_to_be_found(self, connect: Connect) -> None:
        settings = Settings({"ES_AUTH": "aws", "ES_AWS_REGION": REGION, "ES_HOST": "127.0.0.1:1"})
        client = connect.from_settings(settings, patient())
        with pytest.raises(ConfigError, match="boto3 finds no credentials"):
            client.request("GET", "/x")
        client.close()


def test_a_line_says_what_it_is_and_how_it_is_signed_in(domain: Domain) -> None:
    client = SearchClient.from_settings(domain.settings, patient())
    assert describe(client) == "opensearch 2.19.0; point_in_time, flat_object; ism; aws (es, eu-central-1)"
    client.close()
    plain = SearchClient(domain.behind.url, patient(), user="harvest", password="secret-word")
    assert describe(plain).endswith("; user harvest")
    plain.close()


def test_many_at_once_in_a_loop_share_what_they_sign_with(domain: Domain) -> None:
    async def run() -> None:
        async def sleep(seconds: float) -> None:
            raise AssertionError("nothing is tried again")

        async with AsyncSearchClient.from_settings(domain.settings, patient(), 8, sleep=sleep) as client:
            await asyncio.gather(*(client.request("POST", f"/x/{number}", {}) for number in range(40)))

    asyncio.run(run())
    assert domain.service.refused == []
    assert len(domain.credentials.requests) == 1
    assert [seen.path for seen in domain.service.requests].count("/") == 1
