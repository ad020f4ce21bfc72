"""Runs ``harvest.py`` in child processes that die when they are told to.

    python -m tests.crash.driver      one job a line on standard input, one answer a line on standard output

Everything is imported once; each job is a fork of that, so an attempt costs what its I/O costs. In the child the seams
through which a harvest does I/O (requests, botocore, redis-py, and what of `os` changes files) announce a point before
each step, which is after the one before, and in the middle of a write; at the chosen point the process sends itself
SIGKILL. The harvester knows nothing of this.

A job: ``args`` of harvest.py, ``env``, ``kill_at`` (the number of the point, or the name of the first one of that name;
0: never), ``log`` (where standard output and error go), ``points`` (where the names of the points go, one a line) and
``pid`` (where the number of its process goes, for a run that ends only when it is told to).
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.httpsession
import confluent_kafka.admin  # noqa: F401
import dotenv.main  # noqa: F401 - this and others are loaded here so that no attempt has to
import elastic_transport
import ijson  # noqa: F401
import redis.connection
import requests.adapters

import harvesters.firebase.dumps.writing
import harvesters.firebase.elastic
import harvesters.firebase.load
import harvesters.firebase.run
import harvesters.kafka.consumer
import harvesters.kafka.reader
import harvesters.kafka.whole
import harvesters.listings.counts
import harvesters.listings.index
import harvesters.listings.run
import harvesters.listings.totals
import harvesters.listings.viewlog
import harvesters.opencast.run
import harvesters.opencast.useractions
import harvesters.operate.foreman
import harvesters.operate.letters.replay
import harvesters.operate.listeners
import harvesters.runs
import harvesters.sinks.jsonl
import harvesters.sinks.sqs
import harvesters.stores.s3
import harvesters.zoom.run
from harvesters.cli import (  # noqa: F401
    backfill,
    deadletters,
    firebase_events,
    firebase_export,
    firebase_mirror,
    listings_count,
    listings_index,
    listings_log,
    useractions,
    zoom,
)
from harvesters.cli.main import main

_LONGEST = 60  # seconds after which an attempt that hangs is ended, and so seen to have hung
_os_write = os.write


class Points:
    """Counts the points that a run passes, and kills it at one."""

    def __init__(self, kill_at: int | str, path: str) -> None:
        self._kill_at = kill_at
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._count = 0
        self._lock = threading.Lock()

    def pass_by(self, name: str) -> None:
        """Announce the point called `name`."""
        with self._lock:
            self._count += 1
            _os_write(self._file, f"{name}\n".encode())
            if self._kill_at in (self._count, name):
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()  # the signal may take a moment to end the other threads; this one goes no further

    def around(self, owner: Any, name: str, describe: Callable[..., str]) -> None:
        """Put a point before each call of ``owner.name``, called what `describe` says; nothing, if that is nothing."""
        original = getattr(owner, name)

        def stepped(*args: Any, **named: Any) -> Any:
            what = describe(*args, **named)
            if what:
                self.pass_by(what)
            return original(*args, **named)

        setattr(owner, name, stepped)

    def around_writes(self) -> None:
        """Put a point before each ``os.write``, and one where half of its bytes are written."""

        def write(handle: int, data: Any) -> int:
            what = f"write {_file_name(os.readlink(f'/proc/self/fd/{handle}'))}"
            half = len(data) // 2
            self.pass_by(what)
            _os_write(handle, data[:half])
            self.pass_by(f"half of {what}")
            _os_write(handle, data[half:])
            return len(data)

        os.write = write


def _file_name(path: Any) -> str:
    """The file's name, without what `tempfile` made up."""
    return re.sub(r"\.[a-z0-9_]{8}\Z", ".new", os.path.basename(os.fspath(path)))


def _by_handle(what: str) -> Callable[..., str]:
    return lambda handle, *rest: f"{what} {_file_name(os.readlink(f'/proc/self/fd/{handle}'))}"


def _aws(_session: Any, request: Any) -> str:
    target = request.headers.get("X-Amz-Target", b"")
    if target:
        return f"sqs {target.decode() if isinstance(target, bytes) else target}".replace("AmazonSQS.", "")
    return f"s3 {request.method} {_file_name(urlsplit(request.url).path)}"


def _elastic(_node: Any, method: str, target: str, *_rest: Any, **_named: Any) -> str:
    return f"elastic {method} {target.partition('?')[0]}"


def _redis(_connection: Any, command: Any, *_rest: Any, **_named: Any) -> str:
    sent = command if isinstance(command, bytes) else b"".join(command)
    verb = sent.split(b"\r\n")[2].decode()
    return "" if verb in ("HELLO", "CLIENT") else f"redis {verb}"  # the greeting changes nothing


def watch(points: Points) -> None:
    """Put points at every seam."""
    points.around(
        requests.adapters.HTTPAdapter,
        "send",
        lambda _adapter, request, *rest, **named: f"fetch {urlsplit(request.url).path}",
    )
    points.around(botocore.httpsession.URLLib3Session, "send", _aws)
    points.around(redis.connection.AbstractConnection, "send_packed_command", _redis)
    points.around(elastic_transport.Urllib3HttpNode, "perform_request", _elastic)
    points.around(harvesters.kafka.reader.Reader, "_begin", lambda *_: "kafka begin")
    points.around(harvesters.kafka.consumer.GroupConsumer, "done", lambda *_: "kafka done")
    points.around(
        harvesters.kafka.consumer.GroupConsumer, "commit", lambda member: "kafka commit" if member._pending else ""
    )
    points.around(harvesters.kafka.consumer.GroupConsumer, "close", lambda _: "kafka close")
    points.around(os, "fsync", _by_handle("fsync"))
    points.around(os, "ftruncate", _by_handle("truncate"))
    points.around(os, "replace", lambda _old, new: f"replace {_file_name(new)}")
    points.around(os, "unlink", lambda path, *rest, **named: f"unlink {_file_name(path)}")
    for name in ("poll", "holds", "commit"):
        points.around(harvesters.kafka.whole.WholeTopic, name, lambda *rest, what=f"kafka {name}", **named: what)
    points.around(harvesters.listings.totals.Totals, "_commit", lambda totals: "commit totals")
    points.around_writes()


def attempt(job: dict[str, Any]) -> int:
    """Run harvest.py in this process; its exit code."""
    signal.alarm(_LONGEST)
    with open(job["pid"], "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    os.environ.clear()
    os.environ.update(job["env"])
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    harvesters.listings.index.BATCH = 15  # several batches of what a test sends
    watch(Points(job["kill_at"], job["points"]))
    try:
        main(job["args"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def serve() -> None:
    """Answer jobs until standard input ends: the exit code of each, negative for the signal that ended it."""
    for service in ("s3", "sqs"):
        boto3.client(service)  # reads the service models, which takes longest
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = attempt(json.loads(line))
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    serve()
