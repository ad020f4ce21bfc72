"""A domain of Amazon's in front of something that answers, and the role that signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from harvesters.elastic.connection import Connection
from harvesters.settings import Settings
from harvesters.simulators.amazon.credentials import Credentials
from harvesters.simulators.amazon.server import OpenSearchService
from harvesters.simulators.base import Request, Response, Simulator
from tests.connecting import Connect, connect  # noqa: F401 - fixture

REGION = "eu-central-1"
ROOT = {"cluster_uuid": "simulated", "version": {"number": "2.19.0", "distribution": "opensearch"}}


class Behind(Simulator):
    """An OpenSearch that says yes to everything, and keeps what it was asked."""

    def handle(self, request: Request) -> Response:
        return Response.json(ROOT if request.path in ("/", "/prefix/") else {"path": request.path})


@dataclass
class Domain:
    """What is simulated, and the settings that point at it."""

    service: OpenSearchService
    credentials: Credentials
    behind: Behind
    more: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        named = {"ES_HOST": self.service.url, "ES_AUTH": "aws", "ES_AWS_REGION": REGION}
        return Settings({**named, **self.more})


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Iterator[Credentials]:
    """The endpoint where boto3 finds the credentials of a container, and nothing else that it could find."""
    with Credentials() as credentials:
        for name, value in credentials.environment.items():
            monkeypatch.setenv(name, value)
        yield credentials


@pytest.fixture
def domain(role: Credentials) -> Iterator[Domain]:
    with Behind() as behind, OpenSearchService(behind.url, role.keys) as service:
        yield Domain(service, role, behind)


@pytest.fixture
def compressing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies are compressed as for another machine."""
    monkeypatch.setattr(Connection, "remote", property(lambda self: True))
