"""Dead letters are listed, delivered once more and dropped in a directory, in S3 and in SQS."""

from __future__ import annotations

import json
import os
import stat
import threading
from datetime import timedelta

import boto3
import pytest

from harvesters.errors import LeaseHeld, SinkUnavailable
from harvesters.sinks.deadletters import DeadLetter, open_dead_letters
from tests.clocks import NOW, FakeClock, patient
from tests.conformance.letterplaces import Pretended, Shelf, job, letter, row, shelf  # noqa: F401 - fixtures


class TestLook:
    def test_every_letter_with_a_name_that_stays(self, shelf: Shelf) -> None:  # noqa: F811
        several = 10 if shelf.kind == "fifo" else 26  # no more are shown of a group
        shelf.put(*(letter(str(number)) for number in range(several - 1)))
        shelf.put(letter(str(several - 1)), job="index")
        first, second = shelf.look(), shelf.look()
        assert sorted(int(one.id) for one in first) == list(range(several))
        assert {one.name for one in first} == {one.name for one in second}
        assert len({one.name for one in first}) == several
        assert {one.job for one in first} == {"useractions", "index"}
        assert first[0].line().keys() == {"letter", "time", "job", "kind", "id", "reason", "where"}

    def test_nothing_is_made_by_looking(self, shelf: Shelf) -> None:  # noqa: F811
        assert shelf.look() == []
        assert not os.path.exists(shelf.target)
        if shelf.kind == "s3":
            assert boto3.client("s3").list_buckets()["Buckets"] == []
        if shelf.kind in ("sqs", "fifo"):
            urls = boto3.client("sqs").list_queues(QueueNamePrefix=shelf.target.removeprefix("sqs://"))
            assert not urls.get("QueueUrls")

    def test_which_are_meant(self, shelf: Shelf) -> None:  # noqa: F811
        shelf.put(letter("1"), letter("2", "'created' is no date"), DeadLetter("zoom", "3", "refused", {"of": "x"}))
        shelf.put(DeadLetter("zoom", "4", "refused", {}), job="zoom")
        assert shelf.ids(job="useractions") == ["1", "2", "3"]
        assert shelf.ids(kind="zoom") == ["3", "4"]
        assert shelf.ids(reason="no date") == ["2"]
        assert shelf.ids(since=NOW) == ["1", "2", "3", "4"]
        assert shelf.ids(until=NOW) == []
        assert shelf.ids(since=NOW + timedelta(seconds=1)) == []
        (one,) = [found for found in shelf.look() if found.id == "2"]
        assert shelf.ids(names=frozenset({one.name})) == ["2"]

    def test_what_is_no_letter_is_named(self, shelf: Shelf) -> None:  # noqa: F811
        shelf.put(letter("1"))
        shelf.put_raw("torn{\n")
        found, tally = shelf.look_closely()
        assert [one.id for one in found] == ["1"]
        assert len(tally.strange) == 1


