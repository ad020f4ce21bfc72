"""The contract of `Cache`, over Redis and memory; and what happens when Redis goes away."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import redis

from harvesters.errors import ConfigError
from harvesters.standins.base import free_port
from harvesters.standins.redis import Redis
from harvesters.stores.cache import Cache, FallbackCache, MemoryCache, RedisCache, open_cache
from harvesters.stores.delivered import DeliveredLog, Mark
from tests.samples import logged


@dataclass
class Bench:
    """A cache, and a way to let time pass for it."""

    cache: Cache
    wait: Callable[[float], None]


@pytest.fixture(params=["memory", "redis", "fallback", "fallen"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    now = [0.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    memory = MemoryCache(timer=lambda: now[0])
    if request.param == "memory":
        yield Bench(memory, pass_time)
    elif request.param == "fallen":
        yield Bench(FallbackCache(RedisCache(f"redis://127.0.0.1:{free_port()}/0"), memory), pass_time)
    else:
        url = request.getfixturevalue("redis_url")
        cache: Cache = RedisCache(url) if request.param == "redis" else open_cache(url)
        yield Bench(cache, lambda seconds: outlive(url, seconds))


def outlive(url: str, seconds: float) -> None:
    """Redis has no clock to set: what would be gone after `seconds` is removed."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            left = client.pttl(key)
            assert left > 0, "a key that never expires"
            if left <= seconds * 1000:
                client.delete(key)


class TestContract:
    def test_what_was_put_is_got_and_the_rest_is_not_there(self, bench: Bench) -> None:
        bench.cache.put({"a": b"1", "b": b"\x00\xff", "c": b""}, 60)
        assert bench.cache.get(["a", "b", "c", "d"]) == {"a": b"1", "b": b"\x00\xff", "c": b""}

    def test_put_again_it_is_the_new_value(self, bench: Bench) -> None:
        bench.cache.put({"a": b"1"}, 60)
        bench.cache.put({"a": b"2"}, 60)
        assert bench.cache.get(["a"]) == {"a": b"2"}

    def test_nothing_is_asked_for_and_nothing_is_got(self, bench: Bench) -> None:
        assert bench.cache.get([]) == {}
        assert bench.cache.get(iter(())) == {}
        assert bench.cache.get_fields({}) == {}
        bench.cache.put({}, 60)
        bench.cache.put_fields({}, 60)

    def test_keys_may_come_from_an_iterator(self, bench: Bench) -> None:
        bench.cache.put({"a": b"1"}, 60)
        assert bench.cache.get(key for key in "ab") == {"a": b"1"}

    def test_it_lives_as_long_as_it_was_told(self, bench: Bench) -> None:
        bench.cache.put({"short": b"1"}, 60)
        bench.cache.put({"long": b"1"}, 600)
        bench.wait(59)
        assert bench.cache.get(["short", "long"]) == {"short": b"1", "long": b"1"}
        bench.wait(61)
        assert bench.cache.get(["short", "long"]) == {"long": b"1"}

    def test_fields_are_added_to_a_hash(self, bench: Bench) -> None:
        bench.cache.put_fields({"h": {"a": b"1", "b": b"2"}, "i": {"a": b"3"}}, 60)
        bench.cache.put_fields({"h": {"b": b"4", "c": b"5"}}, 60)
        found = bench.cache.get_fields({"h": ["a", "b", "c", "d"], "i": iter(["a"]), "j": ["a"]})
        assert found == {("h", "a"): b"1", ("h", "b"): b"4", ("h", "c"): b"5", ("i", "a"): b"3"}

    def test_a_hash_lives_from_its_last_addition(self, bench: Bench) -> None:
        bench.cache.put_fields({"h": {"a": b"1"}}, 10)
        bench.cache.put_fields({"h": {"b": b"1"}}, 100)
        bench.wait(50)
        assert set(bench.cache.get_fields({"h": ["a", "b"]})) == {("h", "a"), ("h", "b")}
        bench.wait(101)
        assert bench.cache.get_fields({"h": ["a", "b"]}) == {}

    def test_what_was_delivered_is_known_with_its_digest(self, bench: Bench) -> None:
        log = DeliveredLog(bench.cache, "https://engage", lambda: ("sqs://queue#1", False))
        log.add([Mark.of("1234", b"row"), Mark.of("1235", b"row"), Mark.of("", b"odd"), Mark.of("7", b"short")])
        again = DeliveredLog(bench.cache, "https://engage", lambda: ("sqs://queue#1", False))
        known = again.known(["1234", "1236", "7", ""])
        assert set(known) == {"1234", "7", ""}
        assert known["1234"] == Mark.of("1234", b"row").digest != Mark.of("1234", b"grown").digest

    @pytest.mark.parametrize(
        ("source", "identity", "fresh"),
        [("https://other", "q", False), ("https://engage", "other", False), ("https://engage", "q", True)],
        ids=["another source", "another output", "an emptied output"],
    )
    def test_what_another_output_got_is_not_known_here(
        self, bench: Bench, source: str, identity: str, fresh: bool
    ) -> None:
        DeliveredLog(bench.cache, "https://engage", lambda: ("q", False)).add([Mark.of("1", b"row")])
        assert DeliveredLog(bench.cache, source, lambda: (identity, fresh)).known(["1"]) == {}

    def test_two_jobs_with_one_redis_and_one_output_do_not_know_of_each_other(self, bench: Bench) -> None:
        one = DeliveredLog(bench.cache, "s", lambda: ("q", False), job="s3://bucket/last-action-timestamp")
        other = DeliveredLog(bench.cache, "s", lambda: ("q", False), job="host:/var/state/last-action-timestamp")
        one.add([Mark.of("1", b"row")])
        assert (set(one.known(["1"])), other.known(["1"])) == ({"1"}, {})

    def test_any_id_can_be_remembered(self, bench: Bench) -> None:
        log = DeliveredLog(bench.cache, "s", lambda: ("q", False))
        odd = ["half a pair \ud83d", "größe", "a b\n", "\x00", "x" * 5000]
        log.add([Mark.of(id, b"row") for id in odd])
        assert set(log.known([*odd, "half a pair \ud83e"])) == set(odd)

    def test_what_is_held_back_is_known_only_afterwards(self, bench: Bench) -> None:
        log = DeliveredLog(bench.cache, "s", lambda: ("q", False))
        log.add_later(Mark.of(str(number), b"row") for number in range(2500))
        assert log.known(["0", "2499"]) == {}
        log.add_pending()
        assert set(log.known(["0", "2499"])) == {"0", "2499"}


