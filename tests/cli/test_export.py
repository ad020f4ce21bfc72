"""Every option, exit code and error message of ``harvest.py export``, on a real Elasticsearch."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harvesters.simulators.base import Request, Response, Simulator
from tests.cli.conftest import Command, Result
from tests.cli.processes import nobody, run
from tests.indices import EPISODES, USERACTIONS, Cluster, cluster_for_a_test

CAPTIONS = "paella:caption:enabled"
SPEED = "paella:button:action;es.upv.paella.playbackRatePlugin"
BUTTON_7 = "paella:buttonPress-"
MODE = "paella:button:action;edu.harvard.dce.paella.viewModeTogglePlugin"


def action(mpid: str, huid: str | None, type: str = "HEARTBEAT", at: int = 0, **fields: Any) -> dict[str, Any]:
    about = {"type": type, "inpoint": at, "is_playing": fields.pop("playing", True)}
    return {"mpid": mpid, "huid": huid, "is_live": False, "action": about, **fields}


def episode(mpid: str, series: str = "", **fields: Any) -> dict[str, Any]:
    parts = {"series": series, "year": series[:4], "term": series[4:6], "crn": series[6:]} if series else {}
    return {"mpid": mpid, **parts, **fields}


HOUR = 3_600_000
WATCHED = [
    # One hour is twelve chunks of five minutes; one of them twice, and what is no playing heartbeat of a recording.
    *(action("hour", "alice", at=at) for at in (0, 10, 299, 300, 3599)),
    action("hour", "alice", at=1000, playing=False),
    action("hour", "alice", at=1000, type="PLAY"),
    action("hour", "alice", at=1000, is_live=True),
    action("hour", "anonymous", at=600),
    action("hour", None, at=600),
    *(action("hour", "bob", at=at) for at in range(0, 5000, 30)),
    # One second more than ten minutes is three chunks.
    *(action("odd", "alice", at=at) for at in (0, 300)),
    action("no-duration", "alice"),
    action("zero", "alice"),
    action("unlisted", "alice"),
    *(action("live", "alice", at=at, is_live=True) for at in range(0, 900, 30)),
    action("hour", "carol", type=CAPTIONS),
    action("hour", "carol", type=f"{CAPTIONS}:en"),
    action("hour", "carol", type="paella:caption:disabled"),
    action("hour", "alice", type=SPEED),
    action("hour", "alice", type=MODE),
    action("hour", "alice", type=MODE),
    action("odd", "anonymous", type=MODE),
]
LISTED = [
    episode("hour", "20260113001", duration=HOUR),
    episode("odd", "20260213002", duration=601_000),
    episode("live", "20250113003", duration=HOUR, live_duration=1_800_000),
    episode("no-duration", "20260113001"),
    episode("zero", "20260113001", duration=0),
    episode("unwatched", "strange-series", duration=HOUR),
    episode("alone", duration=HOUR),
]


@pytest.fixture(scope="module")
def watched(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Everything above, the actions over two days."""
    with cluster_for_a_test(request) as cluster:
        cluster.fill("episodes", LISTED, EPISODES)
        cluster.fill("useractions-2026.02.12", WATCHED[::2])
        cluster.fill("useractions-2026.02.13", WATCHED[1::2])
        yield cluster


Export = Callable[..., Result]


@pytest.fixture
def export(harvest: Command, watched: Cluster, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Run ``export NAME`` on this module's indices."""
    monkeypatch.setenv("ES_HOST", watched.url)

    def run(name: str, *arguments: str, **named: Any) -> Result:
        indices = ["--episodes-index", watched.name("episodes")]
        if name.replace("-", "_") != "rollcall":
            indices += ["-s", watched.name("useractions-*")]
        return harvest("export", name, *indices, *arguments, **named)

    return run


def rows(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out)))


def shares(result: Result, column: str = "vod_attendance") -> dict[tuple[str, str], int]:
    return {(row["mpid"], row["huid"]): int(row[column]) for row in rows(result)}


