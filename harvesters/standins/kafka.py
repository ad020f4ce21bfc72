"""A real Kafka: one process that is broker and controller (KRaft), from Maven Central.

Topics are not made by themselves. The session timeout of a consumer may be as little as a second, so that tests need
not wait; a stock broker wants six.
"""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from harvesters.standins import maven
from harvesters.standins.base import HOST, StandIn, StandInFailed, free_ports

VERSION = "4.4.0"
JARS = maven.Bundle(
    f"kafka-{VERSION}",
    (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"),
)
USER, PASSWORD = "harvest", "harvest-secret"
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_API_VERSIONS = struct.pack(">hhih", 18, 0, 1, -1)  # key, version, correlation id, no client id
_ONE_OF_EACH = (
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "transaction.state.log.min.isr",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.min.isr",
)


class Kafka(StandIn):
    """One broker. `settings` are added to its ``server.properties``; a changed one counts from the next start.

    It has a second listener that wants a password (SASL PLAIN): `secured` points a client at that.
    """

    name = "kafka"

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        heap: str = "512m",
        port: int = 0,
        directory: Path | None = None,
        detached: bool = False,
    ) -> None:
        own, self._secured, self._controller = free_ports(3)
        super().__init__(port=port or own, directory=directory, detached=detached)
        self.settings = dict(settings or {})
        self.heap = heap

    @classmethod
    def installed(cls) -> bool:
        return JARS.installed()

    @property
    def url(self) -> str:
        """``127.0.0.1:PORT``, as Kafka's clients want it."""
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        java = [*maven.java(self.heap), *maven.SHORT_LIFE]
        java += ["-Dlog4j2.level=WARN", "-cp", f"{JARS.install()}/lib/*"]
        self.directory.mkdir(parents=True, exist_ok=True)
        properties = self.directory / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not (self.directory / "data" / "meta.properties").exists():
            self._format([*java, "kafka.tools.StorageTool", "format", "-c", str(properties)])
        return [*java, "kafka.Kafka", str(properties)]

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=5) as connection:
                connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
                return len(connection.recv(8)) == 8
        except OSError:
            return False

    def environment(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP_SERVERS": self.url}

    def secured(self, password: str = PASSWORD) -> dict[str, str]:
        """The settings that point a harvester at the listener that wants a password."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self._secured}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": password,
        }

    def _properties(self) -> dict[str, object]:
        open_to_all, for_clients = f"PLAINTEXT://{self.url}", f"SASL_PLAINTEXT://{HOST}:{self._secured}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"{open_to_all},{for_clients},CONTROLLER://{HOST}:{self._controller}",
            "advertised.listeners": f"{open_to_all},{for_clients}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@{HOST}:{self._controller}",
            "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{_LOGIN} required user_{USER}="{PASSWORD}";',
            "log.dirs": self.directory / "data",
            "auto.create.topics.enable": "false",
            **dict.fromkeys(_ONE_OF_EACH, 1),
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.num.partitions": 3,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "metadata.max.idle.interval.ms": 0,  # with fewer threads, half of what it does while nobody asks
            "num.network.threads": 1,
            "num.io.threads": 2,
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 2000,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            **self.settings,
        }

    def _format(self, command: list[str]) -> None:
        """Kafka starts in a directory that was prepared for it alone."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        done = subprocess.run(
            [*command, "-t", cluster], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StandInFailed(f"the directory of {self.name} could not be prepared: {done.stderr.strip()[:800]}")