class TestMemory:
    def test_it_is_bounded(self) -> None:
        cache = MemoryCache(size=100)
        cache.put({str(number): b"1" for number in range(1000)}, 60)
        assert len(cache.get(map(str, range(1000)))) == 100

    def test_fields_of_hashes_count_too(self) -> None:
        cache = MemoryCache(size=100)
        for hash in range(50):
            cache.put_fields({str(hash): {str(field): b"1" for field in range(10)}}, 60)
        fields = [str(field) for field in range(20)]
        assert len(cache.get_fields({str(hash): fields for hash in range(50)})) == 100
        cache.put_fields({"49": {str(field): b"1" for field in range(101)}}, 60)
        assert len(cache.get_fields({"49": map(str, range(101))})) <= 100

    def test_it_may_be_used_by_several_threads(self) -> None:
        cache = MemoryCache(size=50)
        errors: list[Exception] = []

        def work(name: int) -> None:
            try:
                for number in range(2000):
                    cache.put_fields({str(number % 97): {str(name): b"1"}}, 60)
                    cache.get_fields({str(number % 89): ["0", "1"]})
            except Exception as error:
                errors.append(error)

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        finally:
            sys.setswitchinterval(before)
        assert errors == []


class TestFallback:
    def test_redis_dies_in_the_middle_one_warning_and_on_it_goes(self) -> None:
        with Redis() as server, logged() as records:
            cache = open_cache(server.url)
            cache.put({"before": b"1"}, 60)
            assert cache.volatile is False
            server.kill()
            cache.put({"after": b"1"}, 60)
            assert cache.get(["before", "after"]) == {"after": b"1"}
            cache.put_fields({"h": {"a": b"1"}}, 60)
            assert cache.get_fields({"h": ["a"]}) == {("h", "a"): b"1"}
            assert cache.volatile is True
        (warning,) = [record.getMessage() for record in records if record.levelname == "WARNING"]
        assert "going on with a cache in this process" in warning
        assert "under the same id" in warning

    def test_no_redis_is_found_out_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sleeps: list[float] = []
        monkeypatch.setattr(redis.retry, "sleep", sleeps.append)
        open_cache(f"redis://127.0.0.1:{free_port()}/0").get(["a"])
        assert sum(sleeps) < 0.1, "redis-py waited between tries of its own"

    def test_a_password_in_the_url_is_not_shown(self) -> None:
        with logged() as records:
            open_cache(f"redis://:hunter2@127.0.0.1:{free_port()}/0").get(["a"])
        assert records
        assert "hunter2" not in records[0].getMessage()

    def test_a_redis_that_refuses_is_as_good_as_none(self, redis_url: str) -> None:
        with redis.Redis.from_url(redis_url) as client, logged() as records:
            client.set("h", b"a plain value where a hash should be")
            open_cache(redis_url).put_fields({"h": {"a": b"1"}}, 60)
        assert len(records) == 1

    @pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", ""])
    def test_a_url_that_is_none_names_the_setting(self, url: str) -> None:
        with pytest.raises(ConfigError, match="REDIS_URL"):
            open_cache(url)

    def test_a_url_that_cannot_be_read_names_the_setting(self) -> None:
        with pytest.raises(ConfigError, match="REDIS_URL"):
            open_cache("redis://localhost:port/0").get(["a"])
