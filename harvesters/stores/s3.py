"""A blob in S3: conditional writes (``If-None-Match: *``, ``If-Match``)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from harvesters.aws import client as aws
from harvesters.errors import ConfigError
from harvesters.retry import RetryPolicy, Transient
from harvesters.stores.blob import Blob, Conflict, Version, no_conditions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_LOST = {"PreconditionFailed", "412", "NotModified", "304", "NoSuchKey"}  # 304: so says one of the compatible stores
_CONFLICT = 409  # another conditional write is under way: which of them wins is not known yet
_NOT_IMPLEMENTED = 501


_CONNECTIONS = 32  # which are opened when they are needed


class S3Bucket:
    """A bucket, created when something is first written to it; its blobs share one client.

    Args:
        timeout: seconds to wait for one answer.
    """

    def __init__(self, bucket: str, retry: RetryPolicy, timeout: float = 30.0) -> None:
        self.bucket = bucket
        self.retry = retry
        self.timeout = timeout
        self._ahead: timedelta | None = None

    @cached_property
    def client(self) -> S3Client:
        """The boto3 client, made when first needed."""
        client = aws.client("s3", connections=_CONNECTIONS, timeout=self.timeout)
        client.meta.events.register("after-call.s3", self._hear)
        return client

    def close(self) -> None:
        """Drop the connections."""
        if "client" in self.__dict__:
            self.client.close()

    def now(self) -> datetime | None:
        """The time by the last answer's ``Date``, to the second; None before there was one."""
        return None if self._ahead is None else self.retry.clock.now() + self._ahead

    def _hear(self, http_response: Any, **_: Any) -> None:
        try:
            said = parsedate_to_datetime(http_response.headers.get("date", ""))
            self._ahead = said - self.retry.clock.now()
        except (TypeError, ValueError):
            pass  # no date, or one without a zone

    def blob(self, key: str, retry: RetryPolicy | None = None) -> S3Blob:
        """The object called `key`; `retry` instead of the bucket's own policy."""
        return S3Blob(self, key, retry if retry is not None else self.retry)

    def names(self, prefix: str) -> list[str]:
        """The keys that begin so; none where there is no bucket.

        Raises:
            Unavailable, CredentialsRefused, ConfigError: the store does not answer, or not to us.
        """
        return aws.call(self.retry, f"s3://{self.bucket}", lambda: self._names(prefix))

    def _names(self, prefix: str) -> list[str]:
        from botocore.exceptions import ClientError

        found: list[str] = []
        after: dict[str, Any] = {}
        while True:
            try:
                answer = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **after)
            except ClientError as error:
                if aws.error_code(error) == "NoSuchBucket":
                    return []
                raise
            found += [one["Key"] for one in answer.get("Contents", ())]
            if not answer.get("IsTruncated"):
                return found
            after = {"ContinuationToken": answer["NextContinuationToken"]}

    def put(self, key: str, content: bytes, **condition: Any) -> str:
        """Write an object, making the bucket if it is missing; returns its tag. Conditions are boto3's."""
        from botocore.exceptions import ClientError

        try:
            answer = self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **condition)
        except ClientError as error:
            if aws.error_code(error) != "NoSuchBucket":
                raise
            self._create()
            answer = self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **condition)
        return str(aws.field(answer, "ETag"))

    def _create(self) -> None:
        from botocore.exceptions import ClientError

        region = self.client.meta.region_name
        where: dict[str, Any] = {}
        if region not in ("us-east-1", "aws-global"):
            where["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            self.client.create_bucket(Bucket=self.bucket, **where)
        except ClientError as error:
            if aws.error_code(error) not in ("BucketAlreadyOwnedByYou", "OperationAborted"):
                raise  # OperationAborted: somebody else is making it right now


class S3Blob(Blob):
    """An object in S3."""

    def __init__(self, bucket: S3Bucket, key: str, retry: RetryPolicy) -> None:
        self.bucket = bucket
        self.key = key
        self.retry = retry

    @property
    def name(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket.bucket}/{self.key}"

    @property
    def doubtful(self) -> bool:
        """Always: some of what is compatible with S3 writes whatever the condition."""
        return True

    def now(self) -> datetime | None:
        """The bucket's."""
        return self.bucket.now()

    def read(self) -> Version | None:
        """The object, or None when it (or its bucket) does not exist."""
        return self._call(self._read)

    def _read(self) -> Version | None:
        from botocore.exceptions import ClientError

        try:
            answer = self.bucket.client.get_object(Bucket=self.bucket.bucket, Key=self.key)
        except ClientError as error:
            if aws.error_code(error) in ("NoSuchKey", "NoSuchBucket"):
                return None
            raise
        return Version(aws.field(answer, "Body").read(), aws.field(answer, "ETag"))

    def write(self, content: bytes, etag: str | None) -> str:
        """A conditional put. One whose answer got lost may have been carried out: then it is read back."""
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        answer_lost = False

        def put() -> str:
            nonlocal answer_lost
            try:
                return self.bucket.put(self.key, content, **condition)
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if aws.error_code(error) in _LOST:
                    return self._settle(content, answer_lost)
                if status == _NOT_IMPLEMENTED:
                    raise ConfigError(no_conditions(self.name)) from error
                if status == _CONFLICT:
                    raise Transient(f"answered {status} {aws.error_code(error)}") from error
                answer_lost = answer_lost or isinstance(aws.translate(error, self.name), Transient)
                raise
            except ConfigError:
                raise
            except Exception:  # also an answer without the tag
                answer_lost = True
                raise

        return self._call(put)

    def remove(self) -> None:
        """Delete the object, whatever version it is; one that is not there is no error."""
        self._call(lambda: self.bucket.client.delete_object(Bucket=self.bucket.bucket, Key=self.key))

    def _settle(self, content: bytes, answer_lost: bool) -> str:
        current = self._read() if answer_lost else None
        if current is not None and current.content == content:
            return current.etag
        raise Conflict(self.name)

    def _call(self, send: Callable[[], T]) -> T:
        return aws.call(self.retry, self.name, send)
