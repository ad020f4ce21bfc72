"""``harvest.py useractions`` against an Opencast, or what stands before one, that misbehaves."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters import http
from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator
from tests.certificates import self_signed, with_tls
from tests.cli.conftest import PASSWORD, USER, Command, spoil
from tests.opencast.test_client import FullDisk

ALL = {str(number) for number in range(100, 110)}
LIVE = ("useractions", "-i", "10", "-b", "4", "-o", "-")


def ids(documents: list[dict[str, Any]]) -> list[str]:
    return sorted(str(document["action_id"]) for document in documents)


@pytest.fixture
def old(opencast: OpencastSimulator) -> OpencastSimulator:
    """The Opencast with rows of years before in its table too."""
    past = datetime.now(UTC) - timedelta(days=900)
    opencast.add_rows(
        ActionRow(number, "episode-1", None, 1, 1, "PLAY", 1, past + timedelta(hours=number)) for number in range(20)
    )
    return opencast


class TestContradictions:
    def test_one_answer_that_ignores_the_window_costs_no_event(self, harvest: Command, old: OpencastSimulator) -> None:
        for number in range(1, 9):
            old.rude.counted, old.rude.ignores = 0, {number}
            result = harvest(*LIVE, "--no-update-last-ts")
            assert (result.code, ids(result.documents)) == (0, sorted(ALL)), (number, result.err)

    def test_answers_that_contradict_one_another_for_good_are_76(
        self, harvest: Command, old: OpencastSimulator, checkpoint: Path
    ) -> None:
        old.rude.strips = range(1, 10**6, 2)
        result = harvest(*LIVE)
        assert result.code == 76
        assert "MATTERHORN_ENGAGE_HOST" in result.err
        assert not checkpoint.exists()

    @pytest.mark.parametrize("dialect", ["dce", "stock"])
    def test_another_time_zone_is_78_and_names_the_offset(
        self, harvest: Command, opencast: OpencastSimulator, dialect: Any, checkpoint: Path
    ) -> None:
        opencast._writer.dialect = dialect
        opencast.move("Asia/Kolkata")
        result = harvest(*LIVE)
        assert (result.code, result.out) == (78, "")
        assert "+05:30" in result.err
        assert "OPENCAST_TIMEZONE (UTC)" in result.err
        assert not checkpoint.exists()

    def test_a_cache_is_76_and_named(self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path) -> None:
        opencast.rude.age = dict.fromkeys(range(1000), 45)
        result = harvest(*LIVE)
        assert result.code == 76
        assert "1.1 varnish" in result.err
        assert not checkpoint.exists()


class TestEnds:
    def test_429_for_good_is_75(self, harvest: Command, opencast: OpencastSimulator) -> None:
        opencast.fail("status", response=Response(429), path="/usertracking", times=10**6)
        assert harvest(*LIVE, env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 75

    def test_a_total_that_is_always_beyond_what_was_asked_for_is_76(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = opencast.handle

        def boastful(request: Request) -> Response:
            response = answer(request)
            if request.path.endswith("actions.json") and response.status == 200 and request.param("limit") != "1":
                content = json.loads(response.body)
                content["actions"]["total"] = 11 + int(request.param("limit"))
                response.body = json.dumps(content).encode()
            return response

        monkeypatch.setattr(opencast, "handle", boastful)
        opencast.fail("status", response=Response(503), path="/usertracking", after=100, times=10**6)  # no end? 69
        result = harvest(*LIVE, env={"HARVEST_RETRY_BUDGET": "0.2"})
        assert result.code == 76
        assert not checkpoint.exists()

    @pytest.mark.parametrize("part", ["head", "chunks", "body"])
    def test_an_answer_that_dribbles_is_69(
        self, harvest: Command, opencast: OpencastSimulator, part: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "_SHORTEST", 0.2)
        opencast.fail(f"dribble-{part}", path="/usertracking", times=10**6, seconds=0.01)
        result = harvest(*LIVE, env={"HARVEST_RETRY_BUDGET": "0.2"})
        assert result.code == 69
        assert "dribbles" in result.err

    def test_a_certificate_that_does_not_fit_is_78(
        self, harvest: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        simulator = OpencastSimulator(user=USER, password=PASSWORD)
        url = with_tls(simulator, self_signed(tmp_path))
        with simulator:
            env = {"MATTERHORN_ENGAGE_HOST": url, "MATTERHORN_REST_USER": USER, "MATTERHORN_REST_PASS": PASSWORD}
            result = harvest(*LIVE, env=env)
        assert result.code == 78
        assert "certificate" in result.err
        assert "Traceback" not in result.err

    def test_a_full_disk_is_69_and_names_the_directory(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opencast._writer.dialect = "stock"
        opencast.table.order = "shuffled"
        day = datetime.now(UTC).date() - timedelta(days=1)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        opencast.now = lambda: midnight + timedelta(days=1, hours=1, seconds=30)
        opencast.add_rows(
            ActionRow(1000 + number, "e", None, 1, 1, "PLAY", 1, midnight + timedelta(hours=12, seconds=number))
            for number in range(40)
        )
        monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
        start, end = (midnight + timedelta(hours=hours) for hours in (11, 13))
        result = harvest("useractions", "-s", start.isoformat(), "-e", end.isoformat(), "-b", "1", "-o", "-")
        assert result.code == 69
        assert tempfile.gettempdir() in result.err
        assert "Traceback" not in result.err
        assert not checkpoint.exists()


class TestSource:
    def test_two_opencasts_into_one_output_do_not_overwrite_one_another(
        self, harvest: Command, opencast: OpencastSimulator, tmp_path: Path
    ) -> None:
        for name in ("", "main-campus", "extension"):
            result = harvest(*LIVE, "--no-update-last-ts", env={"OPENCAST_SOURCE": name})
            assert result.code == 0
            assert ids(result.documents) == sorted(ALL)
            assert {document.get("source", "") for document in result.documents} == {name}

    @pytest.mark.parametrize("name", ["a b", "-", "ü", "x" * 33, "a/b"])
    def test_a_name_that_is_none_is_78(self, harvest: Command, opencast: OpencastSimulator, name: str) -> None:
        result = harvest(*LIVE, env={"OPENCAST_SOURCE": name})
        assert result.code == 78
        assert "OPENCAST_SOURCE" in result.err

    def test_dead_letters_have_that_id_too(self, harvest: Command, opencast: OpencastSimulator, state: Path) -> None:
        spoil(opencast, 103)
        assert harvest(*LIVE, env={"OPENCAST_SOURCE": "main"}).code == 0
        letters = [json.loads(line) for path in state.rglob("*.jsonl") for line in path.read_text().splitlines()]
        assert [letter["id"] for letter in letters] == ["main-103"]
