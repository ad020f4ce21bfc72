"""From a queue into an index: what is deleted, when, and what is not."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.aws.sqs import Description
from harvesters.clock import SystemClock
from harvesters.document import Document, Outcome
from harvesters.errors import SinkUnavailable, TooManyDead, Unavailable
from harvesters.indexing.indexer import Indexer
from harvesters.indexing.source import Message, SqsSource
from harvesters.sinks.deadletters import DirectoryDeadLetters, ErrorBudget
from harvesters.watched import Watched
from tests.clocks import FakeClock, patient
from tests.indexing.queues import Queue, action
from tests.nodes import Node
from tests.test_watched import Heard

_PARTS = ("fetch", "deliver", "commit")


@contextmanager
def indexer(source: Any, sink: Any, directory: Path, budget: int = 10, **options: Any) -> Iterator[Indexer]:
    options.setdefault("stop", threading.Event())
    options.setdefault("clock", SystemClock())
    options.setdefault("receivers", 2)
    dead_letters = DirectoryDeadLetters(directory / "dead", FakeClock())
    yield Indexer(source, sink, dead_letters, ErrorBudget(0.01, budget), UTC, **options)
    sink.close()


def letters(directory: Path) -> dict[str, str]:
    """The reasons of the dead letters by the text of their rows."""
    found = [json.loads(line) for path in (directory / "dead").glob("*") for line in path.read_text().splitlines()]
    return {json.dumps(letter["row"]): letter["reason"] for letter in found}


class TestQueues:
    def test_every_message_is_indexed_once_and_deleted(self, sqs: Queue, node: Node, tmp_path: Path) -> None:
        sqs.fill(action(number, f"2026-02-{13 + number % 2}") for number in range(95))
        with indexer(SqsSource(sqs.name, patient()), node.sink(), tmp_path) as it:
            it.run()
        assert node.count("useractions-2026.02.13") == 48
        assert node.count("useractions-2026.02.14") == 47
        assert sqs.empty
        received = it.counts.received
        assert received >= 95  # SQS delivers at least once: moto hands a message to both of two receivers now and then
        assert (it.counts.indexed, it.counts.deleted, it.counts.dead) == (received, received, 0)

    def test_who_watches_is_told_what_is_fetched_delivered_and_committed(
        self, fast: Queue, node: Node, tmp_path: Path
    ) -> None:
        fast.fill(action(number) for number in range(3))
        heard = Heard()
        with Watched("index", listeners=[heard]) as run:
            run.begin()
            with indexer(SqsSource(fast.name, patient()), node.sink(), tmp_path, watched=run) as it:
                it.run()
        rows = {name: sum(step.rows or 0 for step in heard.steps if step.name == name) for name in _PARTS}
        assert rows == dict.fromkeys(_PARTS, 3)

    def test_an_empty_queue(self, sqs: Queue, node: Node, tmp_path: Path) -> None:
        with indexer(SqsSource(sqs.name, patient()), node.sink(), tmp_path) as it:
            it.run()
        assert it.counts.received == 0

    def test_a_queue_that_is_missing_is_made(self, elasticmq_url: str, node: Node, tmp_path: Path) -> None:
        with indexer(SqsSource("index-not-there-yet", patient()), node.sink(), tmp_path) as it:
            it.run()
        assert "index-not-there-yet" in it.source.url

    def test_what_is_no_document_and_what_is_refused_goes_to_the_dead_letters_and_is_deleted(
        self, fast: Queue, node: Node, tmp_path: Path
    ) -> None:
        poison = action(3, action={"type": "PLAY", "inpoint": "poison"})
        fast.fill([action(1), "no json", ["a list"], poison, action(2), {"topic": "a meeting"}])
        with indexer(SqsSource(fast.name, patient()), node.sink(), tmp_path) as it:
            it.run()
        found = letters(tmp_path)
        assert len(found) == 4
        assert "no JSON" in found['"no json"']
        assert "parsing_exception" in found[json.dumps(poison)]
        assert "no action_id" in found['{"topic": "a meeting"}']
        assert fast.empty
        assert node.count("useractions") == 2

    def test_over_the_error_budget_it_ends_and_the_dead_are_kept_and_gone(
        self, fast: Queue, node: Node, tmp_path: Path
    ) -> None:
        fast.fill([*(action(number) for number in range(30)), *(f"poison {number}" for number in range(4))])
        source, told = SqsSource(fast.name, patient()), r"4 rows .*The rest is still in the queue"
        with indexer(source, node.sink(), tmp_path, budget=3) as it, pytest.raises(TooManyDead, match=told):
            it.run()
        assert len(letters(tmp_path)) == 4
        assert fast.counts()[0] == 0
        assert it.counts.deleted == it.counts.received

    def test_messages_from_before_an_upgrade(self, fast: Queue, node: Node, tmp_path: Path) -> None:
        fast.fill([action(1, is_live=1, episode={"cdn": "13001"}), action(2, is_live="false")])
        with indexer(SqsSource(fast.name, patient()), node.sink(), tmp_path) as it:
            it.run()
        found = {hit["_id"]: hit["_source"] for hit in node.hits("useractions-*")}
        assert (found["1"]["is_live"], found["2"]["is_live"]) == (True, False)
        assert found["1"]["episode"] == {"crn": "13001"}

    def test_what_the_sink_did_not_take_comes_back(self, fast: Queue, node: Node, tmp_path: Path) -> None:
        fast.fill(action(number) for number in range(20))
        source, sink = SqsSource(fast.name, patient()), Scripted(_unavailable)
        with indexer(source, sink, tmp_path) as it, pytest.raises(SinkUnavailable):
            it.run()
        assert it.counts.deleted == 0
        assert sum(fast.counts()) == 20

    def test_a_message_twice_is_one_document(self, fast: Queue, node: Node, tmp_path: Path) -> None:
        fast.fill([action(1), action(1), action(2), action(1, huid="later")])
        with indexer(SqsSource(fast.name, patient()), node.sink(), tmp_path) as it:
            it.run()
        assert node.count("useractions") == 2
        assert fast.empty


def _unavailable(documents: Sequence[Document]) -> list[Outcome]:
    raise SinkUnavailable("it went on refusing")


class Scripted:
    """A sink that does what it is told."""

    name, durable, address = "a sink", True, "a sink"

    def __init__(self, send: Callable[[Sequence[Document]], list[Outcome]]) -> None:
        self._send = send
        self.ids: list[str] = []

    def identity(self) -> tuple[str, bool]:
        return "", False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        outcomes = self._send(documents)
        self.ids += [document.id for document in documents]
        return outcomes

    def finish(self) -> None: ...

    def close(self) -> None: ...


def taken(documents: Sequence[Document]) -> list[Outcome]:
    return [Outcome(document) for document in documents]


class Scarce:
    """A source that gives what is in `script`, a batch a receive, and notes what is done with it."""

    visibility = 3

    def __init__(self, script: list[list[int]], endless: bool = False) -> None:
        self.script = script
        self.endless = endless
        self.deleted: list[str] = []
        self.extended = threading.Event()
        self.receives = 0
        self.counted = 0
        self._lock = threading.Lock()

    def open(self) -> None: ...

    def receive(self, wait: int) -> list[Message]:
        with self._lock:
            self.receives += 1
            if self.endless:
                numbers = range(self.receives * 10, self.receives * 10 + 10)
                return [message(number) for number in numbers]
            return [message(number) for number in self.script.pop(0)] if self.script else []

    def visible(self) -> int:
        with self._lock:
            self.counted += 1
            return sum(len(batch) for batch in self.script)

    def drained(self) -> bool:
        return self.visible() == 0

    def extend(self, messages: Sequence[Message]) -> list[Message]:
        self.extended.set()
        return []

    def delete(self, messages: Sequence[Message]) -> int:
        with self._lock:
            self.deleted += [message.id for message in messages]
        return 0


def message(number: int) -> Message:
    return Message(str(number), f"handle-{number}", json.dumps(action(number)))


class TestEnding:
    def test_an_empty_answer_is_no_empty_queue(self, tmp_path: Path) -> None:
        source = Scarce([[1], [], [], [2], [], [3]])
        sink = Scripted(taken)
        with indexer(source, sink, tmp_path, receivers=1) as it:
            it.run()
        assert sorted(source.deleted) == ["1", "2", "3"]

    def test_it_does_not_end_while_it_holds_something(self, tmp_path: Path) -> None:
        source = Scarce([[1]])
        polled = threading.Event()
        receive = source.receive

        def watched(wait: int) -> list[Message]:
            found = receive(wait)
            if source.receives > 3:  # it goes on asking while the sink has not answered
                polled.set()
            return found

        source.receive = watched  # type: ignore[method-assign]

        def slow(documents: Sequence[Document]) -> list[Outcome]:
            assert polled.wait(30)
            return taken(documents)

        with indexer(source, Scripted(slow), tmp_path, receivers=1) as it:
            it.run()
        assert source.deleted == ["1"]

    def test_told_to_stop_a_service_finishes_what_it_holds(self, tmp_path: Path) -> None:
        stop = threading.Event()
        source = Scarce([], endless=True)

        def stopping(documents: Sequence[Document]) -> list[Outcome]:
            stop.set()
            return taken(documents)

        sink = Scripted(stopping)
        with indexer(source, sink, tmp_path, follow=True, stop=stop) as it:
            it.run()
        assert len(sink.ids) == it.counts.received == len(source.deleted)

    def test_what_is_in_hand_is_bounded(self, tmp_path: Path) -> None:
        stop = threading.Event()
        source = Scarce([], endless=True)
        most = [0]

        def slow(documents: Sequence[Document]) -> list[Outcome]:
            while not stop.is_set() and it._held.has_room(0):
                stop.wait(0.01)
            most[0] = max(most[0], len(it._held))
            stop.set()
            return taken(documents)

        with indexer(source, Scripted(slow), tmp_path, follow=True, stop=stop) as it:
            it.run()
        assert most[0] <= it._held.most + 10 * it.receivers

    def test_messages_are_extended_while_the_sink_is_at_it(self, tmp_path: Path) -> None:
        source = Scarce([[1, 2]])

        def slow(documents: Sequence[Document]) -> list[Outcome]:
            assert source.extended.wait(30)
            return taken(documents)

        with indexer(source, Scripted(slow), tmp_path) as it:
            it.run()
        assert sorted(source.deleted) == ["1", "2"]

    @pytest.mark.parametrize("broken", ["receive", "extend", "delete"])
    def test_a_failing_queue_ends_the_run(self, tmp_path: Path, broken: str) -> None:
        source = Scarce([[1, 2]])

        def fail(*_: object) -> Any:
            source.extended.set()
            raise Unavailable(f"{broken} failed")

        setattr(source, broken, fail)

        def slow(documents: Sequence[Document]) -> list[Outcome]:
            assert broken != "extend" or source.extended.wait(30)
            return taken(documents)

        with indexer(source, Scripted(slow), tmp_path) as it, pytest.raises(Unavailable, match=broken):
            it.run()


class Deleting:
    """SQS's client, as far as deleting goes: `script` has the failures of each request."""

    def __init__(self, script: list[list[dict[str, Any]]]) -> None:
        self.script = script
        self.asked: list[list[str]] = []

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        self.asked.append([entry["ReceiptHandle"] for entry in Entries])
        failed = self.script.pop(0) if self.script else []
        names = {entry.get("Id") for entry in failed}
        return {"Failed": failed, "Successful": [{"Id": each["Id"]} for each in Entries if each["Id"] not in names]}


