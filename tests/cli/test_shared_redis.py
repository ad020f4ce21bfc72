"""Several jobs on one Redis: what one of them got, another may still have to get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator
from tests.cli.conftest import Command

ALL = [*range(100, 110)]


@contextmanager
def mounted(volume: Path, at: Path) -> Iterator[None]:
    """`volume` at the path `at`, as a container has it; whoever has it next has another."""
    volume.mkdir(exist_ok=True)
    volume.rename(at)
    yield
    at.rename(volume)


def late(opencast: OpencastSimulator, id: int) -> None:
    """An action of half a minute ago that shows only now."""
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
    opencast.add(ActionRow(id, "episode-1", None, 1, 1, "PLAY", True, moment))


@pytest.mark.parametrize("output", ["out.jsonl", "sqs"])
def test_two_containers_of_one_name_that_mount_their_volumes_at_one_path(
    harvest: Command, opencast: OpencastSimulator, redis_url: str, aws: str, tmp_path: Path, output: str
) -> None:
    """As with ``docker run --network host``, where all have the host's name."""
    at = tmp_path / "data"
    env = {"REDIS_URL": redis_url, "HARVEST_STATE_DIR": str(at / "state"), "SQS_QUEUE_NAME": "shared"}
    command = ("--log-format", "json", "useractions", "-i", "10", "-o", "sqs" if output == "sqs" else str(at / output))
    one, other = tmp_path / "one", tmp_path / "other"
    with mounted(one, at):
        assert harvest(*command, env=env).report["delivered"] == 10
    late(opencast, 500)
    with mounted(other, at):
        assert harvest(*command, env=env).report["delivered"] == 11
    with mounted(one, at):
        again = harvest(*command, env=env)
    assert (again.code, again.report["delivered"]) == (0, 1)
    if output != "sqs":
        got = [json.loads(line)["action_id"] for line in (one / output).read_text().splitlines()]
        assert got == [*ALL, 500]
    with mounted(other, at):
        assert harvest(*command, env=env).report["delivered"] == 0
