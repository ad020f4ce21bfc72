"""The platform's client: each row once whatever the pages do, exact windows, and a key that goes nowhere else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harvesters.errors import ConfigError, CredentialsRefused, Interrupted, ProtocolError, Unavailable
from harvesters.messages.platform import Platform, UnknownApp
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.wenet.server import KEY_HEADER, WenetSimulator
from harvesters.simulators.wenet.world import App, World, cohort, profile, task, transact
from tests.clocks import FakeClock, patient

KEY = "platform-key"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(second: float) -> datetime:
    return EPOCH + timedelta(seconds=second)


def world(tasks: int = 0) -> World:
    made = World()
    made.add(App("app", "Chatbot", {"1": 100, "2": 200, "3": 300}), App("none", "Empty"))
    made.tasks = [task(f"t{number}", "app", "1", "?", 1000 + number) for number in range(tasks)]
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def simulator() -> Iterator[WenetSimulator]:
    with WenetSimulator(world()) as started:
        yield started


def platform(simulator: Simulator, clock: FakeClock | None = None, budget: float = 120.0, **fields: Any) -> Platform:
    return Platform(simulator.url, KEY, patient(clock, budget), **fields)


@pytest.fixture
def client(simulator: WenetSimulator, clock: FakeClock) -> Iterator[Platform]:
    with platform(simulator, clock) as made:
        yield made


@pytest.mark.parametrize("count", [0, 1, 100, 101, 350])
@pytest.mark.parametrize("cap", [100, 7])
def test_pages_are_read_until_the_total_whatever_size_is_granted(count: int, cap: int) -> None:
    with WenetSimulator(world(count), page_cap=cap) as simulator, platform(simulator) as client:
        found = client.tasks("app")
    assert [row["id"] for row in found] == [f"t{number}" for number in range(count)]
    assert len(simulator.requests) == max(1, -(-count // cap))


def test_a_server_that_grants_fewer_rows_on_the_way_loses_none() -> None:
    class Stingy(WenetSimulator):
        def handle(self, request: Request) -> Response:
            self.page_cap = 90 if request.param("offset") == "0" else 40
            return super().handle(request)

    with Stingy(world(350)) as simulator, platform(simulator) as client:
        assert len({row["id"] for row in client.tasks("app")}) == 350


@pytest.mark.parametrize("newest_first", [True, False])
def test_tasks_created_while_pages_are_read_lose_and_double_none(clock: FakeClock, newest_first: bool) -> None:
    growing = WenetSimulator(world(350), newest_first=newest_first, arriving=1000, now=lambda: 5000 + clock.monotonic())
    with growing, platform(growing, clock) as client:
        found = [row["id"] for row in client.tasks("app")]
    assert len(found) == len(set(found))
    assert {f"t{number}" for number in range(350)} <= set(found)
    assert growing.arriving > 900, "it came to an end while more were created"


def test_a_task_deleted_while_pages_are_read_takes_none_with_it() -> None:
    class Deleting(WenetSimulator):
        deleted = False

        def handle(self, request: Request) -> Response:
            answer = super().handle(request)
            if not self.deleted:
                self.deleted = True
                del self.world.tasks[0]
            return answer

    with Deleting(world(350)) as simulator, platform(simulator) as client:
        found = [row["id"] for row in client.tasks("app")]
    assert found == [f"t{number}" for number in range(1, 350)]


def test_a_total_that_never_fits_ends_with_69(clock: FakeClock) -> None:
    class Lying(WenetSimulator):
        def handle(self, request: Request) -> Response:
            return Response.json({"offset": 0, "total": 3, "tasks": [{"id": "a"}, {"id": "a"}, {"id": "b"}]})

    with Lying() as simulator, platform(simulator, clock) as client, pytest.raises(Unavailable, match="2 different"):
        client.tasks("app")


def test_a_total_beyond_measure_is_not_followed(clock: FakeClock) -> None:
    class Boasting(WenetSimulator):
        def handle(self, request: Request) -> Response:
            rows = [{"id": str(number)} for number in range(100)] if request.param("offset") == "0" else []
            return Response.json({"total": 10**12, "tasks": rows})

    with Boasting() as simulator, platform(simulator, clock, budget=5) as client:
        with pytest.raises(Unavailable, match="100 different"):
            client.tasks("app")
        assert len(simulator.requests) < 200


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, [1000, 1001, 1002]),
        (1000, 1002, [1000, 1001]),
        (1001, 1001, []),
        (1000.5, 1002.5, [1001, 1002]),
        (1000.000001, 1001.000001, [1001]),
        (999.9, 1000, []),
        (None, 1001, [1000]),
        (1002, None, [1002]),
        (-500, 1001, [1000]),
        (-500, -100, []),
    ],
)
def test_windows_of_tasks_and_transactions_are_half_open(
    client: Platform, simulator: WenetSimulator, start: float | None, end: float | None, expected: list[int]
) -> None:
    simulator.world.tasks = [task(f"t{second}", "app", "1", "?", second) for second in (1000, 1001, 1002)]
    first, last = (at(bound) if bound is not None else None for bound in (start, end))
    assert [row["_creationTs"] for row in client.tasks("app", first, last)] == expected
    assert [row["_creationTs"] for row in client.transactions("app", first, last)] == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, ["1", "2", "3"]),
        (100, 300, ["1", "2"]),
        (100.5, 300.5, ["2", "3"]),
        (None, 200, ["1"]),
        (0, 101, ["1"]),
        (200, None, ["2", "3"]),
        (200.2, 200.8, []),
        (-5, 0, []),
        (None, 0, []),
    ],
)
def test_windows_of_users_are_half_open_though_the_hub_wants_two_bounds_and_takes_0_for_none(
    client: Platform, start: float | None, end: float | None, expected: list[str]
) -> None:
    bounds = [at(bound) if bound is not None else None for bound in (start, end)]
    assert client.users("app", *bounds) == expected


def test_users_are_each_given_once() -> None:
    class Doubling(WenetSimulator):
        def handle(self, request: Request) -> Response:
            return Response.json(["2", "1", 2])

    with Doubling() as simulator, platform(simulator) as client:
        assert client.users("app") == ["2", "1"]


def test_transactions_of_two_tasks_may_have_one_id(client: Platform, simulator: WenetSimulator) -> None:
    simulator.world.tasks = [
        task("a", "app", "1", "?", 1),
        task("b", "app", "1", "?", 1),
        task("c", "none", "1", "", 1),
    ]
    transact(simulator.world.tasks[0], "answerTransaction", "2", 2, {"answer": "!"})
    assert [(row["taskId"], row["id"]) for row in client.transactions("app")] == [("a", "0"), ("a", "1"), ("b", "0")]
    assert [row["id"] for row in client.transactions("app", task="b")] == ["0"]


def test_an_unknown_application_is_named(client: Platform) -> None:
    for ask in (client.app, client.users, lambda app: client.users(app, at(5), at(5))):
        with pytest.raises(UnknownApp, match="nobody"):
            ask("nobody")
    assert client.app("app")["name"] == "Chatbot"


def test_a_profile_that_is_gone_is_none(simulator: WenetSimulator, client: Platform) -> None:
    simulator.world.profiles["1"] = profile("1", "Ada")
    simulator.accepted = True
    assert [found and found["name"]["first"] for found in client.profiles(["1", "2"])] == ["Ada", None]


def test_cohorts(simulator: WenetSimulator, client: Platform) -> None:
    simulator.world.cohorts = [cohort("1", "app", 1)]
    assert client.cohorts()[0]["cohort"] == 1


@pytest.mark.parametrize("kind", ["reset", "truncate", "cut"])
def test_what_passes_by_itself_is_tried_again(simulator: WenetSimulator, client: Platform, kind: str) -> None:
    simulator.fail(kind, times=2)
    assert client.users("app") == ["1", "2", "3"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_answer_that_says_when_to_come_back_is_waited_for(
    simulator: WenetSimulator, client: Platform, clock: FakeClock, status: int
) -> None:
    simulator.fail("status", times=2, response=Response(status, headers={"Retry-After": "7"}))
    assert client.users("app") == ["1", "2", "3"]
    assert len([wait for wait in clock.slept if wait >= 7]) == 2


@pytest.mark.parametrize(
    "response",
    [
        Response(429),
        Response(500),
        Response.html(200, "Please log in"),
        Response.html(404, "default backend"),
        Response(200, b'["1", "2"'),
        Response.json({"message": "no upstream"}),
        Response(200),
    ],
    ids=["429", "500", "html", "html-404", "cut", "other-json", "empty"],
)
def test_what_does_not_pass_ends_with_69(simulator: WenetSimulator, client: Platform, response: Response) -> None:
    simulator.fail("status", times=10**6, response=response)
    with pytest.raises(Unavailable, match="the hub at"):
        client.users("app")
    assert len(simulator.requests) > 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_ends_it_at_once(simulator: WenetSimulator, client: Platform, status: int) -> None:
    simulator.key, simulator.refusal = "another", status
    with pytest.raises(CredentialsRefused, match="APIKEY"):
        client.users("app")
    assert len(simulator.requests) == 1


def test_a_question_that_is_refused_ends_it(simulator: WenetSimulator, client: Platform) -> None:
    simulator.fail("status", response=Response.json({"message": "no such parameter"}, 400))
    with pytest.raises(ProtocolError, match="no such parameter"):
        client.users("app")


def test_the_key_does_not_follow_a_redirect(simulator: WenetSimulator, client: Platform) -> None:
    with WenetSimulator(world()) as elsewhere:
        moved = Response(302, headers={"Location": f"{elsewhere.url}/hub/frontend/data/app/app/user"})
        simulator.fail("status", response=moved)
        with pytest.raises(ConfigError, match="INSTANCE"):
            client.users("app")
        assert not elsewhere.requests
    assert simulator.requests[0].headers[KEY_HEADER] == KEY


def test_a_key_may_have_any_letters() -> None:
    with WenetSimulator(world(), key="schlüssel") as simulator:
        simulator.key = "schlüssel".encode().decode("latin-1")
        with Platform(simulator.url, "schlüssel", patient()) as client, pytest.raises(CredentialsRefused):
            client.app("app")  # sent, and refused: no traceback


def test_ids_are_no_paths(client: Platform, simulator: WenetSimulator) -> None:
    with pytest.raises(UnknownApp):
        client.app("../app/app")
    assert client.profile("a/b?c#d") is None
    assert simulator.requests[-1].target == "/profile_manager/profiles/a%2Fb%3Fc%23d"


def test_so_many_are_asked_for_at_a_time_and_come_in_order() -> None:
    class Counting(WenetSimulator):
        now_there = most = 0
        lock = threading.Lock()

        def handle(self, request: Request) -> Response:
            with self.lock:
                self.now_there += 1
                self.most = max(self.most, self.now_there)
            time.sleep(0.01)  # the platform is slow, so that requests are there at the same time: nobody waits for it
            with self.lock:
                self.now_there -= 1
            return super().handle(request)

    with Counting(world()) as simulator, platform(simulator, parallel=4) as client:
        simulator.world.profiles = {str(number): profile(str(number)) for number in range(40)}
        found = list(client.profiles(str(number) for number in range(40)))
    assert [row["id"] for row in found if row is not None] == [str(number) for number in range(40)]
    assert 1 < simulator.most <= 4


def test_it_ends_when_it_is_told_to_stop_while_an_answer_is_awaited() -> None:
    class Stopped(FakeClock):
        def sleep(self, seconds: float) -> None:
            raise Interrupted("told to stop")

    with (
        WenetSimulator(world(), latency=60) as simulator,
        platform(simulator, Stopped()) as client,
        pytest.raises(Interrupted),
    ):
        list(client.profiles(["1"]))


def test_instance_and_key_have_no_default() -> None:
    for values in ({}, {"INSTANCE": "https://platform.example"}, {"APIKEY": "key"}):
        with pytest.raises(ConfigError, match="not set"):
            Platform.from_settings(Settings(values), RetryPolicy(FakeClock()))
    given = Settings({"INSTANCE": "https://platform.example", "APIKEY": "key", "HARVEST_PLATFORM_PARALLEL": "0"})
    with pytest.raises(ConfigError, match="HARVEST_PLATFORM_PARALLEL"):
        Platform.from_settings(given, RetryPolicy(FakeClock()))
