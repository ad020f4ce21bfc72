"""How the tests talk to a simulated Opencast."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import requests

from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator

Start = Callable[..., OpencastSimulator]
BASIC = ("matterhorn_system_account", "CHANGE_ME")


def ask(simulator: OpencastSimulator, path: str, **params: Any) -> Any:
    answer = requests.get(simulator.url + path, params=params, auth=BASIC, timeout=10)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)


def actions(simulator: OpencastSimulator, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = ask(simulator, "/usertracking/actions.json", **params)["actions"]
    return found


def ids(simulator: OpencastSimulator, **params: Any) -> list[int]:
    found = actions(simulator, **{"limit": 1000, **params}).get("action", [])
    return [row["id"] for row in (found if isinstance(found, list) else [found])]


def row(number: int, created: datetime, **fields: Any) -> ActionRow:
    values = {"mpid": "m", "session": None, "inpoint": 0, "outpoint": 0, "type": "PLAY", "is_playing": 1, **fields}
    return ActionRow(id=number, created=created, **values)


def contains(actual: Any, sample: Any) -> bool:
    """Whether every value of the (abridged) sample is in the answer, of the same type."""
    if isinstance(sample, dict):
        return isinstance(actual, dict) and all(k in actual and contains(actual[k], v) for k, v in sample.items())
    if isinstance(sample, list):
        return len(actual) == len(sample) and all(map(contains, actual, sample))
    return type(actual) is type(sample) and bool(actual == sample)
