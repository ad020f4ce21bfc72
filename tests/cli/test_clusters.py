"""Commands on whatever cluster the test run has: by the settings of Amazon, and what is refused before it is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.search import templates
from harvesters.simulators.amazon.credentials import Credentials
from harvesters.simulators.amazon.server import OpenSearchService
from harvesters.simulators.base import Response, Simulator
from tests.cli.buddyup import EVENTS, count
from tests.cli.conftest import Command
from tests.cli.searching import Cluster, cluster_for_a_test


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as cluster:
        yield cluster


@pytest.fixture
def domain(cluster: Cluster, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSearchService]:
    """The cluster behind Amazon's door, and settings that point there and not at the cluster, as `prefix` does."""
    with Credentials() as role, OpenSearchService(cluster.url, role.keys) as service:
        settings = {"ES_HOST": service.url, "ES_AUTH": "aws", "ES_AWS_REGION": "eu-central-1", **role.environment}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield service


def test_commands_behind_amazons_door_do_what_they_do_elsewhere(
    harvest: Command, domain: OpenSearchService, cluster: Cluster, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "events.json").write_text(json.dumps(EVENTS))
    first = harvest("setup", "load_index_templates")
    assert first.code == 0, first.err
    second = harvest("setup", "load_index_templates", "--retention", "400d")
    assert second.out.count(": unchanged (version ") == len(templates.read())
    if cluster.product.distribution == "opensearch":
        assert domain.ism.policies.keys() == {"harvest"}, second.out + second.err
        assert "ISM policy harvest: new" in second.out
        assert "unchanged" in harvest("setup", "load_index_templates", "--retention", "400d").out
    loaded = harvest("--log-format", "json", "firebase", "load", str(tmp_path / "events.json"))
    assert (loaded.code, loaded.report["delivered"]) == (0, 80)
    assert count(cluster.url, f"{prefix}events") == 80
    assert harvest("setup", "migrate").code == 0
    assert harvest("query", "action_types", "--index", f"{prefix}events").code == 0
    assert domain.refused == []


@pytest.mark.parametrize("added", [True, False])
def test_a_migrated_index_stays_under_the_policy(
    harvest: Command, domain: OpenSearchService, cluster: Cluster, added: bool
) -> None:
    day = f"meetings-{cluster.month.replace('-', '.')}.05"
    cluster.ask("DELETE", "/_index_template/meetings", accept=(404,))
    cluster.ask("PUT", f"/{day}/_doc/1?refresh=true", {"uuid": "1", "zoom": {"total_minutes": 5}})
    assert harvest("setup", "load_index_templates", "--retention", "400d").code == 0
    if not added:
        domain.fail("status", path="/_plugins/_ism/add", times=2, response=Response.json({"error": "no"}, 400))
    migrated = harvest("setup", "migrate")
    assert f"{day}: copied 1 documents" in migrated.out, migrated.err
    (name,) = cluster.ask("GET", f"/{day}/_alias")
    cluster.ask("DELETE", f"/{name}")
    if cluster.product.distribution == "opensearch":
        assert domain.ism.managed.get(name) == ("harvest" if added else None)
        assert (f"{name}: is not under the ISM policy" in migrated.out) is not added


def test_who_may_not_is_told_so_by_the_servers_words(harvest: Command, domain: OpenSearchService) -> None:
    domain.allowed = False
    result = harvest("setup", "load_index_templates")
    assert result.code == 77
    assert "is not authorized to perform: es:ESHttpGet" in result.err
    assert "ES_DISTRIBUTION" in result.err


@pytest.mark.parametrize(
    ("env", "code", "said"),
    [
        ({"ES_AUTH": "iam"}, 78, "ES_AUTH='iam'"),
        ({"ES_AUTH": "aws", "ES_USER": "elastic", "ES_AWS_REGION": "x"}, 78, "ES_AUTH=aws and ES_USER"),
        ({"ES_AUTH": "aws", "ES_AWS_REGION": "x"}, 78, "boto3 finds no credentials"),
        ({"ES_DISTRIBUTION": "easysearch"}, 78, "ES_DISTRIBUTION='easysearch'"),
    ],
)
def test_settings_that_cannot_be_meant(harvest: Command, env: dict[str, str], code: int, said: str) -> None:
    result = harvest("setup", "load_index_templates", env={"ES_HOST": "127.0.0.1:1", **env})
    assert (result.code, said in result.err) == (code, True), result.err


def test_an_older_cluster_is_76_and_nothing_is_written(harvest: Command) -> None:
    class Old(Simulator):
        def handle(self, request: object) -> Response:
            return Response.json({"version": {"number": "7.10.2"}, "tagline": "You Know, for Search"})

    with Old() as old:
        result = harvest("setup", "load_index_templates", "-e", old.url)
        assert result.code == 76
        assert "is elasticsearch 7.10.2, which is too old; harvest.py needs Elasticsearch 8 or newer" in result.err
        assert [(seen.method, seen.path) for seen in old.requests] == [("GET", "/")]


def test_a_template_that_the_cluster_refuses_keeps_none_of_the_others_out(
    harvest: Command, cluster: Cluster, tmp_path: Path
) -> None:
    for name in ("episodes", "useractions"):
        (tmp_path / f"{name}.json").write_text(json.dumps(templates.find(name).body))
    bad = {"properties": {"x": {"type": "no_such_type"}}}
    body = {**templates.find("meetings").body, "template": {"mappings": bad}}
    (tmp_path / "meetings.json").write_text(json.dumps(body))
    arguments = ("setup", "load_index_templates", "--directory", str(tmp_path), "-e", cluster.url)
    result = harvest(*arguments)
    assert result.code == 76
    assert "meetings: refused" in result.out
    assert "refused 1 templates: meetings" in result.err
    assert "no_such_type" in result.err
    there = cluster.ask("GET", "/_index_template")["index_templates"]
    assert {"episodes", "useractions"} <= {each["name"] for each in there}
    cluster.ask(
        "PUT", "/_index_template/episodes", {**templates.find("episodes").on(cluster.product).body, "version": 99}
    )
    assert harvest(*arguments).code == 78


def test_a_query_that_would_be_answered_wrongly_is_2(
    harvest: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, prefix: str, tmp_path: Path
) -> None:
    import io
    import sys

    (tmp_path / "events.json").write_text(json.dumps(EVENTS))
    env = {"ES_HOST": cluster.url}
    assert harvest("firebase", "load", str(tmp_path / "events.json"), env=env).code == 0
    body = {"size": 0, "aggs": {"schools": {"cardinality": {"field": "data.school_id"}}}}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(body).encode())))
    result = harvest("query", "-", "--index", f"{prefix}events", env=env)
    assert result.code == 2
    assert "data.school_id lies in data, which is fla" in result.err
