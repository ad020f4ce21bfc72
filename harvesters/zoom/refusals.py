"""What Zoom's errors mean, by the code in the body rather than by the HTTP status, which varies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from harvesters.errors import CredentialsRefused, ProtocolError
from harvesters.http import read_json
from harvesters.privacy import excerpt, redact
from harvesters.retry import Transient

_SCOPES = {4711, 4700, 104, 201}
_TOKEN = {124}
_NO_USER = {1001, 1010}
_ENOUGH = 50


class Refusal(ProtocolError):
    """Zoom's answer is an error; subclasses are the ones that a harvest can go on from.

    Where nobody can, as when a list of meetings is answered with "no such user", the run ends with 76.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class TokenRefused(Refusal):
    """124: the token has expired, or is none."""


class TooManyCalls(Refusal):
    """429."""


class PageTokenExpired(Refusal):
    """300: the list has to be asked for from its beginning."""


class NoSuchMeeting(Refusal):
    """3001: not there, or its details are not to be had; also what a badly encoded UUID looks like."""


class NoSuchUser(Refusal):
    """1001, 1010: deleted, or of another account."""


class NotAMeeting(Refusal):
    """3000, or 300 with "webinar": it is a webinar."""


class Misunderstood(Refusal):
    """Any other error: Zoom does not understand us, or we do not understand Zoom."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.args = (f"{problem}. Zoom's support can find the call by its tracking id.",)

    @property
    def of_one(self) -> bool:
        """Asked for one meeting or host, Zoom refuses that one: with a code of its own, such as 300 or 1120."""
        status = self.problem.status
        return self.problem.code is not None and (status in (400, 404) or status < 300)


class PlanMissing(CredentialsRefused):
    """200: the account's plan has no such feature, or REST calls are not for us (`foreign`)."""

    def __init__(self, problem: Problem) -> None:
        text = problem.message.lower()
        super().__init__(f"{problem}. {_plan_advice(text)}".rstrip())
        self.foreign = "rest api" in text or "api key" in text


@dataclass(frozen=True)
class Problem:
    """An error as Zoom words it, to decide by; secrets in it are masked where it is shown.

    `tracking` is what Zoom's support asks for.
    """

    path: str
    status: int
    code: int | None
    message: str
    tracking: str = ""

    def __str__(self) -> str:
        code = f" code {self.code}" if self.code is not None else ""
        tracking = f" (x-zm-trackingid {excerpt(self.tracking)})" if self.tracking else ""
        message = excerpt(self.message).rstrip(". ") or "no message"
        return f"{redact(self.path)} was answered {self.status}{code}: {message}{tracking}"


def read_answer(response: requests.Response) -> dict[str, Any]:
    """The body of a good answer.

    Raises:
        Refusal, PlanMissing, CredentialsRefused: what Zoom says instead, also under HTTP 200.
        Transient: the body is cut off, or is no JSON object.
    """
    status = response.status_code
    body = _body(response)
    code = _code(body)
    if 200 <= status < 300 and code is None and not _failed(body):
        if isinstance(body, dict):
            return body
        raise Transient(f"sent no JSON object ({len(response.content)} bytes)")
    raise judge(
        Problem(
            (response.request.path_url or "").split("?")[0],
            status,
            code,
            _text(body) or response.reason or "",
            response.headers.get("x-zm-trackingid", ""),
        )
    )


def check_share(what: str, refused: int, asked: int) -> None:
    """Single refusals are Zoom's, many are ours.

    Raises:
        ProtocolError: more than one in ten of `asked` meetings or hosts was refused, and they are enough to tell.
    """
    if asked >= _ENOUGH and refused * 10 > asked:
        raise ProtocolError(
            f"Zoom refused {refused} of {asked} {what}, more than one in ten: that is no matter of single {what}. The "
            "warnings say what it answered; nothing later is committed, and what was refused is asked for again."
        )


def judge(problem: Problem) -> Refusal | CredentialsRefused:
    """The exception that says what to do about `problem`."""
    code, text = problem.code, problem.message.lower()
    if problem.status == 429 or code == 429:
        return TooManyCalls(problem)
    if code in _TOKEN or code == 401 or (problem.status == 401 and code is None):
        return TokenRefused(problem)
    if code in _SCOPES or "does not contain scopes" in text:
        return CredentialsRefused(
            f"{problem}. Add the scopes named there to the app in the Zoom App Marketplace, and activate it again."
        )
    if code == 200:
        return PlanMissing(problem)
    if code == 300 and "page token" in text:
        return PageTokenExpired(problem)
    if code == 3000 or (code == 300 and "webinar" in text):
        return NotAMeeting(problem)
    if code == 3001:
        return NoSuchMeeting(problem)
    if code in _NO_USER:
        return NoSuchUser(problem)
    return Misunderstood(problem)


def _plan_advice(text: str) -> str:
    if "dashboard" in text:
        return "The Dashboard needs a Business plan or a larger one, with that feature on."
    if "rest api" in text or "api key" in text:
        return ""  # what to do about it depends on how we logged in
    return "Reports need a Pro plan or a larger one, and the app's owner the right to see them."


def _body(response: requests.Response) -> Any:
    if not response.content.strip():
        return None
    try:
        return read_json(response)
    except Transient:
        if response.status_code < 400:
            raise
        return None


def _code(body: Any) -> int | None:
    """The error's code; None where there is none. 0 is success, and so is an answer without a code."""
    if not isinstance(body, dict):
        return None
    for name in ("code", "errorCode"):
        try:
            code = int(body.get(name) or 0)
        except (TypeError, ValueError, OverflowError):
            continue
        if code:
            return code
    return None


def _failed(body: Any) -> bool:
    """Some endpoints say ``{"status": false, "errorMessage": …}``, with or without a code that is a number."""
    return isinstance(body, dict) and body.get("status") is False


def _text(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    parts = [str(body.get("message") or body.get("errorMessage") or "")]
    errors = body.get("errors")
    for entry in errors if isinstance(errors, list) else ():
        if isinstance(entry, dict):
            parts.append(f"[{entry.get('field', '')}: {entry.get('message', '')}]")
    return " ".join(part for part in parts if part)
