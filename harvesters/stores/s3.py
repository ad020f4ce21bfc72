"""A blob in S3: conditional writes (``If-None-Match: *``, ``If-Match``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from harvesters import aws
from harvesters.retry import RetryPolicy, Transient
from harvesters.stores.blob import Conflict, Version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey"}


class S3Bucket:
    """A bucket, created when something is first written to it; its blobs share one client."""

    def __init__(self, bucket: str, retry: RetryPolicy) -> None:
        self.bucket = bucket
        self.retry = retry

    @cached_property
    def client(self) -> S3Client:
        """The boto3 client, made when first needed."""
        return aws.client("s3")

    def blob(self, key: str, retry: RetryPolicy | None = None) -> S3Blob:
        """The object called `key`; `retry` instead of the bucket's own policy."""
        return S3Blob(self, key, retry if retry is not None else self.retry)

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
        return answer["ETag"]

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


class S3Blob:
    """An object in S3."""

    def __init__(self, bucket: S3Bucket, key: str, retry: RetryPolicy) -> None:
        self.bucket = bucket
        self.key = key
        self.retry = retry

    @property
    def name(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket.bucket}/{self.key}"

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
        return Version(answer["Body"].read(), answer["ETag"])

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
                if aws.error_code(error) in _LOST:
                    return self._settle(content, answer_lost)
                answer_lost = isinstance(aws.translate(error, self.name), Transient)
                raise
            except Exception:
                answer_lost = True
                raise

        return self._call(put)

    def _settle(self, content: bytes, answer_lost: bool) -> str:
        current = self._read() if answer_lost else None
        if current is not None and current.content == content:
            return current.etag
        raise Conflict(self.name)

    def _call(self, send: Callable[[], T]) -> T:
        return aws.call(self.retry, self.name, send)
