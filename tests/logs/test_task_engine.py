"""The engine alone: places, ends, and what becomes of exceptions. Nothing here waits for time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvesters.logs.task_engine import EngineStopped, TaskEngine


async def nothing() -> None:
    """A task that ends at once."""


async def turns(number: int = 5) -> None:
    """Let everything else that can go on do so."""
    for _ in range(number):
        await asyncio.sleep(0)


def bounded(engine: TaskEngine, driver: Callable[[TaskEngine], Awaitable[None]]) -> None:
    """Run it, and fail where it waits for nothing."""

    async def run() -> None:
        try:
            async with asyncio.timeout(20):
                await driver(engine)
        except TimeoutError:
            pytest.fail("it waits for nothing")

    asyncio.run(run())


class Gate:
    """Tasks that stay until they are let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def task(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        self.inside -= 1


def counts(engine: TaskEngine) -> tuple[int, int, int, int]:
    return engine.started, engine.pending, engine.completed, engine.failed


@given(st.integers(1, 12), st.lists(st.integers(0, 4), max_size=60))
def test_never_more_than_it_is_told_and_that_many_where_there_is_work(most: int, lengths: list[int]) -> None:
    inside, seen = 0, []

    async def task(length: int) -> None:
        nonlocal inside
        inside += 1
        seen.append(inside)
        await turns(length)
        inside -= 1

    async def driver(engine: TaskEngine) -> None:
        for length in lengths:
            await engine.start_task(task, length)
            assert engine.pending <= most

    engine = TaskEngine(most)
    engine.run(driver)
    assert max(seen, default=0) <= most
    assert counts(engine) == (len(lengths), 0, len(lengths), 0)


def test_all_places_are_taken_and_a_free_one_at_once() -> None:
    async def driver(engine: TaskEngine) -> None:
        gates = [Gate() for _ in range(4)]
        for gate in gates[:3]:
            await engine.start_task(gate.task)
        assert counts(engine) == (3, 3, 0, 0)
        assert [gate.inside for gate in gates] == [1, 1, 1, 0], "a task has begun when start_task returns"
        waiting = asyncio.create_task(engine.start_task(gates[3].task))
        await turns(50)
        assert not waiting.done()
        gates[1].open.set()
        await turns()
        assert waiting.done()
        assert gates[3].inside == 1
        for gate in gates:
            gate.open.set()

    TaskEngine(3).run(driver)


def test_ten_tasks_unless_told_otherwise() -> None:
    assert TaskEngine().max_tasks == 10
    for number in (0, -1):
        with pytest.raises(ValueError, match="max_tasks"):
            TaskEngine(number)


def test_it_is_made_without_an_event_loop() -> None:
    asyncio.set_event_loop(None)
    engine = TaskEngine()
    with pytest.raises(RuntimeError):
        asyncio.get_event_loop_policy().get_event_loop()
    assert engine.run(returning(5)) == 5


def returning(value: int) -> Callable[[TaskEngine], Awaitable[int]]:
    async def driver(engine: TaskEngine) -> int:
        await engine.start_task(nothing)
        return value

    return driver


def test_it_can_be_used_again_and_in_somebody_elses_loop() -> None:
    engine = TaskEngine(2)
    for _ in range(2):
        engine.run(returning(1))
        assert counts(engine) == (1, 0, 1, 0)
        assert not engine.running()

    async def main() -> None:
        engine = TaskEngine(2)
        for _ in range(5):
            await engine.start_task(nothing)
        await engine.run_until_complete()
        assert counts(engine) == (5, 0, 5, 0)
        assert engine.running()
        await engine.stop()

    asyncio.run(main())


def test_arguments_are_handed_on() -> None:
    seen: list[Any] = []

    async def task(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    async def driver(engine: TaskEngine) -> None:
        await engine.start_task(task, 1, "two", task=3, self=4, args=5)

    TaskEngine().run(driver)
    assert seen == [((1, "two"), {"task": 3, "self": 4, "args": 5})]


class Outcome(BaseException):
    """As pytest's own, which no ``except Exception`` is to catch."""


@pytest.mark.parametrize(
    "raised",
    [
        *(ValueError("no"), asyncio.CancelledError(), SystemExit(3), StopAsyncIteration(), TimeoutError()),
        *(GeneratorExit(), Outcome(), BaseExceptionGroup("two", [SystemExit(1), ValueError()])),
    ],
)
def test_what_a_task_raises_is_kept_and_frees_its_place(raised: BaseException) -> None:
    async def task() -> None:
        raise raised

    async def driver(engine: TaskEngine) -> None:
        for _ in range(3):
            await engine.start_task(task)
        await engine.start_task(nothing)

    engine = TaskEngine(1)
    engine.run(driver)
    assert counts(engine) == (4, 0, 4, 3)
    assert engine.errors == [raised] * 3


def test_what_cannot_be_awaited_is_an_exception_of_the_task_too() -> None:
    def task() -> Any:
        return 5

    async def driver(engine: TaskEngine) -> None:
        await engine.start_task(task)
        await engine.start_task(None)  # type: ignore[arg-type]
        await engine.start_task(nothing, "too many")

    engine = TaskEngine()
    engine.run(driver)
    assert [type(error) for error in engine.errors] == [TypeError] * 3
    assert counts(engine) == (3, 0, 3, 3)


def test_the_first_hundred_exceptions_are_kept_and_all_are_counted() -> None:
    async def task(number: int) -> None:
        raise ValueError(number)

    async def driver(engine: TaskEngine) -> None:
        for number in range(250):
            await engine.start_task(task, number)

    engine = TaskEngine(7)
    engine.run(driver)
    assert engine.failed == 250
    assert [error.args[0] for error in engine.errors] == [*range(100)]


def test_what_a_keyboard_interrupt_meets_it_does_not_hold_up() -> None:
    async def task() -> None:
        raise KeyboardInterrupt

    async def driver(engine: TaskEngine) -> None:
        await engine.start_task(task)
        await asyncio.Event().wait()

    engine = TaskEngine()
    with pytest.raises(KeyboardInterrupt):
        engine.run(driver)
    assert counts(engine) == (1, 0, 1, 1)


def test_a_keyboard_interrupt_is_raised_and_not_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    async def task() -> None:
        raise KeyboardInterrupt

    async def driver(engine: TaskEngine) -> None:
        await engine.start_task(task)

    engine = TaskEngine()
    with pytest.raises(KeyboardInterrupt):
        engine.run(driver)
    engine.errors.clear()
    gc.collect()
    assert caplog.text == ""


def test_an_error_of_the_driver_is_raised_when_the_pending_tasks_have_ended() -> None:
    ended = []

    async def task() -> None:
        await turns(20)
        ended.append(1)

    async def driver(engine: TaskEngine) -> None:
        await engine.start_task(task)
        await engine.start_task(task)
        raise LookupError("the driver's own")

    engine = TaskEngine()
    with pytest.raises(LookupError, match="own"):
        engine.run(driver)
    assert ended == [1, 1]
    assert counts(engine) == (2, 0, 2, 0)


def test_after_stop_nothing_is_started() -> None:
    async def driver(engine: TaskEngine) -> None:
        assert engine.running()
        await engine.stop()
        assert not engine.running()
        with pytest.raises(EngineStopped):
            await engine.start_task(nothing)
        await engine.stop()

    engine = TaskEngine()
    engine.run(driver)
    assert counts(engine) == (0, 0, 0, 0)
    with pytest.raises(EngineStopped):
        asyncio.run(engine.start_task(nothing))


def test_who_waits_for_a_place_while_it_is_stopped_gets_none() -> None:
    async def driver(engine: TaskEngine) -> None:
        gate = Gate()
        await engine.start_task(gate.task)
        waiting = [asyncio.create_task(engine.start_task(nothing)) for _ in range(3)]
        await turns()
        stopping = asyncio.create_task(engine.stop())
        await turns()
        assert not stopping.done()
        gate.open.set()
        assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [EngineStopped] * 3
        await stopping
        assert engine.pending == 0

    engine = TaskEngine(1)
    engine.run(driver)
    assert engine.started == 1


def test_tasks_that_wait_for_each_others_places_are_let_go_by_stop() -> None:
    holding = asyncio.Event()

    async def more(engine: TaskEngine) -> None:
        await holding.wait()
        await engine.start_task(nothing)

    async def driver(engine: TaskEngine) -> None:
        for _ in range(2):
            await engine.start_task(more, engine)
        holding.set()
        await turns()
        await engine.stop()

    engine = TaskEngine(2)
    bounded(engine, driver)
    assert (engine.started, engine.completed) == (2, 2)
    assert [type(each) for each in engine.errors] == [EngineStopped] * 2


def test_stop_waits_for_what_is_pending() -> None:
    async def driver(engine: TaskEngine) -> None:
        gates = [Gate(), Gate()]
        for gate in gates:
            await engine.start_task(gate.task)
        stopping = [asyncio.create_task(engine.stop()) for _ in range(2)]
        for gate in gates:
            await turns()
            assert not any(each.done() for each in stopping)
            gate.open.set()
        await asyncio.gather(*stopping)
        assert engine.pending == 0

    TaskEngine().run(driver)


@pytest.mark.parametrize("how", ["stop", "run_until_complete"])
@pytest.mark.parametrize("indirectly", [False, True])
def test_a_task_may_wait_for_the_others(how: str, indirectly: bool) -> None:
    begin, pending = asyncio.Event(), list[int]()

    async def waits(engine: TaskEngine) -> None:
        await begin.wait()
        waiting = getattr(engine, how)()
        await (asyncio.create_task(waiting) if indirectly else waiting)
        pending.append(engine.pending)

    async def driver(engine: TaskEngine) -> None:
        gate = Gate()
        await engine.start_task(gate.task)
        for _ in range(3):
            await engine.start_task(waits, engine)
        begin.set()
        await turns(20)
        assert pending == []
        gate.open.set()
        await engine.stop()

    engine = TaskEngine()
    engine.run(driver)
    assert pending == [3, 2, 1], "each waited for the one that did not wait, and for nobody else"


@pytest.mark.parametrize("how", ["stop", "run_until_complete"])
def test_a_task_waits_for_the_one_that_started_it(how: str) -> None:
    pending = list[int]()

    async def waits(engine: TaskEngine) -> None:
        await getattr(engine, how)()
        pending.append(engine.pending)

    async def starts(engine: TaskEngine, gate: Gate) -> None:
        await engine.start_task(waits, engine)
        await gate.task()

    async def driver(engine: TaskEngine) -> None:
        gate = Gate()
        await engine.start_task(starts, engine, gate)
        await turns(20)
        assert pending == []
        gate.open.set()

    engine = TaskEngine()
    engine.run(driver)
    assert pending == [1]


def test_a_task_of_another_engine_that_this_one_waits_for_may_stop_it() -> None:
    async def inner(outer: TaskEngine) -> None:
        await outer.stop()

    async def task(outer: TaskEngine) -> None:
        other = TaskEngine()
        await other.start_task(inner, outer)
        await other.run_until_complete()

    async def driver(engine: TaskEngine) -> None:
        await engine.start_task(task, engine)
        await engine.run_until_complete()

    bounded(TaskEngine(), driver)


def test_an_engine_that_runs_is_not_run_again_and_goes_on() -> None:
    async def again(engine: TaskEngine) -> None:
        engine.run(returning(1))

    async def driver(engine: TaskEngine) -> None:
        gate = Gate()
        await engine.start_task(gate.task)
        await engine.start_task(again, engine)
        assert counts(engine) == (2, 1, 1, 1)
        gate.open.set()

    engine = TaskEngine()
    engine.run(driver)
    assert counts(engine) == (2, 0, 2, 1)
    assert [type(error) for error in engine.errors] == [RuntimeError]


def test_what_has_ended_is_let_go() -> None:
    class Large:
        """Something that a task holds."""

    async def task(held: Large) -> None:
        await turns(1)

    async def driver(engine: TaskEngine) -> None:
        held = Large()
        known = weakref.ref(held)
        await engine.start_task(task, held)
        del held
        await engine.run_until_complete()
        await turns()
        gc.collect()
        assert known() is None

    TaskEngine().run(driver)


def test_nobody_is_left_waiting_who_was_cancelled() -> None:
    async def driver(engine: TaskEngine) -> None:
        gate = Gate()
        await engine.start_task(gate.task)
        for waiting in (engine.start_task(nothing), engine.run_until_complete(), engine.stop()):
            cancelled = asyncio.create_task(waiting)
            await turns()
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        gate.open.set()

    engine = TaskEngine(1)
    engine.run(driver)
    assert counts(engine) == (1, 0, 1, 0)
    assert engine._waiting == []
