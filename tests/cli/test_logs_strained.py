"""``logs generate`` when not all is well: it counts what Elasticsearch took, and its exit code says what happened."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harvesters import loopclock
from harvesters.logs.task_engine import TaskEngine
from harvesters.retry import RetryPolicy
from harvesters.search import templates
from harvesters.simulators.base import Request, Response, Simulator
from tests.cli.conftest import Command, Result
from tests.cli.processes import HARVEST, ROOT
from tests.indices import Cluster
from tests.sinks.bulk import WELCOME, answer, error
from tests.strained import Fate, Strained
from tests.way import served, way

MAPPING = templates.find("pset_x").mappings
Run = Callable[..., Result]


@pytest.fixture
def run(harvest: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``logs generate ARGUMENTS`` by way of `strained`, into an index of this test's own."""
    monkeypatch.setenv("ELASTIC_INDEX", cluster.name("logs"))
    cluster.create("logs", MAPPING)

    def generate(strained: Strained, *arguments: str, **settings: str) -> Result:
        return harvest("logs", "generate", *arguments, env={"ES_HOST": strained.url, **settings})

    return generate


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits before it tries again."""
    monkeypatch.setattr(RetryPolicy, "pause", lambda *_: 0.0)


def generated(result: Result) -> int:
    found = re.fullmatch(r"(\d+) log events generated\n", result.out)
    assert found is not None, result
    return int(found[1])


class TestPending:
    @pytest.mark.parametrize(
        ("tasks", "count", "more"),
        [(10, 20_000, ()), (10, 1_000, ()), (3, 900, ()), (1, 300, ()), (4, 40, ("--one-by-one",))],
    )
    def test_as_many_as_it_is_told_and_never_more(
        self, run: Run, cluster: Cluster, tasks: int, count: int, more: tuple[str, ...]
    ) -> None:
        together = threading.Barrier(tasks, timeout=30)

        def fate(number: int) -> Fate:
            together.wait()  # breaks unless so many come
            return Fate.PASS

        with served(Strained(cluster.url, fate)) as strained:
            result = run(strained, "--count", str(count), "--max-tasks", str(tasks), *more)
        assert (result.code, generated(result)) == (0, count), result.err
        assert strained.most == tasks
        assert strained.came % tasks == 0
        assert cluster.count("logs") == count

    def test_more_than_aiohttp_has_connections_for_by_itself(self, run: Run, cluster: Cluster) -> None:
        together = threading.Barrier(120, timeout=60)

        def fate(number: int) -> Fate:
            together.wait()
            return Fate.BUSY

        with served(Strained(cluster.url, fate)) as strained:
            result = run(strained, "--count", "120", "--max-tasks", "120", "--one-by-one", HARVEST_RETRY_BUDGET="0")
        assert result.code == 75
        assert strained.most == 120


@pytest.mark.parametrize("more", [(), ("--one-by-one",)])
def test_trouble_that_passes_leaves_an_exact_count(
    run: Run, cluster: Cluster, at_once: None, more: tuple[str, ...]
) -> None:
    count = 40 if more else 4_000

    def fate(number: int) -> Fate:
        if number <= 8:
            return Fate.BUSY  # for a while
        return {0: Fate.LOST, 1: Fate.UNHEARD, 2: Fate.UNAVAILABLE, 3: Fate.BUSY}.get(number % 9, Fate.PASS)

    with served(Strained(cluster.url, fate)) as strained:
        result = run(strained, "--count", str(count), "--max-tasks", "4", *more)
    assert (result.code, generated(result)) == (0, count), result.err
    assert cluster.count("logs") == count
    assert strained.most <= 4


@pytest.mark.parametrize(
    ("fate", "code"), [(Fate.BUSY, 75), (Fate.UNAVAILABLE, 69), (Fate.LOST, 69), (Fate.UNHEARD, 69)]
)
@pytest.mark.parametrize("more", [(), ("--one-by-one",)])
def test_a_request_that_gives_up_is_named_no_new_ones_start_and_pending_ones_are_waited_for(
    run: Run, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, fate: Fate, code: int, more: tuple[str, ...]
) -> None:
    together, stopped = threading.Barrier(3, timeout=30), threading.Event()
    stop = TaskEngine.stop

    async def stopping(engine: TaskEngine) -> None:
        stopped.set()
        await stop(engine)

    monkeypatch.setattr(TaskEngine, "stop", stopping)

    def fate_of(number: int) -> Fate:
        together.wait()
        if number == 2:
            return fate
        assert stopped.wait(30)
        return Fate.PASS

    size = 1 if more else 1000
    with served(Strained(cluster.url, fate_of)) as strained:
        result = run(strained, "--count", str(20 * size), "--max-tasks", "3", *more, HARVEST_RETRY_BUDGET="0")
    assert result.code == code, result.err
    assert re.search("1 of 3 requests failed: (elastic|open)search at ", result.err)
    assert strained.came == 3
    assert generated(result) == 2 * size
    assert cluster.count("logs") == (3 if fate is Fate.UNHEARD else 2) * size


class Odd(Simulator):
    """An Elasticsearch whose answers to single actions a test decides, by their number and how often they came."""

    def __init__(self, judge: Callable[[int, int], tuple[int, str]]) -> None:
        super().__init__()
        self.judge = judge
        self.came: Counter[bytes] = Counter()
        self.places: dict[bytes, int] = {}
        self.taken: set[bytes] = set()

    def handle(self, request: Request) -> Response:
        if request.path == "/":
            return answer(WELCOME)
        if request.path.endswith("_settings"):
            return answer({"pset_x": {"settings": {"index": {"uuid": "u"}}}})
        if request.path.endswith("_refresh"):
            return answer({"_shards": {"failed": 0}})
        return answer({"items": [{"index": self.item(line)} for line in request.body.split(b"\n")[0:-1:2]]})

    def item(self, line: bytes) -> dict[str, object]:
        place = self.places.setdefault(line, len(self.places))
        status, kind = self.judge(place, self.came[line])
        self.came[line] += 1
        if status < 300:
            self.taken.add(line)
            return {"status": status}
        return {"status": status, "error": error(kind, f"about {place}")}


def test_single_items_are_sent_again(harvest: Command, at_once: None) -> None:
    def judge(place: int, before: int) -> tuple[int, str]:
        return (429, "es_rejected_execution_exception") if place % 3 == 1 and before < 2 else (201, "")

    with Odd(judge) as odd:
        result = harvest("logs", "generate", "--count", "250", env={"ES_HOST": odd.url})
    assert (result.code, generated(result)) == (0, 250), result.err
    assert Counter(odd.came.values()) == {1: 167, 3: 83}


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, "es_rejected_execution_exception", 75),
        (429, "cluster_block_exception", 69),
        (503, "unavailable_shards_exception", 69),
        (403, "security_exception", 77),
    ],
)
def test_what_was_taken_of_a_request_that_gives_up_is_counted(
    harvest: Command, status: int, kind: str, code: int
) -> None:
    with Odd(lambda place, before: (status, kind) if place == 60 else (201, "")) as odd:
        settings = {"ES_HOST": odd.url, "HARVEST_RETRY_BUDGET": "0"}
        result = harvest("logs", "generate", "--count", "100", env=settings)
    assert result.code == code, result.err
    assert "1 of 1 requests failed" in result.err
    assert generated(result) == len(odd.taken) - (39 if code == 77 else 0)  # what stands behind it was not looked at


@pytest.mark.parametrize(("busy", "requests"), [(60, 1), (1060, 2)])
def test_what_is_refused_for_good_is_told_of_though_a_request_gives_up(
    harvest: Command, busy: int, requests: int
) -> None:
    judged = {10: (400, "document_parsing_exception"), busy: (503, "unavailable_shards_exception")}
    with Odd(lambda place, before: judged.get(place, (201, ""))) as odd:
        settings = {"ES_HOST": odd.url, "HARVEST_RETRY_BUDGET": "0"}
        result = harvest("logs", "generate", "--count", "2000", "--max-tasks", "1", env=settings)
    assert result.code == 69, result.err
    assert f"1 of {requests} requests failed" in result.err
    assert "1 of 2000 events were refused for good: document_parsing_exception: about 10" in result.err
    assert generated(result) == len(odd.taken)


@pytest.mark.parametrize("more", [(), ("--one-by-one",)])
def test_an_index_that_is_gone_and_not_made_by_itself_is_no_success(
    harvest: Command, at_once: None, more: tuple[str, ...]
) -> None:
    gone = error("index_not_found_exception", "no such index [pset_x]")

    class Gone(Odd):
        def handle(self, request: Request) -> Response:
            return answer({"error": gone}, 404) if "/_doc/" in request.path else super().handle(request)

    with Gone(lambda place, before: (404, gone["type"])) as odd:
        result = harvest("logs", "generate", "--count", "10", *more, env={"ES_HOST": odd.url})
    assert (result.code, generated(result)) == (75, 0), result.err
    assert "removed or made anew" in result.err


def test_a_wrong_password_is_77(harvest: Command) -> None:
    class Locked(Simulator):
        def handle(self, request: Request) -> Response:
            return answer({"error": error("security_exception", "unable to authenticate")}, 401)

    with Locked() as locked:
        settings = {"ES_HOST": locked.url, "ELASTIC_USERID": "elastic", "ELASTIC_PASSWORD": "not-the-word"}
        for command in (["init"], ["generate"]):
            result = harvest("logs", *command, env=settings)
            assert result.code == 77
            assert "not-the-word" not in result.err


@pytest.mark.parametrize("again", [True, False])
def test_an_index_that_is_removed_meanwhile_is_no_success(
    harvest: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, at_once: None, again: bool
) -> None:
    name, seen = cluster.name("logs"), []
    cluster.create("logs", MAPPING)

    def remove(path: str, body: bytes, _: bytes) -> None:
        seen.append(path)
        if "/_bulk" in path and sum("/_bulk" in each for each in seen) == 3:
            cluster.ask("DELETE", f"/{name}")
            if again:
                cluster.create("logs", MAPPING)

    monkeypatch.setenv("ELASTIC_INDEX", name)
    with way(cluster.url, remove) as elasticsearch:
        result = harvest("logs", "generate", "--count", "5000", "--max-tasks", "1", env={"ES_HOST": elasticsearch.url})
    assert result.code == 75, result.err
    assert "removed or made anew" in result.err
    assert generated(result) == 5000
    assert cluster.count("logs") == 3000


@contextmanager
def process(*arguments: str, terminal: bool = False, es_host: str = "") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``harvest.py logs ARGUMENTS`` and, where it has a terminal, our end of that."""
    ours, theirs = pty.openpty() if terminal else (-1, -1)
    child = subprocess.Popen(
        [*HARVEST, "logs", *arguments],
        stdin=theirs if terminal else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs if terminal else subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", **({"ES_HOST": es_host} if es_host else {})},
    )
    try:
        with child:
            yield child, ours
    finally:
        child.kill()
        for descriptor in (ours, theirs):
            if terminal:
                os.close(descriptor)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("more", [(), ("--one-by-one",)])
