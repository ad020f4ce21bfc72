"""Several processes of ``listings index`` share a topic: they come, go, are killed and stopped, and nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import NewPartitions

from harvesters.standins.elasticsearch import Elasticsearch
from harvesters.standins.kafka import Kafka
from tests.brokers import Broker
from tests.listings.conftest import Market
from tests.listings.workers import Worker, wait_for
from tests.servers import running
from tests.way import way

pytestmark = pytest.mark.slow

SESSION = 2.0
Start = Callable[..., Worker]


@pytest.fixture
def start(market: Market, tmp_path: Path) -> Iterator[Start]:
    """Start a process of ``listings index``; none outlives the test."""
    started: list[Worker] = []

    def begin(*arguments: str, **environment: str) -> Worker:
        started.append(Worker(tmp_path, *arguments, **environment))
        return started[-1]

    yield begin
    for worker in started:
        worker.kill()


def listings(count: int, word: str = "first", begin: int = 0) -> list[dict[str, object]]:
    return [{"id": n, "title": f"Desk {n}", "n": word} for n in range(begin, begin + count)]


def indexed(market: Market) -> int:
    if not market.cluster.exists("listings"):
        return 0
    market.cluster.ask("POST", f"/{market.index}/_refresh")
    return int(market.cluster.ask("GET", f"/{market.index}/_count")["count"])


def members(market: Market) -> int:
    """How many processes have partitions of the group."""
    (future,) = market.kafka.admin.describe_consumer_groups([market.kafka.group]).values()
    return sum(bool(each.assignment.topic_partitions) for each in future.result(30).members)


def test_who_joins_and_leaves_in_good_order_makes_nobody_repeat_anything(market: Market, start: Start) -> None:
    first = start("--follow")
    market.send(*listings(3000))
    wait_for(lambda: indexed(market) > 0)
    second = start("--follow")
    market.send(*listings(3000, begin=3000))
    wait_for(lambda: members(market) == 2)
    market.send(*listings(3000, begin=6000))
    assert first.end() == 0
    market.send(*listings(1000, begin=9000))
    wait_for(market.caught_up)
    assert second.end() == 0
    assert sum(each.report["received"] for each in (first, second)) == 10_000
    assert first.report["received"]
    assert second.report["received"]
    assert set(market.documents()) == {str(n) for n in range(10_000)}


def test_what_a_killed_process_held_is_read_on(market: Market, start: Start) -> None:
    first, second = start("--follow"), start("--follow")
    market.send(*listings(300))
    wait_for(lambda: members(market) == 2)
    first.kill()
    market.send(*listings(300, begin=300))
    assert wait_for(lambda: indexed(market) == 600) < SESSION + 5
    assert second.end() == 0


def test_two_drains_at_once_and_more_processes_than_partitions(market: Market, start: Start) -> None:
    market.send(*listings(4000))
    workers = [start() for _ in range(5)]
    assert [worker.wait() for worker in workers] == [0] * 5
    assert sum(worker.report["received"] for worker in workers) == 4000
    assert set(market.documents()) == {str(n) for n in range(4000)}
    assert market.caught_up()


def test_sigterm_finishes_and_commits_what_is_in_hand(market: Market, start: Start) -> None:
    market.send(*listings(12_000))
    first: list[Worker] = []
    told: list[str] = []

    def tells(path: str, asked: bytes, _: bytes) -> int | None:
        if "_bulk" in path and not told:
            told.append(path)
            first[0].signal(signal.SIGTERM)
        return None

    with way(market.cluster.url, tells) as elasticsearch:
        first.append(start(ES_HOST=elasticsearch.url))
        assert first[0].wait() == 75
    done = first[0].report["received"]
    assert 0 < done < 12_000
    second = start()
    assert second.wait() == 0
    assert second.report["received"] == 12_000 - done


@pytest.mark.parametrize(("request_to", "number"), [("_index_template", 1), ("_bulk", 1), ("_bulk", 2), ("_mget", 2)])
def test_a_process_that_is_stopped_until_its_partitions_are_another_s(
    market: Market, start: Start, request_to: str, number: int
) -> None:
    """It is stopped while one of its requests is on its way, which arrives when others have done all, and more."""
    market.send(*listings(20))
    assert start().wait() == 0
    market.send(*listings(40, "old", begin=5), ("7", None), ("42", None))
    seen: list[str] = []
    stopped: list[Worker] = []

    def tampers(path: str, asked: bytes, _: bytes) -> int | None:
        if request_to not in path or len(seen) == number:
            return None
        seen.append(path)
        if len(seen) == number:
            stopped[0].signal(signal.SIGSTOP)
            market.send({"id": 8, "n": "new"}, {"id": 41, "n": "new"}, ("9", None), ("43", None))
            other = start()
            assert other.wait() == 0, other.log
            stopped[0].signal(signal.SIGCONT)
        return None

    with way(market.cluster.url, tampers) as elasticsearch:
        stopped.append(start(ES_HOST=elasticsearch.url))
        assert stopped[0].wait() == 0, stopped[0].log
    assert len(seen) == number
    wanted = {str(n): "first" for n in range(5)} | {str(n): "old" for n in range(5, 45)} | {"8": "new", "41": "new"}
    for id in ("7", "42", "9", "43"):
        del wanted[id]
    assert {id: each["n"] for id, each in market.documents().items()} == wanted


class TestFollow:
    """A service goes on whatever happens to its topic."""

    def test_it_waits_for_a_topic_that_somebody_makes(self, market: Market, start: Start) -> None:
        market.kafka.remove(market.kafka.listings)
        worker = start("--follow")
        wait_for(lambda: "waiting until somebody makes it" in worker.log)
        market.kafka.make(market.kafka.listings)
        market.send(*listings(10))
        wait_for(lambda: indexed(market) == 10)
        assert worker.end() == 0
        assert worker.log.count("waiting") == 1

    def test_sigterm_while_it_waits(self, market: Market, start: Start) -> None:
        worker = start("--follow", LISTINGS_TOPIC=f"{market.kafka.prefix}-none")
        wait_for(lambda: "waiting until somebody makes it" in worker.log)
        assert worker.end() == 0

    @pytest.mark.parametrize("count", [10, 200])
    def test_a_topic_that_is_made_anew_is_read_from_its_beginning(
        self, market: Market, start: Start, count: int
    ) -> None:
        """With fewer messages than were read of the old one, and with more."""
        worker = start("--follow")
        market.send(*listings(100), partition=0)
        wait_for(lambda: indexed(market) == 100)
        wait_for(market.caught_up)
        market.kafka.remove(market.kafka.listings)
        market.kafka.make(market.kafka.listings)
        market.send(*listings(count, "new", begin=1000), partition=0)
        wait_for(lambda: indexed(market) == 100 + count)
        wait_for(market.caught_up)
        assert worker.end() == 0
        assert start().wait() == 0

    def test_partitions_that_are_added(self, market: Market, start: Start) -> None:
        worker = start("--follow")
        market.send(*listings(10))
        wait_for(lambda: indexed(market) == 10)
        for future in market.kafka.admin.create_partitions([NewPartitions(market.kafka.listings, 6)]).values():
            future.result(30)
        market.send({"id": "x"}, partition=5)
        wait_for(lambda: indexed(market) == 11)
        assert worker.end() == 0


class TestAway:
    """Servers that go and come back, in the middle of everything."""

    def test_elasticsearch_goes_and_comes_back(self, market: Market, start: Start, tmp_path: Path) -> None:
        with running(Elasticsearch(directory=tmp_path / "elasticsearch")) as node:
            worker = start("--follow", ES_HOST=node.url, HARVEST_RETRY_BUDGET="60")
            market.send(*listings(100))
            wait_for(market.caught_up)
            node.kill()
            market.send(*listings(4000, begin=100))
            wait_for(lambda: "trying again" in worker.log)
            other = start("--follow", ES_HOST=node.url, HARVEST_RETRY_BUDGET="60")  # and the group changes meanwhile
            node.start()
            wait_for(market.caught_up)
            market.send(*listings(100, begin=4100))
            wait_for(market.caught_up)
            assert worker.end() == 0
            assert other.end() == 0
            assert worker.report["received"] + other.report["received"] == 4200

    def test_elasticsearch_stays_away(self, market: Market, start: Start) -> None:
        market.send(*listings(100))
        worker = start("--follow", ES_HOST="127.0.0.1:1", HARVEST_RETRY_BUDGET="1")
        assert worker.wait() == 69
        assert market.kafka.committed(market.kafka.listings) == {}

    def test_kafka_goes_and_comes_back(self, market: Market, start: Start, tmp_path: Path) -> None:
        with running(Kafka(directory=tmp_path / "kafka")) as server:
            kafka = Broker(server)
            kafka.make(kafka.listings)
            kafka.send(kafka.listings, [(str(n), {"id": n}) for n in range(100)])
            env = {**kafka.environment, "HARVEST_RETRY_BUDGET": "60"}
            worker = start("--follow", **env)
            wait_for(lambda: indexed(market) == 100)
            server.kill()
            wait_for(lambda: not server.answers())
            server.start()
            kafka.send(kafka.listings, [(str(n), {"id": n}) for n in range(100, 3000)])
            wait_for(lambda: indexed(market) == 3000)
            assert worker.end() == 0
            assert start(**env).wait() == 0

    def test_kafka_stays_away(self, market: Market, start: Start, tmp_path: Path) -> None:
        with running(Kafka(directory=tmp_path / "kafka")) as server:
            kafka = Broker(server)
            kafka.make(kafka.listings)
            kafka.send(kafka.listings, [("1", {"id": 1})])
            worker = start("--follow", **kafka.environment, HARVEST_RETRY_BUDGET="3")
            wait_for(lambda: indexed(market) == 1)
            server.kill()
            assert worker.wait() == 69
            assert "HARVEST_RETRY_BUDGET" in worker.log

    def test_kafka_freezes_and_never_answers_a_commit(self, market: Market, start: Start, tmp_path: Path) -> None:
        with running(Kafka(directory=tmp_path / "kafka")) as server:
            kafka = Broker(server)
            kafka.make(kafka.listings)
            kafka.send(kafka.listings, [("1", {"id": 1})])

            def freezes(path: str, asked: bytes, _: bytes) -> int | None:
                if "_bulk" in path:
                    os.kill(server.pid, signal.SIGSTOP)
                return None

            with way(market.cluster.url, freezes) as elasticsearch:
                env = {**kafka.environment, "ES_HOST": elasticsearch.url, "HARVEST_RETRY_BUDGET": "3"}
                worker = start("--follow", **env)
                wait_for(lambda: indexed(market) == 1)
                server.kill()
                assert worker.wait(30) == 69, worker.log
