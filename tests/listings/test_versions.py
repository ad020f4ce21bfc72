"""Two processes at one listing, on the real Elasticsearch: whatever comes between two requests, the later one stays."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harvesters.elastic.client import Answer, SearchClient
from harvesters.errors import ConfigError
from harvesters.listings.change import Change, Fate
from harvesters.listings.message import parse_listing
from harvesters.listings.place import Place
from harvesters.listings.versions import Versions
from tests.clocks import patient
from tests.indices import Cluster


def place(offset: int, partition: int = 0, timestamp: int | None = None, topic_id: str = "T") -> Place:
    return Place("topic", topic_id, partition, offset, 1000 * offset if timestamp is None else timestamp)


class Killed(Exception):
    """The process is gone."""


@dataclass
class Interrupted(SearchClient):
    """A client whose process is stopped before its request number `stop`, while `meanwhile` happens, and killed before
    number `kill`."""

    stop: int = 0
    kill: int = 0
    meanwhile: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)

    def attempt(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        self.asked.append(path)
        if len(self.asked) == self.stop:
            self.meanwhile()
        if len(self.asked) == self.kill:
            raise Killed
        return super().attempt(method, path, body, **more)


Message = tuple[Place, dict[str, Any] | None]


def version(at: Place, **fields: Any) -> Message:
    return at, {"n": at.offset, **fields}


def deletion(at: Place) -> Message:
    return at, None


@dataclass
class World:
    """One listing, and processes that write it."""

    cluster: Cluster
    index: str
    id: str

    def changes(self, messages: Iterable[Message]) -> list[Change]:
        return [
            Change(
                self.id, at, None if fields is None else parse_listing(json.dumps({"id": self.id} | fields).encode())
            )
            for at, fields in messages
        ]

    def process(self, stop: int = 0, kill: int = 0, meanwhile: Callable[[], object] = lambda: None) -> Versions:
        client = Interrupted(self.cluster.url, patient(), stop=stop, kill=kill, meanwhile=meanwhile)
        return Versions(client, self.index)

    def apply(self, *messages: Message) -> list[Fate | str]:
        process, changes = self.process(), self.changes(messages)
        try:
            fates = process.apply(changes)
        finally:
            process.client.close()
        return [fates[change] for change in changes]

    @property
    def found(self) -> dict[str, Any]:
        """The document; nothing where there is none."""
        answer = self.cluster.ask("GET", f"/{self.index}/_doc/{self.id}", accept=(404,))
        return dict(answer.get("_source") or {})


@pytest.fixture
def worlds(cluster: Cluster) -> Iterator[World]:
    """One listing after the other, in one index."""
    index = f"{cluster.prefix}listings"
    World(cluster, index, "").process().prepare()
    return (World(cluster, index, str(number)) for number in itertools.count())


def _note(done: list[object], work: Callable[[], object]) -> None:
    done.append(work())


OLD, NEW = place(5), place(6)
MOVES: dict[str, tuple[list[Message], list[Message], int | None]] = {
    "a version is overtaken": ([version(OLD)], [version(NEW)], 6),
    "a version overtakes": ([version(NEW)], [version(OLD)], 6),
    "a version is overtaken by a deletion": ([version(OLD)], [deletion(NEW)], None),
    "a deletion overtakes a version": ([deletion(NEW)], [version(OLD)], None),
    "a deletion is overtaken by a version": ([deletion(OLD)], [version(NEW)], 6),
    "a version overtakes a deletion": ([version(NEW)], [deletion(OLD)], 6),
    "a version is overtaken by a deletion and a version": ([version(OLD)], [deletion(NEW), version(place(7))], 7),
    "two deletions": ([deletion(OLD)], [deletion(NEW)], None),
    "two partitions": ([version(place(9, 1, 5000))], [version(place(1, 2, 6000))], 1),
    "two topics": ([version(place(9, 0, 5000, "A"))], [version(place(1, 0, 6000, "B"))], 1),
    "the same message": ([version(NEW)], [version(NEW)], 6),
}
BEFORE: dict[str, list[Message]] = {
    "nothing": [],
    "a listing": [version(place(1))],
    "a deleted listing": [version(place(1)), deletion(place(2))],
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=[*BEFORE])
@pytest.mark.parametrize(("ours", "theirs", "wanted"), MOVES.values(), ids=[*MOVES])
def test_whatever_comes_between_two_requests_the_later_one_stays(
    worlds: Iterator[World], ours: list[Message], theirs: list[Message], wanted: int | None, before: list[Message]
) -> None:
    """One process is stopped before each of its requests in turn, while another one makes its changes."""
    for stop, world in enumerate(worlds, 1):
        world.apply(*before)
        done: list[object] = []
        meanwhile = partial(_note, done, partial(world.apply, *theirs))
        world.process(stop, meanwhile=meanwhile).apply(world.changes(ours))
        if not done:
            assert stop > 2
            world.apply(*theirs)
        assert world.found.get("n") == wanted, f"stopped before request {stop}"
        if not done:
            return


@pytest.mark.parametrize("before", BEFORE.values(), ids=[*BEFORE])
@pytest.mark.parametrize(("ours", "theirs", "wanted"), MOVES.values(), ids=[*MOVES])
def test_a_process_that_went_on_with_what_was_another_s_and_was_killed_leaves_nothing_wrong(
    worlds: Iterator[World], ours: list[Message], theirs: list[Message], wanted: int | None, before: list[Message]
) -> None:
    """It was stopped; who got its partitions did all; it went on, and was killed. Then some process begins."""
    for stop, kill in itertools.combinations(range(1, 8), 2):
        world = next(worlds)
        world.apply(*before)
        with suppress(Killed):
            world.process(stop, kill, partial(world.apply, *ours, *theirs)).apply(world.changes(ours))
            continue  # it came to its end
        world.process().prepare()
        assert world.found.get("n") == wanted, f"stopped before request {stop}, killed before {kill}"


def test_views_and_created_stay_while_they_are_counted(worlds: Iterator[World]) -> None:
    """A count between any two requests is not lost, and there is no moment without it."""
    count = {"doc": {"visits": 7, "hot": 1.5}}
    for stop, world in enumerate(worlds, 1):
        world.apply(version(OLD, created="2020-01-01"))
        done: list[object] = []

        path = f"/{world.index}/_update/{world.id}"
        meanwhile = partial(_note, done, partial(world.cluster.ask, "POST", path, count))
        world.process(stop, meanwhile=meanwhile).apply(world.changes([version(NEW, title="new")]))
        if not done:
            assert stop > 3
            return
        kept = {name: world.found.get(name) for name in ("n", "title", "visits", "hot", "created")}
        assert kept == {"n": 6, "title": "new", "visits": 7, "hot": 1.5, "created": "2020-01-01"}, stop


def test_the_first_version_gives_created_however_late_it_comes(worlds: Iterator[World]) -> None:
    world = next(worlds)
    world.apply(version(place(3, 0, 30_000)))
    assert world.apply(version(place(9, 1, 10_000))) == [Fate.SUPERSEDED]
    assert world.apply(version(place(8, 2, 20_000), created="2021-01-01")) == [Fate.SUPERSEDED]
    assert (world.found["n"], world.found["created"]) == (3, "1970-01-01T00:00:10Z")
    world.apply(version(place(10, 1, 40_000)))
    assert (world.found["n"], world.found["created"]) == (10, "1970-01-01T00:00:10Z")


PLACES = st.builds(
    place, st.integers(0, 3), st.integers(0, 1), st.sampled_from([-1, 0, 1000, 2000]), st.sampled_from(["A", "B"])
)


@given(PLACES, PLACES)
@example(place(1, 0, 5), place(1, 1, 5))
def test_of_two_messages_exactly_one_is_the_later(one: Place, other: Place) -> None:
    if one[1:4] == other[1:4]:
        assert not (one.after(other) and one.timestamp == other.timestamp)
    else:
        assert one.after(other) is not other.after(one)


def test_a_place_is_read_as_it_was_written_and_nothing_else_is_one() -> None:
    assert Place.read(json.loads(place(3).encoded())) == place(3)
    for other in (None, 5, {}, {"topic": "t"}, {**place(3)._asdict(), "offset": "3"}):
        assert Place.read(other) is None


def test_a_listing_is_only_read_where_it_is_there_already(worlds: Iterator[World]) -> None:
    """What most messages cost: the request that makes the listings, and a look whether anything was deleted."""
    process = next(worlds).process()
    process.prepare()
    assert isinstance(process.client, Interrupted)
    process.client.asked.clear()
    changes = [change for world in itertools.islice(worlds, 50) for change in world.changes([version(OLD)])]
    process.apply(changes)
    assert [path.rpartition("/")[2] for path in process.client.asked] == ["_bulk", "%09"]


@pytest.mark.parametrize("written", [True, False], ids=["one is written to", "none is"])
def test_an_alias_that_comes_to_lead_to_two_indices_ends_the_run(cluster: Cluster, written: bool) -> None:
    """What is there cannot be read any more, and must neither be tried for ever nor be a dead letter."""
    for name in ("one", "two"):
        cluster.create(name, {})

    def point(name: str, written: bool = False) -> None:
        write = {"is_write_index": True} if written else {}
        action = {"add": {"index": cluster.name(name), "alias": cluster.name("listings"), **write}}
        cluster.ask("POST", "/_aliases", {"actions": [action]})

    point("one")
    world = World(cluster, cluster.name("listings"), "1")
    world.process().prepare()
    assert world.apply(version(OLD)) == [Fate.INDEXED]
    point("one", written)
    point("two")
    with pytest.raises(ConfigError, match=cluster.name("two")):
        world.apply(version(NEW))
