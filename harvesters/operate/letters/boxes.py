"""The places that ``HARVEST_DEAD_LETTERS`` names."""

from __future__ import annotations

from harvesters.aws.sqs import Queue
from harvesters.operate.letters.box import Box
from harvesters.operate.letters.directory import DirectoryBox
from harvesters.operate.letters.messages import SqsBox
from harvesters.operate.letters.objects import S3Box
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.sinks.deadletters import Place
from harvesters.stores.s3 import S3Bucket


def open_boxes(settings: Settings, retry: RetryPolicy, timeout: float = 30.0) -> list[Box]:
    """Where letters are: the place of the setting, and the directory that takes what a queue refuses.

    Args:
        timeout: seconds to wait for one answer.

    Raises:
        ConfigError: the setting names no such place.
    """
    place = Place.of(settings.get("HARVEST_DEAD_LETTERS"), settings.state_dir())
    if place.bucket:
        return [S3Box(S3Bucket(place.bucket, retry, timeout), place.prefix, settings)]
    directory = DirectoryBox(place.directory, settings)
    if place.queue:
        return [SqsBox(Queue(place.queue, retry, timeout=timeout), settings), directory]
    return [directory]
