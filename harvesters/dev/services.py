"""The servers that a development environment has, by name, and the settings that point a harvest at them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harvesters.errors import ConfigError
from harvesters.standins.base import HOST
from harvesters.standins.moto import CREDENTIALS
from harvesters.standins.opencast import opencast_settings


@dataclass(frozen=True)
class Service:
    """One service of ``docker/docker-compose.yml``.

    Attributes:
        default: the port of this machine that it is published on, unless the variable `variable` names another; 0
            of what nobody connects to.
        target: its port inside the container.
        needs: what Compose starts along with it.
        optional: whether it is started only when it is named.
    """

    name: str
    default: int
    target: int
    needs: tuple[str, ...] = ()
    optional: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that the Compose file reads the port from."""
        return f"HARVEST_DEV_{self.name.upper()}_PORT"

    @property
    def port(self) -> int:
        """The port in force.

        Raises:
            ConfigError: `variable` holds no port.
        """
        text = os.environ.get(self.variable, "").strip() or str(self.default)
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise ConfigError(f"{self.variable}={text!r} is no port (1 to 65535)")
        return int(text)

    @property
    def url(self) -> str:
        """Where a person or a client finds it; "" of what nobody connects to."""
        if not self.default:
            return ""
        if self.name == "kafka":  # its clients want no scheme
            return f"{HOST}:{self.port}"
        scheme, path = ("redis", "/0") if self.name == "redis" else ("http", "")
        return f"{scheme}://{HOST}:{self.port}{path}"


SERVICES = {
    service.name: service
    for service in (
        Service("elasticsearch", 9200, 9200),
        Service("kibana", 5601, 5601, needs=("elasticsearch",)),
        Service("redis", 6379, 6379),
        Service("sqs", 9324, 9324),
        Service("s3", 4566, 5000),
        Service("opencast", 8080, 8080),
        Service("cerebro", 9000, 9000, needs=("elasticsearch",), optional=True),
        Service("kafka", 9092, 9092, optional=True),
        Service("batch", 0, 0, needs=("elasticsearch", "kafka"), optional=True),
        Service("batch-log", 0, 0, needs=("elasticsearch", "kafka"), optional=True),
        Service("batch-count", 0, 0, needs=("elasticsearch", "kafka"), optional=True),
        Service("serve", 8000, 8000, needs=("elasticsearch", "redis"), optional=True),
        Service("worker", 0, 0, needs=("elasticsearch", "redis"), optional=True),
        Service("beat", 0, 0, needs=("redis",), optional=True),
    )
}
DEFAULTS = tuple(name for name, service in SERVICES.items() if not service.optional)


def with_needs(names: Iterable[str]) -> tuple[str, ...]:
    """`names` and what they need, in the order of `SERVICES`."""
    wanted = set(names)
    for name in tuple(wanted):
        wanted.update(SERVICES[name].needs)
    return tuple(name for name in SERVICES if name in wanted)


def container_settings(names: Sequence[str]) -> dict[str, str]:
    """The settings that point at these services' published ports."""
    values: dict[str, str] = {}
    if "opencast" in names:
        values |= opencast_settings(SERVICES["opencast"].url)
    if "sqs" in names or "s3" in names:
        values |= CREDENTIALS
    if "sqs" in names:
        values["AWS_ENDPOINT_URL_SQS"] = SERVICES["sqs"].url
    if "s3" in names:
        values["AWS_ENDPOINT_URL_S3"] = SERVICES["s3"].url
    if "redis" in names:
        values["REDIS_URL"] = SERVICES["redis"].url
    if "elasticsearch" in names:
        values["ES_HOST"] = SERVICES["elasticsearch"].url
    if "kafka" in names:
        values["KAFKA_BOOTSTRAP_SERVERS"] = SERVICES["kafka"].url
    return values | names_of_ours(names)


def names_of_ours(names: Iterable[str]) -> dict[str, str]:
    """Names of queue, bucket and checkpoint: never those of a real harvest, whose checkpoint may be a file beside."""
    values = {"S3_LAST_ACTION_TS_KEY": "dev-last-action-timestamp"}
    if "sqs" in names:
        values["SQS_QUEUE_NAME"] = "harvest-dev-actions"
    if "s3" in names:
        values["S3_HARVEST_TS_BUCKET"] = "harvest-dev"
        values["HARVEST_DEAD_LETTERS"] = "s3://harvest-dev/dead-letters"
    return values
