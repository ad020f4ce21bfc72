"""A checkpoint belongs to the output that moved it last: a look never steals it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.standins.redis import Redis
from tests.cli.buddyup import EVENTS
from tests.cli.conftest import Command
from tests.cli.test_useractions import ALL, compact, ids, moments
from tests.cli.test_zoom import zoom  # noqa: F401 - a fixture
from tests.conformance.test_sink import received


def lines(path: Path) -> set[str]:
    return ids([json.loads(line) for line in path.read_text().splitlines()]) if path.exists() else set()


def more(opencast: OpencastSimulator, number: int = 200) -> str:
    """One action more, of now; its id."""
    session = {"sessionId": "s", "userId": "u", "userIp": "10.0.0.1", "userAgent": "Mozilla"}
    moment = datetime.now(UTC) - timedelta(seconds=2)
    opencast.add(ActionRow(number, "episode-1", session, 1, 1, "PLAY", True, moment))
    return str(number)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """What the cron job writes to."""
    return tmp_path / "job.jsonl"


@pytest.fixture
def stored(opencast: OpencastSimulator, checkpoint: Path) -> str:
    """A checkpoint in the middle of the ten actions, as an older version left it: without an owner."""
    checkpoint.parent.mkdir(parents=True)
    text = compact(moments(opencast)[5]) + "Z"
    checkpoint.write_text(text)
    return text


LATER = {"105", "106", "107", "108", "109"}
NO_LOOKBACK = {"HARVEST_LOOKBACK": "0"}


class TestLook:
    def test_beside_a_job_it_sees_everything_and_moves_nothing(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, job: Path
    ) -> None:
        assert harvest("useractions", "-i", "10", "-o", str(job)).code == 0
        reached, owner = checkpoint.read_text(), checkpoint.with_suffix(".owner").read_text()
        assert owner == f"file {job}"
        new = more(opencast)
        look = harvest("useractions", "-o", "-", env={"HARVEST_LEASE_TTL": "600"})
        assert look.code == 0
        assert new in ids(look.documents)
        said = [line for line in look.err.splitlines() if "belongs to" in line]
        assert len(said) == 1
        assert f"belongs to file {job}" in said[0]
        assert "--update-last-ts" in said[0]
        assert (checkpoint.read_text(), checkpoint.with_suffix(".owner").read_text()) == (reached, owner)
        assert harvest("useractions", "-o", str(job)).code == 0
        assert lines(job) == ALL | {new}

    def test_it_takes_no_lease(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, stored: str, state: Path
    ) -> None:
        assert harvest("useractions", "-o", "-", env=NO_LOOKBACK).code == 0
        assert not list(state.glob("*.lease"))
        assert checkpoint.read_text() == stored

    def test_another_file_looks_too(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, job: Path, tmp_path: Path
    ) -> None:
        assert harvest("useractions", "-i", "10", "-o", str(job)).code == 0
        reached = checkpoint.read_text()
        assert harvest("useractions", "-o", str(tmp_path / "other.jsonl")).code == 0
        assert checkpoint.read_text() == reached

    def test_when_the_checkpoint_was_deleted_it_still_makes_none(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, job: Path
    ) -> None:
        assert harvest("useractions", "-i", "10", "-o", str(job)).code == 0
        checkpoint.unlink()
        assert ids(harvest("useractions", "-i", "10", "-o", "-").documents) == ALL
        assert not checkpoint.exists()


class TestTakingOver:
    def test_an_older_checkpoint_goes_to_a_durable_output(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, stored: str, job: Path
    ) -> None:
        assert harvest("useractions", "-o", str(job), env=NO_LOOKBACK).code == 0
        assert lines(job) == LATER
        assert checkpoint.read_text() > stored
        assert checkpoint.with_suffix(".owner").read_text() == f"file {job}"

    def test_but_not_to_standard_output(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, stored: str
    ) -> None:
        look = harvest("useractions", "-o", "-", env=NO_LOOKBACK)
        assert ids(look.documents) == LATER
        assert "not standard output's" in look.err
        assert checkpoint.read_text() == stored

    def test_by_name_standard_output_takes_it_and_moves_it_from_then_on(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, stored: str
    ) -> None:
        assert ids(harvest("useractions", "-o", "-", "--update-last-ts", env=NO_LOOKBACK).documents) == LATER
        assert checkpoint.with_suffix(".owner").read_text() == "-"
        reached = checkpoint.read_text()
        assert reached > stored
        assert harvest("useractions", "-o", "-", env=NO_LOOKBACK).documents == []

    def test_a_durable_output_takes_over_from_standard_output(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, stored: str, job: Path
    ) -> None:
        checkpoint.with_suffix(".owner").write_text("-")
        assert harvest("useractions", "-o", str(job), env=NO_LOOKBACK).code == 0
        assert lines(job) == LATER
        assert checkpoint.with_suffix(".owner").read_text() == f"file {job}"

    def test_a_file_that_was_rotated_away_still_owns(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, job: Path
    ) -> None:
        assert harvest("useractions", "-i", "10", "-o", str(job)).code == 0
        job.rename(job.with_suffix(".1"))
        new = more(opencast)
        again = harvest("useractions", "-o", str(job))
        assert "belongs to" not in again.err
        assert new in lines(job)

    def test_a_run_that_fails_before_its_first_commit_makes_nobody_the_owner(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, stored: str, job: Path
    ) -> None:
        opencast.fail("status", response=Response(503), path="/usertracking", times=10**6)
        assert harvest("useractions", "-o", str(job), env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
        assert not checkpoint.with_suffix(".owner").exists()
        assert checkpoint.read_text() == stored


class TestFirstRun:
    def test_one_that_fails_is_made_up_for_however_long_the_outage(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, job: Path
    ) -> None:
        fault = opencast.fail("status", response=Response(503), path="/usertracking", times=10**6)
        assert harvest("useractions", "-i", "10", "-o", str(job), env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
        assert not checkpoint.exists()
        opencast.faults.remove(fault)
        assert harvest("useractions", "-i", "0.01", "-o", str(job)).code == 0
        assert lines(job) == ALL
        checkpoint.unlink()
        assert harvest("useractions", "-i", "0.01", "-o", str(job)).code == 0, "the beginning counts no more"
        start = datetime.now(UTC) - timedelta(minutes=2)
        assert checkpoint.read_text() > compact(start)

    @pytest.mark.parametrize("from_its_first_answer", [True, False])
    def test_a_look_does_not_make_off_with_what_a_job_began(
        self,
        harvest: Command,
        opencast: OpencastSimulator,
        checkpoint: Path,
        job: Path,
        from_its_first_answer: bool,
    ) -> None:
        """An outage, somebody who looks whether it is over, and the job again."""
        after = 0 if from_its_first_answer else 3
        fault = opencast.fail("status", response=Response(503), path="/usertracking", after=after, times=10**6)
        assert harvest("useractions", "-i", "10", "-o", str(job), env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
        opencast.faults.remove(fault)
        look = harvest("useractions", "-i", "10", "-o", "-")
        assert (look.code, ids(look.documents)) == (0, ALL)
        assert not checkpoint.exists()
        assert harvest("useractions", "-i", "0.01", "-o", str(job)).code == 0
        assert lines(job) == ALL

    @pytest.mark.parametrize("source_is_down_too", [False, True])
    def test_a_queue_that_is_down_at_first_costs_nothing_either(
        self,
        harvest: Command,
        opencast: OpencastSimulator,
        checkpoint: Path,
        job: Path,
        aws: str,
        source_is_down_too: bool,
    ) -> None:
        queue = f"q-{uuid.uuid4().hex[:8]}"
        if source_is_down_too:
            opencast.fail("status", response=Response(503), path="/usertracking", times=10**6)
        nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0.2"}
        down = harvest("useractions", "-i", "10", "-q", queue, env=nowhere)
        assert down.code == 69
        opencast.faults.clear()
        for output in ("-", str(job)):
            look = harvest("useractions", "-i", "0.01", "-o", output)
            assert look.code == 0
            assert f"belongs to sqs://{queue}" in look.err
        assert lines(job) == ALL
        assert not checkpoint.exists()
        assert harvest("useractions", "-i", "0.01", "-q", queue).code == 0
        assert {json.loads(message["Body"])["action_id"] for message in received(queue)} == {int(id) for id in ALL}
        assert checkpoint.with_suffix(".owner").read_text().endswith(f"/{queue}")

    @pytest.mark.parametrize("from_its_first_answer", [True, False])
    def test_nor_does_another_durable_output(
        self,
        harvest: Command,
        opencast: OpencastSimulator,
        checkpoint: Path,
        job: Path,
        tmp_path: Path,
        from_its_first_answer: bool,
    ) -> None:
        after = 0 if from_its_first_answer else 4
        fault = opencast.fail("status", response=Response(503), path="/usertracking", after=after, times=10**6)
        assert harvest("useractions", "-i", "10", "-o", str(job), env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
        opencast.faults.remove(fault)
        other = tmp_path / "other.jsonl"
        look = harvest("useractions", "-i", "0.01", "-o", str(other))
        assert (look.code, lines(other)) == (0, ALL)
        assert f"belongs to file {job}" in look.err
        assert not checkpoint.exists()
        assert harvest("useractions", "-i", "0.01", "-o", str(job)).code == 0
        assert lines(job) == ALL

    def test_the_beginning_that_a_kill_left_is_emptied_by_the_next_run(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, job: Path
    ) -> None:
        assert harvest("useractions", "-i", "10", "-o", str(job)).code == 0
        checkpoint.with_suffix(".begun").write_text("20200101000000Z")
        checkpoint.write_text(compact(moments(opencast)[5]) + "Z")
        assert harvest("useractions", "-o", str(job)).code == 0
        checkpoint.unlink()
        assert harvest("useractions", "-i", "10", "-o", str(job), env={"MAX_START_END_SPAN": "3600"}).code == 0

    def test_standard_output_makes_up_for_its_own_and_moves_on(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path
    ) -> None:
        fault = opencast.fail("status", response=Response(503), path="/usertracking", times=10**6)
        assert harvest("useractions", "-i", "10", "-o", "-", env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
        opencast.faults.remove(fault)
        assert ids(harvest("useractions", "-i", "0.01", "-o", "-").documents) == ALL
        assert checkpoint.exists()
        assert harvest("useractions", "-i", "0.01", "-o", "-", env=NO_LOOKBACK).documents == []

    def test_a_range_by_hand_that_does_not_touch_it_makes_no_checkpoint(
        self, harvest: Command, opencast: OpencastSimulator, checkpoint: Path, job: Path
    ) -> None:
        fault = opencast.fail("status", response=Response(503), path="/usertracking", times=10**6)
        assert harvest("useractions", "-i", "10", "-o", str(job), env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
        opencast.faults.remove(fault)
        by_hand = harvest("useractions", "-s", moments(opencast)[8].isoformat(), "-o", str(job))
        assert (by_hand.code, lines(job)) == (0, {"108", "109"})
        assert "where the first run began" in by_hand.err
        assert not checkpoint.exists()
        assert harvest("useractions", "-i", "0.01", "-o", str(job)).code == 0
        assert lines(job) == ALL


def test_standard_output_gets_everything_again_when_the_commit_failed(
    harvest: Command,
    opencast: OpencastSimulator,
    redis_server: Redis,
    checkpoint: Path,
    stored: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from harvesters.errors import Unavailable
    from harvesters.stores.checkpoint import Checkpoint

    redis_server.flush()
    env = {"REDIS_URL": redis_server.url, "HARVEST_LOOKBACK": "600"}
    checkpoint.with_suffix(".owner").write_text("-")

    def fails(*_: object) -> str:
        raise Unavailable("the store is down")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "commit", fails)
        first = harvest("useractions", "-o", "-", env=env)
    assert (first.code, ids(first.documents)) == (69, ALL)
    assert ids(harvest("useractions", "-o", "-", env=env).documents) == ALL
    assert harvest("useractions", "-o", "-", env=env).documents == []


def test_a_look_at_firebase_steals_nothing_either(
    harvest: Command,
    database: FirebaseSimulator,
    state: Path,
    job: Path,
) -> None:
    assert harvest("firebase", "events", "-o", str(job)).code == 0
    reached = (state / "last-firebase-event").read_text()
    key = str(database.edit("/events", {"type": "heart", "created_at": 1456800000000}, "POST"))
    look = harvest("firebase", "events", "-o", "-")
    assert key in {document["id"] for document in look.documents}
    assert f"belongs to file {job}" in look.err
    assert (state / "last-firebase-event").read_text() == reached
    assert harvest("firebase", "events", "-o", str(job)).code == 0
    assert key in {json.loads(line)["id"] for line in job.read_text().splitlines()}
    taken = harvest("firebase", "events", "-o", "-", "--update-checkpoint")
    assert taken.code == 0
    assert (state / "last-firebase-event.owner").read_text() == "-"


@pytest.mark.parametrize("from_its_first_answer", [True, False])
def test_nor_does_a_look_make_off_with_what_a_first_run_of_firebase_began(
    harvest: Command,
    database: FirebaseSimulator,
    state: Path,
    job: Path,
    tmp_path: Path,
    from_its_first_answer: bool,
) -> None:
    fault = database.fail("status", response=Response(503), after=0 if from_its_first_answer else 1, times=10**6)
    assert harvest("firebase", "events", "-o", str(job), env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
    database.faults.remove(fault)
    for output in ("-", str(tmp_path / "other.jsonl")):
        look = harvest("firebase", "events", "-o", output)
        assert look.code == 0
        assert f"belongs to file {job}" in look.err
    assert not (state / "last-firebase-event").exists()
    assert harvest("firebase", "events", "-o", str(job)).code == 0
    assert {json.loads(line)["id"] for line in job.read_text().splitlines()} == set(EVENTS)


class TestZoom:
    NAME = "zoom-last-end-timestamp"
    LIVE = ("zoom", "--live", "-o")

    @pytest.fixture(autouse=True)
    def three_days(self, zoom: ZoomSimulator, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
        monkeypatch.setenv("ZOOM_LOOKBACK", str(3 * 86_400))

    def test_each_look_shows_everything(self, harvest: Command, state: Path, job: Path) -> None:
        assert harvest(*self.LIVE, str(job)).code == 0
        for words in ([], [], ["--no-update-checkpoint"]):
            assert len(harvest(*self.LIVE, "-", *words).documents) == 17
        taken = harvest(*self.LIVE, "-", "--update-checkpoint")
        assert len(taken.documents) == 17
        assert harvest(*self.LIVE, "-").documents == []

    def test_standard_output_gets_everything_again_when_the_commit_failed(
        self, harvest: Command, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from harvesters.errors import Unavailable
        from harvesters.stores.checkpoint import Checkpoint

        state.mkdir()
        (state / f"{self.NAME}.owner").write_text("-")
        (state / self.NAME).write_text(compact(datetime.now(UTC) - timedelta(hours=1)) + "Z")

        def fails(*_: object) -> str:
            raise Unavailable("the store is down")

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "commit", fails)
            first = harvest(*self.LIVE, "-")
        assert (first.code, len(first.documents)) == (69, 17)
        assert len(harvest(*self.LIVE, "-").documents) == 17
        assert harvest(*self.LIVE, "-").documents == []