class TestDeleting:
    def source(self, script: list[list[dict[str, Any]]]) -> tuple[SqsSource, Deleting]:
        source, client = SqsSource("q", patient()), Deleting(script)
        source.queue.__dict__.update(_open=Description("http://q", "1", 1024), client=client)
        return source, client

    def test_entries_that_failed_are_deleted_again(self) -> None:
        source, client = self.source([[{"Id": "1", "Code": "InternalError", "SenderFault": False}]])
        assert source.delete([message(number) for number in range(3)]) == 0
        assert client.asked == [["handle-0", "handle-1", "handle-2"], ["handle-1"]]

    @pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "AWS.SimpleQueueService.ReceiptHandleIsInvalid"])
    def test_a_handle_that_ran_out_is_counted_and_no_error(self, code: str) -> None:
        source, client = self.source([[{"Id": "1", "Code": code, "SenderFault": True}]])
        assert source.delete([message(number) for number in range(3)]) == 1
        assert len(client.asked) == 1

    def test_ten_at_a_time(self) -> None:
        source, client = self.source([])
        source.delete([message(number) for number in range(25)])
        assert [len(handles) for handles in client.asked] == [10, 10, 5]

    def test_an_answer_that_is_torn_or_names_others_is_no_traceback(self) -> None:
        source, client = self.source([[{"Id": "99", "Code": "x", "SenderFault": True}, {}]])
        assert source.delete([message(number) for number in range(2)]) == 0
        assert client.asked == [["handle-0", "handle-1"]]

    def test_what_an_answer_says_nothing_of_is_deleted_again(self) -> None:
        source, client = self.source([])
        whole = client.delete_message_batch
        answers = iter([{}, {"Successful": [{"Id": "0"}]}])

        def answer(**asked: Any) -> dict[str, Any]:
            said = next(answers, None)
            return whole(**asked) if said is None else said

        client.delete_message_batch = answer  # type: ignore[method-assign, assignment]
        assert source.delete([message(number) for number in range(3)]) == 0
        assert client.asked == [["handle-1", "handle-2"]]


def test_the_groups_of_a_fifo_queue_that_others_hold_are_not_waited_for(elasticmq_url: str, tmp_path: Path) -> None:
    name, client = f"held-{uuid.uuid4().hex[:8]}.fifo", boto3.client("sqs")
    source, sink = SqsSource(name, patient()), Scripted(taken)
    for number in range(4):
        client.send_message(
            QueueUrl=source.url,
            MessageBody=json.dumps(action(number)),
            MessageGroupId=f"mp-{number % 2}",
            MessageDeduplicationId=str(number),
        )
    held = client.receive_message(QueueUrl=source.url, MaxNumberOfMessages=1, VisibilityTimeout=600)["Messages"]
    theirs = json.loads(held[0]["Body"])["action_id"]
    with indexer(source, sink, tmp_path, receivers=2) as it:
        it.run()
    assert sorted(sink.ids) == [str(number) for number in range(4) if number % 2 != theirs % 2]
    assert source.queue.counts() == (1, 1)
