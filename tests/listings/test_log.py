"""`listings log`: page views out of a real Kafka, each once in the access log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from harvesters.kafka.whole import WholeTopic
from harvesters.listings import viewlog
from tests.brokers import Broker
from tests.commandline import run_here
from tests.operate.receivers import collecting

ROOT = Path(__file__).parents[2]


@dataclass
class Logging:
    """The topic of views, and the access log of one test."""

    kafka: Broker
    state: Path
    capfd: pytest.CaptureFixture[str]
    topic: str

    def run(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report of `listings log`; `said` is what it logged."""
        self.capfd.readouterr()
        code = run_here("--log-format", "json", "listings", "log", *options)
        self.said = self.capfd.readouterr().err
        reports = [record for line in self.said.splitlines() if "report" in (record := json.loads(line))]
        return code, reports[0] if reports else {}

    def view(self, *items: Any, partition: int = -1, **options: Any) -> None:
        self.kafka.send(self.topic, [{"user_id": "u", "item_id": item} for item in items], partition, **options)

    @property
    def path(self) -> Path:
        return self.state / "access.log"

    def lines(self) -> list[str]:
        return self.path.read_bytes().decode().split("\n")[:-1] if self.path.exists() else []

    def items(self) -> Counter[str]:
        return Counter(line.split("\t")[1] for line in self.lines())

    def letters(self) -> list[dict[str, Any]]:
        files = sorted((self.state / "dead-letters").glob("page-views-*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def committed(self) -> dict[int, int]:
        return self.kafka.committed(self.topic, f"{self.kafka.prefix}-logger")

    def ends(self) -> dict[int, int]:
        return {partition: high for partition, (_, high) in self.kafka.ends(self.topic).items()}

    def expire(self, partition: int, before: int) -> None:
        """Have Kafka remove the messages before that offset."""
        for future in self.kafka.admin.delete_records([TopicPartition(self.topic, partition, before)]).values():
            future.result(30)

    @contextmanager
    def following(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """A process of its own."""
        command = [sys.executable, "harvest.py", "--env-file", os.devnull, "listings", "log", "--follow", *options]
        environment = {**os.environ, "HARVEST_STATE_DIR": str(self.state)}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def logs(kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Logging:
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "20")
    kafka.make(kafka.views)
    return Logging(kafka, tmp_path / "state", capfd, kafka.views)


def eventually(happens: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until it does."""
    deadline = time.monotonic() + 60
    while not happens():
        assert process is None or process.poll() is None, process.stderr.read() if process and process.stderr else ""
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.05)


def test_views_become_lines(logs: Logging) -> None:
    logs.kafka.send(logs.topic, [{"user_id": 7, "item_id": "42"}, {"user_id": "ü a", "item_id": 42, "more": 1}], 0)
    code, report = logs.run()
    assert code == 0
    assert logs.path.read_bytes() == "7\t42\nü a\t42\n".encode()
    assert {name: report[name] for name in ("received", "logged", "dead")} == {"received": 2, "logged": 2, "dead": 0}
    assert logs.run()[1]["received"] == 0
    logs.view("43")
    assert logs.run()[1]["received"] == 1
    assert logs.items() == {"42": 2, "43": 1}
    assert logs.committed() == logs.ends()


def test_its_span_has_the_parts_of_a_run(logs: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.view("a", "b")
    with collecting(monkeypatch) as collector:
        logs.run()
    assert collector.parts == {"fetch", "deliver", "commit"}
    assert collector.gauges["harvest_last_run_delivered", "listings-log"] == 2


def test_what_looks_like_the_end_of_a_line_is_none(logs: Logging) -> None:
    odd = ["a\u2028b", "\u2029", "x\u00a0y", " ", "\u3000", "🙂", "é" * 256]
    logs.view(*odd)
    assert logs.run()[0] == 0
    assert logs.items() == dict.fromkeys(odd, 1)


def test_what_is_no_view_goes_to_the_dead_letters_once(logs: Logging) -> None:
    poison: list[Any] = [b"7 42", {"user_id": 1}, {"user_id": 1, "item_id": "a\nb"}, {"user_id": "\t", "item_id": 1}]
    logs.kafka.send(logs.topic, [*poison, ("k", None), b"\xff"], partition=1)
    logs.view(1, 2)
    code, report = logs.run()
    assert (code, report["dead"], report["logged"]) == (0, 6, 2)
    letters = logs.letters()
    assert [letter["id"] for letter in letters] == [f"{logs.topic}/1/{offset}" for offset in range(6)]
    assert letters[0]["row"]["value"] == "7 42"
    assert letters[4]["row"]["key"] == "k"
    assert letters[0]["row"]["partition"] == 1
    assert logs.run()[1]["dead"] == 0


def test_too_many_are_65_and_not_met_again(logs: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVEST_ERROR_BUDGET", "2")
    logs.kafka.send(logs.topic, [b"x"] * 3)
    logs.view(1)
    assert logs.run()[0] == 65
    assert logs.run()[0] == 0
    assert logs.items() == {"1": 1}
    assert len(logs.letters()) == 3


def test_the_log_decides_where_to_go_on_and_without_it_the_group(logs: Logging) -> None:
    logs.view(1, 2, 3)
    logs.run()
    logs.view(4)
    first = logs.path.read_bytes()
    for path in logs.state.glob("access.log*"):
        path.rename(logs.state / f"old-{path.name}")
    assert logs.run()[0] == 0
    assert logs.items() == {"4": 1}
    for path in logs.state.glob("access.log*"):
        path.unlink()
    for path in logs.state.glob("old-*"):
        path.rename(logs.state / path.name.removeprefix("old-"))
    assert logs.path.read_bytes() == first
    logs.run()
    assert logs.items() == {"1": 1, "2": 1, "3": 1, "4": 1}


def test_a_group_that_is_beyond_the_end_read_another_topic(logs: Logging) -> None:
    logs.view(1, 2, partition=0)
    consumer = Consumer({"bootstrap.servers": logs.kafka.server.url, "group.id": f"{logs.kafka.prefix}-logger"})
    consumer.commit(offsets=[TopicPartition(logs.topic, 0, 50)], asynchronous=False)
    consumer.close()
    assert logs.run()[0] == 0
    assert logs.items() == {"1": 1, "2": 1}


def test_a_new_group_begins_at_the_earliest_offset_that_is_there(logs: Logging) -> None:
    logs.view(*range(5), partition=0)
    logs.expire(0, 2)
    assert logs.run()[0] == 0
    assert logs.items() == {"2": 1, "3": 1, "4": 1}
    assert logs.letters() == []


def test_messages_that_were_removed_before_they_were_read_are_said_once(logs: Logging) -> None:
    logs.view(0, 1, partition=0)
    logs.run()
    logs.view(*range(2, 8), partition=0)
    logs.view("a", partition=1)
    logs.expire(0, 5)
    code, report = logs.run()
    assert (code, report["received"]) == (65, 4)
    (letter,) = logs.letters()
    assert letter["id"] == f"{logs.topic}/0/2"
    assert (letter["row"]["first"], letter["row"]["last"]) == (2, 4)
    assert "messages 2 to 4" in letter["reason"]
    assert "messages 2 to 4" in logs.said
    assert logs.items() == {**dict.fromkeys("01567", 1), "a": 1}
    assert logs.run()[0] == 0
    assert len(logs.letters()) == 1


def test_transactions_that_were_aborted_are_no_views(logs: Logging) -> None:
    producer = Producer({"bootstrap.servers": logs.kafka.server.url, "transactional.id": logs.kafka.prefix})
    producer.init_transactions(30)
    for keep, item in ((True, "kept"), (False, "aborted"), (True, "kept"), (False, "aborted")):
        producer.begin_transaction()
        producer.produce(logs.topic, json.dumps({"user_id": "u", "item_id": item}), partition=0)
        producer.flush(30)
        producer.commit_transaction(30) if keep else producer.abort_transaction(30)
    assert logs.run()[0] == 0
    assert logs.items() == {"kept": 2}
    assert logs.committed() == logs.ends()
    assert logs.run()[1]["received"] == 0


def test_an_empty_topic_is_nothing_to_do(logs: Logging) -> None:
    code, report = logs.run()
    assert (code, report["received"]) == (0, 0)


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(logs: Logging) -> None:
    logs.view(1, 2, 3, partition=0)
    logs.run()
    logs.kafka.remove(logs.topic)
    logs.kafka.make(logs.topic)
    logs.view(*"abcde", partition=0)
    assert logs.run()[0] == 0
    assert logs.items() == dict.fromkeys("123abcde", 1)


def test_a_topic_that_is_made_anew_while_it_is_read(logs: Logging) -> None:
    """With more messages than were read of the first, so that offsets alone do not tell."""
    with logs.following() as process:
        logs.view(1, 2, 3, partition=0)
        eventually(lambda: len(logs.lines()) == 3, process)
        logs.kafka.remove(logs.topic)
        logs.kafka.make(logs.topic)
        logs.view(*"abcdefgh", partition=0)
        eventually(lambda: len(logs.lines()) >= 11, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert logs.items() == dict.fromkeys("123abcdefgh", 1)


def test_a_batch_of_neither_topic_is_dropped(logs: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made anew between the reading of a batch and the writing of it."""
    logs.view(1, 2, 3, partition=0)
    logs.run()
    logs.view(4, partition=0)
    holds, once = WholeTopic.holds, [True]

    def anew(self: WholeTopic, batch: Any) -> bool:
        if once and batch.records:
            once.clear()
            logs.kafka.remove(logs.topic)
            logs.kafka.make(logs.topic)
            logs.view(*"abcdef", partition=0)
        return holds(self, batch)

    monkeypatch.setattr(WholeTopic, "holds", anew)
    assert logs.run()[0] == 0
    assert logs.items() == dict.fromkeys("123abcdef", 1)


def test_partitions_that_are_added_are_read_from_their_beginning(logs: Logging) -> None:
    from confluent_kafka.admin import NewPartitions

    logs.view(1, partition=0)
    logs.run()
    for future in logs.kafka.admin.create_partitions([NewPartitions(logs.topic, 5)]).values():
        future.result(30)
    eventually(lambda: len(logs.ends()) == 5)
    logs.view(2, 3, partition=4)
    assert logs.run()[0] == 0
    assert logs.items() == dict.fromkeys("123", 1)


def test_a_partition_with_fewer_messages_than_were_read_is_not_read_again(logs: Logging) -> None:
    """As after the broker lost what it had acknowledged."""
    logs.view(1, 2, 3, partition=0)
    logs.run()
    offsets = logs.state / "access.log.offsets"
    said = json.loads(offsets.read_bytes())
    (topic,) = said["offsets"]
    said["offsets"][topic]["0"] = 9
    offsets.write_text(json.dumps(said))
    assert logs.run()[0] == 0
    assert "lost some of them" in logs.said
    logs.view(4, partition=0)
    assert logs.run()[0] == 0
    assert logs.items() == dict.fromkeys("1234", 1)


def test_files_are_closed_at_their_limit(logs: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESS_LOG_MAX_BYTES", "8")
    for item in range(5):
        logs.view(item)
        assert logs.run()[0] == 0
    files = [logs.state / "access.log.1", logs.state / "access.log.2", logs.path]
    assert [file.read_text() for file in files] == ["u\t0\nu\t1\n", "u\t2\nu\t3\n", "u\t4\n"]


def test_lines_without_offsets_are_78_and_stay(logs: Logging) -> None:
    logs.state.mkdir()
    logs.path.write_text("u\t1\n")
    assert logs.run()[0] == 78
    assert "Put back" in logs.said
    assert logs.path.read_text() == "u\t1\n"


def test_a_second_process_is_75(logs: Logging) -> None:
    with logs.following() as process:
        logs.view(1)
        eventually(lambda: len(logs.lines()) == 1, process)
        assert logs.run()[0] == 75
        assert "another process writes" in logs.said
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    logs.view(2)
    assert logs.run()[0] == 0
    assert logs.items() == {"1": 1, "2": 1}


def test_sigterm_ends_a_drain_with_75_and_what_was_read_is_there(
    logs: Logging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewlog, "_AT_ONCE", 10)
    logs.view(*range(100), partition=0)
    keep = viewlog.ViewLog._keep

    def stopping(self: viewlog.ViewLog, batch: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        keep(self, batch)

    monkeypatch.setattr(viewlog.ViewLog, "_keep", stopping)
    assert logs.run()[0] == 75
    assert 0 < len(logs.lines()) < 100
    assert logs.committed()[0] == len(logs.lines())
    monkeypatch.undo()


def test_without_a_topic_a_drain_is_78_and_following_waits(logs: Logging) -> None:
    logs.kafka.remove(logs.topic)
    assert logs.run()[0] == 78
    assert "VIEWS_TOPIC" in logs.said
    with logs.following() as process:
        assert process.stderr is not None
        assert "waiting until somebody makes it" in process.stderr.readline()
        logs.kafka.make(logs.topic)
        logs.view(1)
        eventually(lambda: logs.lines() == ["u\t1"], process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_kafka_that_is_away_is_69_and_a_wrong_password_77(logs: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "1")
    with monkeypatch.context() as patch:
        patch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        assert logs.run()[0] == 69
        assert logs.run("--follow")[0] == 69
    for name, value in logs.kafka.server.secured("wrong").items():
        monkeypatch.setenv(name, value)
    assert logs.run()[0] == 77
    assert not logs.lines()
