"""The contract of `Sink`, over SQS, Elasticsearch (Firebase's too), files (plain and gzip) and standard output."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import orjson
import pytest

from harvesters.document import Document
from harvesters.firebase.elastic import IndexingSink, SearchIndex
from harvesters.firebase.indices import Indices
from harvesters.sinks.base import Sink
from harvesters.sinks.elastic import ElasticSink
from harvesters.sinks.jsonl import FileSink, StdoutSink
from harvesters.sinks.sqs import SqsSink
from tests.clocks import patient
from tests.nodes import Node, node_for_a_test
from tests.samples import document, documents, unencodable


@dataclass
class Bench:
    """One output: `open` a sink into it as a new run would, and `read` the bodies that have come out of it."""

    open: Callable[[], Sink]
    read: Callable[[], list[Any]]
    durable: bool = True


@pytest.fixture(params=["sqs", "elasticmq", "elasticsearch", "buddyup", "file", "gzip", "stdout"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param in ("sqs", "elasticmq"):
        request.getfixturevalue("aws" if request.param == "sqs" else "elasticmq_url")
        queue = "harvest-test" if request.param == "sqs" else f"sink-{abs(hash(request.node.nodeid))}"
        yield Bench(lambda: SqsSink(queue, patient()), lambda: [message["Body"] for message in received(queue)])
    elif request.param == "elasticsearch":
        with node_for_a_test(request) as node:
            yield Bench(node.sink, node.bodies)
    elif request.param == "buddyup":
        with node_for_a_test(request) as node:
            yield Bench(lambda: removing_sink(node), node.bodies)
    elif request.param == "stdout":
        with Pipe() as pipe:
            yield Bench(lambda: StdoutSink(pipe.stream), pipe.lines, durable=False)
    else:
        path = tmp_path / "out" / ("actions.jsonl" if request.param == "file" else "actions.jsonl.gz")
        yield Bench(lambda: FileSink(path), lambda: lines_of(path))


def removing_sink(node: Node) -> Sink:
    """The sink of Firebase's commands, which removes documents as well, over indices of several months."""
    client, name = node.client(), f"{node.prefix}events"
    place = Indices(node.prefix).of_event
    return IndexingSink(ElasticSink(client, place, fresh_pattern=f"{name}*"), SearchIndex(client, name), place)


def received(queue: str, **options: Any) -> list[dict[str, Any]]:
    """Every message in the queue, taken out of it."""
    client: Any = boto3.client("sqs")
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    found: list[dict[str, Any]] = []
    while True:
        messages = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **options).get("Messages", [])
        if not messages:
            return found
        found.extend(messages)
        entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(messages)]
        client.delete_message_batch(QueueUrl=url, Entries=entries)


def lines_of(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    assert not content or content.endswith(b"\n")
    return content.splitlines()


class Pipe:
    """A pipe with a reader that takes everything."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.stream: BinaryIO = os.fdopen(writer, "wb")
        self._taken: list[bytes] = []
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while chunk := os.read(self.reader, 65_536):
            self._taken.append(chunk)

    def lines(self) -> list[bytes]:
        self.stream.close()
        self._thread.join(10)
        return b"".join(self._taken).splitlines()

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stream.close()
        self._thread.join(10)
        os.close(self.reader)


def ids(bodies: list[Any]) -> list[str]:
    return sorted((orjson.loads(body)["action_id"] for body in bodies), key=int)


def run(sink: Sink, *batches: list[Document]) -> list[Any]:
    """What a good run does with a sink; the outcomes."""
    outcomes = []
    for batch in batches:
        outcomes.extend(sink.send(batch))
    sink.finish()
    sink.close()
    return outcomes


def test_every_document_is_delivered_once_and_has_one_outcome(bench: Bench) -> None:
    one, other = documents(23), documents(5, first=23)
    outcomes = run(bench.open(), one, other)
    assert all(outcome.delivered for outcome in outcomes)
    assert len(outcomes) == 28
    assert {id(outcome.document) for outcome in outcomes} == {id(each) for each in one + other}
    assert ids(bench.read()) == [str(number) for number in range(28)]


def test_the_body_is_the_documents_json_and_nothing_else(bench: Bench) -> None:
    body = {"title": 'Größe "x" \\ \u2028\n', "action": {"is_playing": True, "inpoint": 0}, "huid": None}
    run(bench.open(), [document("1", **body)])
    (found,) = bench.read()
    assert orjson.loads(found) == {"action_id": "1", **body}


def test_what_cannot_be_written_as_json_is_dead_and_the_rest_is_delivered(bench: Bench) -> None:
    batch = [*documents(3), unencodable("3"), document("4", big=2**70), *documents(3, first=5)]
    outcomes = run(bench.open(), batch)
    dead = {outcome.document.id: outcome.reason for outcome in outcomes if not outcome.delivered}
    assert set(dead) == {"3", "4"}
    assert all("cannot be written as JSON" in reason for reason in dead.values())
    assert len(outcomes) == 8
    assert ids(bench.read()) == ["0", "1", "2", "5", "6", "7"]


def test_nothing_but_dead_documents_and_nothing_at_all(bench: Bench) -> None:
    sink = bench.open()
    assert [outcome.delivered for outcome in sink.send([unencodable("1")])] == [False]
    assert list(sink.send([])) == []
    run(sink, documents(1))
    assert ids(bench.read()) == ["0"]


def test_a_later_run_adds_to_what_is_there(bench: Bench) -> None:
    run(bench.open(), documents(2))
    run(bench.open(), documents(2, first=2))
    assert ids(bench.read()) == ["0", "1", "2", "3"]


def test_an_output_is_the_same_in_every_run(bench: Bench) -> None:
    first = bench.open()
    identity, _ = first.identity()
    run(first, documents(1))
    second = bench.open()
    assert second.identity() == (identity, False)
    second.close()
    assert second.name


def test_only_a_pipe_is_not_durable(bench: Bench) -> None:
    assert bench.open().durable is bench.durable
