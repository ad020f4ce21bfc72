"""Runs of `listings index`."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import asdict
from typing import Any

from harvesters.assembly import Assembly
from harvesters.errors import BadInput, Interrupted
from harvesters.kafka.consumer import GroupConsumer, left_behind
from harvesters.kafka.reader import wait_for_topic
from harvesters.kafka.topics import Topics
from harvesters.listings.index import Indexer
from harvesters.listings.versions import Versions
from harvesters.runs import run
from harvesters.sinks.deadletters import ErrorBudget
from harvesters.telemetry import Report, per_second

TOPIC = "LISTINGS_TOPIC"


def index_listings(assembly: Assembly, follow: bool) -> Report:
    """Index the listings in ``LISTINGS_TOPIC`` into ``LISTINGS_INDEX``.

    Args:
        follow: go on until told to stop, instead of ending when the group has all that the topic held at the start.

    Raises:
        HarvestError: as its subclasses say; `Interrupted` when told to stop before it had.
    """
    # What is in hand is finished after SIGTERM too, so retries go on: their clock does not know of it.
    patient = Assembly(assembly.settings, threading.Event(), assembly.job)
    with closing(patient):
        job = _Indexing(assembly, patient, follow)
        assembly.watched.counts = lambda: asdict(job.indexer.counts)
        assembly.watched.begin()
        report = run(job, patient.clock, assembly.listeners, good_end=Interrupted if follow else None)
    if assembly.stop.is_set() and not follow:
        raise Interrupted("told to stop: finished and committed what was in hand; the rest is still in the topic")
    if job.indexer.gaps and not follow:
        raise BadInput(
            "messages were removed by Kafka before they were read: see above, and the dead letters in "
            f"{patient.dead_letters.name}. What was left is indexed. Have Kafka keep them for longer (retention.ms)."
        )
    return report


class _Indexing:
    """The job of one process."""

    command = "listings index"

    def __init__(self, assembly: Assembly, patient: Assembly, follow: bool) -> None:
        settings = assembly.settings
        self._assembly, self._patient, self._follow = assembly, patient, follow
        self._topic, self._group = settings.require(TOPIC), settings.require("LISTINGS_GROUP")
        self._versions = Versions(patient.search(), settings.require("LISTINGS_INDEX"))
        self.indexer = Indexer(
            self._versions,
            patient.dead_letters,
            ErrorBudget(*settings.error_budget()),
            assembly.stop,
            follow,
            assembly.watched,
        )

    def work(self) -> None:
        if self._there_is_something():
            self._versions.prepare()
            self.indexer.run(self._consumer)
            self._versions.refresh()

    def fields(self, seconds: float) -> dict[str, Any]:
        counts = self.indexer.counts
        return {**asdict(counts), "messages_per_second": per_second(counts.received, seconds)}

    def _there_is_something(self) -> bool:
        """Whether it is worth joining the group, which has others hand over partitions."""
        with closing(Topics(self._assembly.settings, self._assembly.retry)) as topics:
            if self._follow:
                return wait_for_topic(topics, self._topic, TOPIC, self._assembly.stop.is_set)
            topic = topics.require(self._topic, TOPIC)
            left = {at: each.offset for at, each in topics.committed(self._group, topic).items() if each.of(topic)}
            ends = topics.ends(topic)
            return left_behind(left, ends, {partition: high for partition, (_, high) in ends.items()})

    def _consumer(self, indexer: Indexer) -> GroupConsumer:
        return GroupConsumer(
            self._assembly.settings, self._patient.retry, self._topic, TOPIC, self._group, indexer, not self._follow
        )
