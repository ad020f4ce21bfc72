"""The registrar's service (Banner): who takes a course."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import requests

from harvesters.errors import CredentialsRefused, ProtocolError
from harvesters.http import HttpSource, read_json
from harvesters.retry import RetryPolicy

_PATH = "/__get_course_people.php"
_SHORTEST = 1.0  # seconds that an answer may take, whatever the budget is


class BannerClient:
    """One Banner endpoint.

    Args:
        base_url: without a slash at the end (``BANNER_ENDPOINT_BASE``).
    """

    def __init__(self, base_url: str, retry: RetryPolicy, timeout: float = 60.0) -> None:
        self.base_url = base_url
        # Who waits for the first byte does not see that the budget is over.
        patience = min(timeout, max(retry.budget, _SHORTEST))
        self._http = HttpSource(f"Banner at {base_url}", retry, patience)

    def people(self, term: str, crn: str) -> list[dict[str, Any]]:
        """The people of a course in a term such as ``202601``; none when it is not known.

        Raises:
            CredentialsRefused, ProtocolError, Unavailable: as their messages say.
        """
        params = {"fmt": "json", "term": term, "crn": crn}
        answer = self._http.request("GET", self.base_url + _PATH, self._json, params=params)
        try:
            return course_people(answer)
        except ValueError as error:
            raise ProtocolError(
                f"{self.base_url}{_PATH} answered for term {term} and crn {crn} with JSON that is no roll: {error}. "
                "Ask its operator what happened, and run again."
            ) from None

    def _json(self, response: requests.Response) -> Any:
        self._http.check_transient(response)
        if response.status_code in (401, 403):
            raise CredentialsRefused(
                f"{self.base_url} answered {response.status_code}: ask its operator to let this machine in."
            )
        if response.status_code != 200 or response.content.lstrip()[:1] == b"<":
            raise ProtocolError(
                f"{self.base_url}{_PATH} answered {response.status_code} without JSON: check BANNER_ENDPOINT_BASE."
            )
        return read_json(response)


def course_people(answer: Any) -> list[dict[str, Any]]:
    """Everybody in an answer: ``people`` is an object of groups, each a list, or a single person.

    An empty object is the roll of a course that nobody takes, or that is not known.

    Raises:
        ValueError: it is no roll, such as an error told with status 200.
    """
    if not isinstance(answer, dict):
        raise ValueError(f"it is a {type(answer).__name__}")
    groups = answer.get("people") if answer else {}
    if not isinstance(groups, dict | list):
        raise ValueError('it has no "people"' if "people" not in answer else '"people" is neither object nor list')
    members = (member for group in _values(groups) for member in (group if isinstance(group, list) else [group]))
    return [member for member in members if isinstance(member, dict) and member]


def _values(groups: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return groups.values() if isinstance(groups, dict) else groups
