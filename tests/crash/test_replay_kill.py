"""A replay of dead letters killed at every one of its steps, and started again: no letter is lost."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.sinks.deadletters import DeadLetter, open_dead_letters
from tests.clocks import patient
from tests.conformance.letterplaces import Shelf
from tests.crash.crashing import KILLED, Attempt, Driver
from tests.indexing.queues import action

GOOD, POISON = [1, 2, 3, 4], [5, 6]


@dataclass
class Case:
    """Four letters that can be delivered by now, and two that die again."""

    shelf: Shelf
    driver: Driver
    out: Path

    def fill(self) -> None:
        if self.shelf.kind == "sqs":
            self.shelf.target = f"sqs://dead-{os.urandom(4).hex()}"
        self.shelf.drop(all=True)
        self.out.unlink(missing_ok=True)
        letters = [DeadLetter("useractions", str(number), "refused", action(number)) for number in GOOD]
        letters += [DeadLetter("useractions", str(number), "refused", {"action_id": number}) for number in POISON]
        # A memory of its own each time, or the same letters would not be written twice.
        state = self.shelf.state / os.urandom(4).hex()
        open_dead_letters(self.shelf.target, state, patient(), "index").write(letters)

    def replay(self, kill_at: int = 0) -> Attempt:
        settings = {"HARVEST_DEAD_LETTERS": self.shelf.target, "HARVEST_STATE_DIR": str(self.shelf.state)}
        words = ["--env-file", os.devnull, "deadletters", "replay", "--all", "-o", str(self.out)]
        return self.driver.run(words, {**os.environ, **settings}, kill_at)

    @property
    def delivered(self) -> list[int]:
        lines = self.out.read_bytes().splitlines() if self.out.exists() else []
        return [json.loads(line)["action_id"] for line in lines if line.endswith(b"}")]

    @property
    def messages(self) -> int:
        """Of the queue, those that are hidden too."""
        client: Any = boto3.client("sqs")
        url = client.get_queue_url(QueueName=self.shelf.target.removeprefix("sqs://"))["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def check(self, at: int) -> None:
        waiting = {int(one.id) for one in self.shelf.look()}
        assert waiting | {*self.delivered} >= {*GOOD, *POISON}, f"killed at {at}: a letter is lost"
        assert self.replay().code == 65
        assert {*self.delivered} == {*GOOD}
        left = self.shelf.look()
        assert {int(one.id) for one in left} == {*POISON}
        assert {one.reason for one in left} == {"it has no timestamp"}
        if self.shelf.kind != "sqs":
            assert len(left) == len(POISON)


@pytest.fixture(params=["directory", "s3", "sqs"])
def case(request: pytest.FixtureRequest, tmp_path: Path, driver: Driver) -> Case:
    if request.param != "directory":
        request.getfixturevalue("aws")
    targets = {"directory": str(tmp_path / "dead"), "s3": "s3://dead/letters", "sqs": "sqs://dead"}
    return Case(Shelf(targets[request.param], tmp_path / "state", request.param), driver, tmp_path / "out.jsonl")


def test_no_letter_is_lost(case: Case) -> None:
    case.fill()
    whole = case.replay()
    assert whole.code == 65, whole.log
    case.check(0)
    step = {"directory": "replace useractions-", "s3": "s3 PUT useractions-", "sqs": "sqs DeleteMessageBatch"}
    assert any(point.startswith(step[case.shelf.kind]) for point in whole.points), whole.points
    for at in range(1, len(whole.points) + 1):
        case.fill()
        if case.replay(at).code != KILLED:
            continue  # a renewal of the lease came or went
        if case.shelf.kind == "sqs":  # what a killed replay held is hidden for a minute, and nobody waits for that here
            assert case.messages >= len({*GOOD, *POISON} - {*case.delivered}), f"killed at {at}: a letter is lost"
        else:
            case.check(at)
