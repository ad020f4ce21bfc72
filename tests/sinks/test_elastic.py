"""What becomes of each document of a bulk request, by what the server says of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from harvesters.document import Document, Outcome
from harvesters.elastic.client import SearchClient
from harvesters.errors import ConfigError, CredentialsRefused, SinkUnavailable, TryLater
from harvesters.sinks.elastic import ElasticSink, by_day
from tests.clocks import FakeClock, patient
from tests.nodes import Node
from tests.samples import document, documents, logged
from tests.sinks.bulk import TAKEN, Bulk, Item, answer, error

BUSY: Item = (429, error("es_rejected_execution_exception"))


@contextmanager
def sink_of(bulk: Bulk, clock: FakeClock | None = None, **options: object) -> Iterator[ElasticSink]:
    options.setdefault("templated", False)
    with bulk:
        sink = ElasticSink(SearchClient(bulk.url, patient(clock, budget=60)), **options)  # type: ignore[arg-type]
        yield sink
        sink.close()


def dead(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.document.id: outcome.reason for outcome in outcomes if not outcome.delivered}


class TestItems:
    @pytest.mark.parametrize("status", [429, 503, 500])
    def test_a_throttled_item_alone_is_sent_again(self, status: int) -> None:
        bulk = Bulk(lambda id, before: (status, error("busy")) if id in ("3", "7") and before < 2 else TAKEN)
        clock = FakeClock()
        with sink_of(bulk, clock) as sink:
            outcomes = sink.send(documents(10))
        assert dead(outcomes) == {}
        assert len(outcomes) == 10
        assert bulk.batches == [[str(number) for number in range(10)], ["3", "7"], ["3", "7"]]
        assert len(clock.slept) == 2

    def test_what_the_server_refuses_for_good_is_dead_with_its_reason(self) -> None:
        cause = {"caused_by": {"type": "illegal", "reason": "only [true] or [false] are allowed"}}
        refused = error("document_parsing_exception", "failed to parse field [is_live]", **cause)
        bulk = Bulk(lambda id, before: (400, refused) if id == "3" else TAKEN)
        with sink_of(bulk) as sink:
            outcomes = sink.send(documents(5))
        (reason,) = dead(outcomes).values()
        assert "document_parsing_exception: failed to parse field [is_live]; only [true] or [false]" in reason
        assert set(bulk.stored) == {"0", "1", "2", "4"}
        assert len(bulk.batches) == 1

    def test_refused_and_throttled_in_one_answer(self) -> None:
        bulk = Bulk(lambda id, before: (400, error("no")) if id == "1" else BUSY if id == "2" and not before else TAKEN)
        with sink_of(bulk) as sink:
            assert set(dead(sink.send(documents(4)))) == {"1"}
        assert bulk.batches[1:] == [["2"]]

    @pytest.mark.parametrize(
        ("status", "type"),
        [(403, "cluster_block_exception"), (400, "validation_exception"), (400, "index_closed_exception")],
    )
    def test_what_the_cluster_will_get_over_is_not_the_documents_fault(self, status: int, type: str) -> None:
        bulk = Bulk(lambda id, before: TAKEN if before else (status, error(type)))
        with sink_of(bulk) as sink:
            assert dead(sink.send(documents(3))) == {}
        assert len(bulk.batches) == 2

    @pytest.mark.parametrize("item", [None, {}, [], {"index": None}, {"index": {}}, {"index": {"status": "x"}}])
    def test_an_item_that_makes_no_sense_is_sent_again(self, item: Any) -> None:
        bulk = Bulk()
        bulk.whole = [answer({"errors": True, "items": [{"index": {"status": 201}}, item, {"index": {"status": 201}}]})]
        with sink_of(bulk) as sink:
            assert dead(sink.send(documents(3))) == {}
        assert bulk.batches[1:] == [["1"]]

    def test_it_gives_up_when_the_budget_is_used_up(self) -> None:
        bulk = Bulk(lambda id, before: BUSY if id == "1" else TAKEN)
        with (
            sink_of(bulk) as sink,
            pytest.raises(TryLater, match="1 of 3 documents were not taken \\(429 es_rej"),
        ):
            sink.send(documents(3))

    @pytest.mark.parametrize("status", [403, 429])
    def test_a_full_disk_is_no_rate_limit(self, status: int) -> None:
        block = error("cluster_block_exception", "index [useractions-1] blocked by: [TOO_MANY_REQUESTS/12/disk usage]")
        bulk = Bulk(lambda id, before: (status, block) if id == "1" else TAKEN)
        with sink_of(bulk) as sink, pytest.raises(SinkUnavailable, match="cluster_block_exception"):
            sink.send(documents(3))

    def test_without_the_right_to_write_nothing_is_dead(self) -> None:
        bulk = Bulk(lambda id, before: (403, error("security_exception", "action is unauthorized")))
        with sink_of(bulk) as sink, pytest.raises(CredentialsRefused, match="unauthorized"):
            sink.send(documents(3))

    def test_an_index_that_was_removed_that_moment_is_made_anew(self) -> None:
        gone: Item = (404, error("index_not_found_exception", "no such index [useractions-1]"))
        bulk, clock = Bulk(lambda id, before: TAKEN if before else gone), FakeClock()
        with sink_of(bulk, clock) as sink:
            assert dead(sink.send(documents(3))) == {}
        assert clock.slept

    def test_an_index_that_may_not_be_made_is_a_matter_of_configuration(self) -> None:
        bulk = Bulk(lambda id, before: (404, error("index_not_found_exception", "no such index [useractions-1]")))
        with sink_of(bulk) as sink, pytest.raises(ConfigError, match="no such index"):
            sink.send(documents(3))


class TestRequests:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_whole_request_is_retried(self, status: int) -> None:
        bulk, clock = Bulk(), FakeClock()
        bulk.whole = [answer({"error": error("busy")}, status)] * 2
        with sink_of(bulk, clock) as sink:
            assert dead(sink.send(documents(3))) == {}
        assert len(bulk.batches) == 3

    def test_retry_after_is_waited_for(self) -> None:
        bulk, clock = Bulk(), FakeClock()
        bulk.whole = [answer({"error": error("busy")}, 429, **{"Retry-After": "17"})]
        with sink_of(bulk, clock) as sink:
            sink.send(documents(3))
        assert 17 <= clock.slept[0] <= 18

    def test_too_large_a_request_is_split_until_it_fits(self) -> None:
        bulk = Bulk()
        bulk.most_bytes = 1000
        with sink_of(bulk) as sink:
            outcomes = sink.send(documents(40))
        assert dead(outcomes) == {}
        assert len(outcomes) == len(bulk.stored) == 40

    def test_a_document_too_large_alone_is_dead(self) -> None:
        bulk = Bulk()
        bulk.most_bytes = 1000
        with sink_of(bulk) as sink:
            outcomes = sink.send([*documents(9), document("9", title="x" * 2000)])
        assert "more than" in dead(outcomes)["9"]
        assert len(bulk.stored) == 9

    def test_one_document_that_spoils_the_request_does_not_take_the_others_along(self) -> None:
        with Spoilt() as bulk:
            sink = ElasticSink(SearchClient(bulk.url, patient()), templated=False)
            outcomes = sink.send([*documents(9), document("x" * 600)])
            sink.close()
        assert "id is too long" in dead(outcomes)["x" * 600]
        assert len(bulk.stored) == 9

    def test_no_answer_becomes_unavailable(self) -> None:
        clock = FakeClock()
        sink = ElasticSink(SearchClient("http://127.0.0.1:1", patient(clock, budget=5)), templated=False)
        with pytest.raises(SinkUnavailable, match=r"elasticsearch at 127\.0\.0\.1:1: no answer"):
            sink.send(documents(2))
        sink.close()
        assert clock.slept

    def test_requests_are_bounded_in_documents_and_bytes(self) -> None:
        bulk = Bulk()
        with sink_of(bulk, max_bytes=10_000, threads=2) as sink:
            sink.send([document(str(number), text="x" * 900) for number in range(100)])
        assert max(len(ids) for ids in bulk.batches) <= 10
        bulk = Bulk()
        with sink_of(bulk, threads=2) as sink:
            sink.send(documents(5000))
        assert max(len(ids) for ids in bulk.batches) <= 1000

    def test_no_more_requests_at_once_than_threads_and_nothing_left_when_send_returns(self) -> None:
        now, most, lock = [0], [0], threading.Lock()

        class Counting(Bulk):
            def handle(self, request):  # type: ignore[no-untyped-def]
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                try:
                    return super().handle(request)
                finally:
                    with lock:
                        now[0] -= 1

        bulk = Counting()
        with sink_of(bulk, threads=3) as sink:
            sink.send(documents(6000))
            assert len(bulk.stored) == 6000
        assert 1 <= most[0] <= 3


class Spoilt(Bulk):
    """As Elasticsearch does it: one id over 512 bytes, and the whole request is refused."""

    def handle(self, request):  # type: ignore[no-untyped-def]
        if b"x" * 600 in request.body:
            return answer({"error": error("action_request_validation_exception", "id is too long")}, 400)
        return super().handle(request)


class TestDocuments:
    def test_the_index_is_that_of_the_utc_date(self) -> None:
        late = datetime(2026, 2, 13, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
        assert by_day(Document("1", "useractions", late, {})) == "useractions-2026.02.14"
        assert by_day(Document("1", "meetings", datetime(2026, 2, 13, tzinfo=UTC), {})) == "meetings-2026.02.13"

    def test_of_versions_of_one_document_the_last_counts_and_each_has_an_outcome(self) -> None:
        bulk = Bulk()
        versions = [document("1", outpoint=number) for number in range(3)]
        with sink_of(bulk) as sink:
            outcomes = sink.send([*versions, document("2")])
        assert len(outcomes) == 4
        assert dead(outcomes) == {}
        assert bulk.stored["1"]["outpoint"] == 2
        assert bulk.batches == [["1", "2"]]

    def test_prepare_may_add_to_a_document(self) -> None:
        bulk = Bulk()
        with sink_of(bulk, prepare=lambda document: document.body.update(geoip={"ip": "1.1.1.1"})) as sink:
            sink.send(documents(1))
        assert bulk.stored["0"]["geoip"] == {"ip": "1.1.1.1"}

    def test_a_missing_template_is_said_once(self, node: Node) -> None:
        sink = node.sink(templated=True)
        strange = [Document(str(number), "unheardof", datetime(2026, 2, 13, tzinfo=UTC), {}) for number in range(2)]
        with logged() as records:
            sink.send(strange[:1])
            sink.send(strange[1:])
        sink.close()
        assert [record.getMessage() for record in records if "index template unheardof" in record.getMessage()] != []
        assert len([record for record in records if "index template" in record.getMessage()]) == 1


class TestRealNode:
    def test_the_id_is_the_documents_so_that_twice_is_once(self, node: Node) -> None:
        sink = node.sink()
        sink.send(documents(20))
        sink.send([document("3", changed=True), *documents(5)])
        sink.close()
        assert node.count() == 20
        assert {hit["_id"] for hit in node.hits()} == {str(number) for number in range(20)}
        assert {hit["_index"] for hit in node.hits()} == {f"{node.prefix}useractions-2026.02.13"}

    def test_a_mapping_refuses_one_document_and_says_why(self, node: Node) -> None:
        mappings = {"properties": {"n": {"type": "long"}}}
        node.ask("PUT", f"/{node.prefix}useractions-2026.02.13", {"mappings": mappings})
        sink = node.sink()
        outcomes = sink.send([document("1", n=1), document("2", n="poison"), document("3", n=3)])
        sink.close()
        assert "parsing_exception" in dead(outcomes)["2"]
        assert node.count() == 2

    def test_an_id_that_is_too_long_takes_nothing_along(self, node: Node) -> None:
        sink = node.sink()
        outcomes = sink.send([document("1"), document("x" * 513), document("3")])
        sink.close()
        assert set(dead(outcomes)) == {"x" * 513}
        assert node.count() == 2

    def test_an_output_is_fresh_until_there_is_an_index_of_the_run(self, node: Node) -> None:
        sink = node.sink()
        identity, fresh = sink.identity()
        assert fresh
        sink.send(documents(1))
        assert sink.identity() == (identity, False)
        node.clean()
        assert sink.identity() == (identity, True)
        sink.close()
