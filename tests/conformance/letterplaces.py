"""Places of dead letters for the suites that read them: what is there, and a job whose sink a test can make refuse."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.assembly import Assembly
from harvesters.operate.again import Died
from harvesters.operate.jobs import BY_NAME
from harvesters.operate.letters import replay as replaying
from harvesters.operate.letters.letter import Letter
from harvesters.operate.letters.replay import Tally, drop, look
from harvesters.operate.letters.selection import Selection
from harvesters.settings import Settings
from harvesters.sinks.deadletters import DeadLetter, open_dead_letters
from tests.clocks import patient


@dataclass
class Pretended:
    """Takes the rows of one job, and refuses those that `refuse` has a reason for."""

    refuse: Callable[[Any], str] = lambda row: ""
    taken: list[Any] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    name: str = "a sink"
    durable: bool = True

    def deliver(self, letters: Sequence[DeadLetter]) -> list[Died | None]:
        self.before()
        reasons = [self.refuse(letter.row) for letter in letters]
        self.taken += [letter.row for letter, reason in zip(letters, reasons, strict=True) if not reason]
        return [Died(reason) if reason else None for reason in reasons]

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Shelf:
    """One place."""

    target: str
    state: Path
    kind: str

    @property
    def settings(self) -> Settings:
        return Settings({"HARVEST_DEAD_LETTERS": self.target, "HARVEST_STATE_DIR": str(self.state)})

    def assembly(self) -> Assembly:
        return Assembly(self.settings)

    def put(self, *letters: DeadLetter, job: str = "useractions") -> None:
        open_dead_letters(self.target, self.state, patient(), job).write(letters)

    def put_raw(self, content: str) -> None:
        """As somebody else writes there."""
        if self.kind == "directory":
            with (self.directory / "useractions-2026-02-13.jsonl").open("a") as file:
                file.write(content)
        elif self.kind == "s3":
            bucket, _, prefix = self.target.removeprefix("s3://").partition("/")
            boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/foreign.jsonl", Body=content.encode())
        else:
            client = boto3.client("sqs")
            url = client.get_queue_url(QueueName=self.target.removeprefix("sqs://"))["QueueUrl"]
            grouped: Any = {"MessageGroupId": "odd", "MessageDeduplicationId": "odd"} if self.kind == "fifo" else {}
            client.send_message(QueueUrl=url, MessageBody=content, **grouped)

    @property
    def directory(self) -> Path:
        return Path(self.target)

    def look(self, **which: Any) -> list[Letter]:
        return self.look_closely(**which)[0]

    def look_closely(self, **which: Any) -> tuple[list[Letter], Tally]:
        found: list[Letter] = []
        tally = look(self.assembly(), Selection(**which), found.append)
        return found, tally

    def ids(self, **which: Any) -> list[str]:
        return sorted(letter.id for letter in self.look(**which))

    def replay(self, **which: Any) -> Tally:
        return replaying.replay(self.assembly(), Selection(**(which or {"all": True})), None)

    def drop(self, **which: Any) -> Tally:
        return drop(self.assembly(), Selection(**which))


def letter(id: str, reason: str = "refused", **more: Any) -> DeadLetter:
    return DeadLetter("useractions", id, reason, {"id": int(id), "created": "never", **more})


def row(letter: Letter) -> Any:
    return json.loads(letter.raw)["row"]


@pytest.fixture(params=["directory", "s3", "sqs", "fifo"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Each of the three places, empty; and a queue that is FIFO."""
    if request.param == "s3":
        request.getfixturevalue("aws")
    if request.param in ("sqs", "fifo"):
        request.getfixturevalue("elasticmq_url")
    name = f"dead-{uuid.uuid4().hex[:8]}"
    targets = {"directory": str(tmp_path / "dead"), "s3": f"s3://{name}/some/prefix", "sqs": f"sqs://{name}"}
    targets["fifo"] = f"sqs://{name}.fifo"
    return Shelf(targets[request.param], tmp_path / "state", request.param)


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """What letters of `useractions` are delivered to."""
    pretended = Pretended()
    known = BY_NAME["useractions"]
    monkeypatch.setitem(BY_NAME, "useractions", replace(known, again=lambda assembly, output: pretended))
    return pretended
