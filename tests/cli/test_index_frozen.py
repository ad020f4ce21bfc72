"""``index`` as a process that is frozen, as by ``docker pause``: it never writes old over new when it wakes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
import requests

from tests.cli.processes import HARVEST, ROOT
from tests.cli.searching import Cluster, cluster_for_a_test
from tests.indexing.queues import Queue, action

pytestmark = pytest.mark.slow


class Way(ThreadingHTTPServer):
    """Passes requests on to `target`; `tampers` sees the path, the request's and the answer's body, and may freeze."""

    daemon_threads = True

    def __init__(self, target: str, tampers: Callable[[str, bytes, bytes], int | None], after: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.tampers, self.after = target, tampers, after

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Way

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status = None if self.server.after else self.server.tampers(self.path, body, b"")
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
        content, said = b"", {"x-elastic-product": "Elasticsearch"}
        if status is None:
            found = requests.request(
                self.command, self.server.target + self.path, data=body, headers=headers, timeout=60
            )
            status, content = found.status_code, found.content
            said = {
                name: found.headers[name] for name in ("content-type", "x-elastic-product") if name in found.headers
            }
            if self.server.after:
                self.server.tampers(self.path, body, content)
        self.send_response(status)
        for name, value in {**said, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@contextmanager
def way(target: str, tampers: Callable[[str, bytes, bytes], int | None], after: bool = False) -> Iterator[Way]:
    server = Way(target, tampers, after)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


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
            time.sleep(0.05)
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
