"""A migration that stops, sleeps, or loses its index: writers get their index back, and nothing old replaces new."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.elastic.client import Answer, SearchClient, read_json
from harvesters.errors import ConfigError, Interrupted, RaceLost, TooManyDead, Unavailable
from harvesters.retry import Transient
from harvesters.search import scan
from harvesters.stores import lease
from tests.clocks import patient
from tests.migration.migrating import DAY, NEWEST, migrator, sources, writable
from tests.nodes import Node


def old(id: int) -> dict[str, Any]:
    return {"action_id": id, "timestamp": "2017-10-01T09:00:00Z", "is_live": 1, "n": 0}


class Stepping(SearchClient):
    """Calls `before` with each request; what it raises is raised."""

    before: Callable[[str, str, Any], None] = staticmethod(lambda method, path, body: None)

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        self.before(method, path, body)
        return super().attempt(method, path, body, **named)


def stepping(node: Node, before: Callable[[str, str, Any], None]) -> Stepping:
    client = Stepping(node.url, patient(budget=1))
    client.before = before
    return client


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PAGE", 10)


def fill(node: Node, shards: int = 1) -> None:
    node.ask("PUT", f"/{node.prefix}{DAY}", {"settings": {"number_of_shards": shards}})
    node.fill(DAY, [old(number) for number in range(40)])


def bulk_number(wanted: int, then: Callable[[], None]) -> Callable[[str, str, Any], None]:
    """What does `then` before the bulk request of that number."""
    count = 0

    def before(method: str, path: str, body: Any) -> None:
        nonlocal count
        count += path == "/_bulk"
        if path == "/_bulk" and count == wanted:
            then()

    return before


def away() -> None:
    raise Unavailable("it does not answer")


@pytest.mark.parametrize("shards", [1, 3])
def test_an_index_is_given_back_and_what_is_written_then_is_not_lost(node: Node, shards: int) -> None:
    fill(node, shards)
    with (
        migrator(node, stepping(node, bulk_number(3, away))) as (it, said),
        pytest.raises(Unavailable, match="not answer"),
    ):
        it.run()
    assert writable(node)
    assert "write-blocked" not in " ".join(said)
    node.fill(DAY, [{**old(1), "n": 1}, {**old(100), "n": 1}])
    with migrator(node) as (it, _):
        assert it.run() == 1
    found = sources(node)
    assert len(found) == 41
    assert [found["1"]["n"], found["100"]["n"], found["2"]["n"]] == [1, 1, 0]


def write_block(node: Node) -> None:
    node.ask("PUT", f"/{node.prefix}{DAY}/_settings", {"index.blocks.write": True})


def test_an_index_that_its_operator_had_write_blocked_stays_so_when_the_migration_stops_and_when_it_is_done(
    node: Node,
) -> None:
    fill(node)
    write_block(node)
    with migrator(node, stepping(node, bulk_number(3, away))) as (it, said), pytest.raises(Unavailable):
        it.run()
    assert not writable(node)
    assert "write-blocked" not in " ".join(said)
    with migrator(node) as (it, _):
        assert it.run() == 1
    assert not writable(node)
    assert len(sources(node)) == 40


def test_a_block_of_ours_that_a_killed_run_left_is_not_its_operators(node: Node) -> None:
    fill(node)

    def killed() -> None:
        raise SystemExit  # nothing is given back

    with migrator(node, stepping(node, bulk_number(3, killed))) as (it, _), pytest.raises(SystemExit):
        it.run()
    assert not writable(node)
    with migrator(node) as (it, _):
        assert it.run() == 1
    assert writable(node)


def test_told_to_stop_it_gives_the_index_back(node: Node) -> None:
    fill(node)
    stop = threading.Event()
    with migrator(node, stepping(node, bulk_number(2, stop.set))) as (it, _):
        it.ledger.clock = SystemClock(stop)
        with pytest.raises(Interrupted):
            it.run()
    assert writable(node)


def test_where_the_cluster_is_away_it_says_what_ends_the_block(node: Node) -> None:
    fill(node)
    gone: list[bool] = []

    def before(method: str, path: str, body: Any) -> None:
        if path == "/_bulk":
            gone.append(True)
        if gone and "/harvest" not in path and "migrations/_doc/lease" not in path:
            raise Unavailable("it does not answer")

    with migrator(node, stepping(node, before)) as (it, said):
        it._brief = lambda copier: copier  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            it.run()
    assert not writable(node)
    (line,) = [line for line in said if "write-blocked" in line]
    assert "setup migrate" in line
    assert '{"index.blocks.write": null}' in line


class TestSleeping:
    """A second run takes over while the first one sleeps before some request."""

    @pytest.mark.parametrize(
        "wanted",
        [
            ("POST", "/_bulk", ""),
            ("POST", "/_aliases", "must_exist"),
            ("POST", "/_aliases", "remove_index"),
            ("PUT", "/_doc/copy", ""),
            ("PUT", "/_settings", "refresh_interval"),
        ],
    )
    def test_nothing_old_replaces_what_is_new(
        self, node: Node, wanted: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(node)
        slept: list[bool] = []

        def before(method: str, path: str, body: Any) -> None:
            if slept or method != wanted[0] or wanted[1] not in path.replace("%3A", ":") or wanted[2] not in str(body):
                return
            slept.append(True)
            with monkeypatch.context() as patch:
                patch.setattr(lease, "_free", lambda holder, now: True)  # its time is over
                with migrator(node) as (other, _):
                    other.run()
            node.fill(DAY, [{**old(number), "is_live": True, "n": 2} for number in range(20)])

        with migrator(node, stepping(node, before)) as (it, _), pytest.raises(RaceLost):
            it.run()
        assert slept
        found = sources(node)
        assert len(found) == 40
        assert [found[str(number)]["n"] for number in range(20)] == [2] * 20
        assert all(body["is_live"] is True for body in found.values())
        assert writable(node)
        path = f"/{node.prefix}migrations/_doc/copy:{node.prefix}{DAY}"
        assert node.ask("GET", path, accept=(404,)).get("found") is False


@pytest.mark.parametrize("step", ["/_block/write", "/_bulk", "/_stats", "/_count", "/_alias", "hidden", "must_exist"])
def test_an_index_that_is_pruned_meanwhile_does_not_keep_the_next_from_its_turn(node: Node, step: str) -> None:
    later = "useractions-2017.10.02"
    fill(node)
    node.fill(later, [old(1)])
    gone: list[bool] = []

    def before(method: str, path: str, body: Any) -> None:
        if not gone and (path.endswith(step) or step in str(body)):
            gone.append(True)
            node.ask("DELETE", f"/{node.prefix}{DAY}")

    with migrator(node, stepping(node, before)) as (it, said):
        assert it.run() == 1
    assert gone
    assert "removed meanwhile" in " ".join(said)
    names = {index["name"] for index in node.ask("GET", f"/_resolve/index/*{node.prefix}*")["indices"]}
    assert names == {f"migrated-{NEWEST}-{node.prefix}{later}", f"{node.prefix}migrations"}


def test_a_path_of_an_odd_name_is_that_name(node: Node) -> None:
    node.fill("useractions-%2a", [old(1)])
    node.fill(DAY, [old(2)])
    client = node.client()
    try:
        assert [hit["_id"] for hits in scan.pages(client, f"{node.prefix}useractions-%2a") for hit in hits] == ["1"]
    finally:
        client.close()


def test_an_answer_that_cannot_be_read_is_not_quoted() -> None:
    body = b'{"hits": [{"_source": {"huid": "10564389"}}]'
    with pytest.raises(Transient) as told:
        read_json(body)
    assert "10564389" not in str(told.value)
    assert f"{len(body)} bytes" in str(told.value)


def test_a_dry_run_passes_over_an_index_that_is_pruned_meanwhile(node: Node) -> None:
    fill(node)
    node.fill("useractions-2017.10.02", [old(1)])

    def before(method: str, path: str, body: Any) -> None:
        if path in (f"/{node.prefix}{DAY}/_pit", f"/{node.prefix}{DAY}/_search/point_in_time"):
            node.ask("DELETE", f"/{node.prefix}{DAY}", accept=(404,))

    with migrator(node, stepping(node, before)) as (it, said):
        assert it.plan() == 1
    assert "removed meanwhile" in " ".join(said)


def test_one_that_cannot_be_taken_back_does_not_keep_the_next_from_its_turn(node: Node) -> None:
    later = "useractions-2017.10.02"
    fill(node)
    node.fill(later, [{**old(1), "episode": {"cdn": "13001"}}])
    with migrator(node) as (it, _):
        assert it.run() == 2
        back = it.migrations[0]

    def before(method: str, path: str, body: Any) -> None:
        if path == f"/reverted-0001-{node.prefix}{DAY}" and method == "PUT":
            raise ConfigError("it may not be made")

    with migrator(node, stepping(node, before)) as (it, _), pytest.raises(TooManyDead, match=f"{DAY}: it may not"):
        it.undo(back)
    assert node.hits(later)[0]["_source"]["episode"] == {"cdn": "13001"}
    assert node.count(DAY) == 40
