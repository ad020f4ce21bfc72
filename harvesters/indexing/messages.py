"""From a message's body to the document in it: pure functions."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import orjson

from harvesters.document import Document
from harvesters.migration import upgrade
from harvesters.timespan import as_utc

KIND = "useractions"
_TEXTS = ("mpid", "session_id", "huid", "useragent", "ip")
_EPISODE_TEXTS = ("title", "course", "series", "year", "term", "crn", "type", "description")


class NoDocument(ValueError):
    """The message holds no user action; the message is the reason."""


def to_document(text: str, zone: tzinfo) -> Document:
    """The user action in a message, in today's form.

    Args:
        zone: of a time without an offset.

    Raises:
        NoDocument: it is no JSON object, or has no action_id or timestamp to be filed by.
    """
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NoDocument(f"it is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise NoDocument(f"it is no JSON object but a {type(body).__name__}")
    id = body.get("action_id")
    if isinstance(id, bool) or not isinstance(id, int | str) or id == "":
        raise NoDocument("it has no action_id, so it is no user action" if id is None else f"action_id is {id!r:.60}")
    body = upgrade.todays(body)
    moment = _moment(body.get("timestamp"), zone)
    body["timestamp"] = moment.isoformat()
    _spell_out(body, _TEXTS)
    if isinstance(body.get("episode"), dict):
        body["episode"] = dict(body["episode"])
        _spell_out(body["episode"], _EPISODE_TEXTS)
    source = body.get("source")  # where several Opencasts share a queue
    return Document(f"{source}-{id}" if source and isinstance(source, str) else str(id), KIND, moment, body)


def parsed(text: str) -> Any:
    """The body for the dead letters: as JSON where it is some."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _moment(value: Any, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        return as_utc(moment, zone)
    except (TypeError, ValueError, OverflowError):
        reason = "it has no timestamp" if value is None else f"timestamp is no date: {value!r:.60}"
        raise NoDocument(reason) from None


def _spell_out(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """Numbers that are names, such as a huid or a series, as text."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            fields[name] = str(value)
