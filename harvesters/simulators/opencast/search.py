"""``GET /search/episode.json``: the Solr-backed search up to Opencast 15, the Elasticsearch-backed one from 16 on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import orjson

from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.auth import Caller, Refused
from harvesters.simulators.opencast.data import Episode
from harvesters.simulators.opencast.jettison import document, mapped, through_gson
from harvesters.simulators.opencast.usertracking import Dialect, java_int
from harvesters.simulators.opencast.xml import media_package, period, search_results

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = {"Content-Type": "application/json"}
_SORT_KEYS: dict[str, Callable[[Episode], Any]] = {
    "DATE_CREATED": lambda episode: episode.start or _LONG_AGO,
    "DATE_PUBLISHED": lambda episode: episode.modified or _LONG_AGO,
    "DATE_MODIFIED": lambda episode: episode.modified or _LONG_AGO,
    "TITLE": lambda episode: episode.title,
    "SERIES_ID": lambda episode: episode.series,
    "CREATOR": lambda episode: episode.creators,
}


def episodes(
    request: Request, known: Iterable[Episode], caller: Caller, version: int, dialect: Dialect, zone: tzinfo
) -> Response:
    """Answer a search. An unknown id is an empty result; what the caller may not read is left out silently."""
    if request.param("sid") and request.param("sname"):
        return Response(400)
    mpid = request.param("id")
    found = [one for one in known if mpid in ("", one.mpid) and _matches(one, request, caller, dialect)]
    return _solr(request, found, caller, version, zone) if version < 16 else _elastic(request, found, caller)


def _matches(episode: Episode, request: Request, caller: Caller, dialect: Dialect) -> bool:
    deleted_too = dialect == "dce" and request.param("includeDeleted") == "true"
    if (episode.deleted and not deleted_too) or not (episode.public or caller.user):
        return False
    series, text = request.param("sid"), request.param("q").lower()
    if series and episode.series != series:
        return False
    if (name := request.param("sname")) and episode.series_title != name:
        return False
    if text and text not in f"{episode.title} {episode.description}".lower():
        return False
    return dialect != "dce" or _created_between(episode, request.param("createdFrom"), request.param("createdTo"))


def _created_between(episode: Episode, since: str, until: str) -> bool:
    start = episode.start or _LONG_AGO
    try:
        return not (since and start < datetime.fromisoformat(since)) and not (
            until and start > datetime.fromisoformat(until)
        )
    except ValueError:
        raise Refused(Response(400)) from None


def _solr(request: Request, found: list[Episode], caller: Caller, version: int, zone: tzinfo) -> Response:
    if request.param("admin").lower() == "true" and not caller.user:
        return Response(401, b"unauthorized", {"Content-Type": "text/plain"})
    wanted, offset = java_int(request.param("limit")), java_int(request.param("offset"))
    limit = wanted or (len(found) if version < 9 else 2000 if version < 14 else 100)
    if limit < 0:
        limit = len(found) if caller.user else 100
    if version >= 15 and not caller.user:
        limit = min(limit, 2000)
    name, _, direction = request.param("sort").partition("_DESC")
    key = _SORT_KEYS.get(name) if not direction else None
    descending = request.param("sort").endswith("_DESC") if key else True
    found.sort(key=key or _SORT_KEYS["DATE_CREATED"], reverse=descending)
    page = found[max(offset, 0) :][:limit]
    echoed = limit if version >= 14 else len(page)
    query = "*:* AND -oc_deleted:[* TO *]"
    root = search_results(page, offset=offset, limit=echoed, total=len(found), query=query, zone=zone)
    return Response(200, document(root, version), dict(_JSON))


def _elastic(request: Request, found: list[Episode], caller: Caller) -> Response:
    limit, offset = _number(request.param("limit"), 20), _number(request.param("offset"), 0)
    if limit < 0 or offset < 0 or (limit > 250 and not caller.user):
        return Response(400)
    if request.param("sort"):
        name, _, direction = request.param("sort").lower().partition(" ")
        key = {"title": "TITLE", "creator": "CREATOR", "contributor": "CREATOR", "modified": "DATE_MODIFIED"}.get(name)
        if key is None or direction not in ("asc", "desc"):
            return Response(400)
        found.sort(key=_SORT_KEYS[key], reverse=direction == "desc")
    page = found[offset : offset + limit]
    result = [dehydrated(episode) for episode in page]
    body = {"offset": offset, "total": len(found), "result": result, "limit": limit}
    return Response(200, orjson.dumps(body), dict(_JSON))


def _number(text: str, otherwise: int) -> int:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else otherwise


def dehydrated(episode: Episode) -> dict[str, Any]:
    """One result of Opencast 16: Dublin Core as lists of strings, the media package with every number a double."""
    result: dict[str, Any] = {
        "mediapackage": through_gson(mapped(media_package(episode), typed_attributes=True)),
        "org": "mh_default_org",
        "modified": _instant(episode.modified or episode.start or _LONG_AGO),
        "acl": [{"action": "read", "allow": True, "role": "ROLE_ANONYMOUS" if episode.public else "ROLE_USER"}],
        "type": "Episode",
    }
    extent = episode.duration if episode.extent is None else episode.extent
    fields = {
        "extent": _length(extent) if extent is not None and extent >= 0 else "",
        "identifier": episode.mpid,
        "created": _short_time(episode.start) if episode.start else "",
        "isPartOf": episode.series,
        "title": episode.title,
        "description": episode.description,
        "type": episode.type,
        "license": episode.license,
        "language": episode.language,
        "spatial": episode.spatial,
        "temporal": period(episode),
    }
    several = {
        "creator": episode.creators,
        "contributor": episode.contributors,
        "publisher": episode.publishers,
        "subject": episode.subjects,
    }
    result["dc"] = {name: [text] for name, text in fields.items() if text}
    result["dc"] |= {name: list(texts) for name, texts in several.items() if texts}
    return result


def _instant(moment: datetime) -> str:
    """Java's ``Instant.toString``: milliseconds only when there are any."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")


def _short_time(moment: datetime) -> str:
    """Without seconds when they are zero, as Java writes times."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="seconds" if utc.second else "minutes").replace("+00:00", "Z")


def _length(milliseconds: int) -> str:
    """``PT1H2M4.160S``."""
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = timedelta(milliseconds=rest) / timedelta(seconds=1)
    return f"PT{f'{hours}H' if hours else ''}{f'{minutes}M' if minutes else ''}{seconds:.3f}S"
