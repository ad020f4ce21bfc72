"""What the commands share: options with their settings, and the parts of a run made from them."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from harvesters import settings
from harvesters.clock import SystemClock
from harvesters.errors import ConfigError
from harvesters.retry import RetryPolicy
from harvesters.timespan import parse_moment

if TYPE_CHECKING:
    from harvesters.document import Document
    from harvesters.elastic.client import SearchClient
    from harvesters.geoip import GeoIP
    from harvesters.live import LiveHarvest, Plan
    from harvesters.pipeline import Counts
    from harvesters.rate import Slots
    from harvesters.sinks.base import Sink
    from harvesters.sinks.deadletters import DeadLetters
    from harvesters.stores.blob import Blob
    from harvesters.stores.cache import Cache

log = logging.getLogger(__name__)

_PROGRESS_FROM = 3600.0  # seconds of window from which on a progress bar is worth its line


class Moment(click.ParamType):  # type: ignore[type-arg]
    """``YYYYMMDDHHmmss`` or ISO 8601; without an offset in the time zone that the setting `zone_setting` names."""

    name = "time"

    def __init__(self, zone_setting: str) -> None:
        self.zone_setting = zone_setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it, or fail as a usage error."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_moment(str(value), settings.timezone(self.zone_setting))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def setting_option(*names: str, setting: str, text: str = "", **arguments: Any) -> Callable[[Any], Any]:
    """A click option whose unset value is setting `setting`'s; its help says so."""
    found = next(entry for entry in settings.SETTINGS if entry.name == setting)
    default = f"; default {found.default}" if found.default else ""
    return click.option(*names, help=f"{text or found.help} [setting {setting}{default}]", **arguments)


