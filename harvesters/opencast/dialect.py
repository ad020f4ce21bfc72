"""Which of its two dialects an Opencast speaks on ``/usertracking/actions.json``.

Only Harvard DCE's fork honours ``start`` and ``end``. Stock Opencast ignores them and would page through the whole
table, with status 200; it knows nothing finer than ``day``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from harvesters.errors import ConfigError, ProtocolError
from harvesters.opencast.bounds import start_end
from harvesters.opencast.client import ActionPage, OpencastClient
from harvesters.stores.cache import Cache
from harvesters.timespan import Window, parse_moment

log = logging.getLogger(__name__)

_KEEP = 86_400.0
_SECOND = timedelta(seconds=1)
_LONG_AGO = {"start": "19700102000000", "end": "19700102000001"}
_DAY_LONG_AGO = {"day": "19700102"}


class Dialect(StrEnum):
    """What the server honours; EMPTY is a table that proves nothing."""

    DCE = "dce"
    STOCK = "stock"
    EMPTY = "empty"


def find_dialect(client: OpencastClient, cache: Cache, zone: ZoneInfo) -> Dialect:
    """The server's dialect: the cached finding, else a few requests for one row each.

    Raises:
        ProtocolError: it honours neither ``start``/``end`` nor ``day``.
        ConfigError: it is not in the time zone `zone`.
    """
    key = _key(client)
    cached = cache.get([key]).get(key, b"").decode()
    if cached in (Dialect.DCE, Dialect.STOCK):
        return Dialect(cached)
    dialect = _probe(client, zone)
    log.info("Opencast at %s speaks the dialect %r", client.base_url, dialect.value)
    if dialect is not Dialect.EMPTY:
        cache.put({key: dialect.value.encode()}, _KEEP)
    return dialect


def forget_dialect(client: OpencastClient, cache: Cache) -> None:
    """Drop the cached finding: the server contradicted it."""
    cache.put({_key(client): b"?"}, 1)


def _probe(client: OpencastClient, zone: ZoneInfo) -> Dialect:
    # A second in 1970 has no actions; a server that shows some has not looked at start and end.
    ignored = _ask(client, **_LONG_AGO)
    some = ignored if ignored.rows else _ask(client)
    if not some.rows:
        return Dialect.EMPTY
    if not ignored.rows:
        _verify(client, zone, some.rows[0], lambda moment: start_end(Window(moment, moment + _SECOND), zone))
        return Dialect.DCE
    if not _ask(client, **_DAY_LONG_AGO).rows:
        _verify(client, zone, some.rows[0], lambda moment: {"day": f"{moment.astimezone(zone):%Y%m%d}"})
        return Dialect.STOCK
    raise ProtocolError(
        f"{client.base_url} honours neither 'start' and 'end' nor 'day' on usertracking/actions.json, so a harvest "
        "would read its whole table every time. Something between here and Opencast may strip the query: point "
        "MATTERHORN_ENGAGE_HOST at the presentation node itself, and make sure that it is an Opencast."
    )


def _verify(client: OpencastClient, zone: ZoneInfo, row: Any, ask_for: Callable[[datetime], dict[str, str]]) -> None:
    """Ask for a row that is known to be there: a server in another zone does not show it where `zone` says it is."""
    try:
        moment = parse_moment(str(row["created"]), zone)
    except (ValueError, KeyError, TypeError):
        return  # not a row to tell the time by
    wall = moment.astimezone(zone)
    if wall.strftime("%H:%M") in ("00:00", "23:59") or _ask(client, **ask_for(moment)).rows:
        return
    raise ConfigError(
        f"{client.base_url} has an action of {row['created']} but does not show it at {wall:%Y-%m-%d %H:%M:%S}, which "
        f"is when that was in OPENCAST_TIMEZONE ({zone.key}). Set OPENCAST_TIMEZONE to the time zone of the server; "
        "otherwise every harvest would miss what it looks for."
    )


def _ask(client: OpencastClient, **params: str) -> ActionPage:
    return client.actions(limit=1, offset=0, **params)


def _key(client: OpencastClient) -> str:
    return f"harvest:opencast:dialect:{client.base_url}"
