"""A Zoom account on loopback: the token endpoint and the v2 routes that a harvester of meetings needs.

It misbehaves the way Zoom does: ``type`` is ``live`` unless said otherwise, a numeric id means the last instance, past
meetings of one person are listed apart, ranges are cut silently, a UUID with a slash must be encoded twice, page tokens
die, and every class of request has its limit. What is unsure about the real server is a keyword of `ZoomSimulator`.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, unquote_plus

from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.zoom.answers import Answers
from harvesters.simulators.zoom.auth import GRANULAR, Scope, TokenOffice
from harvesters.simulators.zoom.data import Account
from harvesters.simulators.zoom.errors import ZoomError, no_meeting
from harvesters.simulators.zoom.limits import HEAVY, INTENSIVE, LIGHT, MEDIUM, PLANS, RateLimits
from harvesters.simulators.zoom.pages import Pages

Answer = Callable[[Answers, Request, str, datetime], dict[str, Any]]
PREFIX = "/v2/"


@dataclass(frozen=True)
class Route:
    """One GET route: its path (``*`` is a parameter), rate class, scopes, and the plan it needs."""

    path: tuple[str, ...]
    category: str
    scope: Scope
    answer: Answer
    needs: str = ""

    def match(self, segments: tuple[str, ...]) -> bool:
        """The path is this route's."""
        return len(segments) == len(self.path) and all(
            want in ("*", got) for want, got in zip(self.path, segments, strict=True)
        )


class ZoomSimulator(Simulator):
    """One account behind ``{url}/v2`` (`api_url`) and ``{url}/oauth/token`` (`oauth_url`).

    scopes: granular or classic ones; the token response names them, a route without its scope answers 4711.
    plan, dashboard: ``/metrics`` needs ``business`` and the Dashboard, ``/report`` anything but ``free``;
    refusal_status is the HTTP status (400 or 200) of the code 200 that says so.
    now: the clock of everything here, in epoch seconds. limits: single limits by class instead of the plan's.
    enforce_limits, retry_after (iso, seconds, http-date, absent, bare), rate_headers: see `RateLimits`.
    jwt, jwt_key, jwt_secret: whether tokens of the old JWT apps are still taken.
    honours_end_time: ``query_date_type=end_time`` works; otherwise ranges always mean the start.
    time_of_day: ``/metrics/meetings`` honours it; otherwise ranges are whole UTC days.
    clamp: the end (``from`` or ``to``) at which a range of more than a month is cut.
    page_cap: the most rows that heavy endpoints give, whatever page size they echo.
    anonymous: names, addresses and e-mails of participants are ``""``.
    most_days: ranges are cut to so many days; 0 for Zoom's month. echo: see `range.ECHOES`.
    endless: lists have no end, see `pages.Pages`. texts: numbers and flags are texts, as ``"12"`` and ``"0"``.
    date_ahead: seconds by which the ``Date`` of answers is ahead of `now`; infinity for no such header.
    Single meetings, participants and hosts are made odd in `data`: `Meeting.odd`, `Account.refused` and so on.
    """

    def __init__(
        self,
        account: Account | None = None,
        port: int = 0,
        *,
        account_id: str = "account",
        client_id: str = "client",
        client_secret: str = "secret",
        scopes: Iterable[str] = GRANULAR,
        plan: str = "business",
        dashboard: bool = True,
        page_token_life: float = 900.0,
        token_life: float = 3600.0,
        single_token: bool = False,
        now: Callable[[], float] = time.time,
        limits: Mapping[str, int | None] | None = None,
        enforce_limits: bool = True,
        retry_after: str = "iso",
        rate_headers: str = "qps",
        jwt: bool = False,
        jwt_key: str = "key",
        jwt_secret: str = "jwt-secret-of-thirty-two-characters",
        refusal_status: int = 400,
        scope_status: int = 400,
        honours_end_time: bool = True,
        time_of_day: bool = False,
        clamp: str = "to",
        page_cap: int | None = None,
        anonymous: bool = False,
        most_days: int = 0,
        echo: str = "iso",
        endless: str = "",
        texts: bool = False,
        date_ahead: float = 0.0,
        latency: float = 0.0,
    ) -> None:
        if plan not in PLANS or clamp not in ("from", "to"):
            raise ValueError(f"no such plan or clamp: {plan}, {clamp}")
        self.account = Account() if account is None else account
        self.has_dashboard = dashboard and plan == "business"
        self.has_reports = plan != "free"
        self.refusal_status = refusal_status
        self.scope_status = scope_status
        self.clock = now
        self.date_ahead = date_ahead
        self.texts = texts
        self.limits = RateLimits(
            plan,
            now=now,
            overrides=limits,
            enforce=enforce_limits,
            retry_after=retry_after,
            rate_headers=rate_headers,
        )
        self.tokens = TokenOffice(
            account_id=account_id,
            client_id=client_id,
            client_secret=client_secret,
            scopes=scopes,
            life=token_life,
            now=now,
            single_token=single_token,
            jwt=jwt,
            jwt_key=jwt_key,
            jwt_secret=jwt_secret,
            refusal_status=refusal_status,
        )
        self.answers = Answers(
            account=self.account,
            pages=Pages(life=page_token_life, cap=page_cap, now=now, endless=endless, texts=texts),
            account_id=account_id,
            honours_end_time=honours_end_time,
            time_of_day=time_of_day,
            clamp=clamp,
            anonymous=anonymous,
            most_days=most_days,
            echo=echo,
        )
        super().__init__(port, latency=latency)

    @property
    def api_url(self) -> str:
        """What ``ZOOM_API_URL`` is to be."""
        return f"{self.url}/v2"

    @property
    def oauth_url(self) -> str:
        """What ``ZOOM_OAUTH_URL`` is to be."""
        return f"{self.url}/oauth/token"

    def handle(self, request: Request) -> Response:
        """Answer a request for a token or for data."""
        response = self._handle(request)
        response.headers["Date"] = (
            formatdate(self.clock() + self.date_ahead, usegmt=True) if math.isfinite(self.date_ahead) else ""
        )
        return response

    def _handle(self, request: Request) -> Response:
        if request.path == "/oauth/token" and request.method == "POST":
            return self.tokens.issue(request, self.url)
        headers: dict[str, str] = {}
        try:
            response = self._answer(request, headers)
        except ZoomError as error:
            response = error.response()
        response.headers.update(headers)
        response.headers["x-zm-trackingid"] = f"v=2.0;clid=us01;rid=WEB_{secrets.token_hex(16)}"
        return response

    def _answer(self, request: Request, headers: dict[str, str]) -> Response:
        segments = split_path(request.path)
        route = next((one for one in ROUTES if one.match(segments)), None)
        granted = self.tokens.check(request)
        if route is None or request.method != "GET":
            raise _unrecognised(segments)
        told, refusal = self.limits.admit(route.category)
        headers.update(told)
        if refusal is not None:
            return refusal
        route.scope.check(granted, self.scope_status)
        if route.needs == "dashboard" and not self.has_dashboard:
            raise ZoomError(self.refusal_status, 200, "Only available for Paid account and enabled Dashboard feature")
        if route.needs == "reports" and not self.has_reports:
            raise ZoomError(self.refusal_status, 200, "No permission")
        key = next((got for want, got in zip(route.path, segments, strict=True) if want == "*"), "")
        answer = route.answer(self.answers, request, key, datetime.fromtimestamp(self.clock(), UTC))
        return _json({name: _texts(value) for name, value in answer.items()} if self.texts else answer)


