"""`listings log` while its broker comes and goes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.standins.kafka import Kafka
from tests.brokers import Broker
from tests.listings.test_log import Logging, eventually
from tests.servers import running


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Logging]:
    """With a broker of the test's own."""
    with running(Kafka()) as server:
        kafka = Broker(server)
        for name, value in kafka.environment.items():
            monkeypatch.setenv(name, value)
        kafka.make(kafka.views)
        yield Logging(kafka, tmp_path / "state", capfd, kafka.views)


def test_a_broker_that_is_away_is_waited_for_as_long_as_the_budget_says(
    logs: Logging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "60")
    with logs.following() as process:
        logs.view(1)
        eventually(lambda: logs.items() == {"1": 1}, process)
        logs.kafka.server.kill()
        logs.kafka.server.start()
        logs.view(2)
        eventually(lambda: logs.items() == {"1": 1, "2": 1}, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "1")
    with logs.following() as process:
        logs.view(3)
        eventually(lambda: logs.items() == {"1": 1, "2": 1, "3": 1}, process)
        logs.kafka.server.kill()
        assert process.wait(30) == 69
    assert logs.run()[0] == 69
