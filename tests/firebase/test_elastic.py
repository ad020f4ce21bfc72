"""Events, profiles and classes in a real Elasticsearch."""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.elastic.client import SearchClient
from harvesters.errors import BadInput, Unavailable
from harvesters.firebase import exact
from harvesters.firebase.documents import EventMapper
from harvesters.firebase.elastic import IndexingSink, SearchIndex
from harvesters.firebase.events import Removal
from harvesters.firebase.indices import Indices
from harvesters.firebase.mirror import Mirror
from harvesters.firebase.people import EntityMapper, course, profile
from harvesters.firebase.pushid import push_floor
from harvesters.pipeline import Pipeline
from harvesters.progress import Progress
from harvesters.simulators.base import Response
from harvesters.simulators.firebase import buddyup
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.sinks.deadletters import DirectoryDeadLetters, ErrorBudget
from harvesters.sinks.elastic import ElasticSink
from harvesters.timespan import Window
from tests.clocks import FakeClock, patient
from tests.firebase.conftest import END, START, Connect

ALWAYS = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class Cluster:
    """Elasticsearch as a test sees it: indices of its own, and plain questions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.indices = Indices(f"t{uuid.uuid4().hex[:8]}")
        self.client = SearchClient(url, patient(budget=20))

    def sink(self, name: str, index_name: Any = None) -> IndexingSink:
        return IndexingSink(
            ElasticSink(self.client, index_name or (lambda document: name)), self.index(name), index_name
        )

    @property
    def events(self) -> IndexingSink:
        return self.sink(self.indices.events, self.indices.of_event)

    def index(self, name: str) -> SearchIndex:
        return SearchIndex(self.client, name)

    def ask(self, path: str, body: Any = None) -> Any:
        requests.post(f"{self.url}/{path.split('/')[0]}/_refresh", timeout=30)
        return requests.request("POST" if body else "GET", f"{self.url}/{path}", json=body, timeout=30).json()

    def found(self, name: str, query: str = "*") -> int:
        return int(self.ask(f"{name}/_count?q={query}")["count"])


@pytest.fixture
def cluster(elasticsearch_url: str) -> Iterator[Cluster]:
    made = Cluster(elasticsearch_url)
    yield made
    requests.delete(f"{elasticsearch_url}/{made.indices.prefix}*", timeout=30)
    requests.delete(f"{elasticsearch_url}/_index_template/{made.indices.prefix}*", timeout=30)
    made.client.close()


def mapper(cluster: Cluster) -> EventMapper:
    return EventMapper(ZoneInfo("UTC"), kind=cluster.indices.events)


def documents(cluster: Cluster, events: Any) -> list[Any]:
    made = mapper(cluster)
    return [made.document(made.row(key, value)) for key, value in events]


def test_events_go_to_monthly_indices_behind_the_alias(cluster: Cluster) -> None:
    sent = documents(cluster, buddyup.events(400, START, END, long_bodies=10))
    assert all(outcome.delivered for outcome in cluster.events.send(sent))
    alias = cluster.indices.events
    assert set(cluster.ask(f"{alias}/_alias")) == {f"{alias}-2016-01", f"{alias}-2016-02"}
    assert cluster.found(alias) == 400
    one = next(document for document in sent if document.body["type"] == "signed_up")
    found = cluster.ask(f"{alias}-2016-01/_doc/{one.id}")["_source"]
    assert found["id"] == one.id
    assert found["data"]["school_id"] == one.body["data"]["school_id"]
    assert found["data"]["password"] is None


def test_the_seeds_question_is_answered(cluster: Cluster) -> None:
    sent = documents(cluster, buddyup.events(400, START, END))
    cluster.events.send(sent)
    wanted = [
        document
        for document in sent
        if document.body["type"] == "signed_up" and document.body["data"]["school_id"] == "osu_edu"
    ]
    query = {"query": {"query_string": {"query": 'type:signed_up AND data.school_id: "osu_edu"'}}}
    found = cluster.ask(f"{cluster.indices.events}/_search", query)
    assert found["hits"]["total"]["value"] == len(wanted) > 0
    by_hour = cluster.ask(
        f"{cluster.indices.events}/_search",
        {
            "size": 0,
            "aggs": {
                "hours": {"terms": {"field": "hour", "size": 24}},
                "types": {"terms": {"field": "type"}},
            },
        },
    )
    assert sum(bucket["doc_count"] for bucket in by_hour["aggregations"]["hours"]["buckets"]) == 400
    types = {bucket["key"]: bucket["doc_count"] for bucket in by_hour["aggregations"]["types"]["buckets"]}
    assert types["signed_up"] == sum(document.body["type"] == "signed_up" for document in sent)
    for school in ("osu_edu", "sydney_edu_au", "buddyup_org", "testcloud_io"):
        query = {"query": {"term": {"data.school_id": school}}}
        expected = sum(document.body["data"].get("school_id") == school for document in sent)
        assert cluster.ask(f"{cluster.indices.events}/_search", query)["hits"]["total"]["value"] == expected > 0


def test_no_push_id_becomes_a_field(cluster: Cluster) -> None:
    cluster.events.send(documents(cluster, buddyup.events(400, START, END)))
    mappings = cluster.ask(f"{cluster.indices.events}/_mapping")
    fields = {frozenset(index["mappings"]["properties"]) for index in mappings.values()}
    assert len(fields) == 1
    assert len(next(iter(fields))) < 25


def test_an_event_without_a_time_is_found_behind_the_alias_too(cluster: Cluster) -> None:
    cluster.events.send(documents(cluster, [("no-time", {"type": "heart"})]))
    assert cluster.ask(f"{cluster.indices.events}-undated/_count")["count"] == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["x" * 40_000, "é" * 20_000, "☕" * 12_000]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(
                st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=".$#[]/\x7f"), min_size=1, max_size=12
            )
            | st.sampled_from(
                [
                    "data",
                    "involved",
                    "created_at",
                    "type",
                    "order",
                    "hour",
                    "sentiment",
                    "k" * 768,
                    "☕" * 256,
                    " ",
                    "_id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = ("type", "creator", "created_at", "order", "involved", "data", "hour", "sentiment", "id", "first_name", "x")
ODD_FIELDS = (" ", "_id", "_source", "_doc_count", "_type", "raw")


def deep(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = {("☕" * 256 if level % 2 else "k" * 768): value}
    return value


EVENTS = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys((*FIELDS, *ODD_FIELDS), JSON)),
    st.builds(
        lambda leaf, levels: {"data": deep(leaf, levels)},
        st.sampled_from(["x" * 40_000, "☕" * 2048, 1]),
        st.integers(1, 30),
    ),
)


@settings(max_examples=60)
@given(st.lists(EVENTS, min_size=1, max_size=20))
def test_nothing_that_the_database_can_hold_is_refused(cluster: Cluster, events: list[Any]) -> None:
    keys = [push_floor(1_450_000_000_000 + number) for number in range(len(events))]
    outcomes = cluster.events.send(documents(cluster, zip(keys, events, strict=True)))
    assert [outcome.reason for outcome in outcomes] == [""] * len(events)


def test_what_no_index_takes_is_kept_as_a_text(cluster: Cluster) -> None:
    value: Any = "leaf"
    for _ in range(60):
        value = {"a": value}
    events = {"deep": {"type": "x", "created_at": 1_450_000_000_000, "data": value}, "good": {"type": "heart"}}
    outcomes = cluster.events.send(documents(cluster, events.items()))
    assert sorted(outcome.document.id for outcome in outcomes if outcome.delivered) == ["deep", "good"]
    found = cluster.ask(f"{cluster.indices.events}-2015-12/_doc/deep")["_source"]
    whole = json.loads(found["raw"]) if "raw" in found else found  # flat_object takes what is so deep
    assert (found["type"], found["year"], whole["data"]) == ("x", 2015, value)
    assert cluster.found(cluster.indices.events, "type:x") == 1


@pytest.mark.parametrize("among", [0, 3])
def test_a_value_too_long_for_the_index_costs_no_more_than_its_own_search(cluster: Cluster, among: int) -> None:
    long = {"text": "\u00fc" * 20_000, "school_id": "osu_edu"}
    events = {"long": {"type": "x", "created_at": 1_450_000_000_000, "data": long}}
    events |= {f"good-{number}": {"type": "heart", "created_at": 1_450_000_000_000} for number in range(among)}
    outcomes = cluster.events.send(documents(cluster, events.items()))
    assert [outcome.reason for outcome in outcomes] == [""] * (among + 1)
    found = cluster.ask(f"{cluster.indices.events}-2015-12/_doc/long")["_source"]
    whole = json.loads(found["raw"]) if "raw" in found else found
    assert (found["type"], found["year"], whole["data"]) == ("x", 2015, long)
    assert cluster.found(cluster.indices.events, "type:x") == 1


def monthly(cluster: Cluster, key: str, *moments: datetime | None) -> list[Any]:
    times = [{"created_at": int(moment.timestamp() * 1000)} if moment is not None else {} for moment in moments]
    return documents(cluster, [(key, {"type": "heart", **time}) for time in times])


def test_an_event_that_moves_to_another_month_is_in_that_one_only(cluster: Cluster) -> None:
    january, april = datetime(2016, 1, 5, tzinfo=UTC), datetime(2016, 4, 5, tzinfo=UTC)
    cluster.events.send(documents(cluster, buddyup.events(50, START, END)))
    for version in monthly(cluster, "moving", january, april, None, january):
        (outcome,) = cluster.events.send([version])
        assert outcome.delivered
        hits = cluster.ask(f"{cluster.indices.events}/_search?q=id:moving")["hits"]["hits"]
        assert [hit["_index"] for hit in hits] == [cluster.indices.of_event(version)]
    assert cluster.found(cluster.indices.events) == 51


def test_an_event_that_moves_at_once_is_in_one_month_only(cluster: Cluster) -> None:
    sink = cluster.events
    versions = monthly(cluster, "moving", datetime(2016, 1, 5, tzinfo=UTC), datetime(2016, 4, 5, tzinfo=UTC))
    for version in versions:
        sink.send([version])
    assert cluster.found(cluster.indices.events) == 1


def test_a_version_that_another_run_wrote_meanwhile_is_not_taken_away(cluster: Cluster) -> None:
    first, second = monthly(cluster, "moving", datetime(2016, 1, 5, tzinfo=UTC), datetime(2016, 4, 5, tzinfo=UTC))
    cluster.events.send([first])
    index = cluster.events.index
    index.refresh()
    (hit,) = index.elsewhere({"moving": cluster.indices.of_event(second)})
    cluster.events.send([first])  # another run indexes it again
    index.discard([hit])
    assert cluster.found(cluster.indices.events) == 1


def test_a_key_longer_than_an_elasticsearch_id_is_delivered(cluster: Cluster) -> None:
    outcomes = cluster.events.send(
        documents(cluster, [("k" * 768, {"type": "heart"}), ("k" * 767 + "j", {"type": "heart"})])
    )
    assert all(outcome.delivered for outcome in outcomes)
    assert cluster.found(cluster.indices.events) == 2


def test_a_removed_event_leaves_whichever_month_it_is_in(cluster: Cluster) -> None:
    sent = documents(cluster, buddyup.events(50, START, END))
    sink = cluster.events
    sink.send(sent)
    gone = [Removal(document.id, document.kind, datetime.now(UTC), {}) for document in (sent[0], sent[-1])]
    assert all(outcome.delivered for outcome in sink.send([*gone, Removal("never-there", "x", datetime.now(UTC), {})]))
    assert cluster.found(cluster.indices.events) == 48


def test_the_keys_of_the_look_back_are_found(cluster: Cluster) -> None:
    ms = 1_456_000_000_000
    first = push_floor(ms)
    times = {
        first: ms,
        push_floor(ms - 1): ms - 1,
        push_floor(ms + 1): ms,
        "7": ms,
        "zebra": ms - 9,
        f"reminder-{ms}": ms,
    }
    index = cluster.index(cluster.indices.events)
    assert list(index.keys_since(first)) == []
    events: list[tuple[str, dict[str, Any]]] = [(key, {"created_at": created}) for key, created in times.items()]
    cluster.events.send(documents(cluster, [*events, ("timeless", {}), (push_floor(ms - 2), {})]))
    found = {row["key"]: row["value"].get("created_at") for batch in index.keys_since(first) for row in batch}
    assert found == {first: ms, push_floor(ms + 1): ms, "7": ms, f"reminder-{ms}": ms, "timeless": None}


def test_numbers_that_no_index_takes_are_kept_as_they_are_spelled(cluster: Cluster) -> None:
    big, huge = "123456789012345678901234567890", "1e400"
    data = f'{{"n":{big},"h":[{huge}],"m":7}}'
    text = f'{{"type":"heart","order":{big},"created_at":{huge},"creator":{big},"data":{data}}}'
    (outcome,) = cluster.events.send(documents(cluster, [("-JsR2brAMCP_V0uYTpw4", exact.loads(text.encode()))]))
    assert outcome.delivered, outcome.reason
    requests.post(f"{cluster.url}/{cluster.indices.events}/_refresh", timeout=30)
    answer = requests.get(f"{cluster.url}/{cluster.indices.events}/_search?q=data.m:7", timeout=30).text
    assert f'"data":{data}' in answer
    assert f'"order_raw":{big}' in answer
    assert f'"created_at_raw":{huge}' in answer


def test_a_template_that_is_there_is_left_alone(cluster: Cluster) -> None:
    name = cluster.indices.classes
    own = {"index_patterns": [name], "template": {"mappings": {"properties": {"mine": {"type": "keyword"}}}}}
    requests.put(f"{cluster.url}/_index_template/{name}", json=own, timeout=30).raise_for_status()
    made = EntityMapper(name, course)
    cluster.sink(name).send([made.document(made.row("a", {"mine": "x"}))])  # type: ignore[list-item]
    assert cluster.ask(f"{name}/_mapping")[name]["mappings"]["properties"]["mine"]["type"] == "keyword"


class Sync:
    """Runs of ``--sync`` in this process."""

    def __init__(self, cluster: Cluster, connect: Connect, directory: Path) -> None:
        self.cluster = cluster
        self.connect = connect
        self.letters = DirectoryDeadLetters(directory / "dead", FakeClock())
        self.name = cluster.indices.profiles

    def run(self, path: str = "users", fill: Any = profile, **options: Any) -> Mirror:
        index = self.cluster.index(self.name)
        mirror = Mirror(self.connect(), (path,), EntityMapper(self.name, fill), index, **options)
        Pipeline(
            mirror, self.cluster.sink(self.name), self.letters, ErrorBudget(0, 0), Progress(), None, threading.Event()
        ).run(None)
        mirror.sweep()
        return mirror

    def content(self) -> dict[str, Any]:
        hits = self.cluster.ask(f"{self.name}/_search?size=1000")["hits"]["hits"]
        return {hit["_id"]: hit["_source"] for hit in hits}


@pytest.fixture
def sync(cluster: Cluster, connect: Connect, tmp_path: Path) -> Sync:
    return Sync(cluster, connect, tmp_path)


def test_a_sync_adds_changes_and_deletes(firebase: FirebaseSimulator, sync: Sync) -> None:
    people = dict(buddyup.users(60))
    firebase.load("/users", people)
    sync.run()
    assert set(sync.content()) == set(people)
    gone, changed = list(people)[:2]
    firebase.edit(f"/users/{gone}")
    firebase.edit(f"/users/{changed}/bio", "Tea first.")
    firebase.edit("/users/new", {"first_name": "Nia"})
    assert sync.run().removed == 1
    content = sync.content()
    assert set(content) == set(people) - {gone} | {"new"}
    assert content[changed]["bio"] == "Tea first."
    assert "password" not in json.dumps(content).replace('"password": null', "")


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_source_that_fails_changes_nothing(firebase: FirebaseSimulator, sync: Sync, after: int) -> None:
    firebase.max_response = 20_000
    firebase.load("/users", dict(buddyup.users(60)))
    sync.run()
    before = sync.content()
    for id in list(before)[:5]:
        firebase.edit(f"/users/{id}")
    firebase.edit("/users/-A", {"first_name": "Early"})
    firebase.fail("status", times=100_000, after=after, response=Response.json({"error": "down"}, 503))
    with pytest.raises(Unavailable):
        sync.run()
    assert sync.content() == before


@pytest.mark.parametrize("body", [b'{"error": "Permission denied"}', b'"down"', b"[1, 2]"])
def test_an_answer_that_holds_no_profiles_changes_nothing(firebase: FirebaseSimulator, sync: Sync, body: bytes) -> None:
    firebase.load("/users", dict(buddyup.users(5)))
    sync.run()
    firebase.fail("status", times=2, response=Response(200, body))
    with pytest.raises(BadInput, match="Nothing was changed"):
        sync.run()
    assert len(sync.content()) == 5


@pytest.mark.parametrize("times", [1, 100])
def test_pages_that_end_too_early_delete_nothing(firebase: FirebaseSimulator, sync: Sync, times: int) -> None:
    firebase.max_response = 10_000
    firebase.load("/users", dict(buddyup.users(60)))
    sync.run()
    reads = len(firebase.requests)
    firebase.fail("status", times=times, after=reads // 2, response=Response(200, b"null"))
    with pytest.raises(Unavailable, match="deleted"):
        sync.run()
    assert len(sync.content()) == 60


def test_no_room_for_the_temporary_file_changes_nothing(
    firebase: FirebaseSimulator, sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    firebase.load("/users", {f"u{number}": {"first_name": "Ana"} for number in range(5)})
    sync.run()
    before = sync.content()
    firebase.edit("/users/u1")
    full = open("/dev/full", "w+b")  # noqa: SIM115 - the mirror closes it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(Unavailable, match=re.escape(f"Make room in {tmp_path}")):
        sync.run()
    monkeypatch.undo()
    assert sync.content() == before


def test_a_mirror_that_is_read_again_remembers_only_what_is_there_now(firebase: FirebaseSimulator, sync: Sync) -> None:
    firebase.load("/users", {f"u{number}": {"first_name": "Ana"} for number in range(5)})
    mirror = sync.run()
    firebase.edit("/users/u1")
    list(mirror.pages(None))
    mirror.sweep()
    assert "u1" not in sync.content()


def test_an_empty_source_empties_nothing_unless_it_is_meant(firebase: FirebaseSimulator, sync: Sync) -> None:
    firebase.load("/users", dict(buddyup.users(5)))
    sync.run()
    firebase.edit("/users")
    with pytest.raises(BadInput, match="--allow-empty"):
        sync.run()
    assert len(sync.content()) == 5
    assert sync.run(allow_empty=True).removed == 5
    assert sync.content() == {}


def test_more_ids_than_one_answer_holds_are_compared(firebase: FirebaseSimulator, sync: Sync) -> None:
    firebase.load("/users", {f"u{number}": {"first_name": "A"} for number in range(2500)})
    sync.run()
    firebase.edit("/users", {f"u{number}": {"first_name": "A"} for number in range(0, 2500, 2)})
    assert sync.run().removed == 1250
    assert sync.cluster.found(sync.name) == 1250


def test_profiles_are_found_by_name_school_and_class(firebase: FirebaseSimulator, sync: Sync) -> None:
    people = dict(buddyup.users(30))
    firebase.load("/users", people)
    sync.run()
    one = next(iter(people.values()))
    school, some_class = next(iter(one["schools"])), next(iter(one["classes"]))
    query = (
        f'name:"{one["first_name"]}" AND school_ids:"{school}" AND class_ids:"{some_class}" AND schools.id:"{school}"'
    )
    found = sync.cluster.ask(f"{sync.name}/_search", {"query": {"query_string": {"query": query}}})
    assert found["hits"]["total"]["value"] >= 1


def test_classes_have_their_students_and_no_feed(firebase: FirebaseSimulator, sync: Sync) -> None:
    rooms = dict(buddyup.classes(10))
    firebase.load("/classes", rooms)
    sync.name = sync.cluster.indices.classes
    sync.run("classes", course)
    content = sync.content()
    assert {id: set(room["students"]) for id, room in rooms.items()} == {
        id: set(room["student_ids"]) for id, room in content.items()
    }
    assert all("news_feed" not in room for room in content.values())


def test_months_that_are_over_are_merged_at_the_end_of_a_load(cluster: Cluster) -> None:
    indices, now = cluster.indices, datetime(2016, 2, 3, tzinfo=UTC)
    index = cluster.index(indices.events)
    sink = IndexingSink(ElasticSink(cluster.client, indices.of_event), index, complete=indices.over(now))
    sent = documents(cluster, buddyup.events(400, START, END))
    for start in range(0, 400, 50):
        sink.send(sent[start : start + 50])
        requests.post(f"{cluster.url}/{indices.events}/_refresh", timeout=30)
    sink.finish()

    def segments(month: str) -> int:
        stats = requests.get(f"{cluster.url}/{indices.events}-{month}/_stats/segments", timeout=30).json()
        return int(stats["_all"]["primaries"]["segments"]["count"])

    end = time.monotonic() + 20
    while segments("2016-01") > 1:
        assert time.monotonic() < end
        requests.post(f"{cluster.url}/{indices.events}/_refresh", timeout=30)
        time.sleep(0.05)  # the cluster merges in its own time, and tells nobody
    assert segments("2016-02") > 1, "more may come to this month"
    index.merge(["never-there"])  # a warning, and no more
