"""What forks the runs that are killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.crashing import Driver


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """Without S3 and SQS; where those are needed a module has its own."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with Driver(tmp_path) as driver:
        yield driver
