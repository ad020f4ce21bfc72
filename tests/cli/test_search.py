"""``harvest.py search profiles``, over what ``firebase profiles`` indexed."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterator

import pytest
import requests

from harvesters.profiles.index import ProfileIndex
from harvesters.profiles.suggest import suggest
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.cli.conftest import Command
from tests.nodes import Node

PEOPLE = {
    "-K1": {
        "first_name": "Linh",
        "last_name": "Nguyễn",
        "bio": "Coffee, code",
        "email": "linh@example.edu",
        "schools": {"osu_edu": {"name": "OSU"}},
        "classes": {"osu_edu-BIO-101": True},
    },
    "-K2": {"first_name": "Łukasz", "last_name": "Nowak", "bio": "knows Nguyen", "schools": {"mit_edu": True}},
    "-K3": {"first_name": "Zoë", "last_name": "Straße"},
}
COLUMNS = ["id", "name", "bio", "school_ids", "class_ids", "score"]


@pytest.fixture
def prefix(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The prefix of this test's indices in a real Elasticsearch."""
    name = f"t{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("ES_HOST", elasticsearch_url)
    monkeypatch.setenv("FIREBASE_INDEX_PREFIX", name)
    yield name
    for index in requests.get(f"{elasticsearch_url}/_resolve/index/{name}*,migrated-*-{name}*", timeout=30).json()[
        "indices"
    ]:
        requests.delete(f"{elasticsearch_url}/{index['name']}", timeout=30)
    requests.delete(f"{elasticsearch_url}/_index_template/{name}*", timeout=30)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, prefix: str) -> Iterator[FirebaseSimulator]:
    with FirebaseSimulator(secret="legacy-s3cret") as simulator:
        simulator.load("/users", PEOPLE)
        monkeypatch.setenv("FIREBASE_ENDPOINT", simulator.url)
        monkeypatch.setenv("FIREBASE_KEY", "legacy-s3cret")
        yield simulator


def found(harvest: Command, *arguments: str) -> list[str]:
    result = harvest("search", "profiles", *arguments, "--format", "json")
    assert result.code == 0, result.err
    return [row["id"] for row in json.loads(result.out)]


def test_people_are_found_as_soon_as_the_harvest_has_ended(harvest: Command, database: FirebaseSimulator) -> None:
    assert harvest("firebase", "profiles", "--sync").code == 0
    assert found(harvest, "nguyen coffee") == ["-K1"]
    assert found(harvest, "nguyen") == ["-K1", "-K2"]
    for text, key in (("lukasz", "-K2"), ("zoe", "-K3"), ("strasse", "-K3"), ("STRASE", "-K3")):
        assert found(harvest, text) == [key]
    assert found(harvest, "nguyen", "--school", "mit_edu") == ["-K2"]
    assert found(harvest, "nguyen", "--class", "osu_edu-BIO-101") == ["-K1"]
    assert found(harvest, "nguyen", "--class", "osu_edu-BIO") == []
    assert found(harvest, "nguyen", "--limit", "1") == ["-K1"]
    assert found(harvest, "*") == found(harvest, "") == found(harvest, "linh@example.edu") == []


def test_who_is_gone_is_found_no_more_as_soon_as_the_sync_has_ended(
    harvest: Command, database: FirebaseSimulator
) -> None:
    assert harvest("firebase", "profiles", "--sync").code == 0
    database.edit("/users/-K1")
    database.edit("/users/-K3/first_name", "Zoran")
    assert harvest("firebase", "profiles", "--sync").code == 0
    assert found(harvest, "nguyen") == ["-K2"]
    assert (found(harvest, "zoe"), found(harvest, "zoran")) == ([], ["-K3"])


def test_the_formats_have_the_same_columns(harvest: Command, database: FirebaseSimulator) -> None:
    assert harvest("firebase", "profiles").code == 0
    (row,) = json.loads(harvest("search", "profiles", "coffee", "--format", "json").out)
    assert list(row) == COLUMNS
    assert {**row, "score": None} == {
        "id": "-K1",
        "name": "Linh Nguyễn",
        "bio": "Coffee, code",
        "school_ids": ["osu_edu"],
        "class_ids": ["osu_edu-BIO-101"],
        "score": None,
    }
    assert row["score"] > 0
    head, line = csv.reader(io.StringIO(harvest("search", "profiles", "coffee", "--format", "csv").out))
    assert (head, line[:3]) == (COLUMNS, ["-K1", "Linh Nguyễn", "Coffee, code"])
    assert harvest("search", "profiles", "coffee").out.splitlines()[0].split() == COLUMNS
    assert harvest("search", "profiles", "nobody", "--format", "csv").out.splitlines() == [",".join(COLUMNS)]


