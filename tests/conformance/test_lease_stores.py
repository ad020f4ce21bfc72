"""Leases over stores and clocks as they are: skewed, unanswered, deaf to conditions."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import orjson
import pytest
from botocore.exceptions import ResponseStreamingError
from botocore.parsers import ResponseParserError

from harvesters import process
from harvesters.assembly import Assembly
from harvesters.cursor import Times
from harvesters.errors import ConfigError, LeaseHeld, RaceLost, Unavailable
from harvesters.process import Process
from harvesters.settings import Settings
from harvesters.simulators.base import Response
from harvesters.stores.lease import Holder, Lease
from harvesters.stores.s3 import S3Blob, S3Bucket
from tests.clocks import NOW, FakeClock, patient
from tests.conformance.stores import LossyProxy, OpenBlob, Timed
from tests.samples import logged

HERE = Process.current()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timed(open_blob: OpenBlob, clock: FakeClock) -> OpenBlob:
    """Blobs whose stores' clock is the test's."""
    return lambda name: Timed(open_blob(name), clock)


def test_a_process_that_cannot_be_seen_is_not_dead(
    timed: OpenBlob, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with hidepid: /proc shows no others, but their numbers are taken."""
    monkeypatch.setattr(process, "_PROC", tmp_path)
    timed("lease").write(Holder("token", HERE, NOW + timedelta(seconds=60), generation=7).encode(), None)
    with pytest.raises(LeaseHeld):
        Lease(timed("lease"), clock, 60).acquire()
    gone = Holder("token", replace(HERE, pid=2**22 + 1), NOW + timedelta(seconds=60), generation=7)
    timed("gone").write(gone.encode(), None)
    assert Lease(timed("gone"), clock, 60).acquire().generation == 8


@pytest.mark.parametrize("skew", [-90, 90])
def test_hosts_whose_clocks_differ_agree_on_when_a_lease_ends(open_blob: OpenBlob, skew: int) -> None:
    """By the store's clock: the `Date` of S3, the time that a file gets."""
    theirs, ours = FakeClock(datetime.now(UTC) + timedelta(seconds=skew)), FakeClock(datetime.now(UTC))
    held = Lease(open_blob("lease"), theirs, 60).acquire()
    assert abs((held.expires - datetime.now(UTC)).total_seconds() - 60) < 10
    foreign = replace(held, owner=replace(HERE, host="elsewhere"))
    version = open_blob("lease").read()
    assert version is not None
    etag = open_blob("lease").write(foreign.encode(), version.etag)
    with pytest.raises(LeaseHeld):
        Lease(open_blob("lease"), ours, 60).acquire()
    over = replace(foreign, expires=datetime.now(UTC) - timedelta(seconds=1))
    open_blob("lease").write(over.encode(), etag)
    assert Lease(open_blob("lease"), theirs, 60).acquire().generation == held.generation + 1


def test_a_machine_that_was_suspended_finds_its_lease_lost(timed: OpenBlob, clock: FakeClock) -> None:
    lease = Lease(timed("lease"), clock, 60)
    lease.acquire()
    clock._now += timedelta(seconds=60)  # elapsed time stands still meanwhile
    with pytest.raises(RaceLost, match="could not be renewed in time"):
        lease.check()


