"""SQS (its JSON protocol) and S3 (small objects, conditional writes), as far as the harvester uses them."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import orjson

from benchmarks.stubs.server import Answer, Handler, Request

_JSON = {"Content-Type": "application/x-amz-json-1.0"}


def sqs() -> Handler:
    """One queue, which counts what it gets and keeps nothing."""
    taken = 0

    def url(request: Request) -> str:
        return f"http://{request.headers['host']}/123456789012/benchmark"

    def handle(request: Request) -> Answer:
        nonlocal taken
        asked: dict[str, Any] = orjson.loads(request.body)
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if operation == "SendMessageBatch":
            taken += len(asked["Entries"])
            answer: dict[str, Any] = {"Successful": [_acknowledged(entry) for entry in asked["Entries"]], "Failed": []}
        elif operation == "SendMessage":
            taken += 1
            answer = _acknowledged(asked)
        elif operation in ("GetQueueUrl", "CreateQueue"):
            answer = {"QueueUrl": url(request)}
        elif operation == "GetQueueAttributes":
            attributes = {"CreatedTimestamp": "1770000000", "MaximumMessageSize": "1048576"}
            answer = {"Attributes": {**attributes, "ApproximateNumberOfMessages": str(taken)}}
        else:
            return Answer(400, orjson.dumps({"__type": "com.amazonaws.sqs#UnsupportedOperation"}), _JSON)
        return Answer(200, orjson.dumps(answer), {**_JSON, "x-amzn-RequestId": uuid.uuid4().hex})

    return handle


def _acknowledged(entry: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest()
    named = {"Id": entry["Id"]} if "Id" in entry else {}
    return {**named, "MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}


def s3() -> Handler:
    """Any bucket, its objects in memory."""
    objects: dict[str, bytes] = {}

    def tag(content: bytes) -> str:
        return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'

    def handle(request: Request) -> Answer:
        held = objects.get(request.path)
        if request.method in ("GET", "HEAD"):
            if held is None:
                return _refused(404, "NoSuchKey")
            kind = "binary/octet-stream"
            return Answer(200, held, {"ETag": tag(held), "Content-Type": kind})
        if request.method != "PUT":
            return _refused(405, "MethodNotAllowed")
        expected = request.headers.get("if-match")
        if (expected and (held is None or expected != tag(held))) or ("if-none-match" in request.headers and held):
            return _refused(412, "PreconditionFailed")
        objects[request.path] = request.body
        return Answer(200, headers={"ETag": tag(request.body)})

    return handle


def _refused(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code></Error>".encode(), {"Content-Type": "application/xml"})
