"""What a cron job of ``firebase events`` sees of a database that grows."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvesters.errors import ConfigError, RaceLost, SinkUnavailable, Unavailable
from harvesters.firebase.cursor import EventKeys, SinceKey
from harvesters.firebase.documents import EventMapper, milliseconds
from harvesters.firebase.events import Events
from harvesters.firebase.paging import PageSize
from harvesters.firebase.pushid import PushIds, push_floor
from harvesters.firebase.run import harvest_events
from harvesters.runs import Parts, Place
from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.sinks.deadletters import DirectoryDeadLetters, ErrorBudget
from harvesters.sinks.jsonl import FileSink
from harvesters.stores.cache import Cache, MemoryCache, RedisCache
from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner
from harvesters.stores.file import FileBlob
from harvesters.stores.lease import Lease
from harvesters.timespan import Window
from tests.clocks import FakeClock
from tests.crash.crashing import read_lines
from tests.firebase.conftest import Connect, queries

NOW = datetime(2016, 3, 1, tzinfo=UTC)
MS = milliseconds(NOW)


def key_at(seconds_before_now: float, number: int = 0) -> str:
    """A push id, made that long before now."""
    return push_floor(MS - int(seconds_before_now * 1000))[:-4] + f"{number:04}"


class Cron:
    """One crontab line: the same command over and over, into one file."""

    def __init__(self, server: FirebaseSimulator, connect: Connect, cache: Cache, directory: Path) -> None:
        self.server = server
        self.connect = connect
        self.cache = cache
        self.directory = directory
        self.output = directory / "events.jsonl"
        self.blob = FileBlob(directory / "checkpoint")
        self.stop = threading.Event()

    def parts(self, clock: FakeClock) -> Parts:
        dead = DirectoryDeadLetters(self.directory / "dead", clock)
        return Parts(clock, self.cache, dead, ErrorBudget(0.01, 10), self.stop)

    def place(self, clock: FakeClock) -> Place:
        lease = Lease(FileBlob(self.directory / "lease"), clock)
        return Place(
            Checkpoint(self.blob, EventKeys()),
            Owner(FileBlob(self.directory / "owner")),
            Beginning(FileBlob(self.directory / "begun"), EventKeys()),
            lease,
        )

    def harvest(self, kind: type[Events] = Events, page: int = 10, **options: Any) -> Events:
        return kind(
            self.connect(self.server), ("events",), EventMapper(ZoneInfo("UTC")), size=PageSize(page), **options
        )

    def run(self, update: bool = True, span: Window | None = None, **options: Any) -> list[str]:
        """Run once; the keys that the file got by it, in order."""
        before, clock = len(read_lines(self.output)), FakeClock(NOW)
        asked = SinceKey(span, update and span is None)
        harvest, sink = self.harvest(**options), FileSink(self.output)
        harvest_events(self.parts(clock), self.place(clock), harvest, sink, asked, lambda counts: None)
        return [line["id"] for line in read_lines(self.output)][before:]

    @property
    def checkpoint(self) -> str | None:
        cursor, _ = Checkpoint(self.blob, EventKeys()).load()
        return cursor.encode() if cursor is not None else None

    def put(self, *keys: str) -> None:
        self.server.load("/events", {key: {"type": "heart", "created_at": MS - 5000} for key in keys})


@pytest.fixture
def cron(firebase: FirebaseSimulator, connect: Connect, redis_url: str, tmp_path: Path) -> Cron:
    return Cron(firebase, connect, RedisCache(redis_url), tmp_path)


def test_the_first_run_reads_from_the_first_key(cron: Cron) -> None:
    keys = ["7", "!first", *(key_at(1000 - number) for number in range(35)), "group-reminder-x-1", "zebra"]
    cron.put(*keys)
    assert cron.run() == keys
    assert cron.checkpoint == keys[36]


def test_the_next_run_reads_what_is_new(cron: Cron) -> None:
    cron.put(*(key_at(1000 - number) for number in range(200)))
    cron.run()
    cron.server.requests.clear()
    new = [key_at(5), key_at(4)]
    cron.put(*new)
    assert cron.run() == new
    assert cron.checkpoint == new[-1]
    starts = [
        query.get("startAt") for query in queries(cron.server) if "orderBy" in query
    ]  # the first asks for the time
    assert starts[1] == f'"{push_floor(MS - 801_000 - 60_000)}"', "sixty seconds before the last push id"
    assert len(starts) < 10


def test_nothing_new_is_nothing_sent(cron: Cron) -> None:
    cron.put(*(key_at(100 - number) for number in range(30)), "group-reminder-x-1", "!a")
    cron.run()
    for _ in range(3):
        assert cron.run() == []


def test_late_keys_within_the_lookback_are_found_once(cron: Cron) -> None:
    cron.put(key_at(500), key_at(100))
    cron.run()
    late, too_late = key_at(159), key_at(161)
    cron.put(late, too_late)
    assert cron.run() == [late]
    assert cron.run() == []
    assert cron.run(lookback=100) == [too_late]


def test_no_lookback_reads_behind_the_last_key(cron: Cron) -> None:
    cron.put(key_at(100))
    cron.run(lookback=0)
    cron.server.requests.clear()
    cron.put(key_at(99))
    assert cron.run(lookback=0) == [key_at(99)]
    assert queries(cron.server)[-1]["startAfter"] == f'"{key_at(100)}"'


def test_keys_that_are_no_push_ids_are_found_whenever_they_come(cron: Cron) -> None:
    cron.put(key_at(100), "group-reminder-m-5")
    cron.run()
    others = ["12", "!x", "-", "--", "-Abc", "group-reminder-a-1", "group-reminder-z-9", "users"]
    cron.put(*others)
    assert sorted(cron.run()) == sorted(others)
    assert cron.run() == []


def test_a_checkpoint_from_before_there_were_push_ids_sends_nothing_twice(cron: Cron) -> None:
    old = push_floor(1_000_000_000_000)
    cron.put("!x", "-Abc", old)
    assert len(cron.run()) == 3
    cron.cache = MemoryCache()  # so what is read is sent
    cron.put("-Aaa")
    assert sorted(cron.run()) == sorted(["!x", "-Aaa", "-Abc", old])


def test_a_clock_ahead_of_time_does_not_move_the_checkpoint_past_others(cron: Cron) -> None:
    ahead = key_at(-86_400 * 365)
    cron.put(key_at(100), ahead)
    assert set(cron.run()) == {key_at(100), ahead}
    assert cron.checkpoint == key_at(100)
    cron.put(key_at(50))
    assert cron.run() == [key_at(50)]


def test_a_clock_of_ours_that_runs_ahead_of_the_databases_does_not_move_the_checkpoint_past_others(
    connect: Connect, redis_url: str, tmp_path: Path
) -> None:
    true = MS // 1000 - 3600
    with FirebaseSimulator(now=lambda: true) as server:
        cron = Cron(server, connect, RedisCache(redis_url), tmp_path)
        assert cron.harvest().time() == NOW - timedelta(hours=1)
        ahead = [key_at(3599), key_at(1800)]
        cron.put(key_at(3700), *ahead)
        assert set(cron.run()) == {key_at(3700), *ahead}
        assert cron.checkpoint == key_at(3700)
        cron.put(key_at(3650))
        assert cron.run() == [key_at(3650)]
        assert cron.checkpoint == key_at(3650)


def test_what_each_run_reads_again_is_remembered_for_good_though_our_clock_runs_ahead(
    connect: Connect, redis_url: str, tmp_path: Path
) -> None:
    true = MS // 1000 - 3600
    with FirebaseSimulator(now=lambda: true) as server:
        cache = RedisCache(redis_url)
        cron = Cron(server, connect, cache, tmp_path)
        cron.put(key_at(3700), key_at(1800))  # the second of a client that is ahead of the database
        assert len(cron.run()) == 2
        lives = [cache.redis.ttl(name) for name in cache.redis.keys("harvest:delivered:*:*:*")]
        assert len(lives) == 2
        assert min(lives) > 300 * 86_400


def test_a_database_ahead_of_our_clock_does_not_move_the_checkpoint_past_it(
    connect: Connect, redis_url: str, tmp_path: Path
) -> None:
    with FirebaseSimulator(now=lambda: MS / 1000 + 3600) as server:
        cron = Cron(server, connect, RedisCache(redis_url), tmp_path)
        cron.put(key_at(100), key_at(-100))
        assert len(cron.run()) == 2
        assert cron.checkpoint == key_at(100)


def test_a_database_that_does_not_tell_the_time_is_taken_to_have_ours(cron: Cron) -> None:
    cron.server.tells_time = False
    assert cron.harvest().time() is None
    cron.put(key_at(100), key_at(-100))
    cron.run()
    assert cron.checkpoint == key_at(100)


def test_a_refusal_tells_the_time_too(cron: Cron) -> None:
    cron.server.fail("status", path="/events/", times=9, response=Response.json({"error": "Permission denied"}, 401))
    assert cron.harvest().time() is not None
    cron.put(key_at(100))
    assert cron.run() == [key_at(100)], "rules may let us read the node by queries alone"


def test_asking_for_the_time_moves_nothing(cron: Cron) -> None:
    cron.put(*(key_at(number) for number in range(1, 500)))
    harvest = cron.harvest()
    assert harvest.time() is not None
    assert len(cron.server.requests) == 1
    list(harvest.pages(Window(NOW, NOW)))
    asked = len(cron.server.requests)
    assert harvest.time() is not None
    assert len(cron.server.requests) == asked, "an answer that came anyway has told it"


def test_an_event_that_has_changed_within_the_lookback_is_sent_again(cron: Cron) -> None:
    cron.put(key_at(100))
    cron.run()
    cron.server.edit(f"/events/{key_at(100)}/type", "unheart")
    assert cron.run() == [key_at(100)]
    assert cron.run() == []


def test_without_redis_what_is_read_again_is_sent_again_under_the_same_id(cron: Cron) -> None:
    cron.cache = MemoryCache()
    cron.put(key_at(500), key_at(100))
    cron.run()
    cron.cache = MemoryCache()
    assert cron.run() == [key_at(100)]


def test_the_checkpoint_moves_only_behind_what_is_acknowledged(cron: Cron) -> None:
    cron.put(*(key_at(1000 - number) for number in range(100)))
    cron.server.fail("status", path="/events.json", after=3, times=10_000, response=Response(503))
    with pytest.raises(Unavailable):
        cron.run()
    sent = [line["id"] for line in read_lines(cron.output)]
    assert len(sent) == 30
    assert cron.checkpoint == sent[-1]
    cron.server.faults.clear()
    assert len(cron.run()) == 70


def test_pages_of_one_millisecond_are_committed_one_by_one(cron: Cron) -> None:
    """The page that is read ahead shares its time with the one in hand, whose key alone may be committed."""
    keys = [key_at(100, number) for number in range(30)]
    cron.put(*keys)
    cron.server.fail("status", path="/events.json", after=2, times=10_000, response=Response(503))
    with pytest.raises(Unavailable):
        cron.run(lookback=0)
    assert [line["id"] for line in read_lines(cron.output)] == keys[:20]
    assert cron.checkpoint == keys[19]
    cron.server.faults.clear()
    assert cron.run(lookback=0) == keys[20:]
    assert cron.run(lookback=0) == []


def test_a_sink_that_gives_up_leaves_the_key_of_the_page_before(cron: Cron, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key_at(100, number) for number in range(30)]
    cron.put(*keys)
    send, batches = FileSink.send, [0]

    def gives_up(sink: FileSink, documents: Any) -> Any:
        batches[0] += 1
        if batches[0] == 2:
            raise SinkUnavailable("gave up, while the third page is read already")
        return send(sink, documents)

    with monkeypatch.context() as patch:
        patch.setattr(FileSink, "send", gives_up)
        with pytest.raises(SinkUnavailable):
            cron.run(lookback=0)
    assert cron.checkpoint == keys[9]
    assert cron.run(lookback=0) == keys[10:]


def test_a_checkpoint_that_somebody_else_moved_is_left_alone(cron: Cron) -> None:
    cron.put(key_at(100))
    cron.run()
    cron.put(key_at(50))
    original = cron.blob.write

    def late(content: bytes, etag: str | None) -> str:
        original(key_at(10).encode(), etag)
        return original(content, etag)

    cron.blob.write = late  # type: ignore[method-assign]
    with pytest.raises(RaceLost):
        cron.run()
    assert cron.checkpoint == key_at(10)


def test_the_checkpoint_can_stay(cron: Cron) -> None:
    cron.put(key_at(100))
    assert cron.run(update=False) == [key_at(100)]
    assert cron.checkpoint is None


def test_a_person_may_set_the_checkpoint_to_a_time(cron: Cron) -> None:
    cron.put(key_at(7200), key_at(100))
    cron.blob.write(b"20160229230000Z\n", None)
    assert cron.run() == [key_at(100)]
    assert cron.checkpoint == key_at(100)


def test_a_checkpoint_that_holds_something_else_is_left_alone(cron: Cron) -> None:
    cron.blob.write(b"hello", None)
    with pytest.raises(ConfigError, match="no push id"):
        cron.run()
    assert cron.blob.path.read_bytes() == b"hello"


def test_a_range_by_hand_leaves_the_checkpoint_alone(cron: Cron) -> None:
    span = Window(NOW - timedelta(seconds=100), NOW - timedelta(seconds=50))
    cron.put(key_at(101), key_at(100), key_at(51), key_at(50))
    inside, outside = f"group-reminder-x-{MS - 70_000}", f"group-reminder-x-{MS - 20_000}"
    cron.server.load("/events", {inside: {"type": "group_reminder"}, outside: {"type": "group_reminder"}})
    assert cron.run(span=span) == [key_at(100), key_at(51), inside]
    assert cron.run(span=span) == [key_at(100), key_at(51), inside]
    assert cron.checkpoint is None


def test_an_event_that_is_never_sent_goes_to_the_dead_letters(cron: Cron) -> None:
    cron.server.max_response = 2000
    cron.put(*(key_at(1000 - number) for number in range(20)))
    cron.server.load("/events", {key_at(990.5): {"x": "v" * 5000}, "!b": {"x": "v" * 5000}})
    sent = cron.run(page=5)
    assert len(sent) == 20
    letters = read_lines(next((cron.directory / "dead").glob("*.jsonl")))
    assert {letter["id"] for letter in letters} == {key_at(990.5), "!b"}
    assert cron.run(page=5) == []


@settings(max_examples=25)
@given(data=st.data())
def test_run_after_run_everything_within_the_promise_comes_exactly_once(
    firebase: FirebaseSimulator, connect: Connect, redis_server: Any, tmp_path: Path, data: st.DataObject
) -> None:
    redis_server.flush()
    cron = Cron(firebase, connect, RedisCache(redis_server.url), Path(tempfile.mkdtemp(dir=tmp_path)))
    firebase.edit("/events")
    ids, wanted, last = PushIds(Random(1)), set(), MS - 10_000_000
    for _ in range(data.draw(st.integers(1, 5))):
        new = []
        horizon = last - 60_000
        for _ in range(data.draw(st.integers(0, 25))):
            kind = data.draw(st.sampled_from(["push", "push", "late", "reminder", "integer"]))
            if kind == "push":
                last = min(MS, last + data.draw(st.integers(0, 90_000)))
                new.append(ids.next(last))
            elif kind == "late":
                new.append(ids.next(data.draw(st.integers(horizon, last))))
            elif kind == "reminder":
                new.append(f"group-reminder-{data.draw(st.integers(0, 10**6))}-{MS}")
            else:
                new.append(str(data.draw(st.integers(0, 10**6))))
        cron.put(*new)
        wanted |= set(new)
        cron.run(page=data.draw(st.integers(1, 30)))
        counts = Counter(line["id"] for line in read_lines(cron.output))
        assert set(counts) == wanted
        assert set(counts.values()) <= {1}
