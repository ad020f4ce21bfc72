"""Old indices in, today's form out: no document lost, none counted twice, at any moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harvesters.clock import SystemClock
from harvesters.elastic import pit
from harvesters.elastic.client import Answer, SearchClient
from harvesters.errors import ConfigError, CredentialsRefused, Interrupted, LeaseHeld, RaceLost, TooManyDead
from harvesters.migration import migrations
from harvesters.migration.ledger import Copy, Ledger
from harvesters.migration.migrations import MIGRATIONS
from harvesters.migration.run import Migrator
from harvesters.retry import RetryPolicy, Transient
from harvesters.search import scan
from tests.clocks import patient
from tests.migration.migrating import exit_code
from tests.nodes import Node

DAY = "useractions-2017.10.01"
NEWEST = f"{max(migration.number for migration in MIGRATIONS if migration.kind == 'useractions'):04d}"


def old(id: int, live: Any = 1, **more: Any) -> dict[str, Any]:
    """A document as the ancestor wrote it, and Logstash behind it."""
    return {
        "action_id": id,
        "timestamp": "2017-10-01T09:00:00-04:00",
        "@timestamp": "2017-10-01T13:00:00.000Z",
        "@version": "1",
        "mpid": f"mp-{id % 3}",
        "is_live": live,
        "action": {"type": "HEARTBEAT", "inpoint": id, "is_playing": True},
        "episode": {"title": "Lecture 1", "series": "20160213001", "cdn": "13001"},
        "geoip": {"latitude": 42.3, "longitude": -71.1, "location": [-71.1, 42.3], "ip": "140.247.1.2"},
        **more,
    }


@contextmanager
def migrator(node: Node, lease: bool = True, **options: Any) -> Iterator[Migrator]:
    client = node.client()
    ledger = Ledger(client, SystemClock(), f"{node.prefix}migrations")
    said: list[str] = []
    made = Migrator(client, ledger, said.append, known=[node.template("useractions")], **options)
    made.said = said  # type: ignore[attr-defined]
    try:
        if lease:
            ledger.prepare()
            with ledger.lease(60) as held:
                made.lease = held
                yield made
        else:
            yield made
    finally:
        client.close()


def sources(node: Node, index: str = DAY) -> dict[str, dict[str, Any]]:
    return {hit["_id"]: hit["_source"] for hit in node.hits(index)}


def indices(node: Node) -> set[str]:
    path = f"/_resolve/index/{node.prefix}*,migrated-*-{node.prefix}*,reverted-*-{node.prefix}*"
    found = {index["name"] for index in node.ask("GET", path)["indices"]}
    return found - {f"{node.prefix}migrations"}


class TestDocuments:
    def test_cdn_becomes_crn_and_is_live_a_boolean(self, node: Node) -> None:
        node.fill(DAY, [old(1, live=0), old(2, live=1)])
        with migrator(node) as it:
            assert it.run() == 1
        found = sources(node)
        assert [found["1"]["is_live"], found["2"]["is_live"]] == [False, True]
        assert found["1"]["episode"] == {"title": "Lecture 1", "series": "20160213001", "crn": "13001"}
        live = {"query": {"term": {"is_live": True}}}
        assert node.ask("POST", f"/{node.prefix}{DAY}/_search", live)["hits"]["total"]["value"] == 1

    @pytest.mark.parametrize("words", [("0", "1"), ("false", "true"), ("False", "True")])
    def test_words_for_booleans(self, node: Node, words: tuple[str, str]) -> None:
        node.fill(DAY, [old(number, live=word) for number, word in enumerate(words)])
        with migrator(node) as it:
            it.run()
        assert [source["is_live"] for source in sources(node).values()] == [False, True]

    def test_a_boolean_mapping_with_words_in_the_documents_is_migrated_too(self, node: Node) -> None:
        node.fill(DAY, [old(1, live=True), old(2, live="true")])
        with migrator(node) as it:
            it.run()
        assert [source["is_live"] for source in sources(node).values()] == [True, True]

    def test_what_logstash_added_is_kept_and_loses_no_document(self, node: Node) -> None:
        node.fill(DAY, [old(number, stray={"field": number}) for number in range(50)])
        with migrator(node) as it:
            it.run()
        found = sources(node)
        assert len(found) == 50
        wanted = old(7)
        for name in ("timestamp", "@version", "geoip", "mpid", "action"):
            assert found["7"][name] == wanted[name]
        assert "@timestamp" not in found["7"]  # it is an alias of the other now
        assert found["7"]["stray"] == {"field": 7}

    def test_what_fits_no_mapping_is_kept_all_the_same(self, node: Node) -> None:
        odd = {"ip": "unknown", "episode": {"cdn": "1", "start": "last week", "unheard": "of"}}
        node.fill(DAY, [old(1), old(2, **odd)])
        with migrator(node) as it:
            it.run()
        assert sources(node)["2"]["episode"] == {"start": "last week", "unheard": "of", "crn": "1"}

    def test_an_index_that_needs_nothing_is_left_alone(self, node: Node) -> None:
        node.load("useractions")
        today = {**old(1, live=True), "episode": {"title": "Lecture 1", "crn": "13001"}}
        del today["@timestamp"]
        node.fill(DAY, [today])
        node.fill("useractions-2017.10.02", [{**today, "action_id": 2}])
        with migrator(node) as it:
            assert it.run() == 0
        assert indices(node) == {f"{node.prefix}{DAY}", f"{node.prefix}useractions-2017.10.02"}

    def test_foreign_indices_and_aliases_stay(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        node.fill("other-2017.10.01", [old(2)])
        node.ask("PUT", f"/{node.prefix}other-2017.10.01/_alias/{node.prefix}useractions-alias")
        with migrator(node) as it:
            assert it.run() == 1
        assert node.hits("other-2017.10.01")[0]["_source"]["episode"]["cdn"] == "13001"

    def test_aliases_of_the_old_index_come_along(self, node: Node) -> None:
        node.fill(DAY, [old(1, live=0), old(2, live=1)])
        only = {"filter": {"term": {"action_id": 2}}}
        node.ask("PUT", f"/{node.prefix}{DAY}/_alias/{node.prefix}second", only)
        with migrator(node) as it:
            it.run()
        assert node.count("second") == 1
        assert node.count("useractions") == 2  # the template's alias, which old indices did not have

    def test_an_index_that_cannot_be_copied_is_named_at_the_end_and_does_not_keep_the_next_from_its_turn(
        self, node: Node
    ) -> None:
        later = "useractions-2017.10.02"
        node.ask("PUT", f"/{node.prefix}{DAY}", {"mappings": {"_source": {"enabled": False}}})
        node.fill(DAY, [old(1)])
        node.fill(later, [old(2)])
        with migrator(node) as it, pytest.raises(TooManyDead, match=f"{DAY}: .*_source"):
            it.run()
        assert indices(node) == {f"{node.prefix}{DAY}", f"migrated-{NEWEST}-{node.prefix}{later}"}
        node.fill(DAY, [old(3)])  # it takes writes again
        assert node.count(DAY) == 2

    @pytest.mark.parametrize("block", ["read_only", "read", "metadata"])
    def test_one_that_its_operator_has_blocked_is_named_and_does_not_keep_the_next_from_its_turn(
        self, node: Node, block: str
    ) -> None:
        later = "useractions-2017.10.02"
        node.fill(DAY, [old(1)])
        node.fill(later, [old(2)])
        setting = f"index.blocks.{block}"
        node.ask("PUT", f"/{node.prefix}{DAY}/_settings", {setting: True})
        try:
            with migrator(node) as it:
                assert it.plan() == 1
                with pytest.raises(TooManyDead, match=f"{DAY}: it has {setting}"):
                    it.run()
        finally:
            node.ask("PUT", f"/{node.prefix}{DAY}/_settings", {setting: None})
        assert indices(node) == {f"{node.prefix}{DAY}", f"migrated-{NEWEST}-{node.prefix}{later}"}
        with migrator(node) as it:
            assert it.run() == 1

    def test_one_that_is_closed_is_named_and_stays(self, node: Node) -> None:
        later = "useractions-2017.10.02"
        node.fill(DAY, [old(1)])
        node.fill(later, [old(2)])
        node.ask("POST", f"/{node.prefix}{DAY}/_close")
        said: list[str] = []
        with migrator(node) as it:
            it.say = said.append
            assert it.plan() == 1
            assert it.run() == 1
        assert sum(f"POST /{node.prefix}{DAY}/_open" in line for line in said) == 2
        node.ask("POST", f"/{node.prefix}{DAY}/_open")
        said.clear()
        with migrator(node) as it:
            it.say = said.append
            assert it.run() == 1
        assert "closed" not in " ".join(said)

    def test_an_index_that_maps_nothing_is_one_too(self, node: Node) -> None:
        empty, blank = "useractions-2017.10.02", "useractions-2017.10.03"
        node.ask("PUT", f"/{node.prefix}{empty}")
        node.ask("PUT", f"/{node.prefix}{blank}/_doc/1", {})
        node.fill(DAY, [old(1)])
        with migrator(node) as it:
            assert it.plan() == 3
            assert it.run() == 3
        assert [node.count(index) for index in (DAY, empty, blank)] == [1, 0, 1]

    @pytest.mark.parametrize(
        ("fields", "aside"),
        [
            ({"episode": "none"}, {"episode": "none"}),
            ({"action": "PLAY"}, {"action": "PLAY"}),
            ({"geoip": "x"}, {"geoip": "x"}),
            ({"action": {"type": "PLAY", "inpoint": {"a": 1}}}, {"action": {"inpoint": {"a": 1}}}),
        ],
    )
    def test_what_the_mapping_refuses_is_kept_apart(
        self, node: Node, fields: dict[str, Any], aside: dict[str, Any]
    ) -> None:
        node.ask("PUT", f"/{node.prefix}{DAY}", {"mappings": {"dynamic": False}})
        node.fill(DAY, [old(1), old(2, **fields)])
        with migrator(node) as it:
            assert it.run() == 1
            said = " ".join(it.said)  # type: ignore[attr-defined]
        found = sources(node)["2"]
        if "inpoint" in str(fields) and node.product.distribution == "opensearch":
            assert (found["action"]["inpoint"], found.get("odd")) == ({"a": 1}, None)  # it counts as malformed there
            return
        assert "'odd'" in said
        assert found["odd"] == aside
        assert found["mpid"] == "mp-2"
        assert sources(node)["1"]["action"]["type"] == "HEARTBEAT"


class TestRuns:
    def test_a_second_run_has_nothing_to_do(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        with migrator(node) as it:
            assert it.run() == 1
        with migrator(node) as it:
            assert it.run() == 0

    def test_new_documents_go_into_the_migrated_index_under_its_old_name(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        with migrator(node) as it:
            it.run()
        today = {**old(2, live=True), "episode": {"crn": "1"}}
        del today["@timestamp"]
        node.fill(DAY, [today])
        assert node.count("useractions-*") == node.count(DAY) == 2

    def test_an_output_of_migrated_indices_is_not_fresh(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        with migrator(node) as it:
            it.run()
        sink = node.sink(fresh_pattern=f"{node.prefix}useractions-*")
        assert sink.identity()[1] is False
        sink.close()

    def test_a_dry_run_counts_and_changes_nothing(self, node: Node) -> None:
        node.fill(DAY, [old(1), {**old(2), "is_live": 0}, {**old(3), "episode": {}}])
        with migrator(node, lease=False) as it:
            assert it.plan() == 1
            assert f"{node.prefix}{DAY}: would copy 3 documents and change 3 of them" in it.said  # type: ignore[attr-defined]
        assert indices(node) == {f"{node.prefix}{DAY}"}
        assert not node.ask("GET", f"/_resolve/index/{node.prefix}migrations*")["indices"]

    def test_a_second_one_at_the_same_time_is_told_to_come_later(self, node: Node) -> None:
        with migrator(node), pytest.raises(LeaseHeld), migrator(node):
            pass

    def test_told_to_stop_it_goes_on_next_time(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scan, "PAGE", 10)
        node.fill(DAY, [old(number) for number in range(100)])
        stop = threading.Event()
        with migrator(node) as it:
            it.ledger.clock = SystemClock(stop)
            before = it.ledger.save
            it.ledger.save = lambda copy: (before(copy), stop.set() if copy.cursor else None)  # type: ignore[method-assign, assignment, func-returns-value]
            with pytest.raises(Interrupted):
                it.run()
        assert node.count("useractions-*") == 100
        with migrator(node) as it:
            assert it.run() == 1
            assert "going on with the copy" in " ".join(it.said)  # type: ignore[attr-defined]
        assert len(sources(node)) == 100


class Unsure(SearchClient):
    """Whose answers to requests that remove an index get lost on the way, once each."""

    lost = 0

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        answer = super().attempt(method, path, body, **named)
        if path == "/_aliases" and "remove_index" in str(body):
            self.lost += 1
            raise Transient("no answer")
        return answer


class Forgetful(SearchClient):
    """Of a cluster that forgets a point in time after each second search."""

    searches = 0

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        if path == "/_search":
            self.searches += 1
            if self.searches % 3 == 0:
                pit.close(self, body["pit"]["id"])
        return super().attempt(method, path, body, **named)


class TestSwap:
    def test_a_node_that_is_started_again_meanwhile_costs_no_document(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scan, "PAGE", 10)
        node.ask("PUT", f"/{node.prefix}{DAY}", {"settings": {"number_of_shards": 3}})
        node.fill(DAY, [old(number) for number in range(100)])
        with migrator(node) as it:
            it.client = Forgetful(node.url, patient())
            assert it.run() == 1
            it.client.close()
        found = sources(node)
        assert len(found) == 100
        assert all(source["is_live"] is True for source in found.values())

    @pytest.mark.parametrize("which", ["migrated", "undone"])
    def test_an_answer_that_gets_lost_costs_no_document(self, node: Node, which: str) -> None:
        node.fill(DAY, [old(number) for number in range(30)])
        if which == "undone":
            with migrator(node) as it:
                it.run()
        with migrator(node) as it:
            it.client = unsure = Unsure(node.url, patient())
            assert (it.run() if which == "migrated" else it.undo(MIGRATIONS[0])) == 1
            unsure.close()
        assert unsure.lost == 1
        assert len(sources(node)) == 30
        name = f"migrated-{NEWEST}" if which == "migrated" else "reverted-0001"
        assert indices(node) == {f"{name}-{node.prefix}{DAY}"}

    def test_one_that_cannot_be_finished_goes_on_next_time_and_keeps_the_copy(self, node: Node) -> None:
        node.fill(DAY, [old(number) for number in range(30)])
        with migrator(node) as it:
            it.client = Denying(node.url, patient())
            with pytest.raises(TooManyDead, match="for now"):
                it.run()
        assert node.count("useractions-*") == node.count(DAY) == 30
        with migrator(node) as it:
            assert it.run() == 0
        assert indices(node) == {f"migrated-{NEWEST}-{node.prefix}{DAY}"}
        assert node.ask("GET", f"/_alias/{node.prefix}{DAY}.swap", accept=(404,)).get("status") == 404
        assert all(source["is_live"] is True for source in sources(node).values())

    def test_without_the_right_to_make_the_copy_the_index_takes_writes_again(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        with migrator(node) as it:
            it.client = Forbidden(node.url, patient())
            with pytest.raises(CredentialsRefused):
                it.run()
        node.fill(DAY, [old(2)])
        assert node.count("useractions-*") == 2

    def test_a_run_that_lost_its_lease_writes_nothing_more(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scan, "PAGE", 10)
        node.fill(DAY, [old(number) for number in range(30)])
        with migrator(node) as it:
            assert it.lease is not None
            it.lease._lost = "it was lost"
            with pytest.raises(RaceLost):
                it.run()
        assert indices(node) == {f"{node.prefix}{DAY}"}

    def test_a_copy_whose_original_was_pruned_meanwhile_is_removed(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        with migrator(node) as it:
            uuid = node.ask("GET", f"/{node.prefix}{DAY}")[f"{node.prefix}{DAY}"]["settings"]["index"]["uuid"]
            name = f"migrated-{NEWEST}-{node.prefix}{DAY}"
            node.ask("PUT", f"/{name}", {})
            it.ledger.save(Copy(f"{node.prefix}{DAY}", f"{node.prefix}{DAY}", uuid, name, (1, 2), False))
        node.ask("DELETE", f"/{node.prefix}{DAY}")
        with migrator(node) as it:
            assert it.run() == 0
        assert indices(node) == set()

    def test_an_index_that_its_operator_hides_is_left_alone(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        node.ask("PUT", f"/{node.prefix}{DAY}/_settings", {"index.hidden": True})
        with migrator(node) as it:
            assert it.run() == 0
        assert "cdn" in sources(node)["1"]["episode"]


class Denying(SearchClient):
    """That does not remove an index."""

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        if path == "/_aliases" and "remove_index" in str(body):
            raise ConfigError("not for now")
        return super().attempt(method, path, body, **named)


class Forbidden(SearchClient):
    """That has no rights on `migrated-*`."""

    def attempt(self, method: str, path: str, body: Any = None, **named: Any) -> Answer:
        if "/migrated-" in path and method in ("PUT", "DELETE"):
            if 403 in named.get("accept", ()):
                return Answer(403, {})
            raise CredentialsRefused("403")
        return super().attempt(method, path, body, **named)


class TestUndo:
    def test_crn_becomes_cdn_again_and_may_be_migrated_again(self, node: Node) -> None:
        node.fill(DAY, [old(1)])
        with migrator(node) as it:
            it.run()
        with migrator(node) as it:
            assert it.undo(MIGRATIONS[0]) == 1
        assert sources(node)["1"]["episode"] == {"title": "Lecture 1", "series": "20160213001", "cdn": "13001"}
        terms = {"query": {"term": {"episode.cdn": "13001"}}}
        assert node.ask("POST", f"/{node.prefix}{DAY}/_search", terms)["hits"]["total"]["value"] == 1
        with migrator(node) as it:
            assert it.run() == 1
        assert sources(node)["1"]["episode"]["crn"] == "13001"

    def test_one_that_cannot_be_undone_says_why(self, node: Node) -> None:
        with migrator(node) as it, pytest.raises(ConfigError, match="nothing says which it was"):
            it.undo(MIGRATIONS[1])

    def test_every_migration_can_be_undone_or_says_why_not(self) -> None:
        assert [migration.number for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
        assert all((migration.undo is None) == bool(migration.irreversible) for migration in MIGRATIONS)
        assert migrations.find(99) is None


class Dying(SearchClient):
    """Kills its own process before, or after, its request number `at`."""

    at = 0
    after = False

    def attempt(self, *args: Any, **named: Any) -> Answer:
        self.at -= 1
        if self.at == 0 and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super().attempt(*args, **named)
        if self.at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def _attempt(node: Node, at: int, after: bool, undo: bool = False) -> None:
    client = Dying(node.url, patient())
    client.at, client.after = at, after
    ledger = Ledger(client, SystemClock(), f"{node.prefix}migrations")
    ledger.prepare()
    with ledger.lease(60) as lease:
        it = Migrator(client, ledger, lambda line: None, lease, known=[node.template("useractions")])
        _ = it.undo(MIGRATIONS[0]) if undo else it.run()


_PAUSE = 0.02  # seconds between two looks, in which the migration has the processor


class Watcher:
    """Counts all the time, by the pattern and by each old name; what ends it ends the test."""

    def __init__(self, node: Node, wanted: dict[str, int]) -> None:
        self.node, self.wanted = node, wanted
        self.seen: list[tuple[str, Any]] = []
        self.rounds = 0
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join(60)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._watch()
        except BaseException as error:
            self._error = error

    def _watch(self) -> None:
        # The clock is real: a node that is busy shows an index's end for some milliseconds, and a clock that does not
        # wait would have used its two minutes up by then.
        client = self.node.client(RetryPolicy(SystemClock(), 20, first=0.01))
        while not self._done.is_set():
            for name, wanted in self.wanted.items():
                found = client.request("GET", f"/{self.node.prefix}{name}/_count").body
                # A search by the old name itself that is under way when the index goes says so: a shard did not answer.
                said = "*" not in name and found["_shards"]["successful"] < found["_shards"]["total"]
                if found["count"] != wanted and not said:
                    self.seen.append((name, found))
            self.rounds += 1
            self._done.wait(_PAUSE)
        client.close()


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_few_requests_it_ends_with_every_document_once(node: Node, after: bool) -> None:
    days = [f"useractions-2017.10.0{number}" for number in (1, 2)]
    for day in days:
        node.fill(day, [old(number) for number in range(60)])
    kills, at = 0, 1
    with Watcher(node, {"useractions-*": 120, **dict.fromkeys(days, 60)}) as watcher:
        while True:
            code = exit_code(_attempt, node, at, after, page=20)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            kills, at = kills + 1, at + 2 if at < 40 else at + 5
    assert kills > 15
    assert watcher.seen == []
    assert watcher.rounds > 5
    for day in days:
        found = sources(node, day)
        assert len(found) == 60
        assert all(source["is_live"] is True and source["episode"]["crn"] == "13001" for source in found.values())
    assert indices(node) == {f"migrated-{NEWEST}-{node.prefix}{day}" for day in days}


def test_killed_at_every_few_requests_an_undo_ends_with_every_document_once(node: Node) -> None:
    node.fill(DAY, [old(number) for number in range(60)])
    with migrator(node) as it:
        it.run()
    at = 1
    with Watcher(node, {"useractions-*": 60, DAY: 60}) as watcher:
        while True:
            code = exit_code(_attempt, node, at, True, True)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            at += 2
    assert at > 20
    assert watcher.seen == []
    assert all(source["episode"]["cdn"] == "13001" for source in sources(node).values())
    assert indices(node) == {f"reverted-0001-{node.prefix}{DAY}"}