def test_told_to_stop_it_finishes_what_is_pending(
    run: Run, cluster: Cluster, number: signal.Signals, more: tuple[str, ...]
) -> None:
    pending, go_on = threading.Event(), threading.Event()

    def fate(number: int) -> Fate:
        if number == 6:
            pending.set()
        if number > 3:
            assert go_on.wait(60)
        return Fate.PASS

    size = 1 if more else 1000
    with served(Strained(cluster.url, fate)) as strained:
        arguments = ("--count", str(20 * size), "--max-tasks", "3", *more)
        with process("generate", *arguments, es_host=strained.url) as (child, _):
            assert pending.wait(60)
            child.send_signal(number)
            assert child.stderr is not None
            assert "finishing" in child.stderr.readline()
            go_on.set()
            out, log = child.communicate(timeout=60)
    assert child.returncode == 75, log
    assert "Traceback" not in log
    assert f"{20 * size - cluster.count('logs')} of {20 * size} events were not generated" in log
    assert out == f"{cluster.count('logs')} log events generated\n"
    assert strained.came == 6, "none began after the word"


@pytest.mark.parametrize("more", [(), ("--one-by-one",)])
def test_no_request_begins_once_told_to_stop_though_nobody_looks(
    run: Run, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr(loopclock, "_LOOK", 3600)

    def fate(number: int) -> Fate:
        if number == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return Fate.PASS

    size = 1 if more else 1000
    with served(Strained(cluster.url, fate)) as strained:
        result = run(strained, "--count", str(20 * size), "--max-tasks", "1", *more)
    assert (result.code, generated(result), strained.came) == (75, 4 * size, 4), result.err


def test_told_to_stop_it_does_not_wait_to_try_again(
    run: Run, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARVEST_RETRY_BUDGET", "1e9")
    tried = threading.Event()

    def fate(number: int) -> Fate:
        tried.set()
        return Fate.BUSY

    with (
        served(Strained(cluster.url, fate)) as strained,
        process("generate", "--count", "100", es_host=strained.url) as (child, _),
    ):
        assert tried.wait(60)
        child.send_signal(signal.SIGTERM)
        out, log = child.communicate(timeout=60)
    assert (child.returncode, out) == (75, "0 log events generated\n"), log
    assert "Traceback" not in log


def test_a_second_signal_ends_it_at_once(run: Run, cluster: Cluster) -> None:
    pending, go_on = threading.Event(), threading.Event()

    def fate(number: int) -> Fate:
        pending.set()
        go_on.wait(60)
        return Fate.PASS

    with served(Strained(cluster.url, fate)) as strained:
        with process("generate", es_host=strained.url) as (child, _):
            assert pending.wait(60)
            child.send_signal(signal.SIGTERM)
            assert child.stderr is not None
            assert "finishing" in child.stderr.readline()
            child.send_signal(signal.SIGTERM)
            _, log = child.communicate(timeout=60)
        go_on.set()
    assert child.returncode == 75, log
    assert "Traceback" not in log


def test_standard_output_that_is_told_to_stop_says_how_many_it_wrote() -> None:
    with process("generate", "-o", "-", "--count", "100000000") as (child, _):
        assert child.stdout is not None
        assert child.stderr is not None
        lines = [child.stdout.readline()]
        child.send_signal(signal.SIGTERM)
        lines += child.stdout.readlines()
        log = child.stderr.read()
    assert child.returncode == 75, log
    found = re.search(r"^(\d+) log events generated$", log, re.M)
    assert found is not None
    assert int(found[1]) == len(lines)


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    with process("generate", "-o", "-", "--count", "100000000") as (child, _):
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(60) == 0


def test_a_disk_without_room_is_69() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*HARVEST, "logs", "generate", "-o", "-"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    assert done.returncode == 69
    assert "0 log events generated" in done.stderr


def test_a_terminal_sees_how_far_it_is(run: Run, cluster: Cluster) -> None:
    with process("generate", "--count", "1000", "--max-tasks", "2", terminal=True) as (child, terminal):
        out = child.stdout.read() if child.stdout is not None else ""
        child.wait(60)
        shown = os.read(terminal, 10_000).decode()
    assert out == "1000 log events generated\n"
    lines = shown.replace("\r\n", "\n").split("\r")
    assert all(
        re.fullmatch(r"(Started: \d{4} : Pending: \d{4} : Completed: \d{4})?(\nEngine.*\n)?", one) for one in lines
    )
    assert lines[-1] == "Started: 0002 : Pending: 0000 : Completed: 0002\nEngine stopped.\n"


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 0), ("n\n", 75, 3), ("\x04", 75, 3), ("\x03", 75, 3)])
def test_a_terminal_is_asked_before_documents_are_deleted(
    run: Run, cluster: Cluster, typed: str, code: int, left: int
) -> None:
    cluster.fill("logs", [{"browser": "IE"}] * 3)
    with process("init", terminal=True) as (child, terminal):
        shown = ""
        while "[y/N]" not in shown:
            shown += os.read(terminal, 1000).decode()
        if typed == "\x03":
            child.send_signal(signal.SIGTERM)
        else:
            os.write(terminal, typed.encode())
        child.wait(60)
    assert child.returncode == code
    assert cluster.count("logs") == left
    assert f"{cluster.name('logs')} holds 3 documents" in shown
