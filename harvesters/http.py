"""HTTP for sources: one session, one retry policy, and answers judged before they are believed.

This is the one seam of a source: tests step in with a simulator's URL or another `requests` adapter.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
import requests
from urllib3.exceptions import LocationValueError
from urllib3.util.ssl_match_hostname import CertificateError

from harvesters import __version__
from harvesters.errors import ConfigError
from harvesters.patience import Patience, PatientAdapter, having
from harvesters.privacy import excerpt
from harvesters.retry import RetryPolicy, Transient, parse_retry_after

T = TypeVar("T")

# Broken connections, in the shapes that requests gives them; anything else it raises is ours to mend.
_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
_MISSPELT = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, LocationValueError)
_LEAST = 10.0  # seconds for an answer when the budget is nearly spent, but no more than the budget has
_SHORTEST = 1.0  # and at least this many, whatever the budget is


class HttpSource:
    """Sends requests to one source until an answer can be judged.

    Args:
        name: what the source is called in messages, such as ``Opencast at https://…``.
        retry: how long and how often a request is tried again.
        timeout: seconds to wait for a connection and for each part of an answer.
    """

    def __init__(self, name: str, retry: RetryPolicy, timeout: float = 60.0, connections: int = 8) -> None:
        self.name = name
        self.retry = retry
        self.timeout = timeout
        self.session = requests.Session()
        self.session.headers["User-Agent"] = f"harvest/{__version__}"
        adapter = PatientAdapter(pool_connections=2, pool_maxsize=connections)
        self.session.mount("https://", adapter)
        self.session.mount("http://", adapter)

    def request(
        self,
        method: str,
        url: str,
        judge: Callable[[requests.Response], T],
        again: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> T:
        """What `judge` makes of the answer.

        `judge` raises `Transient` to have the request sent again, or a `HarvestError` to end the run. `again` is
        called before each repetition. Redirects are not followed: a login page is no answer.

        Raises:
            Unavailable: no answer that `judge` accepts came within the retry budget, or one dribbled beyond it.
            RateLimited: the last answer within it was 429.
            ConfigError: the server's certificate does not fit, or the address is none.
        """

        tries = 0
        started = self.retry.clock.monotonic()

        def attempt() -> T:
            nonlocal tries
            tries += 1
            if tries > 1 and again is not None:
                again()
            patience = self._patience(self.retry.clock.monotonic() - started)
            try:
                with (
                    having(patience),
                    self.session.request(
                        method, url, timeout=(min(10.0, self.timeout), self.timeout), allow_redirects=False, **arguments
                    ) as response,
                ):
                    return judge(response)
            except _MISSPELT:
                raise ConfigError(
                    f"{self.name}: its address is none, or that of a proxy (HTTP_PROXY, HTTPS_PROXY)."
                ) from None
            except _BROKEN as error:
                if patience.lost:
                    reason = f"{self.name}: the answer dribbles and was not whole in {patience.seconds:.0f} s"
                    raise self.retry.gave_up(reason, tries, self.retry.clock.monotonic() - started) from None
                if _unfit(error):
                    raise self._unfit(error) from None
                raise Transient(excerpt(_short(error))) from None

        return self.retry.call(attempt, self.name)

    def close(self) -> None:
        """Drop the connections."""
        self.session.close()

    def _patience(self, elapsed: float) -> Patience:
        """What is left of the budget, but enough for a good answer after bad ones."""
        budget = self.retry.budget
        return Patience(max(budget - elapsed, min(budget, _LEAST), _SHORTEST))

    def _unfit(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"{self.name}: its certificate does not fit: {excerpt(_innermost(error))}. Check the name of the host; "
            "a certificate authority of your own goes into a file that REQUESTS_CA_BUNDLE names."
        )

    def check_transient(self, response: requests.Response) -> None:
        """Raise `Transient` for the statuses that pass by themselves: 429 and 5xx."""
        if response.status_code == 429 or response.status_code >= 500:
            wait = parse_retry_after(response.headers.get("Retry-After"), self.retry.clock.now())
            reason = f"answered {response.status_code} {excerpt(response.reason or '')}".rstrip()
            raise Transient(reason, wait, limited=response.status_code == 429)


def read_json(response: requests.Response) -> Any:
    """The body as JSON; one that is cut off is worth another try."""
    return parse_json(response.content)


def parse_json(body: bytes | bytearray) -> Any:
    """A body that was read already, as JSON; `Transient` when it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _lenient_json(body, error)


def _lenient_json(body: bytes | bytearray, error: orjson.JSONDecodeError) -> Any:
    # Python's own reader takes what orjson does not (half a surrogate pair, NaN): one such row must not hide the page.
    import json

    try:
        return json.loads(body.decode("utf-8", "replace"), parse_int=_lenient_int)
    except (ValueError, RecursionError):
        raise Transient(f"sent JSON that cannot be read ({len(body)} bytes): {error}") from None


def _lenient_int(digits: str) -> int | float:
    # Python refuses to read thousands of digits as an integer; such a number is as good as infinite.
    return int(digits) if len(digits) < 400 else float(digits)


def _unfit(error: Exception) -> bool:
    """A certificate that was looked at and refused, unlike a handshake that was torn."""
    return isinstance(_innermost(error), ssl.SSLCertVerificationError | CertificateError)


def _short(error: Exception) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS failed: {error}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the answer was cut off"
    return f"connection failed: {_innermost(error)}"


def _innermost(error: BaseException) -> BaseException:
    """What requests and urllib3 wrapped, layer by layer."""
    while True:
        inner = [part for part in (getattr(error, "reason", None), *error.args) if isinstance(part, BaseException)]
        if not inner:
            return error
        error = inner[0]
