"""A live harvest over S3, SQS and Redis that is killed again and again, and whose Redis is emptied."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from harvesters.timespan import format_checkpoint
from tests.crash.crashing import BATCH, END, KILLED, START, Driver, Opencast, arguments, environment, read_lines

BUCKET, KEY = "harvest-timestamps", "last-action-timestamp"
KILLS = 5


@pytest.fixture
def driver(aws: str, elasticmq_url: str, tmp_path: Path) -> Iterator[Driver]:
    """S3 is moto's, SQS is ElasticMQ's."""
    with Driver(tmp_path) as driver:
        yield driver


@pytest.mark.parametrize("queue", ["soak", "soak.fifo"])
def test_five_kills_and_an_emptied_redis_lose_no_action(
    driver: Driver, redis_url: str, redis_server: Any, tmp_path: Path, queue: str
) -> None:
    draw = random.Random(queue)
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=format_checkpoint(START).encode())
    fifo = {"FifoQueue": "true"} if queue.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=f"{draw.getrandbits(32):x}-{queue}", Attributes=fifo)["QueueUrl"]  # type: ignore[arg-type]
    name = {"SQS_QUEUE_NAME": url.rpartition("/")[2], "S3_HARVEST_TS_BUCKET": BUCKET}
    no_lookback = {"HARVEST_LOOKBACK": "0"}  # it would make up for a checkpoint that moved too early
    checkpoints = []
    with Opencast().fill(6 * KILLS) as opencast:
        env = environment(opencast.url, redis_url, tmp_path / "state", **name, **no_lookback)
        for number in range(KILLS):
            killed = driver.run(arguments("-o", "sqs"), env, kill_at=draw.randrange(8, 60))
            assert killed.code == KILLED, killed.log
            checkpoints.append(s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read().decode())
            if number == KILLS // 2:
                redis_server.flush()
        last = driver.run(arguments("-o", "sqs"), env)
        rows = [row for row in opencast.table._by_id.values() if START <= row.created < END]
    assert last.code == 0, last.log
    assert checkpoints == sorted(checkpoints)
    assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read().decode() == format_checkpoint(END)
    got = Counter(_drained(sqs, url))
    assert set(got) == {row.id for row in rows} - {Opencast.poison_id}
    # What a killed run had delivered and not written down, and what Redis forgot of the second that is read again.
    assert sum(got.values()) - len(got) <= (KILLS + 1) * BATCH
    letters = [letter for path in (tmp_path / "state").glob("dead-letters/*.jsonl") for letter in read_lines(path)]
    assert [letter["id"] for letter in letters] == [str(Opencast.poison_id)]


def _drained(sqs: Any, url: str) -> Iterator[int]:
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        yield from (json.loads(message["Body"])["action_id"] for message in messages)
        sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(messages)],
        )
    sqs.delete_queue(QueueUrl=url)
