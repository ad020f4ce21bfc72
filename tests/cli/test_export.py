"""Every option, exit code and error message of ``harvest.py export``, on a real Elasticsearch."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harvesters.simulators.base import Request, Response, Simulator
from tests.cli.conftest import Command
from tests.cli.processes import nobody, run
from tests.cli.watching import BUTTON_7, CAPTIONS, LISTED, MODE, SPEED, WATCHED, Export, action, rows
from tests.indices import Cluster


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
