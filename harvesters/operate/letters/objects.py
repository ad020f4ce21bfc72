"""Dead letters in S3: objects of JSON lines, which nobody but us changes once they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from harvesters.aws import client as aws
from harvesters.errors import RaceLost
from harvesters.operate.letters.box import Found
from harvesters.operate.letters.letter import Letter
from harvesters.settings import Settings
from harvesters.stores.blob import Blob, Conflict
from harvesters.stores.s3 import S3Bucket

_WRITTEN = re.compile(r"(\d{4}-\d\d-\d\dT\d{6}Z)-[0-9a-f]{8}\.jsonl$")
_ENDING = ".jsonl"


@dataclass
class S3Box:
    """The objects of `bucket` below `prefix`."""

    bucket: S3Bucket
    prefix: str
    settings: Settings

    @property
    def name(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket.bucket}/{self.prefix}".rstrip("/")

    @property
    def lease(self) -> Blob | None:
        """Beside the objects."""
        return self.bucket.blob(f"{self._folder}.replay.lease")

    def count(self) -> int:
        """The lines of all objects."""
        return sum(len(_lines(content)) for _, content, _ in self._objects())

    def hidden(self) -> int:
        """None."""
        return 0

    def portions(self) -> Iterator[ObjectPortion]:
        """Object by object, as they were written."""
        for key, content, etag in self._objects():
            portion = ObjectPortion(self.bucket, key, content, etag)
            where = f"s3://{self.bucket.bucket}/{key}"
            for number, line in enumerate(_lines(content), 1):
                letter = Letter.read(line, where, self.settings)
                if letter is not None:
                    portion.letters.append(letter)
                else:
                    portion.strange.append(f"{where}, line {number}")
            yield portion

    def close(self) -> None:
        """Drop the connections."""
        self.bucket.close()

    @property
    def _folder(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""

    def _objects(self) -> Iterator[tuple[str, bytes, str]]:
        for key in sorted(self._keys(), key=_order):
            version = self.bucket.blob(key).read()
            if version is not None:
                yield key, version.content, version.etag

    def _keys(self) -> Iterator[str]:
        more: dict[str, Any] = {}
        while True:
            answer = aws.call(self.bucket.retry, self.name, partial(self._list, more))
            for item in answer.get("Contents", ()):
                key = str(aws.field(item, "Key"))
                if key.endswith(_ENDING) and "/" not in key[len(self._folder) :]:
                    yield key
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _list(self, more: dict[str, Any]) -> Any:
        from botocore.exceptions import ClientError

        try:
            return self.bucket.client.list_objects_v2(Bucket=self.bucket.bucket, Prefix=self._folder, **more)
        except ClientError as error:
            if aws.error_code(error) == "NoSuchBucket":
                return {}
            raise


class ObjectPortion(Found):
    """What an object holds."""

    def __init__(self, bucket: S3Bucket, key: str, content: bytes, etag: str) -> None:
        super().__init__()
        self._blob, self._content, self._etag = bucket.blob(key), content, etag

    def settle(self, changes: Mapping[Letter, bytes | None]) -> None:
        """Put what is left in its place; an object of which nothing is left goes."""
        if not changes:
            return
        instead = {letter.raw: line for letter, line in changes.items()}
        lines = [instead.get(line, line) for line in _lines(self._content)]
        content = b"".join(line.rstrip(b"\n") + b"\n" for line in lines if line is not None)
        try:
            if content:
                self._etag = self._blob.write(content, self._etag)
            else:
                self._blob.remove()
        except Conflict as error:
            raise RaceLost(f"somebody else changed {self._blob.name}; run the same command again") from error
        self._content = content


def _lines(content: bytes) -> list[bytes]:
    return [line for line in content.splitlines(keepends=True) if line.strip()]


def _order(key: str) -> tuple[str, str]:
    found = _WRITTEN.search(key)
    return found[1] if found else "", key