class TestReplay:
    def test_what_is_acknowledged_goes(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(*(letter(str(number)) for number in range(25)))
        tally = shelf.replay()
        assert (tally.found, tally.gone, tally.stay) == (25, 25, 0)
        assert sorted(one["id"] for one in job.taken) == list(range(25))
        assert shelf.look() == []
        if shelf.kind == "directory":
            assert not [path for path in shelf.directory.iterdir() if path.suffix == ".jsonl"]
        if shelf.kind == "s3":
            bucket = shelf.target.split("/")[2]
            keys = [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
            assert keys == ["some/prefix/.replay.lease"]

    def test_one_that_dies_again_stays_one_letter_with_its_new_reason(
        self,
        shelf: Shelf,  # noqa: F811
        job: Pretended,  # noqa: F811
    ) -> None:
        shelf.put(letter("1"), letter("2"), letter("3"))
        before = {one.id: one.name for one in shelf.look()}
        job.refuse = lambda row: "still no date" if row["id"] == 2 else ""
        tally = shelf.replay()
        assert (tally.gone, tally.stay) == (2, 1)
        (left,) = shelf.look()
        assert (left.id, left.reason, left.name) == ("2", "still no date", before["2"])
        assert row(left) == {"id": 2, "created": "never"}
        assert shelf.replay().stay == 1
        assert len(shelf.look()) == 1

    def test_what_stays_hides_nothing(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(*(letter(str(number), "poison" if number < 12 else "refused") for number in range(30)))
        job.refuse = lambda row: "poison" if row["id"] < 12 else ""
        for tally in (shelf.replay(job="useractions"), shelf.replay()):
            assert tally.stay == 12
        assert len(job.taken) == 18
        assert shelf.drop(reason="nothing says this").gone == 0
        assert shelf.drop(all=True).gone == 12

    @pytest.mark.parametrize("how", ["drop", "replay"])
    def test_one_that_went_and_dies_in_another_run_is_written_again(
        self,
        shelf: Shelf,  # noqa: F811
        job: Pretended,  # noqa: F811
        how: str,
    ) -> None:
        clock = FakeClock()
        follower = open_dead_letters(shelf.target, shelf.state, patient(clock), "useractions")  # as of a run that stays
        for _ in range(2):
            shelf.put(letter("1"))
            follower.write([letter("1")])
        assert shelf.ids() == ["1"]
        assert (shelf.drop(all=True) if how == "drop" else shelf.replay()).gone == 1
        assert shelf.ids() == []
        clock.sleep(60)  # what is sent at the same time a FIFO queue takes for the same message
        follower.write([letter("1")])
        shelf.put(letter("1"))
        assert shelf.ids() == ["1"]

    def test_how_many_are_hidden_is_told(self, shelf: Shelf) -> None:  # noqa: F811
        shelf.put(*(letter(str(number)) for number in range(25)))
        found, tally = shelf.look_closely()
        assert len(found) + tally.hidden == 25
        assert (tally.hidden > 0) == (shelf.kind == "fifo")

    def test_what_is_not_meant_stays(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1"), letter("2", "another"), letter("3"))
        shelf.replay(reason="another")
        assert shelf.ids() == ["1", "3"]

    def test_a_sink_that_is_away_loses_nothing(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1"), letter("2"))

        def away() -> None:
            raise SinkUnavailable("away")

        job.before = away
        with pytest.raises(SinkUnavailable):
            shelf.replay()
        assert shelf.ids() == ["1", "2"]

    def test_letters_that_come_meanwhile_stay(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1"), letter("2"))
        come: list[int] = []

        def meanwhile() -> None:
            if not come:
                come.append(1)
                shelf.put(letter("3"))

        job.before = meanwhile
        shelf.replay(names=frozenset(one.name for one in shelf.look()))
        assert shelf.ids() == ["3"]

    def test_a_second_one_is_told_who_is_at_it(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1"))
        said: list[str] = []

        def second() -> None:
            with pytest.raises(LeaseHeld) as caught:
                shelf.replay()
            said.append(str(caught.value))

        job.before = second
        assert shelf.replay().gone == 1
        assert f"held by process {os.getpid()}" in said[0]

    def test_twice_the_same_is_delivered_and_goes(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1"))
        shelf.put(letter("1"), job="useractions ")  # another memory, so a second copy
        assert shelf.replay(reason="refused").found in (1, 2)
        job.refuse = lambda row: ""
        shelf.replay()

    def test_letters_of_no_job_stay_and_are_named(
        self,
        shelf: Shelf,  # noqa: F811
        job: Pretended,  # noqa: F811
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        shelf.put(DeadLetter("page-views", "t/0/1", "no view", {}), job="listings-log")
        tally = shelf.replay()
        assert (tally.gone, tally.stay) == (0, 1)
        assert "letters of listings-log cannot be delivered again" in caplog.text
        assert shelf.ids() == ["t/0/1"]

    def test_what_is_no_letter_stays_as_it_is(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1"))
        shelf.put_raw('{"no": "letter"}\n')
        tally = shelf.replay()
        assert (tally.gone, len(tally.strange)) == (1, 1)
        found, tally = shelf.look_closely()
        assert (found, len(tally.strange)) == ([], 1)


def test_what_is_dropped_is_gone(shelf: Shelf) -> None:  # noqa: F811
    shelf.put(letter("1"), letter("2", "another"))
    assert shelf.drop(reason="another").gone == 1
    assert shelf.ids() == ["1"]


@pytest.mark.parametrize("shelf", ["directory"], indirect=True)
class TestDirectory:
    def test_files_stay_readable_by_their_owner_only(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1"), letter("2"))
        job.refuse = lambda row: "again" if row["id"] == 1 else ""
        shelf.replay()
        (file,) = shelf.directory.glob("*.jsonl")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_torn_last_line_stays_and_what_is_appended_is_a_line_of_its_own(
        self,
        shelf: Shelf,  # noqa: F811
        job: Pretended,  # noqa: F811
    ) -> None:
        shelf.put(letter("1"))
        shelf.put_raw('{"time": "2026-02')
        assert shelf.replay().gone == 1
        shelf.put(letter("2"))
        found, tally = shelf.look_closely()
        assert [one.id for one in found] == ["2"]
        assert len(tally.strange) == 1

    def test_letters_are_appended_all_the_while(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        """None is lost between the old file and the new one."""

        def append() -> None:
            for number in range(150):
                shelf.put(letter(str(number)))

        writer = threading.Thread(target=append)
        writer.start()
        while writer.is_alive():
            shelf.replay()
        writer.join()
        shelf.replay()
        assert {one["id"] for one in job.taken} == set(range(150))
        assert shelf.look() == []


@pytest.mark.parametrize("shelf", ["sqs"], indirect=True)
class TestQueue:
    def test_what_was_looked_at_is_visible_again(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(*(letter(str(number)) for number in range(12)))
        shelf.look()
        job.refuse = lambda row: "refused"
        shelf.replay()
        client = boto3.client("sqs")
        url = client.get_queue_url(QueueName=shelf.target.removeprefix("sqs://"))["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
        assert [*counts.values()] == ["12", "0"]

    def test_what_a_queue_refuses_is_in_the_directory(self, shelf: Shelf, job: Pretended) -> None:  # noqa: F811
        shelf.put(letter("1", text="x" * 2_000_000), letter("2"))
        assert shelf.ids() == ["1", "2"]
        assert shelf.replay().gone == 2
        assert shelf.look() == []


def test_old_letters_are_told_apart_by_their_rows(tmp_path: object, shelf: Shelf) -> None:  # noqa: F811
    message = {"action_id": 7, "timestamp": "2026-02-13T09:00:00+00:00"}
    rows = [
        ("useractions", {"id": 1, "created": "never"}, "useractions"),
        ("useractions", message, "index"),
        ("useractions", "poison", "index"),
        ("meetings", {"of": "meetings"}, "zoom"),
        ("sessions", {}, "zoom"),
        ("zoom", {}, "zoom"),
        ("episodes", {}, "load_episodes"),
        ("buddyupevents", {}, "firebase-events"),
        ("buddyupprofiles", {}, "firebase-profiles"),
        ("buddyupclasses", {}, "firebase-classes"),
        ("listings", {}, "listings-index"),
        ("page-views", {}, "listings-log"),
        ("whatever", {}, ""),
    ]
    shelf.put(*(DeadLetter(kind, str(at), "", row) for at, (kind, row, _) in enumerate(rows)), job="")
    assert {one.id: one.job for one in shelf.look()} == {str(at): name for at, (_, _, name) in enumerate(rows)}
    assert json.loads(shelf.look()[0].raw)["job"] == ""
