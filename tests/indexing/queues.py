"""Queues for one test, filled and counted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3


def action(id: int, day: str = "2026-02-13", **more: Any) -> dict[str, Any]:
    """A user action as `useractions` sends it."""
    return {
        "action_id": id,
        "timestamp": f"{day}T09:{id % 60:02d}:00+00:00",
        "mpid": f"mp-{id % 7}",
        "session_id": f"s{id % 11}",
        "huid": "10564389",
        "ip": "10.0.0.1",
        "is_live": False,
        "action": {"type": "HEARTBEAT", "inpoint": id % 3600, "outpoint": id % 3600, "length": 0, "is_playing": True},
        "episode": {"title": "Lecture 1", "series": "20260213001", "year": "2026", "term": "02", "crn": "13001"},
        **more,
    }


class Queue:
    """A queue of its own in whichever SQS the environment names."""

    def __init__(self) -> None:
        self.name = f"index-{uuid.uuid4().hex[:10]}"
        self._client: Any = boto3.client("sqs")
        self.url = self._client.create_queue(QueueName=self.name)["QueueUrl"]

    def fill(self, bodies: Iterable[Any]) -> None:
        """One message each; what is no text is sent as JSON."""
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]

        def send(start: int) -> None:
            entries = [{"Id": str(at), "MessageBody": text} for at, text in enumerate(texts[start : start + 10])]
            assert not self._client.send_message_batch(QueueUrl=self.url, Entries=entries).get("Failed")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, range(0, len(texts), 10)))

    def counts(self) -> tuple[int, int]:
        """How many messages are visible, and how many are in somebody's hand."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    @property
    def empty(self) -> bool:
        return self.counts() == (0, 0)

    def remove(self) -> None:
        self._client.delete_queue(QueueUrl=self.url)