class TestUnreliableStores:
    """What S3, or what is compatible with it, does to a lease."""

    def lease(self, budget: float = 0, **options: Any) -> Lease:
        return Lease(S3Bucket("harvest-test", patient(budget=budget), **options).blob("lease"), FakeClock(), 60)

    def test_a_renewal_that_was_carried_out_and_not_answered_is_read_back(self, proxy: LossyProxy) -> None:
        lease = self.lease()
        lease.acquire()
        proxy.lose = ["PUT"]
        with pytest.raises(Unavailable):
            lease.renew()
        lease.check()
        lease.renew()
        lease.check()
        proxy.lose = ["PUT"]
        with pytest.raises(Unavailable):
            lease.renew()
        with logged() as records:
            lease.release()
        assert records == []
        assert self.lease().acquire().generation == 2

    def test_a_lease_that_was_taken_and_not_answered_is_ours(self, proxy: LossyProxy) -> None:
        lease = self.lease(budget=20)
        proxy.lose = ["PUT"]
        assert lease.acquire().generation == 1
        lease.renew()

    def test_nobody_is_blamed_for_a_lease_that_was_deleted(self, proxy: LossyProxy) -> None:
        lease = self.lease()
        lease.acquire()
        boto3.client("s3").delete_object(Bucket="harvest-test", Key="lease")
        with pytest.raises(RaceLost, match=r"the lease s3://harvest-test/lease was deleted"):
            lease.renew()
        assert "None" not in str(lease.explain_race(RaceLost("moved")))

    @pytest.mark.parametrize("deaf", [("if-none-match",), ("if-match",), ("if-none-match", "if-match")])
    @pytest.mark.parametrize("old", [False, True])
    def test_a_store_that_ignores_conditions_is_found_out(
        self, proxy: LossyProxy, deaf: tuple[str, ...], old: bool
    ) -> None:
        if old:
            before = self.lease()
            before.acquire()
            before.release()
            content = orjson.loads(before.blob.read().content)  # type: ignore[union-attr]
            del content["proven"]
            boto3.client("s3").put_object(Bucket="harvest-test", Key="lease", Body=orjson.dumps(content))
        proxy.deaf = deaf
        with pytest.raises(ConfigError, match="does not honour conditional writes") as refused:
            self.lease().acquire()
        assert refused.value.code == 78
        proxy.deaf = ()
        self.lease().acquire()

    def test_it_is_asked_once_a_day_and_not_by_each_run(self, proxy: LossyProxy) -> None:
        puts = []
        for _ in range(3):
            proxy.puts = 0
            lease = self.lease()
            lease.acquire()
            lease.release()
            puts.append(proxy.puts)
        assert puts[0] > 3
        assert puts[1:] == [2, 2]

    def test_a_store_that_knows_no_conditions_is_78(self, proxy: LossyProxy) -> None:
        body = b"<Error><Code>NotImplemented</Code><Message>A header you provided implies so</Message></Error>"
        proxy.answers = [Response(501, body)]
        with pytest.raises(ConfigError, match="leave S3_HARVEST_TS_BUCKET empty"):
            self.lease().acquire()

    @pytest.mark.parametrize(
        ("status", "code"),
        [(429, "TooManyRequests"), (503, "SlowDown"), (409, "ConditionalRequestConflict"), (409, "OperationAborted")],
    )
    def test_what_passes_is_tried_again(self, proxy: LossyProxy, status: int, code: str) -> None:
        proxy.answers = [Response(status, f"<Error><Code>{code}</Code><Message>soon</Message></Error>".encode())] * 2
        assert self.lease(budget=60).acquire().generation == 1

    def test_the_client_gives_up_in_time_for_a_second_try(self, aws: str) -> None:
        place = Assembly(Settings({"S3_HARVEST_TS_BUCKET": "harvest-test", "HARVEST_LEASE_TTL": "12"})).place(
            "x", Times(UTC)
        )
        blob = place.lease.blob
        assert isinstance(blob, S3Blob)
        config: Any = blob.bucket.client.meta.config
        assert (config.connect_timeout, config.read_timeout, blob.retry.budget) == (2, 2, 2)

    def test_an_answer_that_is_cut_is_asked_for_again(self) -> None:
        class Cut:
            def read(self) -> bytes:
                raise ResponseStreamingError(error="connection reset")

        answers = iter([{"Body": Cut(), "ETag": "1"}, {}, {"Body": io.BytesIO(b"whole"), "ETag": "1"}])

        class Client:
            def get_object(self, **asked: str) -> Any:
                answer = next(answers)
                if not answer:
                    raise ResponseParserError("unclosed token")
                return answer

        bucket = S3Bucket("harvest-test", patient())
        bucket.__dict__["client"] = Client()
        version = bucket.blob("lease").read()
        assert version is not None
        assert version.content == b"whole"