@dataclass
class Runtime:
    """The parts of a run, made from settings when they are first asked for."""

    stop: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def clock(self) -> SystemClock:
        """The real clock; its waits end when the run is told to stop."""
        return SystemClock(self.stop)

    @cached_property
    def retry(self) -> RetryPolicy:
        """How requests are retried (``HARVEST_RETRY_BUDGET``)."""
        return RetryPolicy(self.clock, settings.number("HARVEST_RETRY_BUDGET"))

    @cached_property
    def cache(self) -> Cache:
        """Redis (``REDIS_URL``), or memory when it fails."""
        from harvesters.stores.cache import open_cache

        return open_cache(_redis_url())

    @cached_property
    def slots(self) -> Slots:
        """Budgets of calls in Redis (``REDIS_URL``), or of this process alone when it fails."""
        from harvesters.rate import open_slots

        return open_slots(_redis_url(), self.clock)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Where dead letters go (``HARVEST_DEAD_LETTERS``)."""
        from harvesters.sinks.deadletters import open_dead_letters

        return open_dead_letters(settings.get("HARVEST_DEAD_LETTERS"), settings.state_dir(), self.retry)

    @cached_property
    def geoip(self) -> GeoIP | None:
        """Where addresses are (``GEOLITE_PATH``); None without the setting."""
        path = settings.get("GEOLITE_PATH")
        if not path:
            return None
        from harvesters.geoip import GeoIP

        return GeoIP(Path(path).expanduser())

    def search(self, host: str | None = None, connections: int = 8) -> SearchClient:
        """The cluster of ``ES_HOST``, or of `host`."""
        from harvesters.elastic.client import SearchClient

        return SearchClient.from_settings(self.retry, host, connections)

    def sink(
        self,
        output: str | None,
        queue: str | None,
        index_name: Callable[[Document], str] | None = None,
        fresh_pattern: str = "",
        es_host: str | None = None,
    ) -> Sink:
        """The sink of ``--output``: ``sqs``, ``es`` for Elasticsearch, ``-`` for standard output, or a file.

        Args:
            index_name: with ``es``, the index of a document; ``{kind}-YYYY.MM.DD`` (UTC) without it.
            fresh_pattern: with ``es``, the indices whose absence means that nothing was delivered yet.
            es_host: with ``es``, instead of ``ES_HOST``.

        Raises:
            ConfigError: it is ``sqs`` and no queue is named.
        """
        if output == "es":
            from harvesters.sinks.elastic import ElasticSink, by_day

            prepare = self.geoip.add_to if self.geoip is not None else None
            client = self.search(es_host)
            return ElasticSink(client, index_name or by_day, fresh_pattern=fresh_pattern, prepare=prepare)
        from harvesters.sinks.jsonl import FileSink, StdoutSink

        if output in (None, "", "sqs"):
            name = settings.get("SQS_QUEUE_NAME", queue)
            if not name:
                raise ConfigError(
                    "SQS_QUEUE_NAME is not set: name the queue in .env or with -q/--queue-name, or give --output a "
                    "file or - for standard output."
                )
            if name != "-":
                from harvesters.sinks.sqs import SqsSink

                return SqsSink(name, self.retry)
            output = "-"
        return StdoutSink() if output == "-" else FileSink(Path(str(output)))

    def live_harvest(self, name: str, checkpoint: str, zone_setting: str, guarded: bool) -> LiveHarvest:
        """A harvest whose checkpoint is called `checkpoint`, with the lease beside it."""
        from harvesters.live import LiveHarvest
        from harvesters.sinks.deadletters import ErrorBudget
        from harvesters.stores.checkpoint import Checkpoint
        from harvesters.stores.lease import Lease
        from harvesters.timespan import SpanGuard

        ttl = settings.number("HARVEST_LEASE_TTL", minimum=1)
        limit = settings.optional_number("MAX_START_END_SPAN")
        store, lease = self._blobs(checkpoint, ttl)
        return LiveHarvest(
            name=name,
            clock=self.clock,
            guard=SpanGuard(limit if guarded else None),
            checkpoint=Checkpoint(store, settings.timezone(zone_setting)),
            lease=Lease(lease, self.clock, ttl),
            cache=self.cache,
            dead_letters=self.dead_letters,
            budget=ErrorBudget(*settings.error_budget()),
            stop=self.stop,
        )

    def blob(self, name: str) -> Blob:
        """An object of that name where the checkpoints are."""
        return self._blobs(name, settings.number("HARVEST_LEASE_TTL", minimum=1))[0]

    def _blobs(self, name: str, ttl: float) -> tuple[Blob, Blob]:
        """The checkpoint's blob and its lease's, in S3 or in files; the lease gives up before it expires."""
        hasty = RetryPolicy(self.clock, min(self.retry.budget, ttl / 3))
        if bucket_name := settings.get("S3_HARVEST_TS_BUCKET"):
            from harvesters.stores.s3 import S3Bucket

            bucket = S3Bucket(bucket_name, self.retry)
            return bucket.blob(name), bucket.blob(f"{name}.lease", hasty)
        from harvesters.stores.file import FileBlob

        path = settings.state_dir() / quote(name, safe=" ")
        return FileBlob(path), FileBlob(path.with_name(f"{path.name}.lease"))


def _redis_url() -> str:
    from harvesters.privacy import protect

    url = settings.get("REDIS_URL")
    protect([url.partition("://")[2].rpartition("@")[0].partition(":")[2]])
    return url


@contextmanager
def running() -> Iterator[Runtime]:
    """A `Runtime` whose run SIGTERM and Ctrl-C end after the batch in hand; a second one ends it at once."""
    runtime = Runtime()

    def stop(number: int, frame: object) -> None:
        if runtime.stop.is_set():
            raise KeyboardInterrupt
        log.warning("%s: finishing the batch in hand (again: stop at once)", signal.Signals(number).name)
        runtime.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield runtime
    finally:
        runtime.stop.set()  # whatever still waits in a thread of this run need not
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_bar() -> Iterator[Callable[[Plan], Callable[[Counts], None]]]:
    """Shows how far a run of more than an hour's window is, on a terminal only."""
    bars: list[Any] = []

    def on_plan(planned: Plan) -> Callable[[Counts], None]:
        if planned.window.seconds <= _PROGRESS_FROM or not sys.stderr.isatty():
            return lambda counts: None
        bar = click.progressbar(length=1000, label="harvesting", file=sys.stderr)
        bar.__enter__()
        bars.append(bar)
        return lambda counts: bar.update(int(counts.fraction * 1000) - bar.pos)

    try:
        yield on_plan
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)
