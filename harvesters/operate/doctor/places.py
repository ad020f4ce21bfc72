"""Where checkpoints, dead letters, messages and the cache are."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harvesters import redis_client
from harvesters.aws import client as aws
from harvesters.aws.sqs import Queue
from harvesters.errors import Exit, HarvestError
from harvesters.operate.doctor.check import TIMEOUT, Examination
from harvesters.privacy import redact
from harvesters.sinks.deadletters import Place
from harvesters.stores.blob import no_conditions
from harvesters.stores.s3 import S3Bucket

_MADE = "The first run makes it."
_AWS = "Check AWS_ENDPOINT_URL, the network, and the AWS_* credentials and rights."
_WRONG = '"00000000000000000000000000000000"'
_REFUSED = (409, 412)


def state(about: Examination) -> None:
    """A file can be written and removed where the checkpoints are."""
    directory = about.settings.state_dir()
    if not _can_be_made(about, "state", directory):
        return
    probe = directory / quote(_probe_name(about), safe=" ")
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, b"doctor")
            os.fsync(handle)
        finally:
            os.close(handle)
            probe.unlink(missing_ok=True)
    except OSError as error:
        about.fail("state", f"{directory}: {error.strerror}", "Set HARVEST_STATE_DIR to a directory with room.")
        return
    about.ok("state", f"{directory} can be written")


def s3(about: Examination) -> None:
    """The bucket answers, an object can be written and removed, and conditions are honoured."""
    name = about.settings.get("S3_HARVEST_TS_BUCKET")
    bucket = S3Bucket(name, about.assembly.retry, TIMEOUT)
    try:
        if not _there(bucket):
            about.warn("s3", f"there is no bucket {name}", _MADE)
            return
        about.ok("s3", f"{name} answers")
        about.clock("s3", bucket.now())
        _try_conditions(about, bucket)
    except HarvestError as error:
        about.fail("state" if _said(about, "s3") else "s3", error, _AWS)
    finally:
        bucket.close()


def redis(about: Examination) -> None:
    """Redis answers. One that nobody named need not be there."""
    url = about.settings.get("REDIS_URL")
    broken: tuple[type[Exception], ...] = (HarvestError, *redis_client.failures())
    try:
        client = redis_client.client(redis_client.checked(url))
        try:
            client.ping()
        finally:
            client.close()
    except broken as error:
        detail = f"{redact(url)}: {redact(str(error))}"
        if about.settings.given("REDIS_URL"):
            about.fail("redis", detail, "Start it, or point REDIS_URL at one.")
        else:
            about.warn("redis", detail, "Without Redis what was delivered is remembered within one run only.")
        return
    about.ok("redis", f"{redact(url)} answers")


def sqs(about: Examination) -> None:
    """The queue is there."""
    _queue(about, "sqs", about.settings.get("SQS_QUEUE_NAME"))


def deadletters(about: Examination) -> None:
    """Dead letters could be kept."""
    place = Place.of(about.settings.get("HARVEST_DEAD_LETTERS"), about.settings.state_dir())
    if place.queue:
        _queue(about, "deadletters", place.queue)
    elif place.bucket:
        bucket = S3Bucket(place.bucket, about.assembly.retry, TIMEOUT)
        try:
            if _there(bucket):
                about.ok("deadletters", f"s3://{place.bucket} answers")
            else:
                about.warn("deadletters", f"there is no bucket {place.bucket}", "The first letter makes it.")
        except HarvestError as error:
            about.fail("deadletters", error, _AWS)
        finally:
            bucket.close()
    elif _can_be_made(about, "deadletters", place.directory):
        about.ok("deadletters", f"{place.directory} can be written")


def _queue(about: Examination, check: str, name: str) -> None:
    queue = Queue(name, about.assembly.retry, timeout=TIMEOUT)
    try:
        if queue.find():
            about.ok(check, f"sqs://{name} is there")
        else:
            about.warn(check, f"there is no queue {name}", _MADE)
    except HarvestError as error:
        about.fail(check, error, _AWS)
    finally:
        queue.close()


def _there(bucket: S3Bucket) -> bool:
    from botocore.exceptions import ClientError

    def ask() -> bool:
        try:
            bucket.client.list_objects_v2(Bucket=bucket.bucket, MaxKeys=1)
        except ClientError as error:
            if aws.error_code(error) == "NoSuchBucket":
                return False
            raise
        return True

    return aws.call(bucket.retry, f"s3://{bucket.bucket}", ask)


def _try_conditions(about: Examination, bucket: S3Bucket) -> None:
    """Write an object, try what has to be refused, and remove it."""
    key = _probe_name(about)
    try:
        _put(bucket, key)
        about.ok("state", f"s3://{bucket.bucket} can be written")
        taken = [
            condition
            for condition, value in (("IfNoneMatch", "*"), ("IfMatch", _WRONG))
            if not _refused(bucket, key, {condition: value})
        ]
        if taken:
            detail = f"{' and '.join(taken)} was not looked at. {no_conditions(f's3://{bucket.bucket}')}"
            about.fail("s3.conditional", detail, "Use a store that honours conditional writes.", Exit.PROTOCOL)
        else:
            about.ok("s3.conditional", "a write under a condition that does not hold is refused")
    finally:
        bucket.blob(key).remove()


def _put(bucket: S3Bucket, key: str, **condition: Any) -> None:
    def put() -> None:
        bucket.client.put_object(Bucket=bucket.bucket, Key=key, Body=b"doctor", **condition)

    aws.call(bucket.retry, f"s3://{bucket.bucket}/{key}", put)


def _refused(bucket: S3Bucket, key: str, condition: dict[str, str]) -> bool:
    """Whether the store refuses to write where the condition does not hold; one that does not know it is no refusal."""
    from botocore.exceptions import ClientError

    put: Any = bucket.client.put_object

    def ask() -> bool:
        try:
            put(Bucket=bucket.bucket, Key=key, Body=b"an attempt that has to fail", **condition)
        except ClientError as error:
            return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _REFUSED
        return False

    return aws.call(bucket.retry, f"s3://{bucket.bucket}/{key}", ask)


def _probe_name(about: Examination) -> str:
    job = about.jobs[0] if about.jobs else None
    checkpoint = job.checkpoint(about.settings) if job else about.settings.get("S3_LAST_ACTION_TS_KEY")
    return f"{checkpoint}.doctor-{uuid.uuid4().hex[:8]}"


def _said(about: Examination, check: str) -> bool:
    return any(found.check == check for found in about.found)


def _can_be_made(about: Examination, check: str, directory: Path) -> bool:
    """Whether the directory is there and can be written; where it is missing, or cannot, that is said."""
    nearest = next((path for path in (directory, *directory.absolute().parents) if path.exists()), Path("/"))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        remedy = "Let this user write there, or name another directory."
        about.fail(check, f"{nearest} cannot be written by this user", remedy)
        return False
    if nearest != directory:
        about.warn(check, f"{directory} is not there yet", _MADE)
        return False
    return True
