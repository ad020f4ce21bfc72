"""``index`` as a process that is frozen, as by ``docker pause``: it never writes old over new when it wakes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.cli.processes import HARVEST, ROOT
from tests.cli.searching import Cluster, cluster_for_a_test
from tests.indexing.queues import Queue, action
from tests.way import way

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as cluster:
        monkeypatch.setenv("ES_HOST", cluster.url)
        yield cluster


@pytest.fixture
def queue(elasticmq_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    queue = Queue()
    monkeypatch.setenv("SQS_QUEUE_NAME", queue.name)
    yield queue
    queue.remove()


class Scene:
    """A process of `index` that is frozen once, while another one indexes its message and a newer version."""

    def __init__(self, cluster: Cluster, queue: Queue) -> None:
        self.cluster, self.queue = cluster, queue
        self.process: subprocess.Popen[str] | None = None
        self.frozen = False

    def start(self, **env: str) -> subprocess.Popen[str]:
        command = [*HARVEST, "index", "--visibility-timeout", "2", "--receivers", "1"]
        return subprocess.Popen(command, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    def freeze(self) -> None:
        assert self.process is not None
        self.frozen = True
        self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while self.queue.counts() != (1, 0):
            assert time.monotonic() < deadline
            time.sleep(0.05)  # a queue tells nobody that a message is seen again
        self.index_the_rest()
        self.queue.fill([self.version("new")])
        self.index_the_rest()

    def index_the_rest(self) -> None:
        other = self.start()
        _, log = other.communicate(timeout=60)
        assert other.returncode == 0, log

    def wake(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def version(self, word: str) -> dict[str, object]:
        return action(1, self.cluster.day(1), huid=word)

    def ended(self) -> str:
        assert self.process is not None
        try:
            _, log = self.process.communicate(timeout=60)
        finally:
            self.process.kill()
        assert self.frozen
        assert self.process.returncode in (0, 75), log
        return log

    @property
    def huids(self) -> list[str]:
        return [hit["_source"]["huid"] for hit in self.cluster.hits("*")]


def test_frozen_while_a_request_waits_for_its_next_try(cluster: Cluster, queue: Queue) -> None:
    scene = Scene(cluster, queue)

    def tampers(path: str, asked: bytes, _: bytes) -> int | None:
        if path.startswith("/_bulk") and not scene.frozen:
            scene.freeze()
            scene.wake()
            return 503
        return None

    with way(cluster.url, tampers) as elasticsearch:
        queue.fill([scene.version("old")])
        scene.process = scene.start(ES_HOST=elasticsearch.url)
        scene.ended()
    assert scene.huids == ["new"]
    assert queue.empty


def test_frozen_before_its_first_request(cluster: Cluster, queue: Queue) -> None:
    scene = Scene(cluster, queue)

    def tampers(path: str, asked: bytes, _: bytes) -> int | None:
        if path.startswith("/_index_template") and not scene.frozen:
            scene.freeze()
            scene.wake()
        return None

    with way(cluster.url, tampers) as elasticsearch:
        queue.fill([scene.version("old")])
        scene.process = scene.start(ES_HOST=elasticsearch.url)
        scene.ended()
    assert scene.huids == ["new"]
    assert queue.empty


def test_frozen_while_its_messages_are_on_the_way_to_it(cluster: Cluster, queue: Queue, elasticmq_url: str) -> None:
    scene = Scene(cluster, queue)

    def tampers(path: str, asked: bytes, answered: bytes) -> int | None:
        if b'"Messages":[{' in answered.replace(b" ", b"") and not scene.frozen:
            scene.freeze()
            scene.wake()
        return None

    parts = urlsplit(elasticmq_url)
    with way(f"{parts.scheme}://{parts.netloc}", tampers, after=True) as sqs:
        queue.fill([scene.version("old")])
        scene.process = scene.start(AWS_ENDPOINT_URL_SQS=sqs.url, AWS_ENDPOINT_URL=sqs.url)
        scene.ended()
    assert scene.huids == ["new"]
    assert queue.empty
