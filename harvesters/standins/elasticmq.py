"""ElasticMQ: an SQS that is fast and stays fast when deep; everything in memory.

Unlike SQS it may hold back visible messages after others were extended, until those expire: an empty receive does not
mean an empty queue. Deleting a handle twice is an error.
"""

from __future__ import annotations

from pathlib import Path

from harvesters.standins import maven
from harvesters.standins.base import HOST, StandIn, http_status
from harvesters.standins.moto import CREDENTIALS, REGION

JARS = maven.Bundle("elasticmq-1.7.1", ("org.elasticmq:elasticmq-server_2.13:1.7.1",))


class ElasticMQ(StandIn):
    """An SQS. `heap` is the JVM's limit, as ``-Xmx`` takes it; one of `short_life` is sooner up, and slower later."""

    name = "elasticmq"

    def __init__(
        self,
        *,
        heap: str = "1g",
        short_life: bool = False,
        port: int = 0,
        directory: Path | None = None,
        detached: bool = False,
    ) -> None:
        super().__init__(port=port, directory=directory, detached=detached)
        self.heap, self.short_life = heap, short_life

    @classmethod
    def installed(cls) -> bool:
        return JARS.installed()

    def command(self) -> list[str]:
        settings = {
            "rest-sqs.bind-hostname": HOST,
            "rest-sqs.bind-port": self.port,
            "rest-sqs.sqs-limits": "strict",
            "node-address.host": HOST,  # the queue URLs that it gives out
            "node-address.port": self.port,
            "aws.region": REGION,
        }
        return [
            *maven.java(self.heap),
            *(maven.SHORT_LIFE if self.short_life else ()),
            *(f"-D{name}={value}" for name, value in settings.items()),
            "-cp",
            f"{JARS.install()}/lib/*",
            "org.elasticmq.server.Main",
        ]

    def answers(self) -> bool:
        return http_status(self.port, "/health") == 200

    def environment(self) -> dict[str, str]:
        return {**CREDENTIALS, "AWS_ENDPOINT_URL_SQS": self.url}
