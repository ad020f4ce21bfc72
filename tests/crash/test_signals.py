"""A harvest that is told to stop, and one whose reader leaves: both end tidily, and the next run goes on from there."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from harvesters.simulators.base import Request, Response
from harvesters.timespan import format_checkpoint
from tests.crash.crashing import BATCH, END, START, Opencast, arguments, environment, harvest_process, read_lines

KEY = "last-action-timestamp"


class SlowOpencast(Opencast):
    """Shows no page from number `slow` on before `go_on` is set; `reached` says that one was asked for."""

    def __init__(self, slow: int) -> None:
        super().__init__()
        self.slow = slow
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def handle(self, request: Request) -> Response:
        if request.path.endswith("actions.json") and int(request.param("offset", "0")) >= (self.slow - 1) * BATCH:
            self.reached.set()
            assert self.go_on.wait(60), "nobody told it to go on"
        return super().handle(request)


def _state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    (state / KEY).write_text(format_checkpoint(START))
    return state


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("busy", ["fetching", "anything"])
def test_a_run_told_to_stop_commits_what_it_has_and_the_next_one_goes_on(
    number: signal.Signals, busy: str, redis_url: str, tmp_path: Path
) -> None:
    state, out = _state(tmp_path), tmp_path / "out.jsonl"
    with SlowOpencast(slow=4) as opencast:
        opencast.fill(8)
        env = environment(opencast.url, redis_url, state)
        with harvest_process(arguments("-o", str(out)), env) as process:
            assert opencast.reached.wait(30)
            if busy == "anything":
                opencast.go_on.set()
            process.send_signal(number)
            log = process.communicate()[1]
        opencast.go_on.set()
        assert process.returncode == 75, log
        assert f"{number.name}: finishing the batch in hand" in log
        assert "Traceback" not in log
        assert "useractions ended with 75" in log

        lease = json.loads((state / f"{KEY}.lease").read_text())
        assert lease["released"] is True
        before = read_lines(out)
        assert len(before) >= 3 * BATCH - 1, "the batches before the stop were delivered"  # one row of them is poison
        assert len(before) < len(opencast.wanted)
        committed = (state / KEY).read_text()
        assert format_checkpoint(START) < committed < format_checkpoint(END)

        with harvest_process(arguments("-o", str(out)), env) as process:
            log = process.communicate()[1]
        assert process.returncode == 0, log
        delivered = Counter(row["action_id"] for row in read_lines(out))
    assert delivered == Counter(opencast.wanted)
    assert (state / KEY).read_text() == format_checkpoint(END)


def test_a_second_signal_stops_at_once(redis_url: str, tmp_path: Path) -> None:
    state, out = _state(tmp_path), tmp_path / "out.jsonl"
    with SlowOpencast(slow=1) as opencast:
        opencast.fill(2)
        env = environment(opencast.url, redis_url, state)
        with harvest_process(arguments("-o", str(out)), env) as process:
            assert opencast.reached.wait(30)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            log = process.communicate()[1]
        opencast.go_on.set()
    assert process.returncode == 75, log
    assert "Traceback" not in log


def test_a_reader_that_leaves_early_ends_the_run_silently_and_moves_nothing(redis_url: str, tmp_path: Path) -> None:
    state = _state(tmp_path)
    (state / f"{KEY}.owner").write_text("-")
    with SlowOpencast(slow=3) as opencast:
        opencast.fill(8)
        env = environment(opencast.url, redis_url, state)
        with harvest_process(arguments("-o", "-"), env, stdout=subprocess.PIPE) as process:
            with subprocess.Popen(["head", "-1"], stdin=process.stdout, stdout=subprocess.PIPE, text=True) as head:
                assert process.stdout is not None
                process.stdout.close()  # ours; `head` is the only reader
                process.stdout = None
                first = head.communicate()[0]  # it has left before the third page comes
            opencast.go_on.set()
            log = process.communicate()[1]
        assert process.returncode == 0, log
        assert "action_id" in json.loads(first)
        assert not [line for line in log.splitlines() if " INFO " not in line and "dead letters" not in line], log
        assert (state / KEY).read_text() == format_checkpoint(START)

        with harvest_process(arguments("-o", "-"), env, stdout=subprocess.PIPE) as process:
            out, log = process.communicate()
        assert process.returncode == 0, log
    delivered = Counter(json.loads(line)["action_id"] for line in out.splitlines())
    assert delivered == Counter(opencast.wanted)
    assert (state / KEY).read_text() == format_checkpoint(END)
