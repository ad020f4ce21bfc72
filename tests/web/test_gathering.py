"""Posts are written together, each is answered for itself, and none is given up before its time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

import pytest

from harvesters.errors import CredentialsRefused, HarvestError, SinkUnavailable, Unavailable
from harvesters.messages.posting import Draft, Rejected
from harvesters.web import gathering
from harvesters.web.gathering import Gatherer

PATIENCE = 30.0
NOTHING = ("", "", "")


def draft(name: str) -> Draft:
    return Draft(name, NOTHING, "message-2021-01-22", b"{}")


class Cluster:
    """Writes, or refuses, on a clock that moves when it says so."""

    def __init__(self) -> None:
        self.time = 0.0
        self.written: list[list[str]] = []
        self.tried: list[tuple[list[str], float]] = []
        self.bad: set[str] = set()
        self.away_for = 0.0
        self.done_before_it_goes_away = False
        self.open = threading.Event()
        self.open.set()

    def now(self) -> float:
        return self.time

    def write(self, drafts: Sequence[Draft], seconds: float, progress: Callable[[], None]) -> None:
        names = [each.trace_id for each in drafts]
        self.tried.append((names, seconds))
        assert self.open.wait(20)
        if self.bad & {*names}:
            raise Rejected("refused")
        if self.away_for > 0:
            if self.done_before_it_goes_away:
                self.time += seconds - 1
                progress()
                self.time += 10
                self.away_for -= seconds + 9
            else:
                self.time += seconds
                self.away_for -= seconds
            raise SinkUnavailable("away")
        self.written.append(names)


async def posts(gatherer: Gatherer, *names: str) -> list[BaseException | None]:
    return await asyncio.gather(*(gatherer.post([draft(name)]) for name in names), return_exceptions=True)


def run(cluster: Cluster, *names: str, then: Callable[[], None] = lambda: None) -> list[BaseException | None]:
    async def main() -> list[BaseException | None]:
        gatherer = Gatherer(cluster.write, PATIENCE, cluster.now)
        try:
            asking = asyncio.ensure_future(posts(gatherer, *names))
            await asyncio.sleep(0)
            then()
            return await asking
        finally:
            gatherer.close()

    return asyncio.run(main())


class TestTogether:
    def test_what_waits_while_others_are_written_is_written_at_once(self) -> None:
        cluster = Cluster()
        cluster.open.clear()
        names = [str(number) for number in range(20)]
        assert run(cluster, *names, then=cluster.open.set) == [None] * 20
        assert sorted(name for part in cluster.written for name in part) == sorted(names)
        assert len(cluster.written) < 10

    def test_not_more_than_a_request_holds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "_MOST", 3)
        cluster = Cluster()
        assert run(cluster, *"abcdefgh") == [None] * 8
        assert max(map(len, cluster.written)) <= 3

    def test_one_that_is_refused_does_not_keep_the_others(self) -> None:
        cluster = Cluster()
        cluster.bad = {"c"}
        answers = run(cluster, *"abcdefgh")
        assert isinstance(answers[2], Rejected)
        assert [answer for answer in answers if answer is not answers[2]] == [None] * 7
        assert sorted(name for part in cluster.written for name in part) == [*"abdefgh"]

    def test_one_triple_is_never_written_twice_at_once(self) -> None:
        cluster = Cluster()
        under_way: list[str] = []
        twice: list[str] = []
        both = threading.Barrier(2)

        def write(drafts: Sequence[Draft], seconds: float, progress: Callable[[], None]) -> None:
            names = [each.trace_id for each in drafts]
            twice.extend(set(names) & set(under_way))
            under_way.extend(names)
            with suppress(threading.BrokenBarrierError):
                both.wait(0.05)  # for another that may be under way
            for name in names:
                under_way.remove(name)

        cluster.write = write  # type: ignore[method-assign]
        assert run(cluster, *"aabaacaadaaeaa") == [None] * 14
        assert twice == []

    def test_a_second_request_begins_for_much_or_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What comes while one is under way waits for more to come, unless it is much, or has waited long enough."""
        monkeypatch.setattr(gathering, "_WINDOWS", (0.0, 3600.0))
        monkeypatch.setattr(gathering, "_WORTH", 10)
        cluster = Cluster()
        cluster.open.clear()

        async def main() -> tuple[int, int]:
            gatherer = Gatherer(cluster.write, PATIENCE, cluster.now)
            asked = [asyncio.ensure_future(posts(gatherer, "first"))]
            await tried(1)
            asked.append(asyncio.ensure_future(posts(gatherer, "a", "b")))
            for _ in range(100):
                await asyncio.sleep(0)
            few = len(cluster.tried)
            many = [draft(str(number)) for number in range(10)]
            asked.append(asyncio.ensure_future(gatherer.post(many)))  # type: ignore[arg-type]
            await tried(2)
            much = len(cluster.tried)
            cluster.open.set()
            await asyncio.gather(*asked)
            gatherer.close()
            return few, much

        async def tried(times: int) -> None:
            while len(cluster.tried) < times:
                await asyncio.sleep(0)

        assert asyncio.run(main()) == (1, 2)
        assert len(cluster.written) == 2

    def test_what_waits_beside_a_slow_request_is_written_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "_WINDOWS", (0.0, 0.001))
        cluster = Cluster()
        cluster.open.clear()

        async def main() -> None:
            gatherer = Gatherer(cluster.write, PATIENCE, cluster.now)
            asked = [asyncio.ensure_future(posts(gatherer, name)) for name in "ab"]
            async with asyncio.timeout(20):
                while len(cluster.tried) < 2:
                    await asyncio.sleep(0.001)
            cluster.open.set()
            await asyncio.gather(*asked)
            gatherer.close()

        asyncio.run(main())
        assert sorted(cluster.written) == [["a"], ["b"]]

    def test_what_waits_beside_a_request_does_not_wait_longer_than_that(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "_WINDOWS", (0.0, 3600.0))
        cluster = Cluster()

        async def main() -> None:
            gatherer = Gatherer(cluster.write, PATIENCE, cluster.now)
            async with asyncio.timeout(20):
                cluster.open.set()
                await posts(gatherer, *map(str, range(20)))  # as many as there usually are
                cluster.open.clear()
                before = len(cluster.tried)
                first = asyncio.ensure_future(posts(gatherer, "a"))
                while len(cluster.tried) == before:
                    await asyncio.sleep(0)
                second = asyncio.ensure_future(posts(gatherer, "b"))
                await asyncio.sleep(0)
                cluster.open.set()
                await asyncio.gather(first, second)
            gatherer.close()

        asyncio.run(main())
        assert cluster.written[-2:] == [["a"], ["b"]]

    def test_nothing_is_written_for_nothing(self) -> None:
        cluster = Cluster()

        async def main() -> None:
            await Gatherer(cluster.write, PATIENCE, cluster.now).post([])

        asyncio.run(main())
        assert cluster.tried == []


