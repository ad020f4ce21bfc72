"""A message as it is posted, checked, and as it is given out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Self

import msgspec

from harvesters.messages import moments
from harvesters.messages.content import Invalid, parse_answer, parse_list, parse_object, parse_request, required
from harvesters.messages.ids import LONGEST, text_of, trace_id

__all__ = ["TYPES", "Invalid", "Message"]

Fields = dict[str, Any]


class Message(msgspec.Struct, frozen=True):
    """A message.

    Attributes:
        fields: as it is given out: every field of its type, and no other.
        moment: its timestamp, with the offset that was written; in `fields` by ``isoformat()``.
        ids: project, user id and message id as texts.
        trace_id: under which it is stored.
    """

    fields: Fields
    moment: datetime
    ids: tuple[str, str, str]
    trace_id: str

    @classmethod
    def parse(cls, said: Any) -> Self:
        """The message that `said` is, which JSON gave.

        Raises:
            Invalid: it is none; the text says why.
        """
        given = parse_object(said, "a message")
        kind = required(given, "type")
        if not isinstance(kind, str) or kind.lower() not in TYPES:
            raise Invalid(f"type is none of {', '.join(TYPES)}")
        kind = kind.lower()
        ids = (_id(given, "project"), _id(given, "userId"), _id(given, "messageId"))
        moment = parse_timestamp(required(given, "timestamp"))
        metadata = given.get("metadata")
        fields = {
            "messageId": given["messageId"],
            "conversationId": given.get("conversationId"),
            "channel": required(given, "channel"),
            "userId": given["userId"],
            "timestamp": moment.isoformat(),
            **TYPES[kind](given),
            "metadata": metadata if metadata is None else parse_object(metadata, "metadata"),
            "project": given["project"],
            "type": kind,
        }
        return cls(fields, moment, ids, trace_id(*ids))

    def out(self) -> Fields:
        """The message as `GET /message` gives it."""
        return self.fields

    @property
    def day(self) -> date:
        """The date of its timestamp as written, by which its index is called."""
        return self.moment.date()


def parse_timestamp(value: Any) -> datetime:
    """The timestamp of a message or a log.

    Raises:
        Invalid: it is none, or of a year that the cluster does not hold.
    """
    if not isinstance(value, str):
        raise Invalid("timestamp is no text")
    try:
        moment = moments.parse(value)
    except ValueError:
        raise Invalid("timestamp is no time in ISO 8601") from None
    first, last = moments.YEARS
    if not first <= moment.year <= last or (moment.tzinfo is not None and moments.micros(moment) < 0):
        raise Invalid(f"timestamp is not of the years {first} to {last}")
    return moment


def _id(said: Mapping[str, Any], name: str) -> str:
    text = text_of(required(said, name))
    if text is None:
        raise Invalid(f"{name} is no text or number of 1 to {LONGEST} characters")
    return text


def _request(said: Mapping[str, Any]) -> Fields:
    return {
        "content": parse_request(said.get("content")),
        "domain": said.get("domain"),
        "intent": _intent(said.get("intent")),
        "entities": [_entity(each) for each in parse_list(said.get("entities", []), "entities")],
        "language": said.get("language"),
    }


def _intent(value: Any) -> Fields | None:
    if value is None:
        return None
    said = parse_object(value, "intent")
    return {"name": said.get("name"), "confidence": said.get("confidence")}


def _entity(value: Any) -> Fields:
    said = parse_object(value, "an entity")
    return {name: required(said, name, "an entity's ") for name in ("type", "value", "confidence")}


def _response(said: Mapping[str, Any]) -> Fields:
    return {"responseTo": required(said, "responseTo"), "content": parse_answer(said.get("content"))}


def _notification(said: Mapping[str, Any]) -> Fields:
    return {"content": parse_answer(said.get("content"))}


TYPES: Mapping[str, Callable[[Mapping[str, Any]], Fields]] = {
    "request": _request,
    "response": _response,
    "notification": _notification,
}
"""The types of messages, as they are given out, and what reads the fields that only they have."""
