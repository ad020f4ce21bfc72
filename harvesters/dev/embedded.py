"""The environment without containers: stand-ins as background processes on free loopback ports."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from harvesters.dev.process import ServerProcess
from harvesters.dev.record import Home, Record, Server, remove_settings, settings_path, write_settings
from harvesters.dev.services import SERVICES, names_of_ours
from harvesters.errors import ConfigError, Unavailable
from harvesters.standins import elasticmq, elasticsearch, kafka
from harvesters.standins.base import StandIn, StandInFailed, StandInMissing
from harvesters.standins.elasticmq import ElasticMQ
from harvesters.standins.elasticsearch import Elasticsearch
from harvesters.standins.kafka import Kafka
from harvesters.standins.moto import Moto
from harvesters.standins.opencast import SimulatedOpencast
from harvesters.standins.redis import Redis

Say = Callable[[str], None]

STANDINS: dict[str, tuple[type[StandIn], tuple[str, ...]]] = {
    "redis": (Redis, ("redis",)),
    "moto": (Moto, ("s3", "sqs")),
    "elasticmq": (ElasticMQ, ("sqs",)),
    "opencast": (SimulatedOpencast, ("opencast",)),
    "elasticsearch": (Elasticsearch, ("elasticsearch",)),
    "kafka": (Kafka, ("kafka",)),
}
"""Each stand-in, and the services that it stands in for. Where ElasticMQ runs, queues are there and not in moto."""

NAMES = tuple(dict.fromkeys(service for _, services in STANDINS.values() for service in services))
INSTEAD = {"elasticmq": "moto is the SQS, which takes about 100 messages a second, and fewer the longer its queue is"}
"""What one does without a stand-in of this name, where something else gives the same."""
KIND = "embedded"


def up(home: Home, services: Sequence[str], directory: Path, say: Say) -> Record:
    """Start the stand-ins of `services` that do not run; write the settings.

    When none is named, that is all there can be, without what is optional.

    Raises:
        ConfigError: a named one cannot run on this machine, or nothing can; or the settings cannot be written.
        Unavailable: one was started and did not answer; what was started before it is stopped again.
    """
    record = home.load() or Record(KIND)
    settings_path(record, directory)  # before anything is started
    running = [server for server in record.servers if server.process is not None and server.process.alive]
    for server in record.servers:
        if server not in running:
            say(f"{server.name} has ended by itself")
    record.servers = running[:]
    missing = [name for name in _standins(services) if name not in {server.name for server in running}]
    try:
        for name in missing:
            _start(home, record, name, bool(services), say)
        if not record.servers:
            raise ConfigError("nothing can be started here; see the reasons above")
        if len(record.servers) == len(running):
            say("Everything is up already; nothing was started.")
        write_settings(record, directory)
        home.save(record)
    except BaseException:
        _stop([server for server in record.servers if server not in running], home)
        record.servers = running
        if running:
            home.save(record)
        else:
            home.forget()
        raise
    return record


def down(home: Home, record: Record, say: Say) -> None:
    """Stop exactly the processes of `record`, and remove their data and the settings file."""
    for server in reversed(record.servers):
        process = server.process
        if process is not None and process.stop():
            say(f"stopped {server.name} (process {process.pid})")
        else:
            say(f"{server.name} had ended already")
    _stop(record.servers, home)
    if done := remove_settings(record):
        say(done)
    home.forget()


def _standins(services: Sequence[str]) -> list[str]:
    wanted = set(services) or {name for name in NAMES if not SERVICES[name].optional}
    return [name for name, (_, given) in STANDINS.items() if set(given) & wanted]


def _start(home: Home, record: Record, name: str, named: bool, say: Say) -> None:
    standin = STANDINS[name][0](directory=home.path / name, detached=True)
    if name in ("elasticsearch", "elasticmq", "kafka") and not standin.installed():
        instead = f", so {INSTEAD[name]}" if name in INSTEAD else ""
        missing = StandInMissing(
            f"the jars of {type(standin).__name__} are not here{instead}",
            "give --fetch once to have Maven fetch them (120 MB in all; needs a JDK, 17 or newer, and Maven)",
        )
        _leave_out(name, missing, named and not instead, say)
        return
    server = Server(name, standin.url, standin.environment() | names_of_ours(STANDINS[name][1]))

    def launched(pid: int) -> None:
        # Remembered before it answers: whatever becomes of this command, `dev down` finds the process.
        server.process = ServerProcess.of(pid)
        record.servers.append(server)
        home.save(record)

    standin.launched = launched
    try:
        standin.start()
    except StandInMissing as missing:
        _leave_out(name, missing, named, say)
        return
    except StandInFailed as error:
        raise Unavailable(f"{error}. What was started with it is stopped again.") from error
    say(f"started {name} at {server.url} (process {standin.pid})")


def _leave_out(name: str, missing: StandInMissing, named: bool, say: Say) -> None:
    if named:
        raise ConfigError(f"{name} cannot run here: {missing}") from missing
    say(f"left out {name}: {missing}")


def _stop(servers: Sequence[Server], home: Home) -> None:
    for server in servers:
        if server.process is not None:
            server.process.stop()
        shutil.rmtree(home.path / server.name, ignore_errors=True)


def fetch() -> None:
    """Have Maven fetch the jars of Elasticsearch, ElasticMQ and Kafka, if they are not here.

    Raises:
        ConfigError: that cannot be done here; the message says what is missing.
    """
    for name, jars in (("Elasticsearch", elasticsearch.JARS), ("ElasticMQ", elasticmq.JARS), ("Kafka", kafka.JARS)):
        try:
            jars.install()
        except StandInMissing as missing:
            raise ConfigError(f"{name} cannot be fetched: {missing}") from missing
