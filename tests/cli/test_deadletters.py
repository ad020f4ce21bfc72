"""``harvest.py deadletters``: each job's letters through its own mapping, and every exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from harvesters.document import Document, Outcome
from harvesters.kafka.records import Gap, Record
from harvesters.kafka.topics import Topic
from harvesters.listings import letters as listing_letters
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.sinks.deadletters import DeadLetter, open_dead_letters
from harvesters.sinks.jsonl import FileSink
from tests.cli.conftest import Command, Terminal, spoil
from tests.cli.searching import Cluster as Days
from tests.cli.searching import cluster_for_a_test
from tests.cli.test_zoom import zoom  # noqa: F401 - a fixture
from tests.clocks import patient
from tests.conformance.letterplaces import letter
from tests.indexing.queues import action
from tests.indices import Cluster


def documents(path: Path) -> list[str]:
    """What is in a file; in what order fields stand does not count, nor that of a list made of a map."""
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for one in found:
        for name, value in one.items():
            if isinstance(value, list):
                one[name] = sorted(value, key=lambda item: json.dumps(item, sort_keys=True))
    return sorted(json.dumps(one, sort_keys=True) for one in found)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch, harvest: Command) -> Callable[..., None]:
    """Run a command into a file that takes nothing, so that all of it dies."""

    def send(self: FileSink, sent: Sequence[Document]) -> list[Outcome]:
        return [Outcome(document, "refused for a test") for document in sent]

    def run(*words: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(FileSink, "send", send)
            assert harvest(*words, env={"HARVEST_ERROR_BUDGET": "100%"}).code == 0

    return run


class TestStraight:
    """What a replay delivers is what a straight run would have delivered."""

    def check(self, harvest: Command, refusing: Callable[..., None], tmp_path: Path, job: str, *words: str) -> None:
        straight, replayed = tmp_path / "straight.jsonl", tmp_path / "replayed.jsonl"
        assert harvest(*words, "-o", str(straight)).code == 0
        refusing(*words, "-o", str(tmp_path / "nothing.jsonl"))
        listed = harvest("deadletters", "ls", "--json")
        assert {line["job"] for line in listed.documents} == {job}
        result = harvest("deadletters", "replay", "--all", "-o", str(replayed))
        assert result.code == 0, result.err
        assert documents(replayed) == documents(straight) != []
        assert harvest("deadletters", "ls").out == ""

    def test_useractions(
        self, harvest: Command, refusing: Callable[..., None], opencast: OpencastSimulator, tmp_path: Path
    ) -> None:
        self.check(harvest, refusing, tmp_path, "useractions", "useractions", "-i", "10", "--no-update-last-ts")

    def test_zoom(
        self,
        harvest: Command,
        refusing: Callable[..., None],
        zoom: ZoomSimulator,  # noqa: F811
        tmp_path: Path,
    ) -> None:
        self.check(harvest, refusing, tmp_path, "zoom", "zoom")

    def test_firebase_events(
        self, harvest: Command, refusing: Callable[..., None], database: FirebaseSimulator, tmp_path: Path
    ) -> None:
        words = ("firebase", "events", "--no-update-checkpoint")
        self.check(harvest, refusing, tmp_path, "firebase-events", *words)

    @pytest.mark.parametrize("what", ["profiles", "classes"])
    def test_firebase_people(
        self, harvest: Command, refusing: Callable[..., None], database: FirebaseSimulator, tmp_path: Path, what: str
    ) -> None:
        self.check(harvest, refusing, tmp_path, f"firebase-{what}", "firebase", what)

    def test_a_dump_is_of_events(self, harvest: Command, refusing: Callable[..., None], tmp_path: Path) -> None:
        dump = tmp_path / "dump.json"
        dump.write_text('{"-ZZZZZZZZZZZZZZZZZZZ": {"type": "heart", "created_at": 1456700000000}}')
        self.check(harvest, refusing, tmp_path, "firebase-events", "firebase", "load", str(dump))


def test_what_an_index_refused_is_taken_once_it_is_mended(
    harvest: Command, request: pytest.FixtureRequest, state: Path
) -> None:
    with cluster_for_a_test(request) as days:
        given: Days = days
        body = action(1, given.day(1))
        open_dead_letters("", state, patient(), "index").write([DeadLetter("useractions", "1", "no room", body)])
        env = {"ES_HOST": given.url}
        assert harvest("setup", "load_index_templates", env=env).code == 0
        result = harvest("deadletters", "replay", "--job", "index", env=env)
        assert result.code == 0, result.err
        assert given.count("01") == 1


def test_episodes_go_into_their_index(
    harvest: Command, elasticsearch_url: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row: dict[str, Any] = {"mpid": "mp-of-a-letter", "result": {"mediapackage": {}}, "workflows": []}
    open_dead_letters("", state, patient(), "load_episodes").write([DeadLetter("episodes", "x", "refused", row)])
    env = {"ES_HOST": elasticsearch_url}
    result = harvest("deadletters", "replay", "--all", env=env)
    assert result.code == 0, result.err
    found = requests.get(f"{elasticsearch_url}/episodes/_doc/mp-of-a-letter", timeout=30).json()
    assert found["found"]
    requests.delete(f"{elasticsearch_url}/episodes/_doc/mp-of-a-letter", timeout=30)


def test_a_listing_is_indexed_and_a_gap_stays_as_it_is(harvest: Command, cluster: Cluster, state: Path) -> None:
    topic = Topic("listings", "A" * 22, 3)
    record = Record(2, 5, 1_700_000_000_000, b"1", b'{"id": 1, "title": "Desk"}')
    mended = listing_letters.of_record("listings", topic, record, "once refused")
    gap = listing_letters.of_gap("listings", Gap(topic, 1, 3, 9))
    open_dead_letters("", state, patient(), "listings-index").write([mended, gap])
    env = {"ES_HOST": cluster.url, "LISTINGS_INDEX": cluster.name("listings")}
    result = harvest("deadletters", "replay", "--all", env=env)
    assert result.code == 65, result.err
    assert "a gap cannot be replayed" in result.err
    assert cluster.documents("listings")["1"]["title"] == "Desk"
    (left,) = harvest("deadletters", "ls", "--json").documents
    assert (left["id"], left["reason"]) == (gap.id, gap.reason)


def test_a_row_that_is_poison_stays_with_its_new_reason(
    harvest: Command, opencast: OpencastSimulator, tmp_path: Path
) -> None:
    spoil(opencast, 103)
    out = str(tmp_path / "out.jsonl")
    assert harvest("useractions", "-i", "10", "-o", out).code == 0
    (line,) = harvest("deadletters", "ls", "--json").documents
    assert (line["job"], line["kind"], line["id"]) == ("useractions", "useractions", "103")
    (shown,) = harvest("deadletters", "show", line["letter"]).documents
    assert (shown["job"], shown["row"]["inpoint"]) == ("useractions", "far")
    result = harvest("deadletters", "replay", line["letter"], "-o", out)
    assert result.code == 65
    assert f"letter {line['letter']} stays" in result.err
    assert len(harvest("deadletters", "ls").out.splitlines()) == 1


class TestExitCodes:
    @pytest.fixture(autouse=True)
    def two(self, state: Path) -> None:
        open_dead_letters("", state, patient(), "useractions").write([letter("1"), letter("2", "another")])

    @pytest.mark.parametrize(
        "words",
        [
            ("replay",),
            ("drop", "--yes"),
            ("drop", "--all"),
            ("replay", "--all", "-o", "-"),
            ("ls", "no-such-letter"),
            ("show", "no-such-letter"),
            ("drop", "no-such-letter", "--yes"),
            ("ls", "--job", "nobody"),
            ("ls", "--since", "yesterday"),
        ],
    )
    def test_usage(self, harvest: Command, words: tuple[str, ...]) -> None:
        assert harvest("deadletters", *words).code == 2
        assert len(harvest("deadletters", "ls").out.splitlines()) == 2

    def test_a_queue_that_is_standard_output_is_usage(self, harvest: Command, opencast: OpencastSimulator) -> None:
        result = harvest("deadletters", "replay", "--all", env={"SQS_QUEUE_NAME": "-"})
        assert result.code == 2
        assert "acknowledges nothing" in result.err

    def test_a_sink_that_is_away_is_69(self, harvest: Command, state: Path) -> None:
        open_dead_letters("", state, patient(), "index").write([DeadLetter("useractions", "3", "", action(3))])
        env = {"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0"}
        assert harvest("deadletters", "replay", "--job", "index", env=env).code == 69
        assert len(harvest("deadletters", "ls").out.splitlines()) == 3

    def test_a_dry_run_lists_and_changes_nothing(self, harvest: Command, state: Path) -> None:
        result = harvest("deadletters", "replay", "--reason", "another", "--dry-run")
        assert (result.code, len(result.out.splitlines())) == (0, 1)
        assert not list((state / "dead-letters").glob(".*"))

    def test_a_second_replay_is_75(self, harvest: Command, opencast: OpencastSimulator, state: Path) -> None:
        owner = {"host": "elsewhere", "system": "", "pid": 7, "started": ""}
        lease = {"owner": owner, "expires": "2999-01-01T00:00:00Z", "generation": 1, "released": False, "token": "x"}
        (state / "dead-letters" / ".replay.lease").write_text(json.dumps(lease))
        for words in (("replay", "--all", "-o", "sqs"), ("drop", "--all", "--yes")):
            result = harvest("deadletters", *words)
            assert result.code == 75
            assert "process 7 on elsewhere" in result.err

    def test_what_is_dropped_is_asked_for(self, harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        import io
        import sys

        for answer, left in (("n\n", 2), ("y\n", 1)):
            monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(answer.encode())))
            harvest("deadletters", "drop", "--reason", "another")
            assert len(harvest("deadletters", "ls").out.splitlines()) == left

    def test_a_torn_line_stays_and_is_65_where_all_is_meant(
        self, harvest: Command, state: Path, opencast: OpencastSimulator, tmp_path: Path
    ) -> None:
        (file,) = (state / "dead-letters").glob("*.jsonl")
        file.write_text('{"time": "2026')
        result = harvest("deadletters", "replay", "--all", "-o", str(tmp_path / "out.jsonl"))
        assert result.code == 65
        assert f"{file}, line 1" in result.err
        assert file.read_text().startswith('{"time": "2026')
