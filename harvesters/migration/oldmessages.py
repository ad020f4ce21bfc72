"""What an older document of a message or a log says, in today's form. What it gives out stays the same."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from harvesters import exact
from harvesters.messages import stored
from harvesters.messages.ids import trace_id
from harvesters.messages.model import Invalid, Message, parse_timestamp
from harvesters.messages.moments import EPOCH

Body = dict[str, Any]

_IN_CONTENT = ("type", "value", "uri")
_NONE = object()


def message(said: Body, id: str) -> Body:
    """The document of a message, under the `_id` that it has.

    What the model would give out in another way, or not at all, stands beside that, and is given out as it was.
    """
    try:
        parsed = Message.parse(said)
        made: Body = stored.loads(stored.document(parsed, id))
    except Invalid:
        return _as_it_is(said, id)
    odd = {name: value for name, value in said.items() if repr(parsed.fields.get(name, _NONE)) != repr(value)}
    return _beside(made, odd)


def log(body: Body) -> Body:
    """The document of a log."""
    said = stored.original(body)
    try:
        return stored.loads(stored.log_document(said, parse_timestamp(said.get("timestamp"))))  # type: ignore[no-any-return]
    except Invalid:
        made: Body = stored.loads(stored.log_document({**said, "timestamp": EPOCH.isoformat()}, EPOCH))
    del made["timestamp"]
    return _beside(made, {"timestamp": said["timestamp"]} if "timestamp" in said else {})


def _beside(made: Body, odd: Body) -> Body:
    """The document with the values in `odd` as what is given out in the end."""
    if not odd:
        return made
    ours = made.get(stored.OURS, {})
    verbatim = {**ours.get("verbatim", {}), **{name: exact.dumps(value).decode() for name, value in odd.items()}}
    return {**made, stored.OURS: {**ours, "verbatim": verbatim}}


def _as_it_is(said: Body, id: str) -> Body:
    """A document that is no message by today's rules, such as one without a user: what can be found stands in its
    place, and all of it is given out as it was."""
    made: Body = {name: said[name] for name in stored.WORDS if name in said and stored.is_word(said[name])}
    moment = said.get("timestamp")
    if isinstance(moment, str):
        made["timestamp"] = moment
    content, intent = said.get("content"), said.get("intent")
    if isinstance(content, dict):
        made["content"] = {
            name: content[name] for name in _IN_CONTENT if name in content and stored.is_word(content[name])
        }
    if isinstance(intent, dict) and stored.is_word(intent.get("name")):
        made["intent"] = {"name": intent.get("name")}
    ours: Body = {"id": id}
    project, user, number = stored.ids_of(said)
    if project is not None and user is not None and number is not None and trace_id(project, user, number) != id:
        ours["triple"] = trace_id(project, user, number)
    with suppress(Invalid):
        ours.update(stored.counted(said))
    ours["verbatim"] = {
        name: exact.dumps(value).decode() for name, value in said.items() if repr(made.get(name, _NONE)) != repr(value)
    }
    return {**made, stored.OURS: ours}
