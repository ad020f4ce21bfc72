"""moto's server: S3 and SQS with the meaning of the real ones, in memory.

Conditional writes, batch limits, visibility and redrive are right; the speed is not (about 100 messages a second). It
checks ``If-Match`` and then writes, with no lock between: a test of interleavings must serialise ``put_object``.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from harvesters.standins.base import StandIn, StandInFailed, StandInMissing, http_status

REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "standin",
    "AWS_SECRET_ACCESS_KEY": "standin",
    "AWS_DEFAULT_REGION": REGION,
    # The user's profiles must not be mixed in, nor a cloud machine's role.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials that no real AWS knows, for boto3 against a stand-in."""


class Moto(StandIn):
    """S3 and SQS behind one address."""

    name = "moto"

    @classmethod
    def installed(cls) -> bool:
        return all(find_spec(module) is not None for module in ("moto", "flask", "flask_cors"))

    def command(self) -> list[str]:
        if not self.installed():
            raise StandInMissing("moto's server is not installed", 'pip install "moto[server]"')
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def answers(self) -> bool:
        return http_status(self.port, "/moto-api/") == 200

    def environment(self) -> dict[str, str]:
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}

    def reset(self) -> None:
        """Forget every bucket and every queue."""
        if http_status(self.port, "/moto-api/reset", "POST") != 200:
            raise StandInFailed("moto did not reset itself")
