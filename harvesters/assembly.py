"""The parts of a run, made from settings when they are first asked for, and closed together.

The command line, tasks and the web make one `Assembly` each time; it knows no command line and no signals.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

from harvesters.clock import Clock, SystemClock
from harvesters.cursor import CursorKind
from harvesters.errors import ConfigError
from harvesters.redis_client import PATIENCE
from harvesters.retry import OneTry, RetryPolicy
from harvesters.settings import Settings
from harvesters.telemetry import log_report
from harvesters.watched import Watched

if TYPE_CHECKING:
    from harvesters import runs
    from harvesters.document import Document
    from harvesters.elastic.asyncclient import AsyncSearchClient
    from harvesters.elastic.client import SearchClient
    from harvesters.elastic.cluster import Acquaintance
    from harvesters.geoip import GeoIP
    from harvesters.outbound import Outbound
    from harvesters.rate import Slots
    from harvesters.runs import Parts, Place
    from harvesters.sinks.base import Sink
    from harvesters.sinks.deadletters import DeadLetters
    from harvesters.sinks.elastic import ElasticSink
    from harvesters.stores.blob import Blob
    from harvesters.stores.cache import Cache
    from harvesters.stores.lease import Lease
    from harvesters.stores.s3 import S3Bucket
    from harvesters.stores.versions import Versions
    from harvesters.timespan import SpanGuard

T = TypeVar("T")

# The settings that make two jobs of the same command.
_TELLING = (
    "S3_HARVEST_TS_BUCKET",
    "S3_LAST_ACTION_TS_KEY",
    "MATTERHORN_ENGAGE_HOST",
    "ZOOM_LAST_END_TS_KEY",
    "ZOOM_ACCOUNT_ID",
    "FIREBASE_CHECKPOINT",
    "FIREBASE_ENDPOINT",
    "LISTINGS_TOPIC",
    "LISTINGS_GROUP",
    "VIEWS_TOPIC",
    "ACCESS_LOG",
)


@dataclass
class Assembly:
    """What `settings` say, as parts.

    Args:
        stop: set to end what runs after the batch in hand; waits end with it.
        job: the name of the job that runs, which its dead letters say.
        watched: the run of it that this is, for whoever watches runs.
        check: called before each delivery; raises when others may have begun the same.
        part: what runs is a part of something larger, which has a report of its own.
        shared: what assemblies that come one after the other in a process find out once.
    """

    settings: Settings
    stop: threading.Event = field(default_factory=threading.Event)
    job: str = ""
    watched: Watched = field(default_factory=lambda: Watched(""))
    check: Callable[[], None] = lambda: None
    part: bool = False
    shared: MutableMapping[str, Any] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)
    _briefs: dict[tuple[float, bool], S3Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Let go of every connection and file that was opened."""
        self._open.close()

    @cached_property
    def clock(self) -> Clock:
        """The real clock; its waits end when the run is told to stop."""
        return SystemClock(self.stop)

    @cached_property
    def retry(self) -> RetryPolicy:
        """How requests are retried (``HARVEST_RETRY_BUDGET``)."""
        return RetryPolicy(self.clock, self.settings.number("HARVEST_RETRY_BUDGET"))

    @property
    def timeout(self) -> float:
        """Seconds to wait for one answer of a source (``HARVEST_HTTP_TIMEOUT``)."""
        return self.settings.number("HARVEST_HTTP_TIMEOUT", minimum=0.001)

    @cached_property
    def cache(self) -> Cache:
        """Redis (``REDIS_URL``), or memory when it fails."""
        from harvesters.stores.cache import open_cache

        return self._closed_with_us(open_cache(self.redis_url))

    @cached_property
    def slots(self) -> Slots:
        """Budgets of calls in Redis (``REDIS_URL``), or of this process alone when it fails."""
        return self.slots_again(math.inf)

    def slots_again(self, seconds: float, patience: float = PATIENCE) -> Slots:
        """As `slots`, for what outlives an outage of Redis: it is tried again after so long."""
        from harvesters.rate import open_slots

        return self._closed_with_us(open_slots(self.redis_url, self.clock, seconds, patience))

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Where dead letters go (``HARVEST_DEAD_LETTERS``)."""
        from harvesters.sinks.deadletters import open_dead_letters

        target = self.settings.get("HARVEST_DEAD_LETTERS")
        telling = " ".join(self.settings.get(name) for name in _TELLING)
        return self._closed_with_us(open_dead_letters(target, self.settings.state_dir(), self.retry, self.job, telling))

    @cached_property
    def geoip(self) -> GeoIP | None:
        """Where addresses are (``GEOLITE_PATH``); None without the setting."""
        path = self.settings.get("GEOLITE_PATH")
        if not path:
            return None
        from harvesters.geoip import GeoIP

        return self._closed_with_us(GeoIP(Path(path).expanduser()))

    @cached_property
    def outbound(self) -> Outbound:
        """What leaves passes here, and gets its pseudonyms (``HARVEST_PSEUDONYMISE``).

        Raises:
            ConfigError: a field cannot be read, or there is no key that is good enough.
        """
        from harvesters import pseudonyms
        from harvesters.outbound import Outbound, Pseudonymous
        from harvesters.privacy import hide_people

        found = pseudonyms.from_settings(self.settings)
        hide_people(found is not None)
        return Pseudonymous(found, lambda: self.geoip) if found is not None else Outbound()

    def search(self, connections: int = 8) -> SearchClient:
        """The cluster of ``ES_HOST``."""
        from harvesters.elastic.client import SearchClient

        return self._closed_with_us(
            SearchClient.from_settings(self.settings, self.retry, connections, known=self._cluster)
        )

    def search_in_loop(self, connections: int = 8) -> AsyncSearchClient:
        """The cluster of ``ES_HOST``, for an event loop, in which it is entered and left (``async with``)."""
        from harvesters.elastic.asyncclient import AsyncSearchClient
        from harvesters.loopclock import LoopClock

        sleep = LoopClock(self.stop).sleep
        return AsyncSearchClient.from_settings(self.settings, self.retry, connections, known=self._cluster, sleep=sleep)

    @cached_property
    def _cluster(self) -> Acquaintance:
        """What the clients know of the cluster: the first of them asks."""
        from harvesters.elastic.cluster import Acquaintance

        known: Acquaintance = self.shared.setdefault("harvesters.cluster", Acquaintance())
        return known

    def output_needs(self, output: str | None) -> list[str]:
        """The settings without which `output` cannot be opened."""
        return ["SQS_QUEUE_NAME"] if output in (None, "", "sqs") else []

    def sink(
        self,
        output: str | None,
        index_name: Callable[[Document], str] | None = None,
        fresh_pattern: str = "",
    ) -> Sink:
        """The sink of ``--output``: ``sqs``, ``es`` for Elasticsearch, ``-`` for standard output, or a file.

        Args:
            index_name: with ``es``, the index of a document; ``{kind}-YYYY.MM.DD`` (UTC) without it.
            fresh_pattern: with ``es``, the indices whose absence means that nothing was delivered yet.

        Raises:
            ConfigError: it is ``sqs`` and no queue is named.
        """
        if output == "es":
            return self.elastic(index_name, fresh_pattern)
        from harvesters.sinks.jsonl import FileSink, StdoutSink

        if output in (None, "", "sqs"):
            queue = self.settings.get("SQS_QUEUE_NAME")
            if not queue:
                raise ConfigError(
                    "SQS_QUEUE_NAME is not set: name the queue in .env or with -q/--queue-name, or give --output a "
                    "file or - for standard output."
                )
            if queue != "-":
                from harvesters.sinks.sqs import SqsSink

                return SqsSink(queue, self.retry, versions=self._versions(queue))
            output = "-"
        return StdoutSink() if output == "-" else FileSink(Path(str(output)))

    def elastic(self, index_name: Callable[[Document], str] | None = None, fresh_pattern: str = "") -> ElasticSink:
        """The sink of ``--output es``; arguments as `sink` has them."""
        from harvesters.sinks.elastic import ElasticSink, by_day

        prepare = self.geoip.add_to if self.geoip is not None else None
        return ElasticSink(self.search(), index_name or by_day, fresh_pattern=fresh_pattern, prepare=prepare)

    def _versions(self, queue: str) -> Versions | None:
        """What a FIFO queue was sent lately; None for a standard queue, which drops nothing."""
        from harvesters.aws.sqs import FIFO
        from harvesters.stores.versions import Versions

        if not queue.endswith(FIFO):
            return None
        path = self.settings.state_dir() / "fifo" / f"{quote(queue, safe='')}.jsonl"
        return Versions(queue, self.clock, self.cache, path)

    @property
    def parts(self) -> Parts:
        """What every run of a harvest needs; its error budget is its own."""
        from harvesters.runs import Parts
        from harvesters.sinks.deadletters import ErrorBudget

        budget = ErrorBudget(*self.settings.error_budget())
        return Parts(
            self.clock,
            self.cache,
            self.dead_letters,
            budget,
            self.stop,
            self.listeners,
            self.watched,
            self.check,
            self.outbound,
        )

    @property
    def listeners(self) -> tuple[runs.Listener, ...]:
        """Who hears the report of a run."""
        return (self.watched.hear,) if self.part else (log_report, self.watched.hear)

    def place(self, name: str, kind: CursorKind) -> Place:
        """The checkpoint called `name`, with its owner, where it began and its lease beside it."""
        from harvesters.runs import Place
        from harvesters.stores.checkpoint import Beginning, Checkpoint, Owner

        beginning = Beginning(self.blob(f"{name}.begun"), kind)
        return Place(Checkpoint(self.blob(name), kind), Owner(self.blob(f"{name}.owner")), beginning, self.lease(name))

    def lease(self, name: str) -> Lease:
        """Who may change what is called `name`: the lease beside it."""
        from harvesters.stores.lease import Lease

        return Lease(self._blob(f"{name}.lease", hasty=True), self.clock, self.lease_ttl)

    @property
    def lookback(self) -> timedelta:
        """How far before its start a live run reads again (``HARVEST_LOOKBACK``)."""
        return timedelta(seconds=self.settings.number("HARVEST_LOOKBACK"))

    def guard(self, wanted: bool = True) -> SpanGuard:
        """Refuses windows longer than ``MAX_START_END_SPAN``."""
        from harvesters.timespan import SpanGuard

        limit = self.settings.optional_number("MAX_START_END_SPAN")
        return SpanGuard(limit if wanted else None)

    def blob(self, name: str) -> Blob:
        """An object of that name where the checkpoints are: in S3 (``S3_HARVEST_TS_BUCKET``) or in files."""
        return self._blob(name)

    @property
    def store(self) -> str:
        """Where the checkpoints are, for people."""
        return f"s3://{self._bucket.bucket}" if self._bucket is not None else str(self.settings.state_dir())

    def blob_within(self, name: str, seconds: float, once: bool = False) -> Blob:
        """As `blob`, one that gives up after so long, also while the run is told to stop.

        `once`: it is not tried again.
        """
        return self.blob(name) if self._bucket is None else self._brief(self._bucket.bucket, seconds, once).blob(name)

    def _brief(self, name: str, seconds: float, once: bool) -> S3Bucket:
        """The bucket called `name`, with a client of its own that is shared by all who ask for the same."""
        from harvesters.stores.s3 import S3Bucket

        with self._lock:
            if (seconds, once) not in self._briefs:
                retry = OneTry(SystemClock()) if once else RetryPolicy(SystemClock(), seconds)
                self._briefs[seconds, once] = self._closed_with_us(S3Bucket(name, retry, timeout=seconds))
            return self._briefs[seconds, once]

    def names_within(self, prefix: str, seconds: float) -> list[str]:
        """The names of the objects beside the checkpoints that begin so, asked for once, with so long for an answer."""
        from harvesters.stores.s3 import S3Bucket

        if self._bucket is not None:
            bucket = S3Bucket(self._bucket.bucket, OneTry(SystemClock()), timeout=seconds)
            return self._closed_with_us(bucket).names(prefix)
        from harvesters.stores.file import names

        return [name for name in map(unquote, names(self.settings.state_dir())) if name.startswith(prefix)]

    def _blob(self, name: str, hasty: bool = False) -> Blob:
        """As `blob`; a `hasty` one gives up while there is time for a second try before a lease expires."""
        if self._bucket is not None:
            return self._hasty(name) if hasty else self._bucket.blob(name)
        from harvesters.stores.file import FileBlob

        return FileBlob(self.settings.state_dir() / quote(name, safe=" "))

    def _hasty(self, name: str) -> Blob:
        from harvesters.stores.s3 import S3Bucket

        bucket, soon = self._bucket, self.lease_ttl / 6
        assert bucket is not None
        budgets = (soon, "a sixth of HARVEST_LEASE_TTL"), (self.retry.budget, self.retry.setting)
        budget, setting = min(budgets)
        if soon < bucket.timeout:  # the checkpoint is not to suffer from a lease that is short
            bucket = self._closed_with_us(S3Bucket(bucket.bucket, self.retry, timeout=soon))
        return bucket.blob(name, RetryPolicy(self.clock, budget, setting=setting))

    @cached_property
    def lease_ttl(self) -> float:
        """Seconds after which a lease that is not renewed may be taken over (``HARVEST_LEASE_TTL``)."""
        return self.settings.number("HARVEST_LEASE_TTL", minimum=1)

    @cached_property
    def _bucket(self) -> S3Bucket | None:
        from harvesters.stores.s3 import S3Bucket

        name = self.settings.get("S3_HARVEST_TS_BUCKET")
        if not name:
            return None
        return self._closed_with_us(S3Bucket(name, self.retry, timeout=max(10.0, min(30.0, self.lease_ttl / 6))))

    def _closed_with_us(self, part: T) -> T:
        if close := getattr(part, "close", None):
            self._open.callback(close)
        return part

    @cached_property
    def redis_url(self) -> str:
        """Redis (``REDIS_URL``); its password is masked in whatever is logged from now on."""
        from harvesters.privacy import protect

        url = self.settings.get("REDIS_URL")
        protect([url.partition("://")[2].rpartition("@")[0].partition(":")[2]])
        return url
