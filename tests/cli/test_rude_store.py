"""``harvest.py useractions`` with its checkpoint in an S3 that is not what it should be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvesters.retry import RetryPolicy
from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.server import OpencastSimulator
from tests.cli.conftest import Command
from tests.conformance.stores import LossyProxy

LEASE = "/bucket/last-action-timestamp.lease"


@pytest.fixture
def store(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LossyProxy]:
    with LossyProxy(aws) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        monkeypatch.setenv("S3_HARVEST_TS_BUCKET", "bucket")
        yield proxy


@pytest.mark.parametrize("deaf", ["if-none-match", "if-match"])
def test_one_that_ignores_conditions_is_refused_by_every_run(
    harvest: Command, opencast: OpencastSimulator, store: LossyProxy, tmp_path: Path, deaf: str
) -> None:
    out = tmp_path / "out.jsonl"
    store.deaf = (deaf,)
    for _ in range(3):
        result = harvest("useractions", "-i", "10", "-o", str(out))
        assert (result.code, out.exists()) == (78, False)
        assert "does not honour conditional writes" in result.err
    store.deaf = ()
    assert harvest("useractions", "-i", "10", "-o", str(out)).code == 0


def test_a_proof_that_was_not_answered_proves_nothing(
    harvest: Command, opencast: OpencastSimulator, store: LossyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third write of the lease: the first finds no bucket, the second takes it."""
    whole = store.handle
    puts = 0

    def strained(request: Request) -> Response:
        nonlocal puts
        puts += request.method == "PUT" and request.path == LEASE
        return Response(503) if puts == 3 and request.method == "PUT" else whole(request)

    monkeypatch.setattr(store, "handle", strained)
    command = ("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl"))
    assert harvest(*command, env={"HARVEST_RETRY_BUDGET": "0.2"}).code == 69
    monkeypatch.setattr(store, "handle", whole)
    store.deaf = ("if-none-match",)
    assert harvest(*command).code == 78


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((429, "TooManyRequests"), (503, "SlowDown"), (400, "RequestTimeout"), (500, "InternalError")),
        *((409, "ConditionalRequestConflict"), (409, "OperationAborted")),
    ],
)
def test_what_passes_is_tried_again_wherever_it_comes(
    harvest: Command,
    opencast: OpencastSimulator,
    store: LossyProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
) -> None:
    monkeypatch.setattr(RetryPolicy, "pause", lambda *_: 0.0)
    body = f"<Error><Code>{code}</Code><Message>soon</Message></Error>".encode()
    store.fail("status", response=Response(status, body), path="/bucket/last-action", times=3)
    store.answers = [Response(status, body)] * 3
    out = tmp_path / "out.jsonl"
    assert harvest("useractions", "-i", "10", "-o", str(out)).code == 0
    assert len(out.read_text().splitlines()) == 10


@pytest.mark.parametrize("fault", ["truncate", "reset"])
def test_an_answer_that_is_cut_is_asked_for_again(
    harvest: Command,
    opencast: OpencastSimulator,
    store: LossyProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr(RetryPolicy, "pause", lambda *_: 0.0)
    out = tmp_path / "out.jsonl"
    for _ in range(3):
        for name in ("", ".owner", ".lease"):
            store.fail(fault, path=f"/bucket/last-action-timestamp{name}", times=2)
        result = harvest("useractions", "-i", "10", "-o", str(out))
        assert result.code == 0, result.err
    assert len(set(out.read_text().splitlines())) == 10


def test_one_that_knows_no_conditions_is_78(
    harvest: Command, opencast: OpencastSimulator, store: LossyProxy, tmp_path: Path
) -> None:
    body = b"<Error><Code>NotImplemented</Code><Message>A header you provided implies so</Message></Error>"
    store.answers = [Response(501, body)]
    result = harvest("useractions", "-o", str(tmp_path / "out.jsonl"))
    assert result.code == 78
    assert "leave S3_HARVEST_TS_BUCKET empty" in result.err


def test_a_lease_too_short_for_it_is_named_and_the_checkpoint_does_not_suffer(
    harvest: Command, opencast: OpencastSimulator, store: LossyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store.handle

    def slow(request: Request) -> Response:
        time.sleep(0.2)  # the store is slow itself, by more than a sixth of the lease: nobody waits for time here
        return whole(request)

    monkeypatch.setattr(store, "handle", slow)
    result = harvest("useractions", "-o", str(tmp_path / "out.jsonl"), env={"HARVEST_LEASE_TTL": "1"})
    assert result.code == 69
    assert "last-action-timestamp.lease: no answer" in result.err
    assert "a sixth of HARVEST_LEASE_TTL is 0.17 s" in result.err


def test_a_name_that_no_bucket_can_have_is_78(
    harvest: Command, opencast: OpencastSimulator, store: LossyProxy, tmp_path: Path
) -> None:
    result = harvest("useractions", "-o", str(tmp_path / "out.jsonl"), env={"S3_HARVEST_TS_BUCKET": "b"})
    assert result.code == 78
    assert "InvalidBucketName" in result.err
