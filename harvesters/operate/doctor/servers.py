"""Kafka, the broker of Celery, and the platform of the messages."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harvesters.errors import ConfigError, Exit, HarvestError
from harvesters.operate.doctor.check import TIMEOUT, Examination
from harvesters.privacy import protect, redact

if TYPE_CHECKING:
    from kombu.connection import Connection

_KAFKA = "Check KAFKA_BOOTSTRAP_SERVERS, and the credentials in KAFKA_*."
_TOPIC = "`listings send` and `listings view` make them."
_CELERY = "Check CELERY_BROKER_URL, and that the broker runs."
_QUEUES = ("harvest", "messages")
_TOPICS = {"listings-index": "LISTINGS_TOPIC", "listings-log": "VIEWS_TOPIC"}


def kafka(about: Examination) -> None:
    """The brokers answer, and have the topics that the jobs read."""
    from harvesters.kafka.config import require_client
    from harvesters.kafka.topics import Topics

    wanted = {name for job, name in _TOPICS.items() if any(one.name == job for one in about.jobs)}
    try:
        require_client()
        # The client gives up after a second without a budget, which a broker far away may need.
        with closing(Topics(about.settings, replace(about.assembly.retry, budget=TIMEOUT))) as topics:
            named = {about.settings.require(name) for name in sorted(wanted or _TOPICS.values())}
            missing = sorted(name for name in named if topics.find(name) is None)
    except HarvestError as error:
        about.fail("kafka", error, _KAFKA)
        return
    if missing:
        about.warn("kafka", f"{topics.name} answers, and has no topic {' and no topic '.join(missing)}", _TOPIC)
    else:
        about.ok("kafka", f"{topics.name} answers, and has {', '.join(sorted(named))}")


def platform(about: Examination) -> None:
    """The hub answers, and knows the key."""
    from harvesters.messages.platform import Platform, UnknownApp

    remedy = "Check INSTANCE, APIKEY, and the network."
    try:
        # Who says that there is no such application knows us.
        with Platform.from_settings(about.settings, about.assembly.retry) as asked, suppress(UnknownApp):
            asked.app("harvest-doctor")
    except HarvestError as error:
        about.fail("platform", error, remedy, error.code if isinstance(error, ConfigError) else Exit.UNAVAILABLE)
    else:
        about.ok("platform", f"{about.settings.url('INSTANCE')} answers, and takes the key")


def celery(about: Examination) -> None:
    """The broker answers. Whether a worker listens, only a message could tell."""
    try:
        from kombu.connection import Connection
        from kombu.exceptions import OperationalError
    except ImportError:
        about.fail("celery", "Celery is not installed", "pip install 'harvest[celery]'", Exit.CONFIG)
        return
    url = about.settings.get("CELERY_BROKER_URL")
    protect([urlsplit(url).password or ""])
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    try:
        broker = Connection(url, connect_timeout=TIMEOUT, transport_options=options)
        try:
            with broker:
                broker.connect()
                waiting = ", ".join(f"{_waiting(broker, queue)} in {queue}" for queue in _QUEUES)
                about.ok("celery", f"the broker {broker.as_uri()} answers; tasks that wait: {waiting}")
        except (OperationalError, OSError, *broker.connection_errors, *broker.channel_errors) as error:
            about.fail("celery", redact(f"the broker {broker.as_uri()} does not answer: {error}"), _CELERY)
    except (LookupError, ValueError, ImportError) as error:  # of a transport that there is not
        about.fail("celery", redact(f"CELERY_BROKER_URL cannot be read: {error}"), _CELERY, Exit.CONFIG)


def _waiting(broker: Connection, queue: str) -> int:
    """How many tasks are in the queue, which is not made."""
    channel = broker.default_channel
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except broker.channel_errors:
        return 0
