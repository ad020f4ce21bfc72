"""Episodes: looked up in Opencast's search by media-package id, cached, and mapped to what documents carry."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson

from harvesters.opencast.client import BadRequest, OpencastClient
from harvesters.opencast.jettison import as_dict, as_list, integer, text
from harvesters.stores.cache import Cache
from harvesters.timespan import as_utc, iso

log = logging.getLogger(__name__)

SEARCH = "/search/episode.json"
_DCE_SERIES = re.compile(r"(\d{4})(\d{2})(\d{5})")
_UNKNOWN_EXPIRE = 60.0  # between a live stream and its recording an episode is unknown for a while
_LOOKUPS = 4
EPISODE_FIELDS = ("title", "duration", "start", "course", "series", "year", "term", "crn", "type", "description")
"""What an episode says in a user action."""


@dataclass
class EpisodeLookup:
    """Finds episodes by media-package id: one cache round trip for many, then a few look-ups at once for the rest.

    Args:
        expire: seconds for which a found episode is cached (``EPISODE_CACHE_EXPIRE``).
    """

    client: OpencastClient
    cache: Cache
    expire: float = 1800.0
    hits: int = 0
    missing: int = 0

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_LOOKUPS, "episodes")

    def find(self, mpids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The episode of each id; an empty one where Opencast knows none."""
        keys = {mpid: f"harvest:episode:{self.client.base_url}:{mpid}" for mpid in mpids}
        if not keys:
            return {}
        cached = self.cache.get(keys.values())
        episodes: dict[str, dict[str, Any]] = {
            mpid: orjson.loads(cached[key]) for mpid, key in keys.items() if key in cached
        }
        self.hits += len(episodes)
        misses = [mpid for mpid in keys if mpid not in episodes]
        if misses:
            episodes.update(zip(misses, self._pool.map(self._fetch, misses), strict=True))
            for known, expire in ((True, self.expire), (False, min(_UNKNOWN_EXPIRE, self.expire))):
                fresh = {keys[mpid]: orjson.dumps(episodes[mpid]) for mpid in misses if bool(episodes[mpid]) is known}
                if fresh and expire > 0:
                    self.cache.put(fresh, expire)
        self.missing += sum(not episode for episode in episodes.values())
        return episodes

    def close(self) -> None:
        """Drop look-ups that have not begun."""
        if "_pool" in self.__dict__:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, mpid: str) -> dict[str, Any]:
        result = find_result(self.client, mpid)
        return to_episode(result) if result is not None else {}


def find_result(client: OpencastClient, mpid: str) -> dict[str, Any] | None:
    """What the search says of one media package; None when it knows no such episode."""
    # includeDeleted is DCE's own, ignored elsewhere: it shows an episode between its live stream and its recording.
    try:
        answer = client.get(SEARCH, {"id": mpid, "limit": 10, "offset": 0, "includeDeleted": "true"})
    except BadRequest as error:
        log.warning("the episode %.60r cannot be looked up: %s", mpid, error)  # one odd id must not stop a run
        return None
    found = search_results(answer)
    return next((result for result in found if mpid in (_package_id(result), _first(result, "identifier"))), None)


def search_results(answer: Any) -> list[dict[str, Any]]:
    """The results of either search: below ``search-results`` up to version 15, at the top from 16 on."""
    answer = as_dict(answer)
    found = as_dict(answer.get("search-results", answer))
    return [result for result in as_list(found.get("result")) if isinstance(result, dict)]


def to_episode(result: dict[str, Any]) -> dict[str, Any]:
    """What documents carry of an episode: only the fields that it has.

    From Opencast 16 on the media package has been through a reader that makes every number a float and so mangles
    titles and series that look like numbers; ``dc`` has them as they were.
    """
    package = as_dict(result.get("mediapackage"))
    rounded = is_rounded(result)
    series = _first(result, "isPartOf") or plain(package.get("series"), rounded) or plain(result.get("dcIsPartOf"))
    episode = {
        "title": _first(result, "title") or plain(package.get("title"), rounded) or plain(result.get("dcTitle")),
        "duration": _duration(result, package),
        "start": instant(package.get("start"))
        or instant(_first(result, "created"))
        or instant(result.get("dcCreated")),
        "course": plain(package.get("seriestitle"), rounded),
        "series": series,
        **series_parts(series),
        "type": _first(result, "type") or plain(result.get("dcType")),
        "description": _first(result, "description") or plain(result.get("dcDescription")),
    }
    return {name: value for name, value in episode.items() if value is not None}


def series_parts(series: str | None) -> dict[str, str]:
    """Year, term and crn of a DCE-style series id ``YYYYTTCCCCC``; nothing for any other."""
    match = _DCE_SERIES.fullmatch(series or "")
    return dict(zip(("year", "term", "crn"), match.groups(), strict=True)) if match is not None else {}


def is_rounded(result: dict[str, Any]) -> bool:
    """Whether it is of Opencast 16 or newer, which may leave ``dc`` out."""
    return "dc" in result or result.get("type") == "Episode"


def _package_id(result: dict[str, Any]) -> str | None:
    return plain(as_dict(result.get("mediapackage")).get("id"), is_rounded(result)) or plain(result.get("id"))


def _first(result: dict[str, Any], name: str) -> str | None:
    values = as_list(as_dict(result.get("dc")).get(name))
    return plain(values[0]) if values else None


def plain(value: Any, rounded: bool = False) -> str | None:
    """A text that may look like a number; `rounded` when every number has been made a float on its way."""
    if rounded and isinstance(value, float) and value.is_integer():
        return str(int(value))
    try:
        return text(value)
    except ValueError:
        return None


def _duration(result: dict[str, Any], package: dict[str, Any]) -> int | None:
    """Milliseconds; a negative one is Opencast's word for unknown."""
    for value in (package.get("duration"), result.get("dcExtent")):
        try:
            duration = integer(value)
        except ValueError:
            continue
        if duration is not None and duration >= 0:
            return duration
    extent = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", _first(result, "extent") or "")
    if extent is None or not any(extent.groups()):
        return None
    hours, minutes, seconds = (float(part or 0) for part in extent.groups())
    return round((hours * 3600 + minutes * 60 + seconds) * 1000)


def instant(value: Any) -> str | None:
    """An ISO 8601 time (UTC where it names no offset) as ``2026-01-05T14:00:00Z``; None for what is none."""
    try:
        moment = datetime.fromisoformat(text(value) or "")
        return iso(as_utc(moment, UTC))
    except (ValueError, OverflowError):
        return None
