"""What only an SQS queue does: limits, failed entries, FIFO, and queues that come and go."""

# ruff: noqa: N803 - the names of boto3's arguments

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from harvesters.aws.sqs import MAX_REQUEST_BYTES
from harvesters.document import Document
from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, SinkUnavailable
from harvesters.sinks.sqs import SqsSink, batches
from tests.clocks import FakeClock, patient
from tests.conformance.fakesqs import Answer, FakeSqs, refused, sink_of, taken, throttled
from tests.conformance.stores import LossyProxy
from tests.conformance.test_sink import ids, received
from tests.samples import WHEN, document, documents


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
