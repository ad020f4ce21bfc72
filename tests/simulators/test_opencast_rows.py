"""Rows of the simulated usertracking that move, come late, grow or are made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import requests

from tests.simulators.asking import Start, actions, ids, row

T0 = datetime(2015, 10, 30, 0, 30, tzinfo=UTC)


def test_orders(opencast: Start) -> None:
    rows = [row(number, T0 + timedelta(seconds=-number)) for number in range(1, 101)]
    by_created, by_id, shuffled = (opencast(order=order) for order in ("created", "id", "shuffled"))
    for simulator in (by_created, by_id, shuffled):
        simulator.add(*rows)
    assert ids(by_created) == list(range(100, 0, -1))
    assert ids(by_id) == list(range(1, 101))
    once, again = ids(shuffled), ids(shuffled)
    assert sorted(once) == sorted(again) == list(range(1, 101))
    assert once != again


def test_late_rows_appear_when_their_time_has_come(opencast: Start) -> None:
    clock = [T0]
    simulator = opencast(now=lambda: clock[0])
    simulator.add(row(1, T0), row(2, T0 - timedelta(seconds=5), visible_at=T0 + timedelta(seconds=30)))
    assert ids(simulator) == [1]
    clock[0] += timedelta(seconds=30)
    assert ids(simulator) == [2, 1]


def test_a_footprint_grows_in_place(opencast: Start) -> None:
    simulator = opencast()
    simulator.add(row(1, T0, type="FOOTPRINT", outpoint=5))
    before = actions(simulator)["action"]
    simulator.update(1, outpoint=9)
    assert actions(simulator)["action"] == {**before, "outpoint": 9, "length": 9}


def test_growth_follows_the_clock_and_survives_a_restart(opencast: Start) -> None:
    clock = [T0]
    one, two = (opencast(now=lambda: clock[0]) for _ in range(2))
    for simulator in (one, two):
        simulator.generate(actions=0, episodes=5, start=T0 - timedelta(hours=1), end=T0)
    one.grow(per_minute=30)
    assert len(ids(one)) == 1
    clock[0] += timedelta(minutes=1)
    two.grow(per_minute=30, since=T0)
    grown = ids(one)
    assert len(grown) == 31
    assert actions(one, limit=100) == actions(two, limit=100)
    clock[0] += timedelta(minutes=1)
    assert ids(one)[:31] == grown
    assert len(ids(one)) == 61


def test_generated_rows_are_the_same_for_the_same_seed_and_in_the_window(opencast: Start) -> None:
    end = T0 + timedelta(hours=2)
    one, two, other = (opencast(order="created") for _ in range(3))
    for simulator, seed in ((one, 1), (two, 1), (other, 2)):
        simulator.generate(actions=500, episodes=10, start=T0, end=end, seed=seed)
    found = actions(one, limit=1000)
    assert found == actions(two, limit=1000)
    assert found != actions(other, limit=1000)
    assert (found["total"], len({action["id"] for action in found["action"]})) == (500, 500)
    created = [datetime.fromisoformat(action["created"]) for action in found["action"]]
    assert created == sorted(created)
    assert created[0] >= T0
    assert created[-1] < end
    assert [action["id"] for action in found["action"]] != sorted(action["id"] for action in found["action"])
    known = set(one.episodes)
    assert {action["mediapackageId"] in known for action in found["action"]} == {True, False}
    assert {"HEARTBEAT", "FOOTPRINT", "PLAY", "PAUSE", "SEEK"} < {action["type"] for action in found["action"]}


def test_the_plugin_can_be_off(opencast: Start) -> None:
    simulator = opencast(plugin=False)
    assert requests.get(simulator.url + "/usertracking/actions.json", timeout=10).status_code == 404
