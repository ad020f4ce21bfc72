"""``harvest.py index``."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import click

from harvesters import settings
from harvesters.cli.runtime import Runtime, running, setting_option
from harvesters.errors import ConfigError, Interrupted


@click.command(short_help="Index the messages of an SQS queue into Elasticsearch.")
@setting_option("-q", "--queue-name", setting="SQS_QUEUE_NAME")
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option(
    "--drain/--follow",
    default=True,
    help="End when the queue is empty (the default; for cron), or go on until SIGTERM (for a service).",
)
@click.option(
    "--receivers",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Threads that receive, in each process; as many delete.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--visibility-timeout",
    type=click.IntRange(2, 43_200),
    default=60,
    show_default=True,
    help="Seconds after which an unfinished message is shown to others again. Extended while it is worked on.",
)
def index(
    queue_name: str | None,
    es_host: str | None,
    drain: bool,
    receivers: int,
    workers: int,
    visibility_timeout: int,
) -> int:
    """Index the user actions in an SQS queue into daily indices, useractions-YYYY.MM.DD by their UTC date.

    A message is deleted when Elasticsearch has acknowledged its document. One that is no user action, or that
    Elasticsearch refuses for good, goes to the dead letters first. Messages in the form of older versions are brought
    into today's.

    \b
    Examples:
      harvest.py index
      harvest.py index --follow --workers 2 --receivers 8
    """
    name = settings.get("SQS_QUEUE_NAME", queue_name)
    if not name or name == "-":
        raise ConfigError("SQS_QUEUE_NAME is not set: name the queue in .env or with -q/--queue-name.")

    def work() -> None:
        with running() as runtime:
            _index(runtime, name, es_host, drain, receivers, visibility_timeout)

    if workers == 1:
        work()
        return 0
    from harvesters.indexing import workers as processes

    _import_early()
    with running() as runtime:
        return processes.run(workers, work, runtime.stop)


def _index(
    runtime: Runtime, name: str, es_host: str | None, drain: bool, receivers: int, visibility_timeout: int
) -> None:
    from dataclasses import asdict

    from harvesters.indexing.indexer import Indexer
    from harvesters.indexing.source import SqsSource
    from harvesters.sinks.deadletters import ErrorBudget
    from harvesters.telemetry import per_second, reported

    # What is in hand is finished after SIGTERM too, so retries go on: their clock does not know of it.
    patient = Runtime(stop=threading.Event())
    sink = patient.sink("es", None, fresh_pattern="useractions-*", es_host=es_host)
    source = SqsSource(name, patient.retry, visibility_timeout, connections=2 * receivers + 2)
    indexer = Indexer(
        source,
        sink,
        patient.dead_letters,
        ErrorBudget(*settings.error_budget()),
        settings.timezone("OPENCAST_TIMEZONE"),
        patient.clock,
        runtime.stop,
        follow=not drain,
        receivers=receivers,
    )

    def fields(seconds: float) -> dict[str, Any]:
        return {**asdict(indexer.counts), "messages_per_second": per_second(indexer.counts.received, seconds)}

    with reported("index", patient.clock, fields), closing(sink):
        indexer.run()
    if drain and runtime.stop.is_set():
        raise Interrupted("told to stop: finished what was in hand; the rest is still in the queue")


def _import_early() -> None:
    """What every process needs is imported once, before they are forked."""
    import boto3  # noqa: F401
    import elasticsearch  # noqa: F401

    import harvesters.indexing.indexer
    import harvesters.sinks.elastic  # noqa: F401