DAYS = ("message-2021-01-22", "message-2021-01-23")


class Blocked:
    """The first of DAYS takes nothing until it is opened; `order` is of what was written."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.order: list[str] = []

    def write(self, drafts: Sequence[Draft], seconds: float, progress: Callable[[], None]) -> None:
        if any(each.index == DAYS[0] for each in drafts) and not self.opened.wait(seconds):
            raise SinkUnavailable("blocked")
        self.order += [each.body.decode() for each in drafts]


class TestBlocks:
    """One index takes nothing, others do."""

    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "_SLOW", 0.01)

    def test_posts_for_other_days_are_written_meanwhile(self) -> None:
        cluster = Blocked()

        async def main() -> list[BaseException | None]:
            gatherer = Gatherer(cluster.write, PATIENCE)
            stuck = [asyncio.ensure_future(gatherer.post([at(DAYS[0], f"s{number}")])) for number in range(9)]
            async with asyncio.timeout(20):
                for round in range(3):
                    await asyncio.gather(*(gatherer.post([at(DAYS[1], f"{round}-{each}")]) for each in range(5)))
            assert not any(each.done() for each in stuck)
            cluster.opened.set()
            answers = await asyncio.gather(*stuck, return_exceptions=True)
            gatherer.close()
            return answers

        assert asyncio.run(main()) == [None] * 9
        assert len({*cluster.order[-9:]}) == 9
        assert all(each.startswith("s") for each in cluster.order[-9:])

    def test_a_triple_that_waits_there_is_not_overtaken_by_itself(self) -> None:
        """Posted for a day that is blocked, then for one that is not, it is written in this order."""
        cluster = Blocked()

        async def main() -> None:
            gatherer = Gatherer(cluster.write, PATIENCE)
            first = asyncio.ensure_future(gatherer.post([at(DAYS[0], "t", b"first")]))
            again = asyncio.ensure_future(gatherer.post([at(DAYS[1], "t", b"second"), at(DAYS[1], "u", b"with it")]))
            last = asyncio.ensure_future(gatherer.post([at(DAYS[1], "u", b"after it")]))
            async with asyncio.timeout(20):
                await gatherer.post([at(DAYS[1], "v", b"other")])
                await gatherer.post([at(DAYS[1], "w", b"another")])
            cluster.opened.set()
            await asyncio.gather(first, again, last)
            gatherer.close()

        asyncio.run(main())
        assert cluster.order == ["other", "another", "first", "second", "with it", "after it"]


def at(index: str, name: str, body: bytes = b"") -> Draft:
    return Draft(name, NOTHING, index, body or name.encode())


class Partly:
    """The indices of `blocked` take nothing, ever; `trying` has how many of those writes are under way."""

    def __init__(self, *blocked: str, hangs: bool = False) -> None:
        self.blocked, self.hangs = blocked, hangs
        self.end = threading.Event()
        self.begun = 0
        self.order: list[str] = []

    def write(self, drafts: Sequence[Draft], seconds: float, progress: Callable[[], None]) -> None:
        if any(each.index in self.blocked for each in drafts):
            self.begun += 1
            self.end.wait(20 if self.hangs else seconds)
            raise SinkUnavailable("blocked")
        self.order += [each.body.decode() for each in drafts]

    async def takes(self, stuck: Sequence[Sequence[Draft]], *others: Draft) -> None:
        """Posts `stuck`, and once one of those is tried, `others`, of which each has to be written soon."""
        gatherer = Gatherer(self.write, PATIENCE)
        waiting = [asyncio.ensure_future(gatherer.post(drafts)) for drafts in stuck]
        try:
            async with asyncio.timeout(10):
                while not self.begun:
                    await asyncio.sleep(0.001)
                await asyncio.gather(*(gatherer.post([each]) for each in others))
        finally:
            for each in waiting:
                each.cancel()
            self.end.set()
            gatherer.close()


class TestManyBlocks:
    """Several indices take nothing, or are posted to together with one that does not."""

    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "_SLOW", 0.01)

    @pytest.mark.parametrize("hangs", [False, True])
    def test_a_day_that_was_posted_together_with_a_blocked_one_takes_posts(self, hangs: bool) -> None:
        cluster = Partly(DAYS[0], hangs=hangs)
        asyncio.run(cluster.takes([[at(DAYS[0], "a"), at(DAYS[1], "b")]], at(DAYS[1], "c")))
        assert cluster.order == ["c"]

    def test_more_blocked_days_than_requests(self) -> None:
        days = [f"message-2021-02-{number:02}" for number in range(1, 29)]
        cluster = Partly(*days)
        asyncio.run(cluster.takes([[at(day, day)] for day in days], at(DAYS[1], "c")))
        assert cluster.order == ["c"]

    def test_a_day_that_was_tried_beside_many_blocked_ones_takes_posts(self) -> None:
        days = [f"message-2021-02-{number:02}" for number in range(1, 29)]
        cluster = Partly(*days)
        asyncio.run(cluster.takes([[at(day, day)] for day in days] + [[at(DAYS[1], "b")]], at(DAYS[1], "c")))
        assert "c" in cluster.order


class TestEnds:
    """Posts whose clients went away, and those of a service that ends."""

    def test_what_nobody_waits_for_any_more_is_not_written(self) -> None:
        cluster = Cluster()
        cluster.open.clear()

        async def main() -> None:
            gatherer = Gatherer(cluster.write, PATIENCE, cluster.now)
            first = asyncio.ensure_future(gatherer.post([at(DAYS[0], "t", b"first")]))
            async with asyncio.timeout(20):
                while not cluster.tried:
                    await asyncio.sleep(0.001)
                second = asyncio.ensure_future(gatherer.post([at(DAYS[0], "t", b"second")]))
                await asyncio.sleep(0)
                second.cancel()
                cluster.open.set()
                await first
                await gatherer.post([at(DAYS[0], "u")])
            gatherer.close()

        asyncio.run(main())
        assert cluster.written == [["t"], ["u"]]

    def test_what_waits_when_it_ends_is_answered(self) -> None:
        cluster = Cluster()
        cluster.open.clear()

        async def main() -> list[BaseException | None]:
            gatherer = Gatherer(cluster.write, PATIENCE, cluster.now)
            asked = [asyncio.ensure_future(posts(gatherer, "a"))]
            async with asyncio.timeout(20):
                while not cluster.tried:
                    await asyncio.sleep(0.001)
                asked += [asyncio.ensure_future(posts(gatherer, "a", "b"))]
                await asyncio.sleep(0)
                gatherer.close()
                cluster.open.set()
                asked += [asyncio.ensure_future(posts(gatherer, "c"))]
                return [answer for answers in await asyncio.gather(*asked) for answer in answers]

        first, *others = asyncio.run(main())
        assert first is None
        assert [type(each) for each in others] == [Unavailable] * 3

    def test_a_post_whose_request_no_thread_has_taken_up_is_answered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Future[None]] = []

        def submit(*_: object) -> Future[None]:
            asked.append(Future())
            return asked[0]

        async def main() -> BaseException | None:
            gatherer = Gatherer(Cluster().write, PATIENCE)
            monkeypatch.setattr(gatherer._threads, "submit", submit)
            post = asyncio.ensure_future(posts(gatherer, "a"))
            async with asyncio.timeout(5):
                while not asked:
                    await asyncio.sleep(0.001)
                asked[0].cancel()  # as the end of its threads does
                return (await post)[0]

        assert isinstance(asyncio.run(main()), Unavailable)


class TestPatience:
    def test_fails_when_there_was_no_progress_for_so_long(self) -> None:
        cluster = Cluster()
        cluster.away_for = 1000
        (answer,) = run(cluster, "a")
        assert isinstance(answer, Unavailable)
        assert cluster.tried == [(["a"], PATIENCE)]

    def test_progress_begins_the_time_anew(self) -> None:
        cluster = Cluster()
        cluster.away_for, cluster.done_before_it_goes_away = 35, True
        assert run(cluster, "a") == [None]
        assert [seconds for _, seconds in cluster.tried] == [PATIENCE, gathering._SLOW]  # a suspect then

    def test_who_waits_behind_others_is_answered_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two lanes stand still, and the third post never got its turn; it is not written later either."""
        monkeypatch.setattr(gathering, "_MOST", 1)
        cluster = Cluster()
        cluster.open.clear()

        async def main() -> list[BaseException | None]:
            gatherer = Gatherer(cluster.write, 0.05, cluster.now)
            stuck = asyncio.ensure_future(posts(gatherer, "a", "b"))
            await asyncio.sleep(0)
            (late,) = await posts(gatherer, "c")
            cluster.open.set()
            answers = [late, *await stuck]
            gatherer.close()
            return answers

        late, *stuck = asyncio.run(main())
        assert isinstance(late, Unavailable)
        assert stuck == [None, None]
        assert sorted(cluster.written) == [["a"], ["b"]]

    def test_what_another_try_does_not_mend_fails_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise CredentialsRefused("no rights")

        cluster = Cluster()
        monkeypatch.setattr(cluster, "write", refuse)
        answers = run(cluster, *"abc")
        assert all(isinstance(answer, HarvestError) for answer in answers)
