"""How often a command asks what the cluster is."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command
from tests.cli.searching import cluster_for_a_test
from tests.way import way


@pytest.mark.parametrize(
    "command",
    [
        ("setup", "load_index_templates", "--dry-run"),
        ("setup", "prune", "--older-than", "90000"),
        ("setup", "migrate", "--dry-run"),
        ("query", "action_types", "--index", "no-such-*"),
        ("logs", "init", "--yes", "--index", "probe-once"),
    ],
)
def test_a_process_asks_once_and_first(
    request: pytest.FixtureRequest, harvest: Command, command: tuple[str, ...]
) -> None:
    asked: list[str] = []

    def hear(path: str, _: bytes, __: bytes) -> None:
        asked.append(path)

    with cluster_for_a_test(request) as cluster, way(cluster.url, hear) as door:
        result = harvest(*command, env={"ES_HOST": door.url})
        cluster.ask("DELETE", "/probe-once", accept=(404,))
    assert result.code == 0, result.err
    assert asked[0] == "/"
    assert asked.count("/") == 1
