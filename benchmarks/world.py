"""The surroundings of a measured harvest: an Opencast, S3, SQS and Redis, and the settings that point to them."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.children import Run, baseline, harvest, stub
from benchmarks.stubs.opencast import DAY, END, START
from harvesters.standins.redis import Redis

QUEUE = "benchmark"
_BUCKET = "benchmark"


@dataclass
class World:
    """Servers for one case. `directory` is a temporary one."""

    opencast: str
    s3: str
    sqs: str
    redis: Redis
    directory: Path

    def environment(self, key: str = "") -> dict[str, str]:
        """Settings for a child process, with a checkpoint called `key`; none of the developer's own."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "MATTERHORN_ENGAGE_HOST": self.opencast,
            "MATTERHORN_REST_USER": "reader",
            "MATTERHORN_REST_PASS": "not-much-of-a-secret",
            "S3_HARVEST_TS_BUCKET": _BUCKET,
            "S3_LAST_ACTION_TS_KEY": key or uuid.uuid4().hex,
            "SQS_QUEUE_NAME": QUEUE,
            "REDIS_URL": self.redis.url,
            "HARVEST_STATE_DIR": str(self.directory / "state"),
            "AWS_ENDPOINT_URL_S3": self.s3,
            "AWS_ENDPOINT_URL_SQS": self.sqs,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "no-secret-either",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def useractions(self, *options: str, output: Path | None = None, more: Mapping[str, str] | None = None) -> Run:
        """Harvest all of the Opencast's actions for the first time: no checkpoint, an empty Redis, cold episodes.

        Args:
            more: settings beside those of `environment`.
        """
        self.redis.flush()
        if output is not None:
            output.unlink(missing_ok=True)
        where = ["--output", str(output)] if output is not None else []
        span = ["--start", START.isoformat(), "--end", END.isoformat()]
        return self.harvest("useractions", *span, *where, *options, more=more)

    def harvest(self, *arguments: str, key: str = "", more: Mapping[str, str] | None = None) -> Run:
        """Run the harvester."""
        log = self.directory / "harvest.log"
        return harvest(["--log-format", "json", *arguments], {**self.environment(key), **(more or {})}, log)

    def baseline(self, name: str, **arguments: object) -> float:
        """Seconds that a baseline took."""
        return float(baseline(name, self.environment(), **arguments)["seconds"])

    def fetch_only(self) -> float:
        """Seconds to read all pages and do nothing with them."""
        return self.baseline("fetch", url=self.opencast, start=f"{START:%Y%m%d%H%M%S}", end=f"{END:%Y%m%d%H%M%S}")

    def set_checkpoint(self, key: str, moment: datetime) -> None:
        """Write the checkpoint called `key`."""
        request = Request(f"{self.s3}/{_BUCKET}/{key}", f"{moment:%Y%m%d%H%M%S}Z".encode(), method="PUT")
        urlopen(request).close()


@contextmanager
def world(actions: int, latency: float = 0.0, dialect: str = "dce", episodes: int = 100) -> Iterator[World]:
    """Start everything; `latency` in seconds is that of every answer of Opencast, S3 and SQS.

    Raises:
        StandInMissing: there is no Redis on this machine.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harvest-bench-")))
        opencast = stub("opencast", latency=latency, actions=actions, dialect=dialect, episodes=episodes)
        yield World(
            stack.enter_context(opencast),
            stack.enter_context(stub("s3", latency=latency)),
            stack.enter_context(stub("sqs", latency=latency)),
            stack.enter_context(Redis()),
            directory,
        )


__all__ = ["DAY", "QUEUE", "World", "world"]