class TestAttendance:
    def test_distinct_chunks_of_the_recording(self, export: Export) -> None:
        result = export("attendance")
        assert result.out.splitlines()[0] == "mpid,huid,vod_attendance"
        assert shares(result) == {("hour", "alice"): 25, ("hour", "bob"): 100, ("odd", "alice"): 66}

    def test_episodes_without_a_duration_are_left_out_with_a_warning(self, export: Export) -> None:
        err = export("attendance").err
        assert "2 episodes have no duration and are left out: no-duration, zero" in err

    def test_a_duration_that_is_no_number_is_none(self, among: Callable[..., Export]) -> None:
        odd = ["unknown", "Infinity", "NaN", "", [3_600_000, 1], True, -5, None, "1e999"]
        durations = {f"odd-{number}": duration for number, duration in enumerate(odd)}
        durations |= {"text": "3600000", "part": 3_600_000.9, "spelled": "3.6e6", "long": 2**63 - 1}
        lenient = {"type": "long", "ignore_malformed": True}
        mapping = {"dynamic": False, "properties": {**EPISODES["properties"], "duration": lenient}}
        actions = [action(mpid, "alice") for mpid in durations]
        episodes = [episode(mpid, duration=duration) for mpid, duration in durations.items()]
        result = among(actions, *episodes, listed=mapping)("attendance")
        assert shares(result) == {
            ("text", "alice"): 8,
            ("part", "alice"): 8,
            ("spelled", "alice"): 8,
            ("long", "alice"): 0,
        }
        assert f"{len(odd)} episodes have no duration" in result.err

    def test_live_counts_live_heartbeats_against_the_live_duration(self, export: Export) -> None:
        result = export("attendance", "--live")
        assert result.out.splitlines()[0] == "mpid,huid,live_attendance"
        assert shares(result, "live_attendance") == {("live", "alice"): 50}
        assert "have no live_duration" in result.err
        assert shares(export("attendance", "--no-live")) == shares(export("attendance"))

    @pytest.mark.parametrize("spelling", ["10m", "600", "600s", "10M"])
    def test_chunk_interval(self, export: Export, spelling: str) -> None:
        assert shares(export("attendance", "--chunk-interval", spelling)) == {
            ("hour", "alice"): 33,
            ("hour", "bob"): 100,
            ("odd", "alice"): 50,
        }

    @pytest.mark.parametrize("spelling", ["0", "-5m", "five", "5d", ""])
    def test_a_chunk_interval_that_is_none(self, export: Export, spelling: str) -> None:
        result = export("attendance", "--chunk-interval", spelling)
        assert result.code == 2
        assert "5m" in result.err

    def test_term_and_year(self, export: Export) -> None:
        assert {mpid for mpid, _ in shares(export("attendance", "--year", "2026"))} == {"hour", "odd"}
        assert {mpid for mpid, _ in shares(export("attendance", "--term", "02"))} == {"odd"}
        assert {mpid for mpid, _ in shares(export("attendance", "--term", "01", "--year", "2026"))} == {"hour"}
        assert rows(export("attendance", "--term", "02", "--year", "2025")) == []


class TestSize:
    def test_more_of_everything_than_a_page(self, export: Export, watched: Cluster) -> None:
        # 1,001 episodes of which one has 4,200 viewers, with three chunks of twelve each: 12,600 buckets and more.
        names = [f"many-{number:04}" for number in range(1000)]
        watched.fill("many-episodes", (episode(name, duration=HOUR) for name in ("crowd", *names)), EPISODES)
        crowd = [action("crowd", f"v{number:04}", at=at) for number in range(4200) for at in (0, 10, 300, 3599)]
        watched.fill("many-useractions", [*crowd, *(action(name, "alice") for name in names)])
        indices = ("--episodes-index", watched.name("many-episodes"), "-s", watched.name("many-useractions"))
        expected = {("crowd", f"v{number:04}"): 25 for number in range(4200)} | {(name, "alice"): 8 for name in names}
        assert shares(export("attendance", *indices)) == expected
        assert {(row["mpid"], row["huid"]) for row in rows(export("viewing_options", *indices))} == set(expected)


