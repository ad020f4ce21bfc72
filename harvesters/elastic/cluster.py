"""Which cluster it is, of which version, and what it can do. No other file asks for a version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Any, Self

from harvesters.errors import ProtocolError

ELASTICSEARCH, OPENSEARCH = "elasticsearch", "opensearch"
DISTRIBUTIONS = ("auto", ELASTICSEARCH, OPENSEARCH)
"""What ``ES_DISTRIBUTION`` may say."""

_LEAST = {ELASTICSEARCH: (8,), OPENSEARCH: (2, 7)}
SUPPORTED = "Elasticsearch 8 or newer, or OpenSearch 2.7 or newer"

_FEATURES: dict[str, dict[str, tuple[int, ...]]] = {
    ELASTICSEARCH: {"point_in_time": (8,), "flattened": (8,), "shard_doc": (8,), "total_order": (8,)},
    OPENSEARCH: {"point_in_time": (2, 7), "flat_object": (2, 7), "shard_doc": (3, 8)},
}
_OF_OPENSEARCH = "The OpenSearch Project"
_TAGLINE = "You Know, for Search"  # that of Elasticsearch before it had a header, and of what was made from it


@dataclass(frozen=True)
class Cluster:
    """One cluster.

    Attributes:
        version: "" where ``GET /`` is hidden; then it counts as the oldest that is supported.
        features: what it has of ``point_in_time``; ``flattened`` or ``flat_object``, the fields that take any object;
            ``shard_doc``, which sorts what is equal otherwise; ``total_order``, where each search in a point in time
            does so by itself. ILM and ISM are asked for where somebody needs them.
        uuid: its own; "" where ``GET /`` is hidden.
    """

    distribution: str
    version: str
    features: frozenset[str]
    uuid: str = ""

    @classmethod
    def of(cls, distribution: str, version: str = "", uuid: str = "") -> Self:
        """The cluster of that name and version, with what that has."""
        number = _number(version) if version else _LEAST[distribution]
        features = (name for name, since in _FEATURES[distribution].items() if number >= since)
        return cls(distribution, version, frozenset(features), uuid)

    @classmethod
    def read(cls, body: Any, headers: Mapping[str, str]) -> Self:
        """The cluster that answers ``GET /`` so.

        Raises:
            ProtocolError: it is not supported; the message says what it is, and begins with a verb.
        """
        said = body if isinstance(body, Mapping) else {}
        about = said.get("version")
        about = about if isinstance(about, Mapping) else {}
        version = str(about.get("number", ""))
        distribution = str(about.get("distribution", ""))
        if not distribution and (
            headers.get("x-elastic-product") == "Elasticsearch" or said.get("tagline") == _TAGLINE
        ):
            distribution = ELASTICSEARCH
        if not distribution and str(said.get("tagline", "")).startswith(_OF_OPENSEARCH):
            raise ProtocolError(
                f"is an OpenSearch that calls itself {version} for the sake of old clients; set "
                "compatibility.override_main_response_version to false (PUT /_cluster/settings)"
            )
        if distribution not in _LEAST or not _number(version):
            found = f"is {distribution} {version}" if distribution and version else "does not say what it is"
            raise ProtocolError(f"{found}; harvest.py needs {SUPPORTED}")
        if _number(version) < _LEAST[distribution]:
            raise ProtocolError(f"is {distribution} {version}, which is too old; harvest.py needs {SUPPORTED}")
        return cls.of(distribution, version, str(said.get("cluster_uuid", "")))

    def __str__(self) -> str:
        """``opensearch 3.8.0``."""
        return f"{self.distribution} {self.version}".rstrip()


def _number(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: two or three."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part) for part in found.groups() if part) if found else ()


class Acquaintance:
    """What the clients of one cluster know of it together, so that a process asks once."""

    def __init__(self) -> None:
        self.cluster: Cluster | None = None
        self._lock = Lock()
        self._asking: Future[Cluster] | None = None

    def begin(self) -> tuple[bool, Future[Cluster]]:
        """Whether who calls is to ask, and what everybody waits for."""
        with self._lock:
            first = self._asking is None
            if self._asking is None:
                self._asking = Future()
            return first, self._asking

    def end(self, asking: Future[Cluster], cluster: Cluster | None, error: BaseException | None = None) -> None:
        """Tell those who wait; after an error the next one asks again."""
        with self._lock:
            self._asking = None
        if cluster is not None:
            self.cluster = cluster
            asking.set_result(cluster)
        else:
            asking.set_exception(error or RuntimeError("nobody answered"))
