"""``docker/docker-compose.yml``: valid, on loopback only, healthy or not, limited, and of known versions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harvesters.cli.main import cli
from harvesters.dev.compose import FILE, PROJECT
from harvesters.dev.services import SERVICES
from harvesters.errors import ConfigError
from harvesters.simulators.opencast import server as opencast

_BATCH = ("batch", "batch-log", "batch-count")
_CELERY = ("worker", "beat")
_PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+\.\d+[a-z0-9.-]*")


def test_it_has_the_services_that_the_command_offers(parsed: dict[str, Any]) -> None:
    assert set(parsed["services"]) == set(SERVICES)
    assert parsed["name"] == PROJECT


def test_every_port_is_published_on_loopback_only_and_where_the_settings_say(parsed: dict[str, Any]) -> None:
    for name, service in parsed["services"].items():
        if not SERVICES[name].default:
            assert "ports" not in service
            continue
        (port,) = service["ports"]
        assert port["host_ip"] == "127.0.0.1", name
        assert (int(port["published"]), port["target"]) == (SERVICES[name].port, SERVICES[name].target)
        assert service.get("network_mode") != "host"


def test_every_port_can_be_moved_by_its_variable_and_stays_on_loopback() -> None:
    # Read from the text: the parser's own command line does not look at variables.
    published = re.findall(r"^ +- ([\d.]+):\$\{(\w+):-(\d+)\}:(\d+)$", FILE.read_text(), re.M)
    expected = {
        ("127.0.0.1", found.variable, str(found.default), str(found.target))
        for found in SERVICES.values()
        if found.default
    }
    assert set(published) == expected
    assert len(published) == FILE.read_text().count("    ports:")


@pytest.mark.parametrize("port", ["0", "65536", "x", "80 80"])
def test_a_variable_that_is_no_port_is_named(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVEST_DEV_REDIS_PORT", port)
    with pytest.raises(ConfigError, match="HARVEST_DEV_REDIS_PORT"):
        _ = SERVICES["redis"].url


def test_every_service_has_a_health_check(parsed: dict[str, Any]) -> None:
    for name, service in parsed["services"].items():
        check = service["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert {"interval", "timeout", "retries"} <= set(check), name
        asked = str(SERVICES[name].target) if SERVICES[name].default else "status"
        assert asked in " ".join(check["test"]) or name in ("redis", "beat")


def test_every_service_is_limited_in_memory_and_processors(parsed: dict[str, Any]) -> None:
    for name, service in parsed["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert re.fullmatch(r"\d+[mg]", limits["memory"]), name
        assert float(limits["cpus"]) > 0, name


def test_every_image_has_a_full_version_or_is_built_from_this_checkout(parsed: dict[str, Any]) -> None:
    for name, service in parsed["services"].items():
        if "build" not in service:
            assert _PINNED.fullmatch(service["image"]), name
    built = parsed["services"]["opencast"]["build"]
    assert built["dockerfile"] == "docker/Dockerfile.simulators"
    dockerfile = Path(built["context"]) / built["dockerfile"]
    assert built["context"] == str(FILE.parent.parent)
    (base,) = re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.M)
    assert _PINNED.fullmatch(base)


def test_elasticsearch_and_kibana_are_of_one_version_8_or_newer(parsed: dict[str, Any]) -> None:
    images = {parsed["services"][name]["image"].rpartition(":")[2] for name in ("elasticsearch", "kibana")}
    (version,) = images
    assert int(version.split(".")[0]) >= 8


def test_what_should_outlive_a_container_is_in_a_volume_of_its_own(parsed: dict[str, Any]) -> None:
    for name in ("elasticsearch", "kafka", "kibana", "redis"):
        (mounted,) = parsed["services"][name]["volumes"]
        assert (mounted["type"], mounted["source"]) == ("volume", name)
    for name in (*_BATCH, "worker"):
        (mounted,) = parsed["services"][name]["volumes"]
        assert (mounted["source"], mounted["target"]) == ("state", "/var/lib/harvest"), "checkpoints, the access log"
    assert set(parsed["volumes"]) == {"elasticsearch", "kafka", "kibana", "redis", "state"}


def test_what_a_service_needs_is_healthy_before_it_starts(parsed: dict[str, Any]) -> None:
    for name, service in SERVICES.items():
        needed = parsed["services"][name].get("depends_on", {})
        assert set(needed) == set(service.needs)
        assert all(entry["condition"] == "service_healthy" for entry in needed.values())


def test_some_are_started_only_when_they_are_named(parsed: dict[str, Any]) -> None:
    profiles = {name for name, service in parsed["services"].items() if service.get("profiles")}
    assert profiles == {name for name, service in SERVICES.items() if service.optional}
    assert profiles == {"cerebro", "kafka", "serve", *_BATCH, *_CELERY}


def test_the_brokers_memory_never_loses_tasks(parsed: dict[str, Any]) -> None:
    command = parsed["services"]["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "volatile-lru"


def test_worker_and_beat_run_commands_that_there_are(parsed: dict[str, Any]) -> None:
    for name in _CELERY:
        service = parsed["services"][name]
        assert CliRunner().invoke(cli, [*service["command"], "--help"]).exit_code == 0
        assert service["init"] is True


def test_the_batch_processes_run_commands_that_there_are(parsed: dict[str, Any]) -> None:
    for name in _BATCH:
        service = parsed["services"][name]
        for words in (service["command"], service["healthcheck"]["test"][2:]):
            assert CliRunner().invoke(cli, [*words, "--help"]).exit_code == 0
        assert service["init"] is True


def test_the_simulated_opencast_can_listen_inside_a_container() -> None:
    with opencast.OpencastSimulator(host="0.0.0.0") as simulator:
        assert simulator._server.server_address[0] == "0.0.0.0"
