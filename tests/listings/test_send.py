"""Listings and views into a real Kafka."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from harvesters import listings
from harvesters.clock import SystemClock
from harvesters.errors import BadInput, Interrupted, SinkUnavailable
from harvesters.kafka import producer
from harvesters.kafka.topics import Topics
from harvesters.listings import send
from harvesters.retry import RetryPolicy, Transient
from tests.brokers import Broker
from tests.commandline import run_here
from tests.listings.workers import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def sender_of_a_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own settings, and so a sender and a producer of its own."""
    monkeypatch.setattr(send, "_sender", None)
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "20")
    yield
    producer.close()


def values(kafka: Broker, topic: str) -> list[tuple[str, dict | None]]:
    found = sorted(kafka.messages(topic), key=lambda each: (each.partition(), each.offset()))
    return [((each.key() or b"").decode(), json.loads(value) if (value := each.value()) else None) for each in found]


def test_a_listing_is_acknowledged_and_its_topic_made(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PARTITIONS", "5")
    sent = listings.send_listing({"id": 42, "title": "Desk é", "big": 10**30})
    assert (sent.topic, sent.offset) == (kafka.listings, 0)
    assert len(kafka.ends(kafka.listings)) == 5
    (message,) = kafka.messages(kafka.listings)
    assert (message.key(), message.partition()) == (b"42", sent.partition)
    assert json.loads(message.value() or b"") == {"id": 42, "title": "Desk é", "big": 10**30}


@pytest.mark.parametrize(
    "listing", [{"title": "x"}, {"id": 1, "title": 5}, {"id": 1, "x": {1, 2}}, {"id": float("nan")}]
)
def test_what_the_indexer_would_not_take_is_not_sent(kafka: Broker, listing: dict) -> None:
    with pytest.raises(BadInput):
        listings.send_listing(listing)
    assert kafka.topics.find(kafka.listings) is None


def test_a_view_is_acknowledged(kafka: Broker) -> None:
    assert listings.send_view("u1", 42).topic == kafka.views
    assert values(kafka, kafka.views) == [("42", {"user_id": "u1", "item_id": 42})]
    for user, item in (("a\tb", 1), (1, ""), (True, 1), (1.5, 2), (10**5000, 1), (1, 10**600)):
        with pytest.raises(BadInput):
            listings.send_view(user, item)  # type: ignore[arg-type]


def test_a_key_goes_where_java_s_producers_send_it(kafka: Broker) -> None:
    """Known values of murmur2, as Java's and kafka-python's producers have them."""
    kafka.make(kafka.listings, 8)
    wanted = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    for key, digest in wanted.items():
        assert listings.send_listing({"id": key}).partition == (digest & 0x7FFFFFFF) % 8


def test_threads_share_a_producer(kafka: Broker) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [listings.send_listing({"id": f"{n}-{k}"}) for k in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kafka.messages(kafka.listings)) == 80


def test_a_fork_has_a_producer_of_its_own(kafka: Broker) -> None:
    """In an interpreter of its own: this one has threads."""
    script = """
import os
from harvesters.listings import send_listing
send_listing({"id": "parent"})
child = os.fork()
if not child:
    send_listing({"id": "child"})
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
send_listing({"id": "parent again"})
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, **kafka.environment}, check=True)
    assert {key for key, _ in values(kafka, kafka.listings)} == {"parent", "child", "parent again"}


def test_a_fork_of_a_process_that_is_about_to_send(kafka: Broker) -> None:
    """A thread is reading the settings for its first message meanwhile."""
    script = """
import os, threading
from harvesters.listings import send_listing
from harvesters.settings import Settings
read, reading, main = Settings.read, threading.Event(), threading.get_ident()
def slowly():
    if threading.get_ident() != main:
        reading.set()
        threading.Event().wait()
    return read()
Settings.read = slowly
threading.Thread(target=send_listing, args=({"id": "parent"},), daemon=True).start()
reading.wait()
child = os.fork()
if not child:
    main = threading.get_ident()
    send_listing({"id": "child"})
    os._exit(0)
os._exit(os.waitpid(child, 0)[1] != 0)
"""
    environment = {**os.environ, **kafka.environment}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=True, timeout=60)
    assert [key for key, _ in values(kafka, kafka.listings)] == ["child"]


def test_importing_the_library_imports_no_client() -> None:
    script = "import sys, harvesters.listings; assert 'confluent_kafka' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_without_a_broker_it_is_unavailable_within_the_budget(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "0.2")
    with pytest.raises(SinkUnavailable, match="127"):
        listings.send_listing({"id": 1})
    path = tmp_path / "a.jsonl"
    path.write_text('{"id":1}\n')
    assert run_here("listings", "send", str(path)) == 69
    assert "1 of 1 lines were not acknowledged" in capfd.readouterr().err
    assert run_here("listings", "view", "u", "1") == 69


def test_without_a_retry_budget_it_is_tried_once(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "0")
    listings.send_listing({"id": 1})
    assert [key for key, _ in values(kafka, kafka.listings)] == ["1"]


def test_threads_do_not_wait_for_one_another_s_budget(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "0.5")

    def send(number: int) -> float:
        started = time.monotonic()
        with pytest.raises(SinkUnavailable):
            listings.send_listing({"id": number})
        return time.monotonic() - started

    with ThreadPoolExecutor(12) as threads:
        assert max(threads.map(send, range(12))) < 8  # one after the other takes 12


def test_who_is_told_to_stop_asks_for_no_topic(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(producer, "Topics")
    stop = threading.Event()
    with closing(producer.Producer(kafka.settings, RetryPolicy(SystemClock(stop)))) as made:
        stop.set()
        with pytest.raises(Interrupted):
            made.send(kafka.listings, "1", b"{}")


def test_sigterm_ends_the_waiting_for_a_broker(
    clean_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tries: list[int] = []

    def told_to_stop() -> None:
        tries.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        raise Transient("no answer")

    monkeypatch.setattr(Topics, "find", lambda self, name: self.retry.call(told_to_stop, "kafka"))
    path = tmp_path / "a.jsonl"
    path.write_text('{"id":1}\n')
    assert run_here("listings", "send", str(path)) == 75
    assert run_here("listings", "view", "u", "1") == 75
    assert len(tries) == 2


def test_a_topic_that_is_made_anew_takes_messages_again(kafka: Broker) -> None:
    listings.send_listing({"id": 1})
    kafka.remove(kafka.listings)
    kafka.make(kafka.listings)
    listings.send_listing({"id": 2})
    assert [key for key, _ in values(kafka, kafka.listings)] == ["2"]


def test_a_topic_that_was_removed_is_made_again(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "2")
    listings.send_listing({"id": 1})
    kafka.remove(kafka.listings)
    with pytest.raises(SinkUnavailable):
        listings.send_listing({"id": 2})
    listings.send_listing({"id": 3})
    assert [key for key, _ in values(kafka, kafka.listings)] == ["3"]


def test_a_message_over_the_topic_s_limit_is_bad_input_and_the_others_go(kafka: Broker, tmp_path: Path) -> None:
    kafka.make(kafka.listings, max_message_bytes="20000")
    with pytest.raises(BadInput, match=r"max\.message\.bytes"):
        listings.send_listing({"id": 1, "title": "x" * 30_000})
    lines = [{"id": n, "title": "x" * (30_000 if n == 50 else 1000)} for n in range(100)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run_here("listings", "send", str(path)) == 65
    assert sorted(int(key) for key, _ in values(kafka, kafka.listings)) == [n for n in range(100) if n != 50]


def test_a_wrong_password_is_77(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kafka.server.secured("wrong").items():
        monkeypatch.setenv(name, value)
    assert run_here("listings", "view", "u", "1") == 77
    producer.close()
    for name, value in kafka.server.secured().items():
        monkeypatch.setenv(name, value)
    assert run_here("listings", "view", "u", "1") == 0


class TestSend:
    """``listings send``."""

    def test_bad_lines_are_named_and_left_out(
        self, kafka: Broker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "new.jsonl.gz"
        with gzip.open(path, "wb") as file:
            file.write(b'{"id":1}\n\nno listing\n{"id":2,"title":3}\n{"id":"three"}')
        assert run_here("listings", "send", str(path)) == 65
        errors = capfd.readouterr().err
        assert "line 3" in errors
        assert "line 4" in errors
        assert sorted(values(kafka, kafka.listings)) == [("1", {"id": 1}), ("three", {"id": "three"})]

    def test_standard_input(self, kafka: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text('{"id":1}\n{"id":2}')
        with path.open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            assert run_here("listings", "send", "-") == 0
        assert {key for key, _ in values(kafka, kafka.listings)} == {"1", "2"}

    def test_sigterm_ends_it_while_nothing_comes(self, kafka: Broker) -> None:
        command = [sys.executable, str(ROOT / "harvest.py"), "listings", "send", "-"]
        environment = {**os.environ, **kafka.environment}
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(b'{"id":1}\n{"id":2')
            process.stdin.flush()
            wait_for(lambda: kafka.topics.find(kafka.listings) is not None and kafka.messages(kafka.listings))
            process.terminate()
            try:
                assert process.wait(20) == 75
            finally:
                process.kill()
        assert [key for key, _ in values(kafka, kafka.listings)] == ["1"]

    def test_versions_stay_in_order(self, kafka: Broker, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text("".join(f'{{"id":{n % 3},"n":{n}}}\n' for n in range(3000)))
        assert run_here("listings", "send", str(path)) == 0
        found = values(kafka, kafka.listings)
        for id in range(3):
            numbers = [value["n"] for key, value in found if value and key == str(id)]
            assert numbers == [*range(id, 3000, 3)]

    def test_deletions_are_keys_without_a_value(self, kafka: Broker) -> None:
        assert run_here("listings", "send", "--delete", "42", "x y") == 0
        assert sorted(values(kafka, kafka.listings), key=str) == [("42", None), ("x y", None)]
        assert run_here("listings", "send", "--delete", "a\tb", "7") == 65
        assert ("7", None) in values(kafka, kafka.listings)

    def test_a_file_that_cannot_be_read(self, kafka: Broker, tmp_path: Path) -> None:
        assert run_here("listings", "send", str(tmp_path / "none.jsonl")) == 65
        broken = tmp_path / "a.gz"
        broken.write_bytes(gzip.compress(b'{"id":1}\n' * 1000)[:-20])
        assert run_here("listings", "send", str(broken)) == 65
        assert run_here("listings", "send") == 2
        assert run_here("listings", "send", "a", "b") == 2