def footprint(mpid: str, huid: str | None, at: int, until: int, **fields: Any) -> dict[str, Any]:
    """As a stock player leaves it: without a word of whether it plays, so Opencast says that it does not."""
    about = {"type": "FOOTPRINT", "inpoint": at, "outpoint": until, "length": until - at, "is_playing": False}
    return {"mpid": mpid, "huid": huid, "is_live": False, "action": about, **fields}


@pytest.fixture
def among(export: Export, watched: Cluster, request: pytest.FixtureRequest) -> Callable[..., Export]:
    """Given actions (and episodes), an export over them alone."""

    def given(
        actions: list[dict[str, Any]], *episodes: dict[str, Any], mapping: Any = USERACTIONS, listed: Any = EPISODES
    ) -> Export:
        name = f"{abs(hash(request.node.name))}"
        watched.fill(f"{name}-actions", actions, mapping)
        watched.fill(f"{name}-episodes", episodes or LISTED, listed)
        indices = ("--episodes-index", watched.name(f"{name}-episodes"), "-s", watched.name(f"{name}-actions"))

        def run(name: str, *arguments: str, **named: Any) -> Result:
            return export(name, *indices, *arguments, **named)

        return run

    return given


class TestWhatTheRecordingHas:
    def test_only_heartbeats_from_within_it_count(self, among: Callable[..., Export]) -> None:
        actions = [action("odd", "alice", at=at) for at in (0, 700, 899, 10_000, -1)]
        actions += [action("odd", "bob", at=at) for at in (601, -1, -300, 2**31)]
        actions += [action("odd", "carol", at=at) for at in (600, 299, 300)]
        # 601 seconds: the third of three chunks has one second.
        assert shares(among(actions)("attendance")) == {("odd", "alice"): 33, ("odd", "bob"): 0, ("odd", "carol"): 100}

    def test_a_part_of_a_second_is_one(self, among: Callable[..., Export]) -> None:
        actions = [action("short", "alice", at=300), action("short", "bob", at=301)]
        run = among(actions, episode("short", duration=300_500))
        assert shares(run("attendance")) == {("short", "alice"): 50, ("short", "bob"): 0}


