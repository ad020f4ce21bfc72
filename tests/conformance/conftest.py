"""The back ends of the stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.stores.file import FileBlob
from harvesters.stores.s3 import S3Bucket
from tests.clocks import patient
from tests.conformance.stores import LossyProxy, OpenBlob


@pytest.fixture
def proxy(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LossyProxy]:
    """Stands before S3 and SQS for all clients of the test, one request at a time."""
    with LossyProxy(aws) as simulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL", simulator.url)
        yield simulator


@pytest.fixture(params=["file", "s3"])
def open_blob(request: pytest.FixtureRequest, tmp_path: Path) -> OpenBlob:
    """Blobs of one directory or bucket, which does not exist yet."""
    if request.param == "file":
        return lambda name: FileBlob(tmp_path / "not" / "yet" / name)
    request.getfixturevalue("proxy")
    buckets: list[S3Bucket] = []

    def opened(name: str) -> S3Bucket:
        # Two clients are as good as any number, and making one takes a tenth of a second.
        if len(buckets) < 2:
            buckets.append(S3Bucket("harvest-test", patient()))
        buckets.reverse()
        return buckets[0]

    return lambda name: opened(name).blob(name)
