"""What a message says: the contents that requests, responses and notifications may have.

Which keys must be there is checked, and where a list or an object stands; what else stands in a value is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Content = dict[str, Any]
Reader = Callable[[Mapping[str, Any]], Content]


class Invalid(Exception):
    """It is no message, log or descriptor; the text says what is wrong, and quotes no value."""


def required(said: Mapping[str, Any], name: str, where: str = "") -> Any:
    """The value of a key that has to be there.

    Raises:
        Invalid: it is not.
    """
    if name not in said:
        raise Invalid(f"{where}{name} is missing")
    return said[name]


def parse_object(value: Any, name: str) -> Mapping[str, Any]:
    """`value`, which has to be an object.

    Raises:
        Invalid: it is none.
    """
    if not isinstance(value, dict):
        raise Invalid(f"{name} is no object")
    return value


def parse_list(value: Any, name: str) -> list[Any]:
    """`value`, which has to be a list.

    Raises:
        Invalid: it is none.
    """
    if not isinstance(value, list):
        raise Invalid(f"{name} is no list")
    return value


def parse_request(value: Any) -> Content | None:
    """The content of a request.

    Raises:
        Invalid: it is none.
    """
    return _parse(value, _REQUEST)


def parse_answer(value: Any) -> Content | None:
    """The content of a response or a notification.

    Raises:
        Invalid: it is none.
    """
    return _parse(value, _ANSWER)


def _parse(value: Any, readers: Mapping[str, tuple[str, Reader]]) -> Content | None:
    if value is None:
        return None
    said = parse_object(value, "content")
    kind = required(said, "type", "content.")
    if not isinstance(kind, str) or kind.lower() not in readers:
        raise Invalid(f"content.type is none of {', '.join(name for name, _ in readers.values())}")
    name, read = readers[kind.lower()]
    return {"type": name, **read(said)}


def _text(said: Mapping[str, Any]) -> Content:
    return {"value": required(said, "value", "content.")}


def _action(said: Mapping[str, Any]) -> Content:
    return {"value": said.get("value")}


def _attachment(said: Mapping[str, Any]) -> Content:
    return {"uri": required(said, "uri", "content."), "alternativeText": said.get("alternativeText")}


def _location(said: Mapping[str, Any]) -> Content:
    return {name: required(said, name, "content.") for name in ("latitude", "longitude")}


def _carousel(said: Mapping[str, Any]) -> Content:
    cards = parse_list(required(said, "cards", "content."), "content.cards")
    return {"cards": [_card(parse_object(card, "a card")) for card in cards]}


def _card(said: Mapping[str, Any]) -> Content:
    return {
        "title": required(said, "title", "a card's "),
        "imageUrl": said.get("imageUrl"),
        "subtitle": said.get("subtitle"),
        "defaultAction": said.get("defaultAction"),
        **_buttons(said),
    }


def _buttons(said: Mapping[str, Any]) -> Content:
    buttons = parse_list(said.get("buttons", []), "buttons")
    return {"buttons": [_button(parse_object(button, "a button")) for button in buttons]}


def _button(said: Mapping[str, Any]) -> Content:
    text = required(said, "buttonText", "a button's ")
    return {"type": "action", "buttonText": text, "buttonId": said.get("buttonId")}


def _with_buttons(read: Reader) -> Reader:
    return lambda said: {**read(said), **_buttons(said)}


def _named(readers: Mapping[str, Reader]) -> dict[str, tuple[str, Reader]]:
    return {name.lower(): (name, read) for name, read in readers.items()}


_USER_INFO = ("firstName", "lastName", "profilePic", "locale", "timezone", "gender", "isPaymentEnable", "userId")

_REQUEST = _named(
    {
        "text": _text,
        "action": _action,
        "attachment": _attachment,
        "location": _location,
        **dict.fromkeys(_USER_INFO, _text),
    }
)
_ANSWER = _named(
    {
        "text": _with_buttons(_text),
        "multiaction": _buttons,
        "attachment": _with_buttons(_attachment),
        "location": _with_buttons(_location),
        "carousel": _carousel,
    }
)
