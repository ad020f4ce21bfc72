"""Which of its two dialects an Opencast speaks on ``/usertracking/actions.json``.

Only Harvard DCE's fork honours ``start`` and ``end``. Stock Opencast ignores them and would page through the whole
table, with status 200; it knows nothing finer than ``day``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from harvesters.errors import ConfigError
from harvesters.opencast.bounds import start_end
from harvesters.opencast.client import ActionPage, OpencastClient
from harvesters.opencast.witness import Contradicted, Witness
from harvesters.stores.cache import Cache
from harvesters.timespan import Window

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


def remembered(client: OpencastClient, cache: Cache, zone: ZoneInfo) -> Dialect | None:
    """What was found out about the server within the last day, in that time zone."""
    key = _key(client, zone)
    cached = cache.get([key]).get(key, b"").decode()
    return Dialect(cached) if cached in (Dialect.DCE, Dialect.STOCK) else None


def forget(client: OpencastClient, cache: Cache, zone: ZoneInfo) -> None:
    """Drop what is remembered: the server contradicted it."""
    cache.put({_key(client, zone): b"?"}, 1)


def probe(client: OpencastClient, cache: Cache, witness: Witness) -> Dialect:
    """Find out the server's dialect by a few requests for one row each, and remember it.

    Raises:
        Contradicted: it honours neither ``start`` and ``end`` nor ``day``.
        ConfigError: it is not in the time zone of `witness`.
    """
    dialect = _probe(client, witness)
    log.info("Opencast at %s speaks the dialect %r", client.base_url, dialect.value)
    if dialect is not Dialect.EMPTY:
        cache.put({_key(client, witness.zone): dialect.value.encode()}, _KEEP)
    return dialect


def _probe(client: OpencastClient, witness: Witness) -> Dialect:
    # A second in 1970 has no actions; a server that shows some has not looked at start and end.
    ignored = _ask(client, **_LONG_AGO)
    some = ignored if ignored.rows else _ask(client)
    if not some.rows:
        return Dialect.EMPTY
    moment = witness.hear(some.rows[:1], None)[0]
    if not ignored.rows:
        _verify(client, witness, moment, lambda moment: start_end(Window(moment, moment + _SECOND), witness.zone))
        return Dialect.DCE
    if not _ask(client, **_DAY_LONG_AGO).rows:
        _verify(client, witness, moment, lambda moment: {"day": f"{moment.astimezone(witness.zone):%Y%m%d}"})
        return Dialect.STOCK
    raise Contradicted(
        f"{client.base_url} honours neither 'start' and 'end' nor 'day' on usertracking/actions.json, so a harvest "
        "would read its whole table every time"
    )


def _verify(
    client: OpencastClient,
    witness: Witness,
    moment: datetime | None,
    ask_for: Callable[[datetime], dict[str, str]],
) -> None:
    """Ask for a row that is known to be there: a server in another zone does not show it where ours says it is."""
    if moment is None:
        return  # not a row to tell the time by
    wall = moment.astimezone(witness.zone)
    if wall.strftime("%H:%M") in ("00:00", "23:59"):
        return
    if any(_ask(client, **ask_for(moment)).rows for _ in range(2)):  # one of two nodes may lag behind
        return
    raise ConfigError(
        f"{client.base_url} has an action of {moment:%Y-%m-%dT%H:%M:%SZ} but does not show it at "
        f"{wall:%Y-%m-%d %H:%M:%S}, which is when that was in OPENCAST_TIMEZONE ({witness.zone.key}). Set "
        "OPENCAST_TIMEZONE to the time zone of the server; otherwise every harvest would miss what it looks for."
    )


def _ask(client: OpencastClient, **params: str) -> ActionPage:
    return client.actions(limit=1, offset=0, **params)


def _key(client: OpencastClient, zone: ZoneInfo) -> str:
    return f"harvest:opencast:dialect:{zone.key}:{client.base_url}"
