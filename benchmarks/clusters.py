"""OpenSearch beside Elasticsearch, and what signing costs.

opensearch  ``useractions -o es`` into OpenSearch 3.8, against the same to a file plus the hand-written loop
signed      ``useractions -o es`` with signed requests through a plain forwarding proxy, against unsigned ones
            through it
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median

from benchmarks.cluster import servers
from benchmarks.elastic import against_its_parts
from benchmarks.figures import Figure, Target
from benchmarks.groups import Group, Sizes
from benchmarks.world import world
from harvesters.standins.opensearch import OpenSearch

_SIGNED = {"ES_AUTH": "aws", "ES_AWS_REGION": "eu-central-1"}


def opensearch(sizes: Sizes) -> Iterator[Figure]:
    """``useractions -o es`` on OpenSearch."""
    yield from against_its_parts(sizes, OpenSearch, "`useractions -o es` into OpenSearch 3.8", 1.2)


def signed(sizes: Sizes) -> Iterator[Figure]:
    """Signed requests, against unsigned ones."""
    count = sizes.of(40_000)
    took: dict[str, list[float]] = {"unsigned": [], "signed": []}
    with servers(OpenSearch) as found, forwarding(found.node.port) as port, world(count) as around:
        settings = around.environment
        for _ in range(sizes.runs + 1):
            for kind, seconds in took.items():
                more = {"ES_HOST": f"http://127.0.0.1:{port}", **(_SIGNED if kind == "signed" else {})}
                around.environment = lambda key="", more=more: {**settings(key), **more}  # type: ignore[misc,method-assign]
                found.clear()
                seconds.append(around.useractions("-o", "es").seconds)
                if found.count() != count:
                    raise RuntimeError(f"{found.count()} of {count} documents are there")
    took = {kind: seconds[1:] for kind, seconds in took.items()}  # the node warms up
    ratio = median(with_them / without for with_them, without in zip(took["signed"], took["unsigned"], strict=True))
    note = f"{median(took['signed']):.2f} s against {median(took['unsigned']):.2f} s"
    yield Figure(f"{count:,} actions by signed requests, against unsigned ones", ratio, "×", Target(1.15), note)


@contextmanager
def forwarding(target: int) -> Iterator[int]:
    """The port of a proxy that hands on bytes to another port, and reads none of them."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hand_on(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(1 << 16):
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    near, _ = server.accept()
                    far = socket.create_connection(("127.0.0.1", target))
                    for connection in (near, far):
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for pair in ((near, far), (far, near)):
                        threading.Thread(target=hand_on, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


GROUP = Group(
    "the simulated Opencast's user actions; median of the turns", {"opensearch": opensearch, "signed": signed}
)
