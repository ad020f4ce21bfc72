"""The contract of `Blob`, over files, S3 and Elasticsearch."""

from __future__ import annotations

import threading
from pathlib import Path

import boto3
import pytest

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError, Unavailable
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.stores.blob import Blob, Conflict, Version
from harvesters.stores.elastic import ElasticBlob
from harvesters.stores.file import FileBlob
from harvesters.stores.s3 import S3Bucket
from tests.clocks import FakeClock, patient
from tests.conformance.stores import LossyProxy, OpenBlob, Stepping, Turns, in_turns, merges


def read(blob: Blob) -> Version:
    version = blob.read()
    assert version is not None
    return version


class TestContract:
    def test_what_is_not_there_reads_as_none(self, open_blob: OpenBlob) -> None:
        assert open_blob("value").read() is None

    def test_created_it_is_read_with_the_tag_that_the_write_gave(self, open_blob: OpenBlob) -> None:
        tag = open_blob("value").write(b"one", None)
        assert read(open_blob("value")) == Version(b"one", tag)

    def test_the_tag_allows_one_replacement(self, open_blob: OpenBlob) -> None:
        first = open_blob("value").write(b"one", None)
        second = open_blob("value").write(b"two", first)
        assert read(open_blob("value")) == Version(b"two", second)
        with pytest.raises(Conflict):
            open_blob("value").write(b"three", first)
        assert read(open_blob("value")).content == b"two"

    def test_it_is_not_created_over_another(self, open_blob: OpenBlob) -> None:
        open_blob("value").write(b"one", None)
        with pytest.raises(Conflict):
            open_blob("value").write(b"two", None)
        assert read(open_blob("value")).content == b"one"

    def test_a_deleted_one_is_not_replaced(self, open_blob: OpenBlob) -> None:
        blob = open_blob("value")
        tag = blob.write(b"one", None)
        delete(blob)
        with pytest.raises(Conflict):
            open_blob("value").write(b"two", tag)
        assert open_blob("value").read() is None

    def test_blobs_of_one_place_are_apart(self, open_blob: OpenBlob) -> None:
        open_blob("value").write(b"one", None)
        open_blob("value.lease").write(b"two", None)
        assert read(open_blob("value")).content == b"one"
        assert open_blob("value").name != open_blob("value.lease").name

    def test_empty_and_binary_content(self, open_blob: OpenBlob) -> None:
        tag = open_blob("value").write(b"", None)
        assert read(open_blob("value")).content == b""
        open_blob("value").write(bytes(range(256)), tag)
        assert read(open_blob("value")).content == bytes(range(256))


def delete(blob: Blob) -> None:
    if isinstance(blob, FileBlob):
        blob.path.unlink()
    elif isinstance(blob, ElasticBlob):
        blob.client.request("DELETE", f"/{blob.index}/_doc/{blob.id}")
    else:
        boto3.client("s3").delete_object(Bucket="harvest-test", Key="value")


