"""The endpoint that hands a container the credentials of its role, which end."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta

from harvesters.simulators.amazon.signature import Key
from harvesters.simulators.base import Request, Response, Simulator

_PATH = "/role"


class Credentials(Simulator):
    """Gives the same credentials until `rotate` ends them.

    Args:
        lifetime: how long they are said to last; who has them asks for new ones some minutes before.
    """

    def __init__(self, lifetime: timedelta = timedelta(hours=1)) -> None:
        super().__init__()
        self.lifetime = lifetime
        self.keys: dict[str, Key] = {}
        self._current = ""
        self._changing = threading.Lock()
        self.rotate()

    @property
    def environment(self) -> dict[str, str]:
        """What points boto3 here."""
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}{_PATH}"}

    def rotate(self) -> None:
        """End the credentials that were given, and give new ones from now on."""
        with self._changing:
            if self._current:
                old = self.keys[self._current]
                self.keys[self._current] = Key(old.secret, old.token, datetime.now(UTC))
            self._current = f"ASIA{secrets.token_hex(8).upper()}"
            self.keys[self._current] = Key(secrets.token_urlsafe(30), secrets.token_urlsafe(200))

    def handle(self, request: Request) -> Response:
        """The credentials as they are now."""
        if request.path != _PATH:
            return Response.json({"message": "not found"}, 404)
        key = self.keys[self._current]
        return Response.json(
            {
                "AccessKeyId": self._current,
                "SecretAccessKey": key.secret,
                "Token": key.token,
                "Expiration": f"{datetime.now(UTC) + self.lifetime:%Y-%m-%dT%H:%M:%SZ}",
            }
        )
