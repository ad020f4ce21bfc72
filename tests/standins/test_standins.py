"""Each server starts, answers its own client, and is gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis
import requests
from botocore.exceptions import ClientError
from elasticsearch import ApiError, Elasticsearch, helpers

from harvesters.standins import base, maven
from harvesters.standins.base import HOST, StandIn, StandInFailed, StandInMissing, child_environment, free_port
from harvesters.standins.elasticmq import ElasticMQ
from harvesters.standins.elasticsearch import Elasticsearch as Node
from harvesters.standins.kafka import Kafka
from harvesters.standins.moto import Moto
from harvesters.standins.redis import Redis
from tests.servers import CLUSTERS, KIND, give_up, running

CHECKOUT = Path(__file__).parents[2]
ALL: list[type[StandIn]] = [Redis, Moto, ElasticMQ, Node, Kafka]


def test_redis_answers_its_client_and_forgets_when_told(redis_server: Redis) -> None:
    with redis.Redis.from_url(redis_server.environment()["REDIS_URL"]) as client:
        assert client.ping()
        client.set("key", "value", ex=60)
        redis_server.flush()
        assert client.get("key") is None


def test_s3_lets_one_writer_win(aws: str) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="checkpoints")
    first = s3.put_object(Bucket="checkpoints", Key="last", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="checkpoints", Key="last", Body=b"2", IfNoneMatch="*")
    s3.put_object(Bucket="checkpoints", Key="last", Body=b"3", IfMatch=first["ETag"])
    assert s3.get_object(Bucket="checkpoints", Key="last")["Body"].read() == b"3"


def test_every_test_finds_s3_and_sqs_empty(aws: str, moto_server: Moto) -> None:
    boto3.client("s3").create_bucket(Bucket="left-over")
    boto3.client("sqs").create_queue(QueueName="left-over")
    moto_server.reset()
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    assert "QueueUrls" not in boto3.client("sqs").list_queues()


def test_elasticmq_takes_sqs_while_s3_stays_with_moto(aws: str, elasticmq_url: str) -> None:
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="standins-send-and-receive")["QueueUrl"]
    assert queue.startswith(f"{elasticmq_url}/")
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "hello"
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert boto3.client("s3").meta.endpoint_url == aws


def test_elasticsearch_indexes_and_counts() -> None:
    with running(Node()) as node, Elasticsearch(node.url) as client:
        assert client.info()["version"]["number"].startswith("8.")
        client.options(ignore_status=404).indices.delete(index="standins-count")
        actions = ({"_index": "standins-count", "_id": str(n), "number": n} for n in range(250))
        assert helpers.bulk(client, actions, refresh=True) == (250, [])
        assert client.count(index="standins-count")["count"] == 250
        client.indices.delete(index="standins-count")


@pytest.mark.cluster
@pytest.mark.listens
def test_the_kind_of_cluster_that_is_tested_starts_compresses_and_comes_back() -> None:
    with running(CLUSTERS[KIND]()) as node:

        def ask(method: str, path: str, body: object = None) -> Any:
            answer = requests.request(method, f"{node.url}{path}", json=body, timeout=30)
            answer.raise_for_status()
            return answer.json()

        assert ask("GET", "/")["version"]["number"].startswith(
            {"es8": "8.19", "es9": "9.5", "os2": "2.19"}.get(KIND, "3.8")
        )
        ask("PUT", "/kept", {"settings": {"index": {"codec": "best_compression"}}})
        ask("PUT", "/kept/_doc/1?refresh=true", {"number": 1})
        assert ask("GET", "/kept/_search")["hits"]["total"]["value"] == 1
        node.kill()
        node.start()
        assert ask("GET", "/kept/_count")["count"] == 1
        pid, directory = node.pid, node.directory
    assert_nothing_is_left(pid, node.port, directory)


def test_elasticsearch_comes_back_with_its_documents_and_with_changed_settings() -> None:
    with running(Node({"indexing_pressure.memory.limit": "1kb"})) as node, Elasticsearch(node.url) as client:
        with pytest.raises(ApiError, match="429"):
            client.options(max_retries=0).index(index="kept", document={"text": "x" * 5000})
        node.settings.clear()
        node.stop()
        node.start()
        client.index(index="kept", id="1", document={"text": "x" * 5000})
        node.kill()
        node.start()
        assert client.exists(index="kept", id="1")
        pid, directory = node.pid, node.directory
    assert_nothing_is_left(pid, node.port, directory)


@pytest.mark.parametrize("kind", [Redis, Moto, ElasticMQ, Kafka])
def test_a_closed_server_leaves_no_process_no_listener_and_no_files(kind: type[StandIn]) -> None:
    with running(kind()) as server:
        pid, directory = server.pid, server.directory
        assert is_alive(pid)
    assert_nothing_is_left(pid, server.port, directory)


@pytest.mark.parametrize("kind", ALL)
def test_a_server_dies_with_the_process_that_started_it(kind: type[StandIn], tmp_path: Path) -> None:
    script = f"""