class TestTwoWriters:
    @pytest.mark.parametrize("order", [*merges(2, 2)])
    @pytest.mark.parametrize("there", [True, False])
    def test_a_write_counts_only_if_nobody_wrote_since_the_read(
        self, open_blob: OpenBlob, order: str, there: bool
    ) -> None:
        if there:
            open_blob("value").write(b"before", None)
        turns = Turns(order)

        def replace(name: str) -> str:
            blob = Stepping(open_blob("value"), turns, name)
            version = blob.read()
            return blob.write(name.encode(), version.etag if version is not None else None)

        results = in_turns(turns, replace)
        last = order[-1]
        assert isinstance(results[_first_to_write(order)], str)
        if order in ("AABB", "BBAA"):
            assert isinstance(results[last], str)
            assert read(open_blob("value")).content == last.encode()
        else:
            assert isinstance(results[last], Conflict)
            assert read(open_blob("value")).content == _first_to_write(order).encode()

    def test_counting_together_misses_nothing(self, open_blob: OpenBlob) -> None:
        open_blob("count").write(b"0", None)
        blobs = [open_blob("count") for _ in range(4)]

        def count(blob: Blob) -> None:
            done = 0
            while done < 5:
                version = read(blob)
                try:
                    blob.write(str(int(version.content) + 1).encode(), version.etag)
                except Conflict:
                    continue
                done += 1

        threads = [threading.Thread(target=count, args=(blob,), daemon=True) for blob in blobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert read(open_blob("count")).content == b"20"


def _first_to_write(order: str) -> str:
    """Who comes to its second step first."""
    return next(name for number, name in enumerate(order) if name in order[:number])


class TestFiles:
    def test_a_killed_writer_leaves_the_old_version(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blob = FileBlob(tmp_path / "value")
        tag = blob.write(b"one", None)
        monkeypatch.setattr("pathlib.Path.replace", _killed)
        with pytest.raises(KeyboardInterrupt):
            blob.write(b"two", tag)
        monkeypatch.undo()
        assert read(blob) == Version(b"one", tag)
        assert blob.write(b"three", tag)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".value.lock", "value"]

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        blob = FileBlob(tmp_path / "file" / "value")
        with pytest.raises((ConfigError, Unavailable), match=r"file/value cannot be"):
            blob.write(b"one", None)
        with pytest.raises(ConfigError, match="cannot be read"):
            FileBlob(tmp_path).read()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


class TestS3:
    def test_the_bucket_is_created_when_first_written_to(self, aws: str) -> None:
        assert S3Bucket("brand-new", patient()).blob("value").read() is None
        assert boto3.client("s3").list_buckets()["Buckets"] == []
        S3Bucket("brand-new", patient()).blob("value").write(b"one", None)
        assert [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]] == ["brand-new"]

    def test_the_bucket_is_created_in_the_region_of_the_client(self, aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        S3Bucket("european", patient()).blob("value").write(b"one", None)
        assert boto3.client("s3").get_bucket_location(Bucket="european")["LocationConstraint"] == "eu-central-1"

    @pytest.mark.parametrize("there", [True, False])
    def test_a_write_whose_answer_is_lost_is_settled_as_ours(self, proxy: LossyProxy, there: bool) -> None:
        blob = S3Bucket("harvest-test", patient()).blob("value")
        tag = blob.write(b"before", None) if there else None
        boto3.client("s3").create_bucket(Bucket="harvest-test")
        proxy.lose = ["PUT"]
        mine = blob.write(b"ours", tag)
        assert proxy.lose == []
        assert read(blob) == Version(b"ours", mine)

    def test_a_lost_answer_does_not_make_anothers_write_ours(self, proxy: LossyProxy) -> None:
        blob = S3Bucket("harvest-test", patient()).blob("value")
        tag = blob.write(b"before", None)
        proxy.before = lambda: boto3.client("s3").put_object(Bucket="harvest-test", Key="value", Body=b"theirs")
        proxy.lose = ["PUT"]
        with pytest.raises(Conflict):
            blob.write(b"ours", tag)
        assert read(blob).content == b"theirs"

    def test_the_same_content_from_another_is_still_a_conflict(self, aws: str) -> None:
        S3Bucket("harvest-test", patient()).blob("value").write(b"same", None)
        with pytest.raises(Conflict):
            S3Bucket("harvest-test", patient()).blob("value").write(b"same", None)

    def test_a_lost_answer_to_a_read_is_asked_for_again(self, proxy: LossyProxy) -> None:
        blob = S3Bucket("harvest-test", patient()).blob("value")
        blob.write(b"one", None)
        proxy.lose = ["GET", "GET"]
        assert read(blob).content == b"one"

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (403, "AccessDenied", CredentialsRefused),
            (403, "SignatureDoesNotMatch", CredentialsRefused),
            (400, "ExpiredToken", CredentialsRefused),
            (403, "RequestTimeTooSkewed", CredentialsRefused),
            (500, "InternalError", Unavailable),
            (503, "SlowDown", Unavailable),
            (400, "InvalidRequest", ProtocolError),
        ],
    )
    def test_what_s3_answers_becomes_one_of_our_errors(
        self, aws: str, monkeypatch: pytest.MonkeyPatch, status: int, code: str, error: type[Exception]
    ) -> None:
        with Refusing(status, code) as refusing:
            monkeypatch.setenv("AWS_ENDPOINT_URL", refusing.url)
            clock = FakeClock()
            blob = S3Bucket("harvest-test", patient(clock, budget=5)).blob("value")
            with pytest.raises(error, match=r"s3://harvest-test/value"):
                blob.read()
            assert bool(clock.slept) == (error is Unavailable)

    def test_without_credentials_it_is_a_matter_of_configuration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of earlier tests
        with pytest.raises(ConfigError, match="AWS is not configured"):
            S3Bucket("harvest-test", patient()).blob("value").read()


class Refusing(Simulator):
    """An S3 that answers everything with one error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__()
        self.status, self.code = status, code

    def handle(self, request: Request) -> Response:
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        return Response(self.status, body, {"Content-Type": "application/xml"})
