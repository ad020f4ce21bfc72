"""FIFO queues: order within a group, and every version of a document."""

# ruff: noqa: N803 - the names of boto3's arguments

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest

from harvesters.canonical import digest
from harvesters.document import Document
from harvesters.errors import CredentialsRefused, Unavailable
from harvesters.sinks.sqs import SqsSink
from harvesters.stores.cache import open_cache
from harvesters.stores.versions import DocumentVersion, Versions
from tests.clocks import FakeClock, patient
from tests.conformance.fakesqs import Answer, FifoSqs, refused
from tests.conformance.test_sink import ids, received
from tests.samples import WHEN, document, logged


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