def _texts(value: Any) -> Any:
    """Rows with texts instead of numbers and flags."""
    if not isinstance(value, list):
        return value
    return [{name: str(int(part)) if isinstance(part, int) else part for name, part in row.items()} for row in value]


def _json(answer: dict[str, Any]) -> Response:
    """JSON in which infinity stands for a number beyond a double, as ``1e400``."""
    text = json.dumps(answer, ensure_ascii=False)
    if "Infinity" in text:
        text = text.replace(": Infinity", ": 1e400").replace(": -Infinity", ": -1e400")
    return Response(200, text.encode("utf-8", "surrogatepass"), {"Content-Type": "application/json"})


def split_path(path: str) -> tuple[str, ...]:
    """The segments of a raw path below ``/v2/`` as Zoom sees them: decoded once before it is split, once after.

    So a slash inside a parameter survives only when it was encoded twice, and a bare ``+`` is a space.
    """
    decoded = unquote_plus(path)
    if not decoded.startswith(PREFIX):
        return ()
    return tuple(unquote(segment) for segment in decoded[len(PREFIX) :].split("/"))


def _unrecognised(segments: tuple[str, ...]) -> ZoomError:
    """A path that is no route; below a meeting it is what a UUID with an unprotected slash falls apart into."""
    if segments[:2] in (("metrics", "meetings"), ("report", "meetings")) and len(segments) > 2:
        return no_meeting(segments[2])
    if segments[:1] == ("past_meetings",) and len(segments) > 1:
        return no_meeting(segments[1])
    return ZoomError(404, 2300, "This API endpoint is not recognized.")


def _route(path: str, category: str, scope: str, answer: Answer, needs: str = "") -> Route:
    classic = {
        "report": "report:read:admin",
        "dashboard": "dashboard_meetings:read:admin",
        "meeting": "meeting:read:admin",
    }
    names = Scope(classic[scope.partition(":")[0]], f"{scope}:admin")
    return Route(tuple(path.split("/")), category, names, answer, needs)


ROUTES = (
    _route("report/users", HEAVY, "report:read:list_users", Answers.report_users, "reports"),
    _route("report/users/*/meetings", HEAVY, "report:read:user", Answers.report_user_meetings, "reports"),
    _route("report/meetings/*", HEAVY, "report:read:meeting", Answers.report_meeting, "reports"),
    _route(
        "report/meetings/*/participants",
        HEAVY,
        "report:read:list_meeting_participants",
        Answers.report_participants,
        "reports",
    ),
    _route("metrics/meetings", INTENSIVE, "dashboard:read:list_meetings", Answers.metrics_meetings, "dashboard"),
    _route(
        "metrics/meetings/*/participants",
        HEAVY,
        "dashboard:read:list_meeting_participants",
        Answers.metrics_participants,
        "dashboard",
    ),
    _route("users/*/meetings", MEDIUM, "meeting:read:list_meetings", Answers.user_meetings),
    _route("past_meetings/*/instances", MEDIUM, "meeting:read:list_past_instances", Answers.past_instances),
    _route("past_meetings/*", LIGHT, "meeting:read:past_meeting", Answers.past_meeting),
    _route(
        "past_meetings/*/participants",
        MEDIUM,
        "meeting:read:list_past_participants",
        Answers.past_participants,
        "reports",
    ),
)
