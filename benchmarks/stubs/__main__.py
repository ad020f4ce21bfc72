"""``python -m benchmarks.stubs sqs '{"latency": 0.01}'``: serve one stub until standard input ends."""

from __future__ import annotations

import sys
from collections.abc import Callable

import orjson

from benchmarks.stubs import delay
from benchmarks.stubs.aws import s3, sqs
from benchmarks.stubs.firebase import firebase
from benchmarks.stubs.opencast import opencast
from benchmarks.stubs.server import Handler, serve


def main() -> None:
    name, arguments = sys.argv[1], orjson.loads(sys.argv[2])
    latency = float(arguments.pop("latency"))
    if name == "delay":
        delay.serve(int(arguments["port"]), latency)
        return
    stubs: dict[str, Callable[..., Handler]] = {"firebase": firebase, "opencast": opencast, "sqs": sqs, "s3": s3}
    serve(stubs[name](**arguments), latency)


main()
