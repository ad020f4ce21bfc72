"""Dead letters are kept with their raw row and reason, in a directory, in S3 and in SQS."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.errors import ConfigError, TooManyDead, Unavailable
from harvesters.sinks.deadletters import (
    DeadLetter,
    DeadLetters,
    DirectoryDeadLetters,
    ErrorBudget,
    S3DeadLetters,
    SqsDeadLetters,
    open_dead_letters,
)
from tests.clocks import patient
from tests.conformance.stores import LossyProxy
from tests.conformance.test_sink import received
from tests.samples import logged


@dataclass
class Bench:
    letters: DeadLetters
    read: Callable[[], list[dict[str, Any]]]
    target: str
    state: Path


@pytest.fixture(params=["directory", "s3", "sqs"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    targets = {"directory": "", "s3": "s3://dead-bucket/some/prefix", "sqs": "sqs://dead-queue"}
    if request.param != "directory":
        request.getfixturevalue("aws")
    readers = {"directory": lambda: in_directory(tmp_path / "dead-letters"), "s3": in_bucket, "sqs": in_queue}
    target = targets[request.param]
    return Bench(open_dead_letters(target, tmp_path, patient()), readers[request.param], target, tmp_path)


def in_directory(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(directory.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def in_bucket() -> list[dict[str, Any]]:
    client = boto3.client("s3")
    found: list[dict[str, Any]] = []
    for item in client.list_objects_v2(Bucket="dead-bucket", Prefix="some/prefix/").get("Contents", []):
        body = client.get_object(Bucket="dead-bucket", Key=item["Key"])["Body"].read()
        found.extend(json.loads(line) for line in body.splitlines())
    return found


def in_queue() -> list[dict[str, Any]]:
    return [json.loads(message["Body"]) for message in received("dead-queue")]


def letter(id: str, row: Any = None) -> DeadLetter:
    return DeadLetter("useractions", id, "'created' is no date", row if row is not None else {"id": id})


def test_each_is_kept_with_time_kind_id_reason_and_raw_row(bench: Bench) -> None:
    bench.letters.write([letter("1", {"id": 1, "created": "never", "deep": [{"a": None}]})])
    assert bench.read() == [
        {
            "time": "2026-02-13T09:30:00Z",
            "job": "",
            "kind": "useractions",
            "id": "1",
            "reason": "'created' is no date",
            "row": {"id": 1, "created": "never", "deep": [{"a": None}]},
        }
    ]


def test_later_ones_are_added(bench: Bench) -> None:
    bench.letters.write([letter(str(number)) for number in range(12)])
    bench.letters.write([letter("12")])
    assert sorted(int(found["id"]) for found in bench.read()) == list(range(13))


class TestOnce:
    """A run over the error budget comes by the same rows again, every two minutes for a weekend."""

    def again(self, bench: Bench, *letters: DeadLetter, job: str = "") -> None:
        open_dead_letters(bench.target, bench.state, patient(), job).write(letters)

    def test_the_same_letter_is_kept_once(self, bench: Bench) -> None:
        for _ in range(3):
            self.again(bench, letter("1"), letter("2"), letter("2"))
        assert sorted(found["id"] for found in bench.read()) == ["1", "2"]

    def test_another_row_reason_or_job_makes_its_own(self, bench: Bench) -> None:
        self.again(bench, letter("1"))
        self.again(bench, letter("1", {"id": 1, "more": True}), replace(letter("1"), reason="another"))
        self.again(bench, letter("1"), job="index")
        self.again(bench, letter("1"), job="index")
        assert [found["id"] for found in bench.read()] == ["1"] * 4

    @pytest.mark.parametrize("how", ["removed", "replaced", "cut"])
    def test_one_whose_file_is_gone_is_kept_again(self, tmp_path: Path, how: str) -> None:
        directory = tmp_path / "dead-letters"
        open_dead_letters("", tmp_path, patient()).write([letter("1")])
        (file,) = directory.glob("*.jsonl")
        if how == "cut":
            file.write_text("")
        else:
            file.rename(tmp_path / "elsewhere")
        if how == "replaced":
            file.write_bytes(b"x" * 1000 + b"\n")
        open_dead_letters("", tmp_path, patient()).write([letter("1")])
        assert file.read_text().count('"reason"') == 1

    def test_without_a_memory_all_are_kept(self, tmp_path: Path) -> None:
        (tmp_path / "dead-letters.written").mkdir()
        for _ in range(2):
            open_dead_letters("", tmp_path, patient()).write([letter("1")])
        assert len(in_directory(tmp_path / "dead-letters")) == 2


def test_a_full_disk_is_69_and_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable, match=f"No space left on device. Make room in {tmp_path}/dead-letters"):
        open_dead_letters("", tmp_path, patient()).write([letter("1")])


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ({"title": "\ud83d"}, {"title": "\ud83d"}),
        ({"big": 2**70}, {"big": 2**70}),
        ("no object", "no object"),
        ({"odd": float("nan")}, "{'odd': nan}"),
        ({"bytes": b"\xff"}, {"bytes": "b'\\xff'"}),
        ({("a", "b"): 1}, "{('a', 'b'): 1}"),
    ],
    ids=["half a surrogate pair", "a big number", "a string", "no number", "bytes", "an odd key"],
)
def test_a_row_that_no_sink_would_take_is_kept_all_the_same(bench: Bench, row: Any, kept: Any) -> None:
    bench.letters.write([letter("1", row)])
    (found,) = bench.read()
    assert found["row"] == kept


def test_the_directory_has_a_file_a_kind_and_day_that_only_its_owner_reads(tmp_path: Path) -> None:
    letters = open_dead_letters("", tmp_path, patient())
    letters.write([letter("1"), DeadLetter("meetings", "2", "why", {})])
    files = sorted((tmp_path / "dead-letters").glob("*"))
    assert [path.name for path in files] == ["meetings-2026-02-13.jsonl", "useractions-2026-02-13.jsonl"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_directory_that_cannot_be_written_stops_the_run_and_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "dead-letters").write_text("in the way")
    with pytest.raises(ConfigError, match="HARVEST_DEAD_LETTERS or HARVEST_STATE_DIR"):
        open_dead_letters("", tmp_path, patient()).write([letter("1")])


def test_one_that_the_queue_does_not_take_goes_to_the_directory(aws: str, tmp_path: Path) -> None:
    boto3.client("sqs").create_queue(QueueName="dead-queue", Attributes={"MaximumMessageSize": "1024"})
    letters = open_dead_letters("sqs://dead-queue", tmp_path, patient())
    with logged() as records:
        letters.write([letter("1"), letter("2", {"text": "x" * 2000})])
    assert [found["id"] for found in in_queue()] == ["1"]
    assert [found["id"] for found in in_directory(tmp_path / "dead-letters")] == ["2"]
    assert str(tmp_path / "dead-letters") in records[-1].getMessage()


def test_an_s3_that_gives_up_stops_the_run(proxy: LossyProxy, tmp_path: Path) -> None:
    letters = open_dead_letters("s3://dead-bucket", tmp_path, patient(budget=20))
    proxy.lose = ["PUT"] * 1000
    with pytest.raises(Unavailable, match="s3://dead-bucket"):
        letters.write([letter("1")])


@pytest.mark.parametrize(
    ("target", "kind", "name"),
    [
        ("", DirectoryDeadLetters, "{state}/dead-letters"),
        ("/var/dead", DirectoryDeadLetters, "/var/dead"),
        ("relative/dead", DirectoryDeadLetters, "relative/dead"),
        ("file:///var/dead", DirectoryDeadLetters, "/var/dead"),
        ("~/dead", DirectoryDeadLetters, f"{Path.home()}/dead"),
        ("s3://bucket", S3DeadLetters, "s3://bucket"),
        ("s3://bucket/a/b/", S3DeadLetters, "s3://bucket/a/b"),
        ("sqs://queue", SqsDeadLetters, "sqs://queue"),
    ],
)
def test_the_setting_names_the_place(tmp_path: Path, target: str, kind: type, name: str) -> None:
    letters = open_dead_letters(target, tmp_path, patient())
    assert isinstance(letters, kind)
    assert letters.name == name.format(state=tmp_path)


@pytest.mark.parametrize("target", ["s3://", "sqs://", "sqs://queue/more", "https://example.org/dead", "ftp://x"])
def test_any_other_names_the_setting(tmp_path: Path, target: str) -> None:
    with pytest.raises(ConfigError, match=r"^HARVEST_DEAD_LETTERS="):
        open_dead_letters(target, tmp_path, patient())


class TestErrorBudget:
    def spent(self, share: float, least: int, dead: int) -> ErrorBudget:
        budget = ErrorBudget(share, least)
        budget.spend([letter(str(number)) for number in range(dead)])
        return budget

    @pytest.mark.parametrize(("dead", "rows"), [(0, 0), (10, 10), (10, 1000), (20, 2000), (25, 2500)])
    def test_a_share_of_the_run_but_at_least_ten(self, dead: int, rows: int) -> None:
        self.spent(0.01, 10, dead).check(rows, "there")
        with pytest.raises(TooManyDead):
            self.spent(0.01, 10, max(10, rows // 100) + 1).check(rows, "there")

    def test_a_number_is_that_number(self) -> None:
        self.spent(0.0, 0, 0).check(10_000, "there")
        with pytest.raises(TooManyDead):
            self.spent(0.0, 0, 1).check(10_000, "there")

    def test_it_says_how_many_where_and_why(self) -> None:
        with pytest.raises(TooManyDead, match=r"11 rows .* the 10 that HARVEST_ERROR_BUDGET .* in s3://dead") as over:
            self.spent(0.01, 10, 11).check(100, "s3://dead")
        assert "most often: 'created' is no date" in str(over.value)
        assert over.value.code == 65
