"""Every option, exit code and error message of ``harvest.py load_episodes``."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.opencast.run import yesterday
from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import Episode, OpencastSimulator, Operation, Workflow
from tests.cli.conftest import PASSWORD, USER, Command
from tests.indices import EPISODES, Cluster

START = datetime(2026, 2, 13, 9, tzinfo=UTC)


def workflow(id: int, mpid: str, hours: int = 1) -> Workflow:
    steps = (
        Operation(1, "capture", started=START, completed=START + timedelta(hours=hours)),
        Operation(2, "retract-element", started=START, completed=START + timedelta(hours=2)),
    )
    return Workflow(id, mpid, "publish", operations=steps, created=START)


@pytest.fixture(params=[16])
def opencast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpencastSimulator]:
    """An Opencast that knows episodes 1 to 3, the first with a workflow, the third deleted."""
    with OpencastSimulator(
        version=request.param, dialect="stock", user=USER, password=PASSWORD, anonymous=False
    ) as simulator:
        for number in (1, 2, 3):
            simulator.add(
                Episode(f"mp-{number}", f"Lecture {number}", 3_600_000, START, "20260113001", deleted=number == 3)
            )
        simulator.add(workflow(1, "mp-1"))
        for node in ("ENGAGE", "ADMIN"):
            monkeypatch.setenv(f"MATTERHORN_{node}_HOST", f"127.0.0.1:{simulator.port}")
        monkeypatch.setenv("MATTERHORN_REST_USER", USER)
        monkeypatch.setenv("MATTERHORN_REST_PASS", PASSWORD)
        yield simulator


Load = Callable[..., Any]


@pytest.fixture
def load(harvest: Command, cluster: Cluster, opencast: OpencastSimulator) -> Load:
    """Run load_episodes with its report in JSON, from this test's indices into this test's index."""

    def run(*arguments: str, **named: Any) -> Any:
        indices = ("-t", cluster.name("episodes"), "-s", cluster.name("useractions-*"))
        return harvest("--log-format", "json", "load_episodes", *indices, *arguments, **named)

    return run


def act(cluster: Cluster, *mpids: str, day: str = "2026.02.12") -> None:
    """Index one action for each media package."""
    cluster.fill(f"useractions-{day}", ({"mpid": mpid} for mpid in mpids))


class TestWhatIsIndexed:
    @pytest.mark.parametrize("opencast", [7, 10, 12, 16], indirect=True)
    def test_one_document_for_each_media_package(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator
    ) -> None:
        act(cluster, "mp-1", "mp-2", "mp-2", "mp-3", "mp-4")
        cluster.create("episodes", EPISODES)
        result = load()
        assert result.code == 0
        common = {
            "duration": 3_600_000,
            "start": "2026-02-13T09:00:00Z",
            "series": "20260113001",
            "year": "2026",
            "term": "01",
            "crn": "13001",
            "slides": [],
        }
        stream = {
            "live_stream": True,
            "live_start": "2026-02-13T09:00:00Z",
            "live_end": "2026-02-13T10:00:00Z",
            "live_duration": 3_600_000,
            "available": "2026-02-13T11:00:00Z",
        }
        assert cluster.documents("episodes") == {
            "mp-1": {"mpid": "mp-1", "title": "Lecture 1", **common, **stream},
            "mp-2": {"mpid": "mp-2", "title": "Lecture 2", **common, "live_stream": False},
        }
        report = result.report
        assert {name: report[name] for name in ("outcome", "mpids", "unknown", "without_workflow")} == {
            "outcome": "done",
            "mpids": 4,
            "unknown": 2,
            "without_workflow": 1,
        }
        assert {name: report[name] for name in ("indexed", "unchanged", "dead")} == {
            "indexed": 2,
            "unchanged": 0,
            "dead": 0,
        }

    def test_more_media_packages_than_a_page(self, load: Load, cluster: Cluster, opencast: OpencastSimulator) -> None:
        act(cluster, *(f"many-{number:04}" for number in range(1234)), "mp-1")
        assert load().report["mpids"] == 1235
        assert set(cluster.documents("episodes")) == {"mp-1"}

    def test_ids_that_an_index_without_our_templates_holds_as_numbers(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator
    ) -> None:
        opencast.add(Episode("20260213", "2016", 3_600_000, START))
        cluster.fill(
            "useractions-2026.02.12", [{"mpid": 20260213}, {"mpid": 7}], {"properties": {"mpid": {"type": "long"}}}
        )
        result = load()
        assert (result.code, result.report["mpids"], result.report["unknown"]) == (0, 2, 1)
        assert cluster.documents("episodes")["20260213"]["title"] == "2016"

    def test_what_is_unchanged_is_not_rewritten(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator
    ) -> None:
        act(cluster, "mp-1", "mp-2")
        load()
        opencast.add(workflow(2, "mp-2"))
        report = load().report
        assert (report["indexed"], report["unchanged"]) == (1, 1)
        assert (cluster.version("episodes", "mp-1"), cluster.version("episodes", "mp-2")) == (1, 2)
        assert cluster.documents("episodes")["mp-2"]["live_stream"] is True

    def test_an_episode_that_vanished_keeps_its_document(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator
    ) -> None:
        act(cluster, "mp-1")
        load()
        opencast.add(Episode("mp-1", "Lecture 1", deleted=True))
        assert load().report["unknown"] == 1
        assert cluster.documents("episodes")["mp-1"]["title"] == "Lecture 1"

    def test_an_index_that_has_not_our_fields_is_configuration_and_no_dead_letter(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator, state: Any
    ) -> None:
        cluster.create("episodes", {"dynamic": "strict", "properties": {"mpid": {"type": "keyword"}}})
        act(cluster, "mp-1")
        asked = len(opencast.requests)
        result = load()
        assert result.code == 78
        assert "setup migrate" in result.err
        assert len(opencast.requests) == asked, "before Opencast is asked"
        assert not list((state / "dead-letters").glob("*"))

    def test_odd_episodes_are_dead_letters_on_the_second_night_too(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator, state: Any
    ) -> None:
        odd = [f"odd-{number}" for number in range(3)]
        for mpid in odd:
            opencast.add(Episode(mpid, "Odd", 10**19, START))
        act(cluster, "mp-1", "mp-2", *odd)
        cluster.create("episodes", EPISODES)
        for unchanged in (0, 2):
            result = load()
            assert result.code == 0, result.err
            assert (result.report["unchanged"], result.report["dead"]) == (unchanged, 3)
        assert list((state / "dead-letters").glob("episodes-*"))

    def test_a_dynamic_source_index_works_too(self, load: Load, cluster: Cluster) -> None:
        cluster.fill("useractions-2026.02.12", [{"mpid": "mp-1"}], mapping={})
        assert load().code == 0
        assert set(cluster.documents("episodes")) == {"mp-1"}

    def test_text_beside_keyword_is_named(self, load: Load, cluster: Cluster) -> None:
        cluster.fill("useractions-2026.02.11", [{"mpid": "mp-1"}], mapping={})
        act(cluster, "mp-1")
        result = load()
        assert result.code == 78
        assert "mpid" in result.err
        assert "load_index_templates" in result.err


class TestOptions:
    @pytest.mark.parametrize("option", ["-t", "--target-index"])
    def test_target_index(self, load: Load, cluster: Cluster, option: str) -> None:
        act(cluster, "mp-1")
        assert load(option, cluster.name("others")).code == 0
        assert set(cluster.documents("others")) == {"mp-1"}

    @pytest.mark.parametrize("name", ["Episodes", "_episodes", "a b", "epi*", "a,b", "a/b", ""])
    def test_a_target_that_is_no_index_name_is_2(self, harvest: Command, name: str) -> None:
        assert harvest("load_episodes", "-t", name).code == 2

    @pytest.mark.parametrize("option", ["-s", "--source-index-pattern"])
    def test_source_index_pattern(self, load: Load, cluster: Cluster, option: str) -> None:
        act(cluster, "mp-1", day="2026.02.11")
        act(cluster, "mp-2", day="2026.03.12")
        assert load(option, cluster.name("useractions-2026.02.*")).code == 0
        assert set(cluster.documents("episodes")) == {"mp-1"}

    def test_by_default_yesterdays_indices(self) -> None:
        assert yesterday(datetime(2026, 3, 1, 0, 30, tzinfo=UTC)) == "useractions*-2026.02.28"

    def test_the_defaults_of_both(self, harvest: Command, elasticsearch_url: str, opencast: OpencastSimulator) -> None:
        # Other tests may have filled such indices or not: what is asked for is in the report.
        result = harvest(
            *("--log-format", "json", "load_episodes", "--mpid", "unknown"), env={"ES_HOST": elasticsearch_url}
        )
        assert result.code == 0
        assert result.report["target"].startswith(("episodes of elasticsearch at ", "episodes of opensearch at "))
        result = harvest("--log-format", "json", "load_episodes", env={"ES_HOST": elasticsearch_url})
        assert result.code == 0
        assert result.report["source"] in (
            yesterday(datetime.now(UTC)),
            yesterday(datetime.now(UTC) - timedelta(minutes=5)),
        )

    def test_mpid(self, load: Load, cluster: Cluster) -> None:
        act(cluster, "mp-2")
        assert load("--mpid", "mp-1").report["mpids"] == 1
        assert set(cluster.documents("episodes")) == {"mp-1"}
        assert load("--mpid", "mp-1", "--mpid", "mp-2").report["mpids"] == 2

    @pytest.mark.parametrize("mpid", ["a\udcffb", "a\nb"])
    def test_an_mpid_that_cannot_be_one_is_usage(self, load: Load, mpid: str) -> None:
        assert load("--mpid", mpid).code == 2

    def test_an_unknown_mpid_is_not_fatal(self, load: Load, cluster: Cluster) -> None:
        result = load("--mpid", "nonsense")
        assert result.code == 0
        assert result.report["unknown"] == 1

    @pytest.mark.parametrize("option", ["-w", "--wait"])
    def test_wait_has_no_part_in_a_single_batch(self, load: Load, cluster: Cluster, option: str) -> None:
        act(cluster, "mp-1")
        assert load(option, "3600").code == 0

    def test_wait_is_not_negative(self, load: Load) -> None:
        assert load("--wait", "-1").code == 2

    def test_hosts_and_credentials_as_options(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        act(cluster, "mp-1")
        for name in ("ENGAGE_HOST", "ADMIN_HOST", "REST_USER", "REST_PASS"):
            monkeypatch.delenv(f"MATTERHORN_{name}")
        monkeypatch.setenv("ES_HOST", "127.0.0.1:1")
        host = f"127.0.0.1:{opencast.port}"
        short = ("-A", host, "-E", host, "-u", USER, "-p", PASSWORD, "-e", cluster.url)
        long = ("--admin-host", host, "--engage-host", opencast.url, "--user", USER, "--password", PASSWORD)
        assert load(*short).code == 0
        assert load(*long, "--es-host", cluster.url).report["unchanged"] == 1

    def test_the_nodes_may_be_two(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        act(cluster, "mp-1")
        with OpencastSimulator(user=USER, password=PASSWORD) as admin:
            admin.add(Episode("mp-1", "Lecture 1"), workflow(1, "mp-1", hours=5))
            assert load("-A", f"127.0.0.1:{admin.port}").code == 0
            assert {request.path.split("/")[1] for request in admin.requests} == {"workflow"}
        assert {request.path.split("/")[1] for request in opencast.requests} == {"search"}
        assert cluster.documents("episodes")["mp-1"]["live_duration"] == 5 * 3_600_000

    @pytest.mark.parametrize("name", ["MATTERHORN_ADMIN_HOST", "MATTERHORN_ENGAGE_HOST", "MATTERHORN_REST_USER"])
    def test_a_missing_setting_is_named(self, load: Load, name: str) -> None:
        result = load(env={name: ""})
        assert result.code == 78
        assert name in result.err


class TestFailures:
    def test_no_index_is_nothing_to_do(self, load: Load, cluster: Cluster) -> None:
        result = load()
        assert result.code == 0
        assert "no index matches" in result.err

    def test_a_named_index_that_is_missing_is_78(self, load: Load, cluster: Cluster) -> None:
        result = load("-s", cluster.name("useractions-2026.02.12"))
        assert result.code == 78
        assert cluster.name("useractions-2026.02.12") in result.err

    def test_wrong_credentials_are_77(self, load: Load, cluster: Cluster) -> None:
        act(cluster, "mp-1")
        result = load("-p", "wrong-password")
        assert result.code == 77
        assert "wrong-password" not in result.err

    def test_a_node_without_workflows_is_76(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        act(cluster, "mp-1")
        with OpencastSimulator(version=16, user=USER, password=PASSWORD) as presentation:
            answer = presentation.handle
            monkeypatch.setattr(
                presentation,
                "handle",
                lambda request: answer(request) if request.path.startswith("/search") else Response.html(404, "no"),
            )
            result = load("-A", f"127.0.0.1:{presentation.port}")
        assert result.code == 76
        assert "MATTERHORN_ADMIN_HOST" in result.err
        assert result.report["outcome"] == "ended with 76"
        assert not cluster.exists("episodes")

    def test_an_elasticsearch_that_does_not_answer_is_69(self, load: Load, cluster: Cluster) -> None:
        assert load("-e", "127.0.0.1:1", env={"HARVEST_RETRY_BUDGET": "0"}).code == 69

    def test_an_opencast_that_does_not_answer_is_69(self, load: Load, cluster: Cluster) -> None:
        act(cluster, "mp-1")
        assert load("-E", "127.0.0.1:1", env={"HARVEST_RETRY_BUDGET": "0"}).code == 69

    def test_sigterm_ends_it_with_75_and_the_next_run_goes_on(
        self, load: Load, cluster: Cluster, opencast: OpencastSimulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        act(cluster, "mp-1", "mp-2", *(f"unknown-{number}" for number in range(100)))
        answer = opencast.handle
        told = threading.Lock()  # once: a second signal would end the run at once

        def handle(request: Request) -> Response:
            if request.param("id") == "mp-2" and told.acquire(blocking=False):
                os.kill(os.getpid(), signal.SIGTERM)
            return answer(request)

        with monkeypatch.context() as patch:
            patch.setattr(opencast, "handle", handle)
            result = load("--wait", "60")
        assert result.code == 75
        assert result.report["outcome"] == "ended with 75"
        assert load().code == 0
        assert set(cluster.documents("episodes")) == {"mp-1", "mp-2"}

    def test_hiccups_are_ridden_out(self, load: Load, cluster: Cluster, opencast: OpencastSimulator) -> None:
        act(cluster, "mp-1", "mp-2")
        opencast.fail("status", path="/search", response=Response.html(503, "busy"))
        opencast.fail("reset", path="/workflow")
        opencast.fail("truncate", path="/workflow", after=1)
        assert load().code == 0
        assert set(cluster.documents("episodes")) == {"mp-1", "mp-2"}


@pytest.mark.parametrize("field", ["live_stream", "creator"])
def test_an_index_of_an_older_version_is_78_before_opencast_is_asked(
    load: Load, cluster: Cluster, opencast: OpencastSimulator, state: Path, field: str
) -> None:
    fields = dict(EPISODES["properties"])
    if field == "live_stream":
        older: dict[str, Any] = {"properties": {"live_stream": {"type": "long"}, "title": {"type": "keyword"}}}
    else:  # as the first version of our template had it
        older = {**EPISODES, "properties": {name: fields[name] for name in fields if name != field}}
    cluster.create("episodes", older)
    asked: list[Request] = []
    answer = opencast.handle

    def handle(request: Request) -> Response:
        asked.append(request)
        return answer(request)

    opencast.handle = handle  # type: ignore[method-assign]
    result = load("--mpid", "mp-1")
    assert result.code == 78
    assert "setup migrate" in result.err
    assert field in result.err
    assert asked == []
    assert cluster.documents("episodes") == {}
    assert not list(state.glob("dead-letters/*"))
