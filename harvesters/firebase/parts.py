"""The parts of a run over a Realtime Database, made from settings: the database, the mapping, the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harvesters.assembly import Assembly
from harvesters.settings import Settings

if TYPE_CHECKING:
    from harvesters.document import Document
    from harvesters.firebase.client import FirebaseClient
    from harvesters.firebase.documents import EventMapper
    from harvesters.firebase.elastic import SearchIndex
    from harvesters.firebase.events import Events
    from harvesters.firebase.indices import Indices
    from harvesters.firebase.keys import Path
    from harvesters.firebase.scrub import Scrubber
    from harvesters.firebase.sentiment import Sentiment
    from harvesters.sinks.base import Sink

_IN_FLIGHT = 3  # bulk requests: events come in order of time, and each one under way writes a segment of the same month


def open_client(assembly: Assembly, output: str | None = "-") -> FirebaseClient:
    """The database that the settings name; what is missing for it and for `output` is named at once.

    Raises:
        ConfigError: something is missing.
    """
    from harvesters.firebase.auth import Auth, LegacySecret, ServiceAccount
    from harvesters.firebase.client import FirebaseClient
    from harvesters.firebase.credentials import service_account
    from harvesters.http import HttpSource
    from harvesters.privacy import redact

    settings, timeout = assembly.settings, assembly.timeout
    by_flag = "FIREBASE_KEY" in settings.flags and "FIREBASE_CREDENTIALS" not in settings.flags
    account = "" if by_flag else settings.get("FIREBASE_CREDENTIALS")
    secret = settings.get("FIREBASE_KEY")
    needs = assembly.output_needs(output)
    settings.require_all(*needs, "FIREBASE_ENDPOINT", ("FIREBASE_CREDENTIALS", "FIREBASE_KEY"))
    where = settings.get("FIREBASE_ENDPOINT")
    name = redact(f"Firebase at {where.partition('?')[0].rstrip('/')}")
    auth: Auth
    if account:
        auth = ServiceAccount(service_account(account), HttpSource("Google's token endpoint", assembly.retry, timeout))
    else:
        auth = LegacySecret(secret)
    return FirebaseClient(where, auth, HttpSource(name, assembly.retry, timeout))


def open_scrubber(settings: Settings) -> Scrubber:
    """What ``FIREBASE_SCRUB`` says must not be seen."""
    from harvesters.firebase.scrub import Scrubber

    return Scrubber.parse(settings.get("FIREBASE_SCRUB"))


def open_indices(settings: Settings) -> Indices:
    """The names of the indices."""
    from harvesters.firebase.indices import PERIODS, Indices

    return Indices(settings.get("FIREBASE_INDEX_PREFIX"), settings.choice("FIREBASE_INDEX_PERIOD", PERIODS))


def open_mapper(settings: Settings, sentiment: Sentiment | None = None) -> EventMapper:
    """What makes documents of events."""
    from harvesters.firebase.documents import EventMapper

    zone = settings.timezone("FIREBASE_TIMEZONE")
    return EventMapper(zone, open_scrubber(settings), sentiment, open_indices(settings).events)


def open_sink(
    assembly: Assembly,
    output: str,
    name: str,
    index_name: Callable[[Document], str],
    several: bool = False,
    complete: Callable[[Document], str] | None = None,
) -> Sink:
    """The sink of ``--output``; in Elasticsearch documents go to indices behind the alias (or index) `name`.

    `several`: whether there are several. `complete`: the index of a document, if nothing more will come to it after
    this run; such are merged at the end.

    Raises:
        ConfigError: it is ``sqs`` and no queue is named.
    """
    if output != "es":
        return assembly.sink(output)
    from harvesters.firebase.elastic import IndexingSink
    from harvesters.sinks.elastic import ElasticSink

    index = open_index(assembly, name)
    sink = ElasticSink(index.client, index_name, threads=_IN_FLIGHT, fresh_pattern=f"{name}*")
    return IndexingSink(sink, index, index_name if several else None, complete)


def open_index(assembly: Assembly, name: str) -> SearchIndex:
    """What is in Elasticsearch behind `name`."""
    from harvesters.firebase.elastic import SearchIndex

    return SearchIndex(assembly.search(), name)


def open_events_sink(assembly: Assembly, output: str) -> Sink:
    """Where events go."""
    indices = open_indices(assembly.settings)
    return open_sink(assembly, output, indices.events, indices.of_event, True)


def open_events(
    assembly: Assembly,
    output: str,
    path: Path = ("events",),
    sentiment: Sentiment | None = None,
    page_size: int = 1000,
    kind: type[Events] | None = None,
) -> Events:
    """The harvest of the events below `path`, for that output."""
    from harvesters.firebase.events import Events
    from harvesters.firebase.paging import PageSize

    client, mapper = open_client(assembly, output), open_mapper(assembly.settings, sentiment)
    return (kind or Events)(client, path, mapper, lookback=assembly.lookback.total_seconds(), size=PageSize(page_size))
