"""What an older document says, in today's words. Used on messages from before an upgrade, and by migrations."""

from __future__ import annotations

from typing import Any

from harvesters import useragents
from harvesters.pseudonyms import KEY
from harvesters.zoom.meetings import SUMMED, summed

_NOBODY = ("", "None")
# What the index of episodes has from the second version of its template on.
_EPISODE_FIELDS_2 = (
    *("creator", "contributor", "publisher", "subject", "license", "language", "spatial"),
    *("start_planned", "end_planned", "segments", "slide_text"),
)
_BOOLEANS = {"0": False, "1": True, "true": True, "false": False}


def boolean(value: Any) -> Any:
    """0/1, "0"/"1", "true"/"false" as a boolean; anything else as it is, for the mapping to judge."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    spelled = value.strip().lower() if isinstance(value, str) else f"{value:g}"
    return _BOOLEANS.get(spelled, value)


def with_crn(body: dict[str, Any]) -> dict[str, Any]:
    """``episode.cdn`` called ``crn``; where both are there, ``crn`` counts."""
    return _renamed(body, "cdn", "crn")


def with_cdn(body: dict[str, Any]) -> dict[str, Any]:
    """``episode.crn`` called ``cdn`` again."""
    return _renamed(body, "crn", "cdn")


def with_booleans(body: dict[str, Any]) -> dict[str, Any]:
    """``is_live`` and ``action.is_playing`` as booleans."""
    changed = dict(body)
    if "is_live" in body:
        changed["is_live"] = boolean(body["is_live"])
    action = body.get("action")
    if isinstance(action, dict) and "is_playing" in action:
        changed["action"] = {**action, "is_playing": boolean(action["is_playing"])}
    return changed


def without_nobody(body: dict[str, Any]) -> dict[str, Any]:
    """No ``huid`` where it says that there is none."""
    return _without(("huid",), body) if body.get("huid") in _NOBODY else body


def with_live_stream(body: dict[str, Any]) -> dict[str, Any]:
    """An episode with ``live_stream`` as a boolean, which the ancestor's 0 and 1 were not."""
    return {**body, "live_stream": boolean(body["live_stream"])} if "live_stream" in body else body


def with_known_duration(body: dict[str, Any]) -> dict[str, Any]:
    """An episode without the ``duration`` -1, which is Opencast's word for unknown."""
    duration = body.get("duration")
    return _without(("duration",), body) if isinstance(duration, int | float) and duration < 0 else body


def as_episode_1(fields: dict[str, Any]) -> dict[str, Any]:
    """An episode, or the mapping of its fields, with those of the first template alone."""
    return _without(_EPISODE_FIELDS_2, fields)


def with_timestamp(body: dict[str, Any]) -> dict[str, Any]:
    """Logstash's ``@timestamp`` called ``timestamp``; where both are there, ``timestamp`` counts.

    Elasticsearch refuses a document with a value for ``@timestamp``, which is an alias of the other.
    """
    if "@timestamp" not in body:
        return body
    rest = _without(("@timestamp",), body)
    if rest.get("timestamp") in (None, "") and body["@timestamp"] is not None:
        rest["timestamp"] = body["@timestamp"]
    return rest


def with_useragent(body: dict[str, Any]) -> dict[str, Any]:
    """``ua`` made from the ``useragent``, where there is one; Logstash's own stays."""
    if not body.get("useragent"):
        return body
    changed = dict(body)
    useragents.add_to(changed)
    return changed


def with_sums(body: dict[str, Any]) -> dict[str, Any]:
    """A meeting with the numbers that one sums in fields of their own, as far as ``zoom`` has them."""
    told = body.get("zoom")
    if not isinstance(told, dict):
        return body
    found = {name: value for name, value in summed(told).items() if value is not None and name not in body}
    return {**body, **found} if found else body


def without_sums(fields: dict[str, Any]) -> dict[str, Any]:
    """A meeting, or the mapping of its fields, without the numbers that one sums."""
    return _without(tuple(SUMMED), fields)


def without_pseudonym_key(fields: dict[str, Any]) -> dict[str, Any]:
    """A document, or the mapping of its fields, that does not say which key its pseudonyms are made with."""
    return _without((KEY,), fields)


def todays(body: dict[str, Any]) -> dict[str, Any]:
    """All of it for a user action; one of today comes back the same."""
    return without_nobody(with_timestamp(with_booleans(with_crn(body))))


def _without(names: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def _renamed(body: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    episode = body.get("episode")
    if not isinstance(episode, dict) or old not in episode:
        return body
    rest = {name: value for name, value in episode.items() if name != old}
    rest.setdefault(new, episode[old])
    return {**body, "episode": rest}