class TestErrors:
    def test_a_text_beyond_256_characters_is_2(self, harvest: Command, database: FirebaseSimulator) -> None:
        assert harvest("firebase", "profiles").code == 0
        assert harvest("search", "profiles", "ł" * 256).code == 0
        result = harvest("search", "profiles", "ł" * 257)
        assert result.code == 2
        assert "256" in result.err

    @pytest.mark.parametrize(
        "arguments", [[], ["ana", "--limit", "0"], ["ana", "--limit", "x"], ["a", "--format", "x"]]
    )
    def test_usage_is_2(self, harvest: Command, arguments: list[str]) -> None:
        assert harvest("search", "profiles", *arguments).code == 2

    @pytest.mark.parametrize("text", ["ana", "?!"])
    def test_no_index_is_78(self, harvest: Command, prefix: str, text: str) -> None:
        result = harvest("search", "profiles", text)
        assert (result.code, result.out) == (78, "")
        assert "firebase profiles" in result.err

    def test_a_silent_elasticsearch_is_69(self, harvest: Command) -> None:
        env = {"HARVEST_RETRY_BUDGET": "0", "ES_HOST": "http://127.0.0.1:1"}
        result = harvest("search", "profiles", "ana", env=env)
        assert (result.code, result.out) == (69, "")
        assert "ana" not in result.err, "what was searched for is in no log line"


class TestUpgrade:
    def test_an_index_of_the_former_version_is_78_until_it_is_migrated(
        self, harvest: Command, database: FirebaseSimulator, prefix: str, elasticsearch_url: str
    ) -> None:
        index = f"{elasticsearch_url}/{prefix}profiles"
        old = {"dynamic": False, "properties": {"id": {"type": "keyword"}, "name": {"type": "text"}}}
        assert requests.put(index, json={"mappings": old}, timeout=30).ok
        for key, name in (("-K1", "Zoë"), ("-K9", "Łukasz")):
            document = {"id": key, "name": name, "email": "a@example.edu"}
            assert requests.put(f"{index}/_doc/{key}?refresh=true", json=document, timeout=30).ok
        result = harvest("search", "profiles", "zoe")
        assert (result.code, result.out) == (78, "")
        assert "setup migrate" in result.err
        assert harvest("setup", "migrate").code == 0
        assert found(harvest, "zoe") == ["-K1"]
        assert found(harvest, "lukasz") == ["-K9"]
        assert "nothing to migrate" in harvest("setup", "migrate").out
        assert harvest("firebase", "profiles", "--sync").code == 0
        assert found(harvest, "lukasz") == ["-K2"]
        assert "nothing to migrate" in harvest("setup", "migrate").out

    def test_the_template_is_put_anew_for_the_prefix(
        self, harvest: Command, database: FirebaseSimulator, prefix: str, elasticsearch_url: str
    ) -> None:
        old = {"index_patterns": [f"{prefix}profiles"], "version": 1, "template": {}}
        address = f"{elasticsearch_url}/_index_template/{prefix}profiles"
        assert requests.put(address, json=old, timeout=30).ok
        assert f"{prefix}profiles: changed (version 2, was 1)" in harvest("setup", "load_index_templates").out
        assert harvest("firebase", "profiles").code == 0
        assert found(harvest, "zoe") == ["-K3"]


def test_suggestions_are_of_those_who_are_there_since_the_last_sync(
    harvest: Command, database: FirebaseSimulator, prefix: str, elasticsearch_url: str
) -> None:
    client = Node(elasticsearch_url).client()
    index = ProfileIndex(client, f"{prefix}profiles")
    assert harvest("firebase", "profiles", "--sync").code == 0
    assert [person.id for person in suggest(index, "n")] == ["-K1", "-K2"]
    database.edit("/users/-K1")
    assert harvest("firebase", "profiles", "--sync").code == 0
    assert [person.id for person in suggest(index, "n")] == ["-K2"]
    client.close()


def test_the_index_is_merged_at_the_end_so_that_a_search_has_one_segment_to_ask(
    harvest: Command, database: FirebaseSimulator, prefix: str, elasticsearch_url: str
) -> None:
    for _ in range(3):  # each writes all of it anew
        assert harvest("firebase", "profiles").code == 0
    index = f"{elasticsearch_url}/{prefix}profiles"
    while requests.get(f"{elasticsearch_url}/_tasks", params={"actions": "*forcemerge*"}, timeout=30).json()["nodes"]:
        pass  # it does so in its own time
    requests.post(f"{index}/_refresh", timeout=30)  # before that OpenSearch counts the old segments too
    assert requests.get(f"{index}/_stats/segments", timeout=30).json()["_all"]["total"]["segments"]["count"] == 1
