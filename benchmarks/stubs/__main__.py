"""``python -m benchmarks.stubs sqs '{"latency": 0.01}'``: serve one stub until standard input ends."""

from __future__ import annotations

import sys

import orjson

from benchmarks.stubs.aws import s3, sqs
from benchmarks.stubs.firebase import firebase
from benchmarks.stubs.opencast import opencast
from benchmarks.stubs.server import serve


def main() -> None:
    name, arguments = sys.argv[1], orjson.loads(sys.argv[2])
    latency = float(arguments.pop("latency"))
    serve({"firebase": firebase, "opencast": opencast, "sqs": sqs, "s3": s3}[name](**arguments), latency)


main()
