"""One service of the platform: a question with our key, and an answer that is judged before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import requests

from harvesters.errors import ConfigError, CredentialsRefused, ProtocolError
from harvesters.http import HttpSource, read_json
from harvesters.privacy import excerpt
from harvesters.retry import RetryPolicy, Transient

KEY_HEADER = "x-wenet-component-apikey"
_GOOD = (200, 202)


class Door:
    """Asks the service at `base`, which is called `name` in messages.

    The key goes there and nowhere else: redirects are errors, wherever they lead.
    """

    def __init__(self, name: str, base: str, key: str, retry: RetryPolicy, timeout: float, connections: int) -> None:
        self.name = f"{name} at {base}"
        self._base = base
        self._headers = {KEY_HEADER: key.encode()}
        self._http = HttpSource(self.name, retry, timeout, connections)

    def get(self, path: str, fits: Callable[[Any], bool], params: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer that `fits`; None where the service says that there is no such thing (404).

        `path` begins with a slash and is encoded.

        Raises:
            Unavailable: no such answer came within the retry budget.
            CredentialsRefused: the key is not good for this.
            ProtocolError: the service finds fault with the question.
            ConfigError: it sends us elsewhere, or its certificate does not fit.
        """

        def judge(response: requests.Response) -> Any:
            return self._judge(response, fits)

        return self._http.request("GET", self._base + path, judge, headers=self._headers, params=params or {})

    def close(self) -> None:
        """Drop the connections."""
        self._http.close()

    def _judge(self, response: requests.Response, fits: Callable[[Any], bool]) -> Any:
        status = response.status_code
        if status in (401, 403):
            raise CredentialsRefused(f"{self.name} refuses the key ({status}). Check APIKEY, and what it may read.")
        try:
            self._http.check_transient(response)
        except Transient as busy:  # not `limited`: whoever waits for the platform is told 69, whatever keeps it busy
            raise Transient(str(busy), busy.retry_after) from None
        if 300 <= status < 400:
            where = excerpt(response.headers.get("Location", "nowhere"), 200)
            raise ConfigError(f"{self.name} sends us to {where}, where the key is not sent. Check INSTANCE.")
        page = response.headers.get("Content-Type", "").lower().startswith("text/html")
        if status == 404 and not page:
            return None
        if status != 404 and status not in _GOOD:
            raise ProtocolError(f"{self.name} answers {status}: {'a page of HTML' if page else excerpt(response.text)}")
        if page:
            raise Transient(f"answered {status} with a page of HTML")
        answer = read_json(response)
        if not fits(answer):
            raise Transient("answered JSON of another kind than it should")
        return answer
