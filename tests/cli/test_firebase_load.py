"""``firebase load``, whatever is loaded, wherever to."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import boto3
import pytest

from tests.cli.buddyup import CONTENT, EVENTS, count, ids, lines
from tests.cli.conftest import Command

ROOT = Path(__file__).parents[2]


class TestLoad:
    @pytest.fixture
    def dump(self, tmp_path: Path) -> Path:
        path = tmp_path / "events.json"
        path.write_text(json.dumps(EVENTS))
        return path

    def test_into_elasticsearch_twice(self, harvest: Command, dump: Path, prefix: str, elasticsearch_url: str) -> None:
        for _ in range(2):
            result = harvest("--log-format", "json", "firebase", "load", str(dump))
            assert result.code == 0
            assert result.report["delivered"] == 80
        assert count(elasticsearch_url, f"{prefix}events") == 80
        assert count(elasticsearch_url, f"{prefix}events-2016-01") > 0

    def test_the_period_is_a_setting(self, harvest: Command, dump: Path, prefix: str, elasticsearch_url: str) -> None:
        assert harvest("firebase", "load", str(dump), env={"FIREBASE_INDEX_PERIOD": "year"}).code == 0
        assert count(elasticsearch_url, f"{prefix}events-2016") == 80
        assert harvest("firebase", "load", str(dump), env={"FIREBASE_INDEX_PERIOD": "week"}).code == 78

    def test_into_a_file_and_standard_output(self, harvest: Command, dump: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        assert harvest("firebase", "load", str(dump), "-o", str(out), "--batch-size", "9").code == 0
        assert ids(lines(out)) == set(EVENTS)
        assert ids(harvest("firebase", "load", str(dump), "-o", "-").documents) == set(EVENTS)

    def test_into_a_queue(self, harvest: Command, dump: Path, aws: str) -> None:
        assert harvest("firebase", "load", str(dump), "-o", "sqs", "-q", "firebase-load").code == 0
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName="firebase-load")["QueueUrl"]
        got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert got["Attributes"]["ApproximateNumberOfMessages"] == "80"
        assert harvest("firebase", "load", str(dump), "-o", "sqs").code == 78

    def test_a_part_of_a_gzipped_database(self, harvest: Command, tmp_path: Path) -> None:
        path = tmp_path / "all.gz"
        path.write_bytes(gzip.compress(json.dumps(CONTENT).encode()))
        result = harvest("firebase", "load", str(path), "--path", "events", "-o", "-")
        assert ids(result.documents) == set(EVENTS)
        assert harvest("firebase", "load", str(path), "--path", "nothing", "-o", "-").code == 65

    @pytest.mark.parametrize("content", ["null", "5", "", json.dumps(EVENTS)[:5000]])
    def test_what_is_no_dump_is_65_before_elasticsearch_is_asked(
        self, harvest: Command, tmp_path: Path, content: str
    ) -> None:
        path = tmp_path / "bad.json"
        path.write_text(content)
        result = harvest("firebase", "load", str(path), env={"ES_HOST": "http://127.0.0.1:1"})
        assert result.code == 65
        assert str(path) in result.err

    def test_no_such_file_is_78(self, harvest: Command) -> None:
        assert harvest("firebase", "load", "/nowhere.json", "-o", "-").code == 78

    def test_elasticsearch_down_is_69(self, harvest: Command, dump: Path) -> None:
        env = {"ES_HOST": "http://127.0.0.1:1", "HARVEST_RETRY_BUDGET": "1"}
        assert harvest("firebase", "load", str(dump), env=env).code == 69

    def test_sentiment(self, harvest: Command, dump: Path) -> None:
        pytest.importorskip("textblob")
        result = harvest("firebase", "load", str(dump), "-o", "-", "--sentiment")
        scored = [document for document in result.documents if "sentiment" in document]
        assert {document["type"] for document in scored} == {"chat_message"}

    def test_too_many_that_are_no_events_is_65(self, harvest: Command, tmp_path: Path, state: Path) -> None:
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(dict.fromkeys("abcdefghijklmn", 5)))
        result = harvest("firebase", "load", str(path), "-o", "-")
        assert result.code == 65
        assert "HARVEST_ERROR_BUDGET" in result.err
        letters = lines(next((state / "dead-letters").glob("*.jsonl")))
        assert {letter["id"] for letter in letters} == set("abcdefghijklmn")

    def test_scrubbing_and_the_time_zone_are_settings(self, harvest: Command, dump: Path) -> None:
        env = {"FIREBASE_SCRUB": "bodies,emails", "FIREBASE_TIMEZONE": "Australia/Sydney"}
        text = harvest("firebase", "load", str(dump), "-o", "-", env=env).out
        plain = harvest("firebase", "load", str(dump), "-o", "-").out
        assert "library tonight" in plain
        assert "library tonight" not in text
        assert "@" not in text
        for written in (plain, text):
            assert "not-a-real-password" not in written
            assert "eyJhbGciOi" not in written
        hours = [
            {document["id"]: document["hour"] for document in map(json.loads, out.splitlines())}
            for out in (plain, text)
        ]
        assert hours[0] != hours[1]
        assert harvest("firebase", "load", str(dump), "-o", "-", env={"FIREBASE_TIMEZONE": "Mars"}).code == 78
