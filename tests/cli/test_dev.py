"""``harvest.py dev``: the simulator as a process, and the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.cli.conftest import Command

HARVEST = (sys.executable, "-m", "harvesters", "--env-file", os.devnull)


def test_the_simulated_opencast_answers_until_it_is_told_to_stop(tmp_path: Path) -> None:
    arguments = ("dev", "simulate", "opencast", "--port", "0", "--dialect", "dce", "--version", "7", "--actions", "50")
    with subprocess.Popen(
        [*HARVEST, *arguments, "--per-minute", "0", "--fault", "503", "--fault", "reset:1:1"],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert "MATTERHORN_ENGAGE_HOST=" in process.stdout.readline()
        actions = f"{url}/usertracking/actions.json"
        assert requests.get(actions, timeout=5).status_code == 503
        assert requests.get(actions, timeout=5).json()["actions"]["total"] == "50"
        with pytest.raises(requests.ConnectionError):
            requests.get(actions, timeout=5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize("fault", ["flood", "503:x", "200", "reset:1:2:3"])
def test_a_fault_that_cannot_be_read_is_usage(harvest: Command, fault: str) -> None:
    result = harvest("dev", "simulate", "opencast", "--port", "0", "--fault", fault)
    assert result.code == 2
    assert "--fault" in result.err


def test_the_demo_delivers_every_action_once_and_leaves_nothing_running(
    redis_server: object, moto_server: object, elasticsearch_server: object, kafka_server: object, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HARVEST_DEMO_MARK": str(tmp_path)}
    finished = subprocess.run(
        [*HARVEST, "dev", "demo", "--actions", "40"], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert "The queue holds 43 documents with 43 different ids." in finished.stdout
    assert "The file holds 43 documents with 43 different ids." in finished.stdout
    assert finished.stderr.count("useractions done") == 3
    assert "The file holds 20 meetings and 150 sessions." in finished.stdout
    answer = finished.stdout.partition("insights funnel")[2].partition("Starting Elasticsearch")[0]
    steps = [line.split()[1:3] for line in answer.splitlines() if line[:4].strip().isdigit()]
    assert [step for step, _ in steps] == ["account_created", "signed_up", "added_class", "buddy_request", "buddied_up"]
    assert int(steps[0][1]) > int(steps[-1][1]) > 0
    first, _, then = finished.stdout.partition("listings count\n")
    assert "  3. MacBook charger, 0 views" in first
    assert "  1. MacBook charger, 9 views" in then
    assert list(tmp_path.iterdir()) == []
    left = [
        path
        for path in Path("/proc").glob("[0-9]*/environ")
        if path.parent.name != str(os.getpid()) and str(tmp_path).encode() in _content(path)
    ]
    assert left == []


def test_the_demo_without_its_extra_names_the_line_that_installs_it(
    harvest: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)  # an import of it fails, as where it is not installed
    result = harvest("dev", "demo")
    assert result.code == 78
    assert "pip install 'harvest[embedded]'" in result.err


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended
