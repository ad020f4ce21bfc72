"""What every client is told, and what its errors mean for a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harvesters.errors import ConfigError, CredentialsRefused, HarvestError, Unavailable
from harvesters.retry import Transient
from harvesters.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

log = logging.getLogger(__name__)

_PASSED_ON = {
    "KAFKA_BOOTSTRAP_SERVERS": "bootstrap.servers",
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_CA_CERTS": "ssl.ca.location",
}
_WHO_WE_ARE = (
    "_AUTHENTICATION",
    "SASL_AUTHENTICATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
)
_AS_IT_IS = ("_INVALID_ARG", "_SSL", "UNSUPPORTED_SASL_MECHANISM", "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID")


def name_of(settings: Settings) -> str:
    """``kafka at host:port``, for people."""
    return f"kafka at {settings.get('KAFKA_BOOTSTRAP_SERVERS')}"


class Faults:
    """The error callback of a client, which its `poll` alone serves: some faults are told nowhere else.

    A broker that is away, and a password that is wrong, make no call fail; one waits for ever.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.last = ""
        self._refusal: HarvestError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Note what the client has to say."""
        self.last = error.str()
        log.debug("%s: %s", self.name, self.last)
        meaning = error_of(error, self.name)
        if not isinstance(meaning, Unavailable):
            self._refusal = meaning

    def check(self) -> None:
        """Raise what no other try would change.

        Raises:
            CredentialsRefused, ConfigError: the brokers do not take us as we are.
        """
        if self._refusal is not None:
            raise self._refusal


class _Debugging:
    """The client's own log, at DEBUG: it repeats itself every second while a broker is away."""

    def log(self, level: int, text: str, *arguments: object) -> None:
        log.debug(text, *arguments)


@dataclass(frozen=True)
class _Error:
    """A code of the client by its name."""

    names: tuple[str, ...]

    def holds(self, error: KafkaError) -> bool:
        return error.code() in [getattr(type(error), name) for name in self.names]


_REFUSED, _MISTAKEN, _SESSION = _Error(_WHO_WE_ARE), _Error(_AS_IT_IS), _Error(("INVALID_SESSION_TIMEOUT",))


def client_settings(settings: Settings, faults: Faults | None = None) -> dict[str, Any]:
    """What any client is made with: where the brokers are, who we are, where its complaints go.

    Raises:
        ConfigError: confluent-kafka is not installed.
    """
    require_client()
    given = {option: settings.get(name) for name, option in _PASSED_ON.items()}
    return {
        "client.id": "harvest",
        **{option: value for option, value in given.items() if value},
        "logger": _Debugging(),
        "error_cb": faults if faults is not None else Faults(name_of(settings)),
    }


def require_client() -> None:
    """See that confluent-kafka is installed.

    Raises:
        ConfigError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("confluent_kafka") is None:
        raise ConfigError("listings need an extra that is not installed: pip install 'harvest[kafka]'")


def error_of(error: KafkaError, name: str) -> HarvestError:
    """What an error of the client means for a run."""
    text = f"{name}: {error.str()}"
    if _REFUSED.holds(error):
        return CredentialsRefused(f"{text}. Check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, and the user's rights.")
    if _SESSION.holds(error):
        return ConfigError(
            f"{text}. KAFKA_SESSION_TIMEOUT has to lie between the broker's group.min.session.timeout.ms (6 s on a "
            "stock one) and group.max.session.timeout.ms."
        )
    if _MISTAKEN.holds(error):
        return ConfigError(f"{text}. Check the settings KAFKA_*.")
    return Unavailable(text)


def transient(error: KafkaError, name: str) -> Exception:
    """The error, as an attempt of a `RetryPolicy` raises it: `Transient` where another try may work."""
    meaning = error_of(error, name)
    return Transient(error.str()) if isinstance(meaning, Unavailable) else meaning
