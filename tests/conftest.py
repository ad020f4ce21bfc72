"""What holds for every test: no network beyond this machine, none of the developer's settings, a state of its own."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from harvesters import privacy
from tests.listening import asks_the_cluster, forbid_listening, listens
from tests.servers import (  # noqa: F401  (fixtures, found by their names here)
    aws,
    elasticmq_server,
    elasticmq_url,
    elasticsearch_server,
    elasticsearch_url,
    kafka,
    kafka_server,
    moto_server,
    redis_server,
    redis_url,
)

# A shell has its background jobs ignore Ctrl-C, and what they start ignores it too; tests send it to what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# One profile for all: how long an example takes depends on what else the machine does, so it is no reason to fail.
hypothesis.settings.register_profile("harvest", deadline=None, suppress_health_check=[*hypothesis.HealthCheck])
hypothesis.settings.load_profile("harvest")

_SETTINGS = (
    *(
        "ACCESS_LOG",
        "AWS_",
        "BANNER_",
        "CELERY_",
        "DEFAULT_INTERVAL",
        "ELASTIC_",
        "EL_",
        "EPISODE_",
        "ES_",
        "FIREBASE_",
        "GEOLITE_",
        "HARVEST_",
        "KAFKA_",
        "LISTINGS_",
        "LOGGLY_",
    ),
    *("MATTERHORN_", "MAX_START_END_SPAN", "OPENCAST_", "REDIS_URL", "S3_", "SQS_", "VIEWS_", "WS_", "ZOOM_"),
    *("MESSAGES_", "CARDINALITY_", "INSTANCE", "APIKEY", "MIGRATION_", "SENTRY_"),
    *("APP_ID", "ILOG_ID", "SURVEY_ID", "TIME_RANGE", "START_TIME", "END_TIME", "FILE", "OUTPUT_FILE"),
    *("ANALYTIC_FILE", "QUESTION_FILE", "USER_", "TASK_FILE", "MESSAGE_FILE"),
)
_KEPT = {"ES_TEST_URL"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting but a state directory of the test's own; boto3 finds no credentials, not even on a cloud machine."""
    for name in os.environ:
        if name.startswith(_SETTINGS) and name not in _KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HARVEST_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def nothing_is_secret_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test had masked, such as the word ``test``, is no secret of the next."""
    monkeypatch.setattr(privacy, "_known", {})
    monkeypatch.setattr(privacy, "_tokens", {})
    monkeypatch.setattr(privacy, "_pattern", None)


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """A connection to another machine fails the test, and a name that is not this machine's is not found."""
    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex"):
            patch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
        patch.setattr(socket, "getaddrinfo", _local_names(socket.getaddrinfo))
        yield


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            # Not an OSError: that would be taken for a fault of the network, and retried.
            pytest.fail(f"the test reached for {address[0]}, which is not this machine")
        return connect(self, address)

    return guarded


def _local_names(getaddrinfo: Any) -> Any:
    def local(host: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and not _is_loopback(name) and not _is_address(name):
            raise socket.gaierror(socket.EAI_NONAME, f"tests look up no names: {name}")
        return getaddrinfo(host, *rest, **named)

    return local


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="only tests for which nothing listens, and no slow ones")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what listens (``--fast`` leaves it out), and what asks the cluster. What takes longest begins first, so that
    no worker waits for it."""
    items.sort(key=lambda item: "crash" not in item.path.parts and "kill" not in item.path.name)
    for item in items:
        if listens(item):
            item.add_marker(pytest.mark.listens)
        if asks_the_cluster(item):
            item.add_marker(pytest.mark.cluster)
    if config.getoption("--fast"):
        left = {item: any(map(item.get_closest_marker, ("listens", "slow"))) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if left[item]])
        items[:] = [item for item in items if not left[item]]


@pytest.fixture(autouse=True, scope="session")
def nobody_listens(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the fast part: who listens all the same fails."""
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("--fast"):
            forbid_listening(patch)
        yield


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """On CI nothing is skipped: what a test needs is installed or started there, or the run has failed."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped") and not exitstatus:
        reporter.write_line(f"{len(reporter.stats['skipped'])} skipped, which CI=true does not allow", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
