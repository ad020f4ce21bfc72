"""What Opencast read on the slides of an episode: a segment for each time that a slide was shown."""

from __future__ import annotations

import logging
from typing import Any

from harvesters.opencast.episodes import is_rounded, plain
from harvesters.opencast.jettison import as_dict, as_list, integer

log = logging.getLogger(__name__)

SLIDE_TEXT_BYTES = 1_000_000
"""The longest ``slide_text`` of an episode, in UTF-8."""

_NUMBERS = ("index", "time", "duration")


def slide_texts(mpid: str, result: dict[str, Any]) -> dict[str, Any]:
    """``segments`` in the order of their time (ms), and ``slide_text``, the text of all of them; only what there is.

    A text that is too long is cut, with a warning that names the episode.
    """
    raw = as_list(as_dict(result.get("segments")).get("segment"))
    segments = sorted((_segment(one, is_rounded(result)) for one in raw if isinstance(one, dict)), key=_order)
    if not segments:
        return {}
    text = "\n".join(segment["text"] for segment in segments if segment["text"])
    return {"segments": segments} | ({"slide_text": _cut(mpid, text)} if text else {})


def _segment(raw: dict[str, Any], rounded: bool) -> dict[str, Any]:
    numbers = {name: number for name in _NUMBERS if (number := _number(raw.get(name))) is not None}
    return {**numbers, "text": plain(raw.get("text"), rounded) or ""}


def _order(segment: dict[str, Any]) -> tuple[float, float]:
    return segment.get("time", float("inf")), segment.get("index", float("inf"))


def _number(value: Any) -> int | None:
    try:
        return integer(value)
    except ValueError:
        return None


def _cut(mpid: str, text: str) -> str:
    encoded = text.encode("utf-8", "surrogatepass")  # half of a surrogate pair makes a dead letter, not an error here
    if len(encoded) <= SLIDE_TEXT_BYTES:
        return text
    log.warning("the slides of %s hold %d bytes of text: it is cut to %d", mpid, len(encoded), SLIDE_TEXT_BYTES)
    return encoded[:SLIDE_TEXT_BYTES].decode("utf-8", "ignore")
