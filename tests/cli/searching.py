"""What tests of commands into Elasticsearch share: real names on the shared node, on days that nobody else uses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from harvesters.search import templates
from tests.nodes import Node


@dataclass
class Cluster(Node):
    """The node with our templates, and a month far in the past; ``prefix`` is that month's."""

    month: str = ""

    def day(self, number: int) -> str:
        return f"{self.month}-{number:02d}"

    def index(self, number: int) -> str:
        return f"{self.prefix}{number:02d}"


@contextmanager
def cluster_for_a_test(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    month = f"{random.randrange(1800, 1970)}-{random.randrange(1, 13):02d}"
    url = request.getfixturevalue("elasticsearch_url")
    cluster = Cluster(url, f"useractions-{month.replace('-', '.')}.", month)
    _without_ours(cluster)  # a run that was killed may have left some
    try:
        yield cluster
    finally:
        cluster.clean()
        _without_ours(cluster)


def _without_ours(cluster: Cluster) -> None:
    for template in templates.read():
        cluster.ask("DELETE", f"/_index_template/{template.name}", accept=(404,))
    cluster.ask("DELETE", "/harvest-migrations", accept=(404,))
