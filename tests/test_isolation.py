"""The rules that `conftest` lays on every test hold."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from harvesters.simulators.base import Simulator
from tests.listening import forbid_listening, listens


def test_another_machine_cannot_be_reached() -> None:
    with socket.socket() as outside, pytest.raises(pytest.fail.Exception, match=r"reached for 192\.0\.2\.1"):
        outside.connect(("192.0.2.1", 80))


def test_names_of_other_machines_are_not_looked_up() -> None:
    with pytest.raises(socket.gaierror, match="no names"):
        socket.create_connection(("opencast.example.org", 80))


def test_this_machine_can_be_reached_by_name_and_by_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port)).close()


def test_a_test_has_no_settings_but_a_state_directory_of_its_own(tmp_path: Path) -> None:
    assert Path(os.environ["HARVEST_STATE_DIR"]).is_relative_to(tmp_path)
    assert not [name for name in os.environ if name.startswith(("MATTERHORN_", "AWS_ACCESS", "ZOOM_", "SQS_"))]


def test_who_listens_fails_in_the_fast_part(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_listening(monkeypatch)
    with socket.socket() as own, pytest.raises(pytest.fail.Exception, match=r"pytest\.mark\.listens"):
        own.bind(("127.0.0.1", 0))


def test_what_needs_a_server_is_known_to_listen(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        if {"moto_server", "redis_server", "elasticsearch_url"} & {*getattr(item, "fixturenames", ())}:
            assert item.get_closest_marker("listens"), item.nodeid
    assert listens(request.node)  # this one names a simulator
    assert issubclass(Simulator, object)


def test_what_needs_none_does_not(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("listens") is None
