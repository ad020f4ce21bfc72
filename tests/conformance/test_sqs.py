"""What only an SQS queue does: limits, failed entries, FIFO, and queues that come and go."""

# ruff: noqa: N803 - the names of boto3's arguments

from __future__ import annotations

import errno
import hashlib
import os
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import orjson
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from harvesters.aws.sqs import MAX_REQUEST_BYTES
from harvesters.canonical import digest
from harvesters.document import Document
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, SinkUnavailable, Unavailable
from harvesters.sinks.sqs import SqsSink, batches
from harvesters.stores.cache import open_cache
from harvesters.stores.versions import DocumentVersion, Versions
from tests.clocks import FakeClock, patient
from tests.conformance.stores import LossyProxy
from tests.conformance.test_sink import ids, received
from tests.samples import WHEN, document, documents, logged

Answer = dict[str, Any]


class FakeSqs:
    """A client whose answers to `send_message_batch` a test scripts; it keeps what it was asked."""

    def __init__(self, *answers: Callable[[list[Any]], Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[list[str]] = []
        self.created: list[str] = []

    def get_queue_url(self, QueueName: str) -> Answer:
        return {"QueueUrl": f"http://sqs/{QueueName}"}

    def create_queue(self, QueueName: str, Attributes: Answer) -> Answer:
        self.created.append(QueueName)
        return self.get_queue_url(QueueName)

    def get_queue_attributes(self, **_: Any) -> Answer:
        return {"Attributes": {"CreatedTimestamp": "1", "MaximumMessageSize": "262144"}}

    def close(self) -> None: ...

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Answer:
        self.requests.append([orjson.loads(entry["MessageBody"])["action_id"] for entry in Entries])
        return self.answers.pop(0)(Entries) if self.answers else taken(Entries)


def taken(entries: list[Any], *failed: Answer) -> Answer:
    """All taken but the failed ones."""
    names = {entry["Id"] for entry in failed}
    return {"Successful": [{"Id": entry["Id"]} for entry in entries if entry["Id"] not in names], "Failed": [*failed]}


def throttled(*positions: int) -> Callable[[list[Any]], Answer]:
    def answer(entries: list[Any]) -> Answer:
        codes = {"SenderFault": False, "Code": "InternalError"}
        return taken(entries, *({"Id": entries[at]["Id"], **codes} for at in positions))

    return answer


def refused(code: str, status: int = 400) -> Callable[[list[Any]], Answer]:
    def answer(entries: list[Any]) -> Answer:
        error = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(error, "SendMessageBatch")  # type: ignore[arg-type]

    return answer


def sink_of(client: Any, clock: FakeClock | None = None, budget: float = 120) -> SqsSink:
    sink = SqsSink("queue", patient(clock, budget), in_flight=1)
    sink.queue.__dict__["client"] = client
    return sink


class TestBatches:
    @given(st.lists(st.sampled_from([1, 100, MAX_REQUEST_BYTES // 3, MAX_REQUEST_BYTES // 2, MAX_REQUEST_BYTES])))
    def test_ten_at_most_within_the_size_in_order_and_none_lost(self, sizes: list[int]) -> None:
        made = []
        for number, size in enumerate(sizes):
            each = Document(str(number), "k", WHEN, {})
            each.__dict__["encoded"] = _Sized(size)
            made.append(each)
        groups = list(batches(made))
        assert [each for group in groups for each in group] == made
        assert all(1 <= len(group) <= 10 for group in groups)
        assert all(sum(len(each.encoded) for each in group) <= MAX_REQUEST_BYTES for group in groups)
        for group, following in pairwise(groups):
            size = sum(len(each.encoded) for each in [*group, following[0]])
            assert len(group) == 10 or size > MAX_REQUEST_BYTES, "a request with room for more"

    def test_a_hundred_and_five_are_eleven_requests(self) -> None:
        client = FakeSqs()
        sink_of(client).send(documents(105))
        assert [len(request) for request in client.requests] == [10] * 10 + [5]

    def test_several_requests_are_under_way_at_once(self) -> None:
        together = threading.Barrier(8)

        def meet(entries: list[Any]) -> Answer:
            together.wait(30)
            return taken(entries)

        sink = SqsSink("queue", patient(), in_flight=8)
        sink.queue.__dict__["client"] = FakeSqs(*[meet] * 8)
        assert len(sink.send(documents(80))) == 80
        sink.close()


class _Sized(bytes):
    """Bytes that only claim their length."""

    def __new__(cls, size: int) -> _Sized:
        made = super().__new__(cls)
        made.size = size  # type: ignore[attr-defined]
        return made

    def __len__(self) -> int:
        return int(self.size)  # type: ignore[attr-defined]


class TestFailedEntries:
    def test_they_are_sent_again_alone(self) -> None:
        client, clock = FakeSqs(throttled(1, 4), throttled(1)), FakeClock()
        outcomes = sink_of(client, clock).send(documents(6))
        assert client.requests == [["0", "1", "2", "3", "4", "5"], ["1", "4"], ["4"]]
        assert len(clock.slept) == 2
        assert all(outcome.delivered for outcome in outcomes)
        assert sorted(outcome.document.id for outcome in outcomes) == ["0", "1", "2", "3", "4", "5"]

    def test_one_that_the_answer_does_not_mention_is_sent_again(self) -> None:
        client = FakeSqs(lambda entries: {"Successful": [{"Id": entries[0]["Id"]}]})
        assert len(sink_of(client).send(documents(2))) == 2
        assert client.requests == [["0", "1"], ["1"]]

    def test_one_that_is_the_senders_fault_is_dead_with_the_reason(self) -> None:
        fault = {"SenderFault": True, "Code": "InvalidMessageContents", "Message": "no such character"}
        client = FakeSqs(lambda entries: taken(entries, {"Id": entries[1]["Id"], **fault}))
        outcomes = sink_of(client).send(documents(3))
        assert {each.document.id: each.reason for each in outcomes} == {
            "0": "",
            "1": "sqs://queue refused it: InvalidMessageContents: no such character",
            "2": "",
        }
        assert len(client.requests) == 1

    def test_after_the_budget_the_sink_is_unavailable(self) -> None:
        client = FakeSqs(*[throttled(0)] * 1000)
        with pytest.raises(SinkUnavailable, match=r"sqs://queue: 1 of 1 messages were not taken \(InternalError\)"):
            sink_of(client, budget=30).send(documents(1))


class TestRefusedRequests:
    @pytest.mark.parametrize("code", ["AWS.SimpleQueueService.BatchRequestTooLong", "InvalidParameterValue"])
    def test_one_that_is_too_much_is_taken_apart_until_the_culprit_is_alone(self, code: str) -> None:
        def picky(entries: list[Any]) -> Answer:
            if any(b'"action_id":"5"' in entry["MessageBody"].encode() for entry in entries):
                return refused(code)(entries)
            return taken(entries)

        client = FakeSqs(*[picky] * 100)
        outcomes = sink_of(client).send(documents(8))
        assert [each.document.id for each in outcomes if not each.delivered] == ["5"]
        assert len(outcomes) == 8
        delivered = [id for request in client.requests for id in request if "5" not in request]
        assert sorted(delivered) == ["0", "1", "2", "3", "4", "6", "7"]

    @pytest.mark.parametrize(
        ("code", "status", "error"),
        [
            ("AccessDenied", 403, CredentialsRefused),
            ("UnrecognizedClientException", 400, CredentialsRefused),
            ("UnsupportedOperation", 400, ProtocolError),
            ("ServiceUnavailable", 503, SinkUnavailable),
            ("RequestThrottled", 403, SinkUnavailable),
            ("ThrottlingException", 400, SinkUnavailable),
            ("KmsThrottled", 400, SinkUnavailable),
            ("OverLimit", 403, SinkUnavailable),
            ("SlowDown", 503, SinkUnavailable),
            ("", 429, SinkUnavailable),
            ("NotImplemented", 501, ConfigError),
        ],
    )
    def test_others_end_the_run_at_once_or_after_the_budget(
        self, code: str, status: int, error: type[Exception]
    ) -> None:
        clock = FakeClock()
        with pytest.raises(error, match="sqs://queue"):
            sink_of(FakeSqs(*[refused(code, status)] * 1000), clock, budget=20).send(documents(1))
        assert bool(clock.slept) == (error is SinkUnavailable)

    def test_a_connection_that_breaks_is_tried_again(self) -> None:
        def broken(entries: list[Any]) -> Answer:
            raise ConnectionClosedError(endpoint_url="http://sqs")

        client = FakeSqs(broken)
        assert [each.delivered for each in sink_of(client).send(documents(2))] == [True, True]
        assert client.requests == [["0", "1"], ["0", "1"]]

    def test_a_name_that_was_just_deleted_is_waited_for(self) -> None:
        clock = FakeClock()

        class JustDeleted(FakeSqs):
            def get_queue_url(self, QueueName: str) -> Answer:
                if not self.created:
                    refused("AWS.SimpleQueueService.NonExistentQueue")([])
                return super().get_queue_url(QueueName)

            def create_queue(self, QueueName: str, Attributes: Answer) -> Answer:
                if clock.monotonic() < 60:
                    refused("AWS.SimpleQueueService.QueueDeletedRecently")([])
                return super().create_queue(QueueName, Attributes)

        assert sink_of(JustDeleted(), clock).send(documents(1))[0].delivered


class TestQueues:
    def test_one_that_is_missing_is_made_and_keeps_messages_as_long_as_sqs_can(self, aws: str) -> None:
        sink = SqsSink("brand-new", patient())
        sink.send(documents(1))
        client = boto3.client("sqs")
        url = client.get_queue_url(QueueName="brand-new")["QueueUrl"]
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["MessageRetentionPeriod"] == "1209600"
        sink.close()

    def test_one_that_is_there_is_left_as_it_is(self, aws: str) -> None:
        client = boto3.client("sqs")
        url = client.create_queue(QueueName="mine", Attributes={"MessageRetentionPeriod": "300"})["QueueUrl"]
        sink = SqsSink("mine", patient())
        sink.send(documents(1))
        sink.close()
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["MessageRetentionPeriod"] == "300"

    def test_a_message_that_can_never_fit_is_dead(self, aws: str) -> None:
        boto3.client("sqs").create_queue(QueueName="small", Attributes={"MaximumMessageSize": "1024"})
        sink = SqsSink("small", patient())
        room = 1024 - len(document("1", text="").encoded)
        outcomes = sink.send([document("1", text="x" * room), document("2", text="x" * (room + 1))])
        sink.close()
        assert {each.document.id: each.reason for each in outcomes} == {
            "1": "",
            "2": "its 1025 bytes are more than the 1024 that sqs://small takes",
        }
        assert ids([message["Body"] for message in received("small")]) == ["1"]

    def test_one_that_is_deleted_during_a_run_is_made_again(self, aws: str) -> None:
        sink = SqsSink("fleeting", patient())
        sink.send(documents(1))
        client = boto3.client("sqs")
        client.delete_queue(QueueUrl=client.get_queue_url(QueueName="fleeting")["QueueUrl"])
        assert [each.delivered for each in sink.send(documents(12, first=1))] == [True] * 12
        sink.close()
        assert ids([message["Body"] for message in received("fleeting")]) == [str(number) for number in range(1, 13)]

    def test_one_that_was_made_anew_is_another_output(self) -> None:
        before, after = FakeSqs(), FakeSqs()
        after.get_queue_attributes = lambda **_: {"Attributes": {"CreatedTimestamp": "2"}}  # type: ignore[method-assign]
        assert sink_of(before).identity() != sink_of(after).identity()

    def test_a_batch_whose_answer_is_lost_arrives_all_the_same(self, proxy: LossyProxy) -> None:
        sink = SqsSink("lossy", patient())
        sink.identity()
        proxy.lose = ["POST"]
        assert all(each.delivered for each in sink.send(documents(3)))
        sink.close()
        assert set(ids([message["Body"] for message in received("lossy")])) == {"0", "1", "2"}


class FifoSqs(FakeSqs):
    """A FIFO queue that drops duplicates for five minutes, as SQS does, and takes its time over each request.

    `failing`: how often an entry is failed that could be taken, of each request's first one.
    """

    def __init__(self, clock: FakeClock, failing: int = 0) -> None:
        super().__init__()
        self.clock = clock
        self.failing = failing
        self.messages: list[Answer] = []
        self.under_way: Counter[str] = Counter()
        self.most_at_once = 0
        self.overlaps: list[str] = []
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Answer:
        groups = {entry["MessageGroupId"] for entry in Entries}
        with self._lock:
            self.overlaps += [group for group in groups if self.under_way[group]]
            self.under_way.update(groups)
            self.most_at_once = max(self.most_at_once, self.under_way.total())
            slow = random.random() / 200
        threading.Event().wait(slow)  # the other side's time, so that requests may overtake one another
        with self._lock:
            failed = []
            for number, entry in enumerate(Entries):
                if number == 0 and self.failing:
                    self.failing -= 1
                    failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
                    continue
                id, now = entry["MessageDeduplicationId"], self.clock.monotonic()
                if now - self._seen.get(id, -300.0) >= 300.0:
                    self._seen[id] = now
                    self.messages.append(entry)
            self.under_way.subtract(groups)
            return taken(Entries, *failed)

    def texts(self, group: str | None = None) -> list[Any]:
        bodies = (
            orjson.loads(each["MessageBody"]) for each in self.messages if group in (None, each["MessageGroupId"])
        )
        return [body["text"] for body in bodies]


def fifo_of(client: FifoSqs, in_flight: int = 16, **memory: Any) -> SqsSink:
    """A sink as a new run has it; `memory`: what the run before left."""
    sink = SqsSink("q.fifo", patient(client.clock), in_flight, Versions("q.fifo", client.clock, **memory))
    sink.queue.__dict__["client"] = client
    return sink


def grouped(id: int, groups: int) -> Document:
    return Document(str(id), "useractions", WHEN, {"text": id}, group=f"mp-{id % groups}")


def version(text: str, id: str = "1") -> Document:
    return Document(id, "useractions", WHEN, {"text": text}, group="mp-1", mutable=True)


class TestFifo:
    def test_the_document_id_deduplicates_and_the_group_keeps_the_order(self, aws: str) -> None:
        sink = SqsSink("actions.fifo", patient())
        sink.send([document("1"), document("2")])
        sink.send([document("1")])
        sink.close()
        messages = received("actions.fifo", AttributeNames=["All"])
        assert ids([message["Body"] for message in messages]) == ["1", "2"]
        assert {message["Attributes"]["MessageDeduplicationId"] for message in messages} == {"1", "2"}
        assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"mp-1"}

    @pytest.mark.parametrize("groups", [1, 5, 40])
    def test_whatever_the_parallelism_each_group_arrives_in_the_order_in_which_it_was_sent(self, groups: int) -> None:
        client = FifoSqs(FakeClock())
        sink = fifo_of(client)
        for first in (0, 600):
            assert len(sink.send([grouped(id, groups) for id in range(first, first + 600)])) == 600
        sink.close()
        for group in range(groups):
            assert client.texts(f"mp-{group}") == [id for id in range(1200) if id % groups == group]
        assert client.overlaps == []
        assert (client.most_at_once > 1) == (groups > 1), "groups should not wait for one another"

    def test_an_entry_that_fails_alone_comes_before_the_next_request(self) -> None:
        client = FifoSqs(FakeClock(), failing=7)
        fifo_of(client).send([grouped(id, 1) for id in range(60)])
        texts = client.texts()
        assert sorted(texts) == list(range(60))
        assert [sorted(texts[at : at + 10]) for at in range(0, 60, 10)] == [
            [*range(at, at + 10)] for at in range(0, 60, 10)
        ]

    @pytest.mark.parametrize("server", ["aws", "elasticmq_url"])
    def test_a_real_queue_shows_each_group_in_its_order(self, server: str, request: pytest.FixtureRequest) -> None:
        request.getfixturevalue(server)
        name = f"order-{uuid.uuid4().hex[:8]}.fifo"
        sink = SqsSink(name, patient())
        sink.send([grouped(id, 3) for id in range(60)])
        sink.close()
        bodies = [orjson.loads(message["Body"])["text"] for message in received(name)]
        assert [[id for id in bodies if id % 3 == group] for group in range(3)] == [
            [*range(g, 60, 3)] for g in range(3)
        ]

    def test_after_an_error_nothing_is_sent_any_more(self) -> None:
        class Broken(FifoSqs):
            def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Answer:
                if Entries[0]["MessageGroupId"] == "mp-3":
                    refused("AccessDenied", 403)(Entries)
                return super().send_message_batch(QueueUrl, Entries)

        client = Broken(FakeClock())
        with pytest.raises(CredentialsRefused):
            fifo_of(client).send([grouped(id, 5) for id in range(2000)])
        count = len(client.messages)
        assert client.under_way.total() == 0
        assert count < 1600
        assert len(client.messages) == count

    @pytest.mark.parametrize("server", ["aws", "elasticmq_url"])
    def test_an_edit_gets_through_and_one_back_to_an_earlier_text_and_the_same_again_does_not(
        self, server: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        request.getfixturevalue(server)
        name = f"edits-{uuid.uuid4().hex[:8]}.fifo"
        for text in "AABABBA":  # each by a run of its own, without Redis
            sink = SqsSink(name, patient(), versions=Versions(name, FakeClock(), path=tmp_path / "fifo" / "q.jsonl"))
            assert all(each.delivered for each in sink.send([version(text)]))
            sink.close()
        assert [orjson.loads(message["Body"])["text"] for message in received(name)] == [*"ABABA"]

    def test_a_redis_that_was_emptied_costs_no_version(self, redis_url: str, redis_server: Any, tmp_path: Path) -> None:
        client = FifoSqs(FakeClock())
        for text in "ABBAB":
            fifo_of(client, cache=open_cache(redis_url), path=tmp_path / "q").send([version(text)])
            redis_server.flush()
        assert client.texts() == [*"ABAB"]

    def test_hosts_that_share_a_redis_know_of_each_others_versions(self, redis_url: str, tmp_path: Path) -> None:
        client = FifoSqs(FakeClock())
        for run, text in enumerate("ABABBA"):
            client.clock.advance(5)
            fifo_of(client, cache=open_cache(redis_url), path=tmp_path / str(run % 2)).send([version(text)])
        assert client.texts() == [*"ABABA"]

    def test_two_versions_in_one_batch_are_two_messages(self) -> None:
        client = FifoSqs(FakeClock())
        fifo_of(client).send([version(text) for text in "ABA"])
        assert client.texts() == [*"ABA"]

    def test_the_id_of_what_may_change_holds_its_digest_from_the_first_time_on(self) -> None:
        client = FifoSqs(FakeClock())
        fifo_of(client).send([version("A"), version("B")])
        assert [each["MessageDeduplicationId"] for each in client.messages] == [
            f"1-{digest(version(text).encoded).hex()}" for text in "AB"
        ]

    def test_a_row_that_has_changed_though_it_should_not_is_no_duplicate(self, aws: str) -> None:
        sink = SqsSink("actions.fifo", patient())
        sink.send([document("1", length=30)])
        grown = document("1", length=60)
        grown.mutable = True
        sink.send([grown])
        sink.close()
        messages = received("actions.fifo", AttributeNames=["All"])
        expected = ["1", f"1-{digest(grown.encoded).hex()}"]
        assert [message["Attributes"]["MessageDeduplicationId"] for message in messages] == expected

    def test_what_should_not_change_and_does_gets_through_all_the_same(self, tmp_path: Path) -> None:
        """Its episode was corrected, say, and it is sent again by hand."""
        client = FifoSqs(FakeClock())
        for text in "AABBA":
            fifo_of(client, path=tmp_path / "q").send([Document("1", "k", WHEN, {"text": text})])
        assert client.texts() == [*"ABA"]
        assert client.messages[0]["MessageDeduplicationId"] == "1"

    def test_one_that_sqs_says_it_took_for_another_version_is_sent_under_an_id_of_its_own(self) -> None:
        class Telling(FifoSqs):
            def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Answer:
                answer = super().send_message_batch(QueueUrl, Entries)
                kept = {each["MessageDeduplicationId"]: each["MessageBody"] for each in self.messages}
                for entry, said in zip(Entries, answer["Successful"], strict=True):
                    said["MD5OfMessageBody"] = hashlib.md5(kept[entry["MessageDeduplicationId"]].encode()).hexdigest()
                return answer

        client = Telling(FakeClock())
        for text in "AAB":  # by runs that remember nothing
            assert fifo_of(client).send([Document("1", "k", WHEN, {"text": text})])[0].delivered
        assert client.texts() == [*"AB"]

    def test_after_ten_minutes_all_is_forgotten_and_the_file_stays_small(self, tmp_path: Path) -> None:
        clock = FakeClock()
        for _ in range(4):
            versions = Versions("q", clock, path=tmp_path / "q")
            assert versions.tags([DocumentVersion(str(id), "d", False) for id in range(15_000)]) == ["d"] * 15_000
            clock.advance(601)
        assert len((tmp_path / "q").read_bytes().splitlines()) <= 35_000

    def test_a_state_directory_that_cannot_be_written_is_said_once_and_a_full_one_ends_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "fifo").write_text("in the way")
        versions = Versions("q", FakeClock(), path=tmp_path / "fifo" / "q")
        with logged() as records:
            assert versions.tags([DocumentVersion("1", text, False) for text in "aba"]) == ["a", "b", "a.2"]
            assert versions.tags([DocumentVersion("1", "b", False)]) == ["b.2"]
        assert len(records) == 1

        def full(handle: int, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(Unavailable, match=f"Make room in {tmp_path}"):
            Versions("q", FakeClock(), path=tmp_path / "q").tags([DocumentVersion("1", "a", False)])

    @pytest.mark.parametrize("id", ["", "with a blank", "x" * 500, "übung"])
    def test_an_id_that_sqs_would_not_take_is_hashed(self, elasticmq_url: str, id: str) -> None:
        name = f"ids-{uuid.uuid4().hex[:8]}.fifo"
        sink = SqsSink(name, patient())
        documents = [Document(id, "k", WHEN, {"text": text}, mutable=text != "A") for text in "AB"]
        assert all(each.delivered for each in sink.send(documents))
        sink.close()
        assert len(received(name)) == 2

    def test_without_a_group_it_is_the_kind(self, aws: str) -> None:
        sink = SqsSink("actions.fifo", patient())
        sink.send([Document("1", "meetings", WHEN, {"action_id": "1"})])
        sink.close()
        (message,) = received("actions.fifo", AttributeNames=["All"])
        assert message["Attributes"]["MessageGroupId"] == "meetings"


class TestTornAnswers:
    @pytest.mark.parametrize(
        "answer",
        [
            lambda entries: {},
            lambda entries: {"Successful": [{"Id": "99"}, {}, *({"Id": entry["Id"]} for entry in entries[:1] * 2)]},
            lambda entries: {"Failed": [{"Id": "99", "SenderFault": True, "Code": "x"}, {"SenderFault": True}]},
            lambda entries: {
                "Successful": [{"Id": entry["Id"]} for entry in entries[:2]],
                "Failed": [{"Id": entries[0]["Id"], "SenderFault": True, "Code": "x"}],
            },
        ],
        ids=["nothing", "an unknown id and one twice", "an unknown failure", "both taken and failed"],
    )
    def test_they_are_no_traceback_and_what_they_do_not_name_is_sent_again(self, answer: Any) -> None:
        outcomes = sink_of(FakeSqs(answer)).send(documents(3))
        assert sorted((each.document.id, each.delivered) for each in outcomes) == [
            ("0", True),
            ("1", True),
            ("2", True),
        ]

    def test_a_queue_without_its_url_is_asked_for_again(self) -> None:
        client = FakeSqs()
        urls = iter([{}, {"message": "<html>"}])
        client.get_queue_url = lambda QueueName: next(urls, {"QueueUrl": "http://sqs/q"})  # type: ignore[method-assign]
        assert sink_of(client).send(documents(1))[0].delivered