class TestFootprints:
    def test_they_cover_seconds(self, among: Callable[..., Export]) -> None:
        actions = [
            footprint("hour", "alice", 0, 300),  # the first chunk, and not the second
            footprint("hour", "alice", 250, 301),
            footprint("hour", "bob", 299, 601),
            footprint("hour", "carol", -50, 1),
            footprint("hour", "dan", 3599, 2**31),
            footprint("hour", "eve", 100, 100),
            footprint("hour", "eve", 200, 100),
            footprint("hour", "eve", 3600, 4000),
            footprint("hour", "eve", -5, 0),
            footprint("hour", "fay", -(2**31), 2**31),
            footprint("hour", "anonymous", 0, 3600),
            footprint("hour", None, 0, 3600),
            footprint("hour", "None", 0, 3600),
            footprint("hour", "", 0, 3600),
            footprint("hour", "alice", 1000, 1300, is_live=True),
            action("hour", "alice", at=1000, type="PLAY"),
        ]
        result = among(actions)("attendance")
        assert result.out.splitlines()[0] == "mpid,huid,vod_attendance"
        expected = {"alice": 16, "bob": 25, "carol": 8, "dan": 8, "eve": 0, "fay": 100}
        assert shares(result) == {("hour", name): share for name, share in expected.items()}
        assert "no action" not in result.err

    def test_auto_takes_them_where_an_episode_has_no_heartbeat_of_anybody(self, among: Callable[..., Export]) -> None:
        actions = [
            footprint("hour", "alice", 0, 3600),
            footprint("hour", "zoe", 0, 3600),
            action("hour", "bob", at=0),
            footprint("odd", "alice", 0, 601),
            action("odd", "anonymous", playing=False, is_live=True),
            footprint("alone", "alice", 0, 3600),
            footprint("live", "alice", 0, 3600),
        ]
        run = among(actions)
        assert shares(run("attendance")) == {("alone", "alice"): 100, ("hour", "bob"): 8, ("live", "alice"): 100}
        assert shares(run("attendance", "--from", "auto")) == shares(run("attendance"))
        assert shares(run("attendance", "--from", "heartbeat")) == {("hour", "bob"): 8}
        assert list(shares(run("attendance", "--from", "footprint"))) == [
            ("alone", "alice"),
            ("hour", "alice"),
            ("hour", "zoe"),
            ("live", "alice"),
            ("odd", "alice"),
        ]

    def test_live_ones_against_the_live_duration(self, among: Callable[..., Export]) -> None:
        actions = [footprint("live", "alice", 0, 900, is_live=True), footprint("live", "alice", 0, 1800)]
        assert shares(among(actions)("attendance", "--live"), "live_attendance") == {("live", "alice"): 50}

    def test_another_source_is_usage(self, export: Export) -> None:
        result = export("attendance", "--from", "play")
        assert result.code == 2
        assert "footprint" in result.err

    def test_indices_without_our_templates(self, among: Callable[..., Export]) -> None:
        actions = [footprint("hour", "alice", 0, 601), footprint("hour", "None", 0, 601), footprint("hour", "", 0, 9)]
        run = among(actions, mapping={}, listed={})
        assert shares(run("attendance")) == {("hour", "alice"): 25}

    def test_fifty_thousand_are_counted_as_one_by_one(
        self, among: Callable[..., Export], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harvesters.tables.attendance._AT_ONCE", 9_000)
        draw = random.Random(11)
        lengths = {f"mp-{number:02}": draw.choice([601_000, 3_600_000, 5_399_999, 7_200_001]) for number in range(12)}
        rows = []
        for _ in range(50_000):
            begin = draw.choice([draw.randrange(-600, 8000), draw.randrange(0, 3600), 0, 2**31 - 5])
            end = draw.choice([begin + draw.randrange(-50, 120), begin + draw.randrange(900), begin, 2**31, -1])
            rows.append(footprint(draw.choice(list(lengths)), f"v{draw.randrange(300):03}", begin, end))
        seen: dict[tuple[str, str], set[int]] = {}
        for row in rows:
            chunks = seen.setdefault((row["mpid"], row["huid"]), set())
            end = min(row["action"]["outpoint"], -(-lengths[row["mpid"]] // 1000))
            chunks.update(second // 300 for second in range(max(0, row["action"]["inpoint"]), end))
        expected = {
            (mpid, huid): 100 * len(chunks) // -(-lengths[mpid] // 300_000) for (mpid, huid), chunks in seen.items()
        }
        run = among(rows, *(episode(mpid, duration=duration) for mpid, duration in lengths.items()))
        result = run("attendance")
        assert shares(result) == expected
        assert list(shares(result)) == sorted(expected)


class TestNobody:
    def test_names_of_nobody_are_left_out(self, among: Callable[..., Export]) -> None:
        actions = [action("hour", huid) for huid in ("None", "", "anonymous", "none", "alice")]
        run = among(actions)
        assert set(shares(run("attendance"))) == {("hour", "alice"), ("hour", "none")}
        assert [row["huid"] for row in rows(run("viewing_options"))] == ["alice", "none"]


class TestNothingToCount:
    @pytest.mark.parametrize(
        ("arguments", "types"),
        [
            (("attendance",), "HEARTBEAT, FOOTPRINT"),
            (("attendance", "--from", "heartbeat"), "HEARTBEAT"),
            (("attendance", "--from", "footprint"), "FOOTPRINT"),
            (("viewing_options",), "paella:buttonPress-es.upv.paella.layoutSelector"),
        ],
    )
    def test_it_is_said_in_one_line(self, among: Callable[..., Export], arguments: tuple[str, ...], types: str) -> None:
        result = among([action("hour", "alice", type="PLAY")], episode("hour", duration=HOUR))(*arguments)
        assert result.code == 0
        (line,) = (line for line in result.err.splitlines() if "no action in" in line)
        assert types in line
        assert "action_types" in line

    def test_not_where_there_is_something(self, export: Export) -> None:
        for name in ("attendance", "viewing_options"):
            assert "no action in" not in export(name, "--term", "99").err


class TestViewingOptions:
    def test_every_player_has_its_names(self, among: Callable[..., Export]) -> None:
        names = {
            "captions": [CAPTIONS, f"{CAPTIONS}:en", f"{BUTTON_7}es.upv.paella.captionsSelectorPlugin"],
            "playback_speed": [SPEED, f"{BUTTON_7}es.upv.paella.playbackRateButton"],
            "view_mode": [
                MODE,
                "paella:button:action;es.upv.paella.viewModePlugin",
                f"{BUTTON_7}es.upv.paella.layoutSelector",
            ],
        }
        others = ("paella:fullscreenchanged", f"{BUTTON_7}es.upv.paella.captionsSelectorPlugin2", f"{SPEED}2", "PLAY")
        actions = [action("hour", "alice", type=name) for some in names.values() for name in some]
        actions += [action("hour", "bob", type=name) for name in others]
        assert among(actions)("viewing_options").out.splitlines()[1:] == ["hour,alice,3,2,3", "hour,bob,0,0,0"]

    def test_counts_for_everybody_who_did_anything(self, export: Export) -> None:
        result = export("viewing_options", "--year", "2026")
        assert result.out.splitlines() == [
            "mpid,huid,captions,playback_speed,view_mode",
            "hour,alice,0,1,2",
            "hour,bob,0,0,0",
            "hour,carol,2,0,0",
            "no-duration,alice,0,0,0",
            "odd,alice,0,0,0",
            "zero,alice,0,0,0",
        ]

    def test_hyphens_work_as_well(self, export: Export) -> None:
        assert len(rows(export("viewing-options", "--term", "02"))) == 1

    def test_it_is_listed_as_it_is_called(self, harvest: Command) -> None:
        assert "  viewing_options" in harvest("export", "--help").out


class Banner(Simulator):
    """Knows the people of one course."""

    def __init__(self) -> None:
        super().__init__()
        self.people: Any = {
            "students": [
                {"huid": "1", "status": "E", "first_name": "Ada", "mi": "B", "last_name": "L", "reg_level": "UN"},
                {"huid": 2, "status": "E", "first_name": "Zoë", "mi": {}, "last_name": "de, K", "reg_level": "GR"},
            ],
            "staff": {"huid": "3", "status": "I", "first_name": "Al", "mi": {}, "last_name": "T", "email": "a@b"},
            "guests": {},
        }

    def handle(self, request: Request) -> Response:
        if request.path != "/base/__get_course_people.php" or request.param("fmt") != "json":
            return Response.html(404, "no")
        known = request.param("term") == "202601" and request.param("crn") == "13001"
        return Response.json({"people": self.people} if known else {})


@pytest.fixture
def banner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Banner]:
    with Banner() as simulator:
        monkeypatch.setenv("BANNER_ENDPOINT_BASE", f"127.0.0.1:{simulator.port}/base/")
        yield simulator


class TestRollcall:
    def test_the_people_of_each_series(self, export: Export, banner: Banner) -> None:
        result = export("rollcall")
        assert result.out.splitlines() == [
            "series,huid,status,first_name,mi,last_name,reg_level",
            "20260113001,1,E,Ada,B,L,UN",
            '20260113001,2,E,Zoë,,"de, K",GR',
            "20260113001,3,I,Al,,T,",
        ]
        assert [request.param("crn") for request in banner.requests] == ["13003", "13001", "13002"]
        assert "strange-series" in result.err

    def test_of_a_term(self, export: Export, banner: Banner) -> None:
        assert len(rows(export("rollcall", "--term", "01", "--year", "2026"))) == 3
        assert [request.param("term") for request in banner.requests] == ["202601"]

    @pytest.mark.parametrize("people", [[], {}, {"students": []}, {"students": ""}])
    def test_a_course_without_people(self, export: Export, banner: Banner, people: Any) -> None:
        banner.people = people
        assert rows(export("rollcall", "--year", "2026")) == []

    @pytest.mark.parametrize(
        "answer",
        [
            {"error": "the database is gone", "trace": "s3cret"},
            None,
            False,
            "s3cret",
            [],
            [{"huid": "1"}],
            {"people": None},
            {"people": ""},
            {"people": False},
            {"people": 0},
            {"People": {}},
        ],
    )
    def test_json_that_is_no_roll_is_76_and_leaves_the_old_file(
        self, export: Export, banner: Banner, tmp_path: Path, answer: Any
    ) -> None:
        path = tmp_path / "rollcall.csv"
        path.write_text("before")
        banner.fail("status", after=1, times=9, response=Response.json(answer))
        result = export("rollcall", "-o", str(path))
        assert result.code == 76
        assert "no roll" in result.err
        assert "s3cret" not in result.err
        assert path.read_text() == "before"

    def test_one_that_never_answers_is_69_and_leaves_the_old_file(
        self, export: Export, banner: Banner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "rollcall.csv"
        path.write_text("before")
        over = threading.Event()
        waited: list[bool] = []

        def silent(request: Request) -> Response:
            waited.append(over.wait(60))  # HARVEST_HTTP_TIMEOUT is as long
            return Response(500)

        monkeypatch.setattr(banner, "handle", silent)
        result = export("rollcall", "-o", str(path), env={"HARVEST_RETRY_BUDGET": "1"})
        assert waited == [], "it waited for the whole of HARVEST_HTTP_TIMEOUT"
        over.set()
        assert result.code == 69
        assert "HARVEST_RETRY_BUDGET" in result.err
        assert path.read_text() == "before"

    @pytest.mark.parametrize("part", ["head", "chunks", "body"])
    def test_one_that_dribbles_is_69(self, export: Export, banner: Banner, part: str) -> None:
        banner.fail(f"dribble-{part}", seconds=0.01, times=10)
        assert export("rollcall", env={"HARVEST_RETRY_BUDGET": "1"}).code == 69

    def test_without_the_setting_78(self, export: Export) -> None:
        result = export("rollcall")
        assert result.code == 78
        assert "BANNER_ENDPOINT_BASE" in result.err

    def test_hiccups_are_ridden_out(self, export: Export, banner: Banner) -> None:
        banner.fail("status", response=Response.html(503, "busy"))
        banner.fail("reset")
        assert len(rows(export("rollcall", "--term", "01", "--year", "2026"))) == 3

    @pytest.mark.parametrize(
        ("response", "code"),
        [
            (Response.html(403, "no"), 77),
            (Response.html(404, "no"), 76),
            (Response.html(200, "Please log in"), 76),
            (Response.html(302, "", Location="/login"), 76),
            (Response.html(500, "broken"), 69),
        ],
        ids=lambda value: str(getattr(value, "status", value)),
    )
    def test_what_it_refuses_is_named(self, export: Export, banner: Banner, response: Response, code: int) -> None:
        banner.fail("status", times=100, response=response)
        result = export("rollcall", env={"HARVEST_RETRY_BUDGET": "0"})
        assert result.code == code
        assert str(banner.port) in result.err


class TestOutput:
    def test_json_lines(self, export: Export) -> None:
        result = export("attendance", "--json", "--term", "02")
        assert result.documents == [{"mpid": "odd", "huid": "alice", "vod_attendance": 66}]

    @pytest.mark.parametrize("option", ["-o", "--output"])
    def test_a_file(self, export: Export, tmp_path: Path, option: str) -> None:
        path = tmp_path / "attendance.csv"
        result = export("attendance", "--term", "02", option, str(path))
        assert result.out == ""
        assert path.read_text() == "mpid,huid,vod_attendance\nodd,alice,66\n"

    def test_a_dash_is_standard_output(self, export: Export) -> None:
        assert len(rows(export("attendance", "--term", "02", "-o", "-"))) == 1

    @pytest.mark.parametrize("name", ["attendance", "viewing_options"])
    def test_a_reader_that_left_is_quiet(self, watched: Cluster, name: str) -> None:
        indices = ("--episodes-index", watched.name("episodes"), "-s", watched.name("useractions-*"), "-o", "-")
        with nobody() as pipe:
            gone = run(
                *("--log-level", "WARNING", "export", name, *indices, "--term", "02"),
                stdout=pipe,
                environment={"ES_HOST": watched.url},
            )
        assert (gone.returncode, gone.stderr) == (0, "")

    def test_a_failed_export_leaves_the_file_as_it_was(self, export: Export, tmp_path: Path, banner: Banner) -> None:
        path = tmp_path / "rollcall.csv"
        path.write_text("before")
        banner.fail("status", after=1, times=9, response=Response.html(404, "no"))
        assert export("rollcall", "-o", str(path)).code == 76
        assert [(found.name, found.read_text()) for found in tmp_path.iterdir() if found.is_file()] == [
            ("rollcall.csv", "before")
        ]

    def test_sigterm_ends_it_with_75_and_no_half_file(
        self, export: Export, tmp_path: Path, banner: Banner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = banner.handle

        def handle(request: Request) -> Response:
            os.kill(os.getpid(), signal.SIGTERM)
            return answer(request)

        monkeypatch.setattr(banner, "handle", handle)
        path = tmp_path / "rollcall.csv"
        assert export("rollcall", "--term", "01", "--year", "2026", "-o", str(path)).code == 75
        assert not [found for found in tmp_path.iterdir() if found.is_file()]

    def test_a_file_keeps_its_mode_and_a_link_stays_one(self, export: Export, tmp_path: Path) -> None:
        path, link = tmp_path / "attendance.csv", tmp_path / "link.csv"
        path.write_text("before")
        path.chmod(0o640)
        link.symlink_to(path)
        assert export("attendance", "-o", str(link)).code == 0
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640
        assert len(path.read_text().splitlines()) == 4

    def test_a_device_is_written_to_and_not_replaced(self, export: Export, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with ThreadPoolExecutor() as pool:
            read = pool.submit(pipe.read_text)
            assert export("attendance", "-o", str(pipe)).code == 0
            assert len(read.result(timeout=30).splitlines()) == 4
        assert pipe.is_fifo()

    def test_no_room_is_69(self, export: Export) -> None:
        assert export("attendance", "-o", "/dev/full").code == 69

    def test_a_file_that_cannot_be_written_is_78(self, export: Export, tmp_path: Path) -> None:
        for path in (tmp_path / "missing" / "file", tmp_path):
            result = export("attendance", "-o", str(path))
            assert result.code == 78
            assert str(path) in result.err


class TestSources:
    def test_a_missing_episodes_index_is_78(self, export: Export) -> None:
        result = export("attendance", "--episodes-index", "no-such-index")
        assert result.code == 78
        assert "load_episodes" in result.err

    def test_no_useractions_is_an_empty_export(self, export: Export) -> None:
        assert rows(export("attendance", "--source-index-pattern", "no-such-index-*")) == []

    @pytest.mark.parametrize("option", ["-e", "--es-host"])
    def test_es_host(self, export: Export, watched: Cluster, option: str) -> None:
        result = export("attendance", option, watched.url, env={"ES_HOST": "127.0.0.1:1"})
        assert len(rows(result)) == 3

    def test_an_elasticsearch_that_does_not_answer_is_69(self, export: Export) -> None:
        assert export("attendance", env={"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0"}).code == 69

    def test_indices_without_our_templates(self, export: Export, watched: Cluster) -> None:
        watched.fill("plain-episodes", LISTED, {})
        watched.fill("plain-useractions", WATCHED, {})
        indices = ("--episodes-index", watched.name("plain-episodes"), "-s", watched.name("plain-useractions"))
        for name in ("attendance", "viewing_options"):
            assert rows(export(name, *indices, "--term", "01")) == rows(export(name, "--term", "01"))

    def test_json_is_the_same_table(self, export: Export) -> None:
        lines = [json.loads(line) for line in export("viewing_options", "--json").out.splitlines()]
        assert [{name: str(value) for name, value in line.items()} for line in lines] == rows(export("viewing_options"))


def test_a_flag_from_before_migrate_is_named_with_what_to_do(export: Export, watched: Cluster) -> None:
    mapping = {"properties": {"mpid": {"type": "keyword"}, "huid": {"type": "keyword"}, "is_live": {"type": "long"}}}
    watched.fill("from-before", [action("hour", "1") | {"is_live": 1}], mapping)
    result = export("attendance", "-s", watched.name("from-before"))
    assert result.code == 78
    assert "is_live is long" in result.err
    assert "setup migrate" in result.err