import pathlib, time
from {kind.__module__} import {kind.__name__} as Server
server = Server(directory=pathlib.Path({str(tmp_path)!r})).start()
print(server.pid, server.port, flush=True)
time.sleep(600)
"""
    try:
        kind(directory=tmp_path).command()
    except StandInMissing as missing:
        give_up(missing)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid, port = (int(word) for word in parent.stdout.readline().split())
        assert is_alive(pid)
        parent.kill()
    until(lambda: not is_alive(pid) and not is_listening(port))


def test_a_detached_server_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    if not Redis.installed():
        pytest.skip("there is no redis-server here")
    script = f"""
import pathlib
from harvesters.standins.redis import Redis
print(Redis(directory=pathlib.Path({str(tmp_path)!r}), detached=True).start().pid)
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, check=True)
    pid = int(done.stdout)
    try:
        assert is_alive(pid)
        assert (tmp_path / "redis.log").stat().st_size > 0
    finally:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))


def test_a_detached_server_needs_a_directory() -> None:
    with pytest.raises(ValueError, match="needs a directory"):
        Redis(detached=True)


class Broken(StandIn):
    """A server that ends as soon as it is started."""

    name = "broken"

    def command(self) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('no room on the disk')"]

    def answers(self) -> bool:
        return False


def test_a_server_that_dies_at_its_start_says_what_it_said() -> None:
    server = Broken()
    with pytest.raises(StandInFailed, match="broken ended while starting: no room on the disk"), server:
        pytest.fail("it did not start")
    assert not server.running
    with pytest.raises(StandInFailed, match="not running"):
        _ = server.pid


@pytest.mark.parametrize("kind", [ElasticMQ, Node])
def test_without_java_nothing_is_installed_and_the_remedy_is_named(
    kind: type[StandIn], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(maven, "_JDKS", tmp_path / "none")
    assert not kind.installed()
    with pytest.raises(StandInMissing) as missing:
        kind(directory=tmp_path).start()
    assert "there is no " in missing.value.reason
    assert "install " in missing.value.remedy


def test_a_server_that_cannot_run_skips_the_test_but_fails_it_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent(Broken):
        def command(self) -> list[str]:
            raise StandInMissing("there is no such server", "build one")

    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="there is no such server; build one"), running(Absent()):
        pytest.fail("it did not start")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="there is no such server"), running(Absent()):
        pytest.skip("it did not start")


def test_a_child_gets_the_servers_and_none_of_the_users_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the user's own")
    environment = child_environment(Moto(port=20_001), Redis(port=20_002))
    assert "AWS_PROFILE" not in environment
    assert "the user's own" not in environment.values()
    assert environment["AWS_ENDPOINT_URL"] == f"http://{HOST}:20001"
    assert environment["REDIS_URL"] == f"redis://{HOST}:20002/0"
    assert environment["PATH"] == os.environ["PATH"]


def test_several_free_ports_are_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([20_001, 20_001, 20_002, 20_001, 20_003])
    monkeypatch.setattr(base, "free_port", lambda: next(drawn))
    assert base.free_ports(3) == [20_001, 20_002, 20_003]


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server((HOST, free_port())):
        """It could be bound."""


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_nothing_is_left(pid: int, port: int, directory: Path) -> None:
    assert not is_alive(pid)
    assert not is_listening(port)
    assert not directory.exists()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the kernel does in its own time; gives up after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
