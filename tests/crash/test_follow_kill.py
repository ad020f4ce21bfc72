"""``firebase events --follow`` killed at its steps, while the database is edited, and started again."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harvesters.firebase.pushid import push_floor
from harvesters.simulators.firebase.server import FirebaseSimulator
from tests.crash.crashing import KILLED, Driver, environment, read_lines

START = 1_456_000_000_000
STEP = 100_000  # milliseconds between events: the lookback must not find again what a run has lost
OLD = [push_floor(START + number * STEP) for number in range(12)]
NEW = [push_floor(START + number * STEP) for number in range(12, 20)]
PAGE = 5
STATE = "last-firebase-event"


class World:
    """A database with old events, an output, and what happens as soon as somebody listens."""

    def __init__(self, driver: Driver, directory: Path, redis_url: str) -> None:
        self.driver = driver
        self.out = directory / "out.jsonl"
        self.server = FirebaseSimulator()
        self.server.load("/events", {key: event(key) for key in OLD})
        self.args = ["--env-file", os.devnull, "firebase", "events", "-o", str(self.out), "--page-size", str(PAGE)]
        secrets = {"FIREBASE_ENDPOINT": self.server.url, "FIREBASE_KEY": self.server.secret}
        self.env = environment("", redis_url, directory / "state", **secrets)
        self.checkpoint = directory / "state" / STATE
        self._happened = threading.Event()

    @property
    def delivered(self) -> list[dict[str, Any]]:
        """The whole lines that are in the file; the run may be writing the next one."""
        content = self.out.read_bytes() if self.out.exists() else b""
        whole = self.out.with_suffix(".whole")
        whole.write_bytes(content[: content.rfind(b"\n") + 1])
        return read_lines(whole)

    def happen(self) -> None:
        """New events, one of them edited afterwards; only once."""
        if self._happened.is_set():
            return
        self._happened.set()
        for key in NEW:
            self.server.edit(f"/events/{key}", event(key))
        self.server.edit(f"/events/{NEW[-1]}/data/body", "edited")

    def complete(self) -> bool:
        """Whether the file has everything, the edited event as it is now."""
        last = {line["id"]: line for line in self.delivered}
        return last.keys() == {*OLD, *NEW} and last[NEW[-1]]["data"]["body"] == "edited"

    def run(self) -> Any:
        """A run to what is new now."""
        return self.driver.run(self.args, self.env)

    def follow(self, kill_at: int | str = 0) -> Any:
        """A run that is told to stop when it listens and has delivered everything."""
        self.server.drop_streams()  # that of a run that was killed
        while self.server.open_streams:
            threading.Event().wait(0.01)
        with self._watched():
            return self.driver.run([*self.args, "--follow"], self.env, kill_at)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.01):
                if not self.server.open_streams:
                    continue
                self.happen()
                if self.complete():
                    with suppress(ProcessLookupError):  # killed at its last steps, and not hung up yet
                        os.kill(int(self.driver.pid.read_text()), signal.SIGTERM)
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join(10)


def event(key: str) -> dict[str, Any]:
    return {"type": "heart", "created_at": START, "data": {"body": key}}


def test_following_killed_at_any_step_and_started_again_delivers_everything(
    driver: Driver, redis_url: str, redis_server: Any, tmp_path: Path
) -> None:
    def world(name: str) -> World:
        redis_server.flush()
        return World(driver, tmp_path / name, redis_url)

    undisturbed = world("undisturbed")
    with undisturbed.server:
        whole = undisturbed.follow()
        assert whole.code == 0, whole.log
    killed = 0
    for number, kill in enumerate([*range(1, len(whole.points) + 1, 6), *dict.fromkeys(whole.points)]):
        here = world(str(number))
        with here.server:
            first = here.follow(kill)
            killed += first.code == KILLED
            what = f"a kill at point {kill}, {first.points[-1]}"
            here.happen()
            second = here.follow()
            assert second.code == 0, f"after {what} the run ended with {second.code}:\n{second.log}"
            counts = Counter(line["id"] for line in here.delivered)
            assert here.complete(), what
            assert sum(counts.values()) - len(counts) <= PAGE + 1, what  # a batch, and the edited one before its edit
            assert here.checkpoint.read_text() == NEW[-1], what
            third = here.run()
            assert third.code == 0, third.log
            assert len(here.delivered) == sum(counts.values()), f"a third run sent something again, after {what}"
    assert killed > 20
    assert {"fetch /events.json", "redis HSET", "write out.jsonl", f"replace {STATE}"} <= set(whole.points)
