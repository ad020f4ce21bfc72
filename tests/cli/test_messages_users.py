"""``messages id_email`` and ``apps_usage`` against a simulated platform, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvesters.simulators.base import Response
from harvesters.simulators.wenet.server import WenetSimulator
from harvesters.simulators.wenet.world import App, World, profile
from tests.cli.conftest import Command

KEY = "platform-key"


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[WenetSimulator]:
    """Three users of two chatbots, of i-Log and the survey; settings point at it."""
    world = World()
    world.add(
        App("bot", "Ask; for help", {"1": second("2021-07-01"), "2": second("2021-07-10")}),
        App("other", "Other bot", {"1": second("2021-07-05")}),
        App("ilog", "i-Log", {"1": second("2021-07-02"), "3": second("2021-07-03")}),
        App("survey", "Survey", {"2": second("2021-07-20")}),
    )
    world.profiles = {
        "1": profile("1", "Ada", email="ada@example.org"),
        "2": profile("2", "Bé", email="bé@example.org"),
        "3": profile("3"),
        "4": profile("4", email="d@example.org"),
    }
    with WenetSimulator(world, key=KEY, page_cap=2) as simulator:
        monkeypatch.setenv("INSTANCE", simulator.url)
        monkeypatch.setenv("APIKEY", KEY)
        yield simulator


@pytest.fixture
def updates(tmp_path: Path) -> Path:
    path = tmp_path / "updates.tsv"
    path.write_text("wenet_id\tlast_update\n2\t21 July 2021\n4\t2021-08-01 00:00\n")
    return path


def usage(updates: Path, output: Path) -> tuple[str, ...]:
    apps = ("-ai", "bot;other", "-ii", "ilog", "-si", "survey")
    return ("messages", "apps_usage", *apps, "-u", str(updates), "-o", str(output))


def lines(path: Path) -> list[str]:
    return path.read_bytes().decode().split("\r\n")


@pytest.mark.parametrize("name", ["ids.csv", "ids.tsv"])
def test_ids_and_addresses(harvest: Command, platform: WenetSimulator, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    tab = "\t" if name.endswith("tsv") else ","
    assert harvest("messages", "id_email", "-f", str(path), "-ai", "bot").code == 0
    rows = ["app id,bot", "total users,2", "", "id,email", "1,ada@example.org", "2,bé@example.org", ""]
    assert lines(path) == [row.replace(",", tab) for row in rows]


@pytest.mark.parametrize(
    ("options", "head", "users"),
    [
        (("-s", "2021-07-01", "-e", "2021-07-10"), ["from,2021-07-01 00:00:00", "to,2021-07-10 00:00:00"], ["1"]),
        (("--start", "2021-07-01T00:00:00.5", "--end", "2021-07-10T00:00:01"), None, ["2"]),
        (("--range", "ALL"), None, ["1", "2"]),
    ],
)
def test_users_of_a_span(
    harvest: Command,
    platform: WenetSimulator,
    tmp_path: Path,
    options: tuple[str, ...],
    head: list[str] | None,
    users: list[str],
) -> None:
    path = tmp_path / "ids.csv"
    assert harvest("messages", "id_email", "--file", str(path), "--app_id", "bot", *options).code == 0
    found = lines(path)
    assert [row.split(",")[0] for row in found[found.index("id,email") + 1 : -1]] == users
    assert head is None or found[1:3] == head
    if "ALL" in options:
        assert found[1].startswith("to,"), "only what is bounded has a row"


def test_names_in_the_environment_are_enough(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, updates: Path
) -> None:
    path = tmp_path / "ids.csv"
    assert harvest("messages", "id_email", env={"FILE": str(path), "APP_ID": "bot", "TIME_RANGE": "ALL"}).code == 0
    assert path.exists()
    names = {"APP_IDS": "bot", "ILOG_ID": "ilog", "SURVEY_ID": "survey", "USER_UPDATES_DUMP": str(updates)}
    assert harvest("messages", "apps_usage", env={**names, "OUTPUT_FILE": str(tmp_path / "usage.csv")}).code == 0


def test_a_profile_that_is_gone_leaves_a_row_and_a_warning(
    harvest: Command, platform: WenetSimulator, tmp_path: Path
) -> None:
    del platform.world.profiles["1"]
    platform.accepted = True
    path = tmp_path / "ids.csv"
    result = harvest("messages", "id_email", "-f", str(path), "-ai", "bot")
    assert result.code == 0
    assert lines(path)[4:] == ["1,", "2,bé@example.org", ""]
    assert "1 profiles are gone: of 1" in result.err


def test_which_applications_each_user_enabled(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, updates: Path
) -> None:
    path = tmp_path / "usage.csv"
    assert harvest(*usage(updates, path)).code == 0
    assert lines(path) == [
        "total users,4",
        "",
        "email,registered to survey,completed survey,chatbot,ilog",
        "ada@example.org,no,no,Ask; for help;Other bot,yes",
        "bé@example.org,yes,yes,Ask; for help,no",
        ",no,no,,yes",
        "d@example.org,yes,yes,,no",
        "",
    ]


def test_users_of_a_span_are_marked_by_all_that_they_ever_did(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, updates: Path
) -> None:
    path, failures = tmp_path / "usage.csv", tmp_path / "failures.csv"
    failures.write_text("failure_datetime,wenet_id\n2021-07-09 23:59,5\n2021-07-11,6\n")
    span = ("-s", "2021-07-05", "-e", "2021-07-11")
    result = harvest(*usage(updates, path), "-f", str(failures), *span)
    assert result.code == 0
    assert lines(path) == [
        "from,2021-07-05 00:00:00",
        "to,2021-07-11 00:00:00",
        "total users,3",
        "",
        "email,registered to survey,completed survey,chatbot,ilog",
        "ada@example.org,no,no,Ask; for help;Other bot,yes",
        "bé@example.org,yes,yes,Ask; for help,no",
        ",yes,yes,,no",
        "",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("id_email", "-ai", "bot"), "no file is named"),
        (("id_email", "-f", "x.json", "-ai", "bot"), "FILE.*x.json"),
        (("id_email", "-f", "x.csv", "-s", "2021-01-01"), "go together"),
        (("id_email", "-f", "x.csv", "-r", "1X"), "TIME_RANGE"),
        (("apps_usage", "-o", "x.txt"), "OUTPUT_FILE"),
        (("apps_usage",), "no file is named"),
        (("apps_usage", "-o", "x.csv", "-u", "dump.xlsx"), "USER_UPDATES_DUMP"),
        (("apps_usage", "-o", "x.csv", "-u", "x.csv"), "one file"),
    ],
)
def test_mistakes_end_with_2_before_anything_is_asked(
    harvest: Command, platform: WenetSimulator, words: tuple[str, ...], told: str
) -> None:
    result = harvest("messages", *words)
    assert result.code == 2
    assert told.split(".*")[0] in result.err
    assert not platform.requests


@pytest.mark.parametrize("missing", ["-ai", "-ii", "-si", "-u", "INSTANCE", "APIKEY"])
def test_what_is_missing_ends_with_78(
    harvest: Command,
    platform: WenetSimulator,
    tmp_path: Path,
    updates: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    words = list(usage(updates, tmp_path / "usage.csv"))
    if missing.startswith("-"):
        at = words.index(missing)
        del words[at : at + 2]
    else:
        monkeypatch.delenv(missing)
    result = harvest(*words)
    assert result.code == 78
    names = {"-ai": "APP_IDS", "-ii": "ILOG_ID", "-si": "SURVEY_ID", "-u": "USER_UPDATES_DUMP"}
    assert names.get(missing, missing) in result.err
    assert not platform.requests
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["updates.tsv"]


@pytest.mark.parametrize(
    ("status", "code"), [(401, 77), (403, 77), (500, 69), (429, 69), (302, 78), (400, 76), (404, 78)]
)
def test_after_a_failure_the_old_file_stands(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, status: int, code: int
) -> None:
    path = tmp_path / "ids.csv"
    path.write_text("old")
    platform.fail("status", times=10**6, response=Response(status, headers={"Location": "/"}))
    result = harvest("messages", "id_email", "-f", str(path), "-ai", "bot", env={"HARVEST_RETRY_BUDGET": "0.5"})
    assert result.code == code
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["ids.csv"]
    assert KEY not in result.err


def test_a_bad_dump_is_found_before_anything_is_asked(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, updates: Path
) -> None:
    updates.write_text("wenet_id,last_update\n1,2021-07-01\n")
    result = harvest(*usage(updates, tmp_path / "usage.csv"))
    assert result.code == 65
    assert "wenet_id" in result.err
    assert not platform.requests


@pytest.mark.parametrize("package", ["dateparser"])
def test_a_missing_extra_is_named(
    harvest: Command,
    platform: WenetSimulator,
    tmp_path: Path,
    updates: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    monkeypatch.setattr("harvesters.cli.exporting.find_spec", lambda name: None if name == package else name)
    result = harvest(*usage(updates, tmp_path / "usage.csv"))
    assert result.code == 78
    assert "pip install 'harvest[messages]'" in result.err
    assert not platform.requests


def test_a_place_where_nothing_can_be_written_is_found_before_anything_is_asked(
    harvest: Command, platform: WenetSimulator, tmp_path: Path
) -> None:
    path = tmp_path / "no-such-folder" / "ids.csv"
    result = harvest("messages", "id_email", "-f", str(path), "-ai", "bot")
    assert result.code == 78
    assert f"{path} cannot be written" in result.err
    assert not platform.requests


@pytest.mark.parametrize("words", [("-a", "another-key"), ("--apikey=another-key",), ("-aanother-key",)])
def test_the_key_of_a_flag_is_masked(
    harvest: Command, platform: WenetSimulator, tmp_path: Path, words: tuple[str, ...]
) -> None:
    platform.key = "another-key"
    platform.fail("status", response=Response(400, b"you sent another-key"))
    result = harvest("messages", "id_email", "-f", str(tmp_path / "ids.csv"), "-ai", "bot", *words)
    assert result.code == 76
    assert "you sent ***" in result.err
    assert "another-key" not in result.err


def test_settings_of_a_file_count_too(harvest: Command, platform: WenetSimulator, tmp_path: Path) -> None:
    from harvesters.cli import main

    file, path = tmp_path / "settings.env", tmp_path / "ids.csv"
    file.write_text(f"FILE={path}\nAPP_ID=bot\nSTART_TIME=2021-07-02\nEND_TIME=2021-08-01\n")
    assert main.run(["--env-file", str(file), "messages", "id_email"]) == 0
    assert "2,bé@example.org" in lines(path)
    assert "FILE" not in os.environ
