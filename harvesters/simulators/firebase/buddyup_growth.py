"""Events that keep coming into a simulated Realtime Database, as a living BuddyUp has them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from harvesters.simulators.firebase import buddyup
from harvesters.simulators.firebase.server import FirebaseSimulator


def grow(simulator: FirebaseSimulator, per_minute: int, seed: int = 1) -> threading.Thread:
    """Put `per_minute` events under ``/events`` of `simulator` each minute, from now on, and tell its streams."""
    clock = threading.Event()

    def run() -> None:
        for key, event in buddyup.living(datetime.now(UTC), per_minute, seed):
            due = event["created_at"] / 1000 - datetime.now(UTC).timestamp()
            clock.wait(max(0.0, due))
            simulator.edit(f"/events/{key}", event)

    thread = threading.Thread(target=run, name="growth", daemon=True)
    thread.start()
    return thread
