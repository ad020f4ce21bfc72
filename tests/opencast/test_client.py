"""How one Opencast node is asked."""

from __future__ import annotations

import base64

import pytest

from harvesters.opencast.client import OpencastClient
from harvesters.simulators.base import Request, Response, Simulator
from tests.clocks import patient


class Answering(Simulator):
    """Answers everything with an empty object."""

    def handle(self, request: Request) -> Response:
        return Response.json({})


@pytest.mark.parametrize(("user", "password"), [("sys", "pä:ss"), ("Jürgen", "\N{EURO SIGN}✓")])
def test_basic_credentials_are_utf_8_as_opencast_reads_them(user: str, password: str) -> None:
    with Answering() as simulator:
        OpencastClient(simulator.url, user, password, "basic", patient(budget=1)).get("/info/me.json")
        sent = {name.lower(): value for name, value in simulator.requests[-1].headers.items()}
    assert base64.b64decode(sent["authorization"].removeprefix("Basic ")).decode() == f"{user}:{password}"
