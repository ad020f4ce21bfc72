"""What the tests of the Zoom simulator call it with: a clock that is set by hand, and a bare client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import requests

from harvesters.simulators.zoom.data import Meeting, Participant, User
from harvesters.simulators.zoom.server import ZoomSimulator

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOST = User("hostA", "host@example.edu", "Ann Host")


class Clock:
    """Seconds since the epoch that pass only when told."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.seconds = moment.timestamp()

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class Caller:
    """Fetches a token and calls routes with it; it retries and follows nothing."""

    def __init__(self, simulator: ZoomSimulator, credentials: tuple[str, str] = ("client", "secret")) -> None:
        self.simulator = simulator
        self.credentials = credentials
        self.session = requests.Session()
        self.session.trust_env = False
        self.bearer = ""

    def grant(self, **form: str) -> requests.Response:
        form = form or {"grant_type": "account_credentials", "account_id": "account"}
        return self.session.post(self.simulator.oauth_url, data=form, auth=self.credentials)

    def get(self, path: str, **params: Any) -> requests.Response:
        if not self.bearer:
            self.bearer = self.grant().json()["access_token"]
        named = {key.rstrip("_"): value for key, value in params.items()}
        headers = {"Authorization": f"Bearer {self.bearer}"}
        return self.session.get(self.simulator.api_url + path, params=named, headers=headers)

    def ok(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def refused(self, path: str, **params: Any) -> tuple[int, int, str]:
        answer = self.get(path, **params)
        return answer.status_code, answer.json()["code"], answer.json()["message"]

    def drain(self, path: str, field: str, **params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        token = ""
        while True:
            body = self.ok(path, **params, next_page_token=token)
            rows += body[field]
            token = body["next_page_token"]
            if not token:
                return rows


def twice(uuid: str) -> str:
    return quote(quote(uuid, safe=""), safe="")


def once(uuid: str) -> str:
    return quote(uuid, safe="")


def meeting(
    uuid: str,
    people: int = 2,
    *,
    end: datetime | None = NOON - timedelta(hours=1),
    minutes: int = 60,
    number: int = 88_000_000_001,
    **fields: Any,
) -> Meeting:
    """A meeting of Ann Host; the first participant is she, the others are guests."""
    start = (end or NOON) - timedelta(minutes=minutes)
    made = Meeting(uuid, number, fields.pop("host", HOST), f"Topic {uuid}", start, end, **fields)
    made.participants = [
        Participant(
            user_id=str(16_778_240 + index),
            participant_uuid=f"{index:032X}",
            name=HOST.name if index == 0 else f"Guest {index}",
            join=start + timedelta(seconds=index),
            leave=(end or NOON + timedelta(days=1)),
            zoom_id=HOST.id if index == 0 else "",
            email=HOST.email if index == 0 else "",
        )
        for index in range(people)
    ]
    return made
