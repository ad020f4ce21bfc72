"""Computes analytics: reads what one is about, computes it, and keeps the result where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.clock import Clock
from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.errors import BadInput, ConfigError, Exit, HarvestError
from harvesters.messages import windows
from harvesters.messages.analytics import counts, ofplatform
from harvesters.messages.analytics.aggregations import aggregate
from harvesters.messages.analytics.reading import Chosen, Messages
from harvesters.messages.analytics.store import AnalyticStore
from harvesters.messages.descriptors import COUNT, Aggregation, Descriptor, Metric
from harvesters.messages.platform import Platform
from harvesters.messages.windows import Bounds
from harvesters.retry import RetryPolicy
from harvesters.settings import Settings
from harvesters.stores.elastic import ElasticBlob
from harvesters.stores.lease import Lease

LEASES = "harvest-leases"
"""The index in which the analytics that are being computed are taken: whoever shares the cluster shares it."""

_MOST = 40_000  # the highest threshold that a cluster knows
_SETTING = "CARDINALITY_PRECISION_THRESHOLD"

Result = dict[str, Any]


class UnknownAnalytic(HarvestError):
    """There is none of that id, or none any more."""

    code = Exit.USAGE


def threshold(settings: Settings) -> int:
    """Distinct values up to which a count is exact.

    Raises:
        ConfigError: the setting is no number, or more than a cluster knows.
    """
    value = settings.number(_SETTING)
    if value > _MOST or value % 1:
        raise ConfigError(f"{_SETTING}={settings.get(_SETTING)!r} is no whole number of at most {_MOST}")
    return int(value)


@dataclass
class Computer:
    """Computes one analytic after the other.

    Args:
        platform: gives the platform, when the first analytic wants it.
        ttl: seconds after which an analytic is free again that somebody has died over.

    Raises:
        ConfigError: a setting cannot be read.
    """

    client: SearchClient
    platform: Callable[[], Platform]
    settings: Settings
    clock: Clock
    _zone: ZoneInfo = field(init=False)
    _messages: Messages = field(init=False)
    _ttl: float = field(init=False)
    _prepared: bool = field(default=False, init=False)
    _open: Platform | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._zone = self.settings.timezone("MESSAGES_TIMEZONE")
        self._messages = Messages(self.client, threshold(self.settings))
        self._ttl = self.settings.number("HARVEST_LEASE_TTL", minimum=1)

    @property
    def store(self) -> AnalyticStore:
        """Where analytics lie."""
        return AnalyticStore(self.client)

    def close(self) -> None:
        """Let go of the platform."""
        if self._open is not None:
            self._open.close()

    def compute(self, id: str) -> Result | None:
        """Compute an analytic and keep its result, which is None where there is nothing to compute it of.

        Raises:
            UnknownAnalytic: there is none, or it was deleted meanwhile.
            LeaseHeld: somebody else computes it just now.
            BadInput: it cannot be read.
            Unavailable, CredentialsRefused, ConfigError: the cluster or the platform does not answer, or not us.
        """
        store = self.store
        if store.find(id) is None:
            raise UnknownAnalytic(f"there is no analytic {id[:100]!r}")
        with self._lease(id) as lease:
            stored = store.find(id)
            if stored is not None:
                try:
                    result = self.result(stored.descriptor)
                except ValueError as error:
                    raise BadInput(f"the analytic {id} cannot be computed: {error}") from None
                lease.check()
                if store.settle(stored, result):
                    return result
        forget(self.client, id)
        raise UnknownAnalytic(f"the analytic {id} was deleted meanwhile")

    def result(self, descriptor: Descriptor) -> Result | None:
        """The result of a descriptor as of now.

        Raises:
            ValueError: its window is beyond the calendar.
        """
        now = self.clock.now()
        bounds = descriptor.window.bounds(now, self._zone)
        found = self._found(descriptor, bounds, now)
        if found is None:
            return None
        return {
            "type": descriptor.type,
            **found,
            "creationDt": windows.with_offset(now.astimezone(self._zone)).isoformat(),
            "fromDt": bounds.start.isoformat() if bounds.start is not None else None,
            "toDt": bounds.end.isoformat(),
        }

    def _found(self, descriptor: Descriptor, bounds: Bounds, now: datetime) -> Result | None:
        chosen = Chosen(descriptor.project, *bounds)
        if isinstance(descriptor, Aggregation):
            aggregated = aggregate(self._messages, chosen, descriptor)
            return {"aggregation": aggregated} if aggregated is not None else None
        if descriptor.type == COUNT:
            return {"count": self._count(descriptor, chosen, bounds)}
        return {"segments": _in_order(self._segments(descriptor, chosen, bounds, now))}

    def _count(self, wanted: Metric, chosen: Chosen, bounds: Bounds) -> int:
        if wanted.dimension == "task":
            return ofplatform.tasks(self._platform, wanted.project, bounds, wanted.metric)
        if wanted.dimension == "transaction":
            return ofplatform.transactions(self._platform, wanted.project, bounds, wanted.task)
        return counts.count(self._messages, chosen, wanted.dimension, wanted.metric)

    def _segments(self, wanted: Metric, chosen: Chosen, bounds: Bounds, now: datetime) -> Mapping[str, int]:
        if wanted.dimension == "transaction":
            return ofplatform.labels(self._platform, wanted.project, bounds, wanted.task)
        if wanted.metric == "age":
            return ofplatform.ages(self._platform, wanted.project, bounds, now.astimezone(self._zone).date())
        if wanted.metric == "gender":
            return ofplatform.genders(self._platform, wanted.project, bounds)
        return counts.segments(self._messages, chosen, wanted.metric)

    @property
    def _platform(self) -> Platform:
        if self._open is None:
            self._open = self.platform()
        return self._open

    def _lease(self, id: str) -> Lease:
        if not self._prepared:
            _prepare(self.client)
            self._prepared = True
        hasty = RetryPolicy(self.clock, min(self.client.retry.budget, self._ttl / 3), setting="HARVEST_LEASE_TTL / 3")
        return Lease(ElasticBlob(self.client, LEASES, id, hasty), self.clock, self._ttl)


def forget(client: SearchClient, id: str) -> None:
    """Nobody will compute that analytic any more, so it need not be known who did."""
    client.request("DELETE", f"/{LEASES}/_doc/{paths.name(id)}", accept=(404,))


def _prepare(client: SearchClient) -> None:
    if client.request("GET", f"/{LEASES}", accept=(404,)).found:
        return
    settings = {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}}
    body = {"settings": settings, "mappings": {"dynamic": False}}
    client.request("PUT", f"/{LEASES}", body, accept=(400,))  # 400: somebody was faster


def _in_order(segments: Mapping[str, int]) -> Iterable[Result]:
    """By count, then name."""
    found = sorted(segments.items(), key=lambda segment: (-segment[1], segment[0]))
    return [{"type": name, "count": count} for name, count in found]
