"""The way out: whatever a run has made of its rows passes here before it leaves, documents and dead letters alike.

With ``HARVEST_PSEUDONYMISE`` they leave with pseudonyms. A document has field ``pseudonym_key`` then, and so has a
letter's row; what has one is not done again. A row is not what its document was made of any more, so the fields that
were made of true values (where an address is, which browser it was) stay with the letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from harvesters import canonical, rownames, useragents
from harvesters.document import Document
from harvesters.pseudonyms import KEY, Plan, Pseudonyms
from harvesters.sinks.deadletters import DeadLetter

if TYPE_CHECKING:
    from harvesters.geoip import GeoIP

Made = list[Document | str]

_KEPT = "pseudonymised"  # what stays with a letter's row
_CLEAR = "clear"  # of a document that has pseudonyms: its body before
_MADE = (
    "geoip",
    "ua",
    "city",
    "country",
)  # of an address, a user agent and a place, of which nothing can be made again
_WITH_AGENT = "useractions"
_DEEP = "it is nested too deeply for pseudonyms"
_EPOCH = datetime.fromtimestamp(0, UTC)
_SHORT = 3  # characters: a reason is not searched for less
_QUOTED = 30  # characters of a long value by which a reason that cuts it is known


class Outbound:
    """Everything leaves as it is."""

    hiding = False
    """Whether there are values that must not leave as they are."""

    def documents(self, made: Made, again: bool = False) -> Made:
        """What leaves of documents, or of reasons why there are none.

        Args:
            again: they come from a queue or a letter, so some may have their pseudonyms.
        """
        return made

    def letter(self, letter: DeadLetter, document: Document | None = None, again: bool = False) -> DeadLetter:
        """What is kept of a row that could not be delivered, and of the `document` that was made of it."""
        return letter

    def fields(self, values: dict[str, Any]) -> dict[str, Any]:
        """What leaves of a line of a table."""
        return values

    def digest(self, content: bytes, size: int = 8) -> bytes:
        """What tells a row from others, and may be stored."""
        return canonical.digest(content, size)

    def hides(self, *paths: str) -> bool:
        """Whether one of these fields must not leave as it is."""
        return False

    def told(self) -> list[str]:
        """What two processes have to agree about that do the same work; no secret."""
        return []


@dataclass
class Pseudonymous(Outbound):
    """Personal values leave as pseudonyms.

    Args:
        geoip: opens what knows where an address is, for the address is not told any more; None where nothing does.
    """

    hiding = True

    pseudonyms: Pseudonyms
    geoip: Callable[[], GeoIP | None] = lambda: None
    _plan: Callable[[str], Plan] = field(init=False)
    _hides_agents: bool = field(init=False)
    _hides_addresses: bool = field(init=False)

    def __post_init__(self) -> None:
        self._plan = lru_cache(100)(self._make_plan)
        self._hides_agents = self.hides("useragent")
        self._hides_addresses = self.hides("ip", "ip_address")

    def documents(self, made: Made, again: bool = False) -> Made:
        """As `Outbound.documents`."""
        return [one if isinstance(one, str) else self._document(one, again) for one in made]

    def letter(self, letter: DeadLetter, document: Document | None = None, again: bool = False) -> DeadLetter:
        """As `Outbound.letter`."""
        if again and _is_done(letter.row):
            return letter
        disguise = _Disguise(self.pseudonyms, letter.kind, letter.row)
        try:
            row = disguise.row()
        except RecursionError:
            return replace(letter, row=_DEEP)
        if isinstance(row, dict):
            kept = _changed(document) if document is not None else self._told(letter)
            row = {**row, KEY: self.pseudonyms.key.id, _KEPT: kept}
        return replace(letter, reason=disguise.reason(letter.reason), row=row)

    def fields(self, values: dict[str, Any]) -> dict[str, Any]:
        """As `Outbound.fields`."""
        return self._plan("").body(values)

    def digest(self, content: bytes, size: int = 8) -> bytes:
        """As `Outbound.digest`."""
        return self.pseudonyms.digest(content, size)

    def hides(self, *paths: str) -> bool:
        """As `Outbound.hides`."""
        return any(self.pseudonyms.names.match(path) for path in paths)

    def told(self) -> list[str]:
        """As `Outbound.told`."""
        return [self.pseudonyms.key.id, self.digest(b"the same key").hex(), *self.pseudonyms.names.told()]

    def _document(self, document: Document, again: bool) -> Document | str:
        body = document.body
        if again and isinstance(body.get(KEY), str):
            return document
        if document.kind == _WITH_AGENT:
            self._enrich(document)
        try:
            made = self._plan(document.kind).body(body)
        except RecursionError:
            return _DEEP
        if made is body:
            made = body.copy()
        if KEY in made:
            made[f"{KEY}_raw"] = made[KEY]
        made[KEY] = self.pseudonyms.key.id
        document.__dict__[_CLEAR] = body
        document.body = made
        document.__dict__.pop("encoded", None)  # a mapping may have looked whether it can be written
        return document

    def _told(self, letter: DeadLetter) -> dict[str, Any]:
        """What can be made of the true values in a row that there is no document of."""
        body = rownames.of_kind(letter.kind).told(letter.row)
        told = Document("", letter.kind, _EPOCH, body)
        self._enrich(told)
        made = self._plan(letter.kind).body(told.body)
        return {name: made[name] for name in _MADE if name in made}

    def _enrich(self, document: Document) -> None:
        """Say what is made of true values, as whoever indexes the document will not see them."""
        if self._hides_agents and document.kind == _WITH_AGENT:
            useragents.add_to(document.body)
        if self._hides_addresses and (geoip := self.geoip()) is not None:
            geoip.add_to(document)

    def _make_plan(self, kind: str) -> Plan:
        names, made = self.pseudonyms.names, rownames.of_kind(kind).made

        def match(path: str) -> bool:
            return names.match(path) or any(names.match(source) for source in made.get(path, ()))

        def below(path: str) -> bool:
            return names.below(path) or any(each.startswith(f"{path}.") for each in made)

        return Plan(self.pseudonyms, match, below)


def _changed(document: Document) -> dict[str, Any]:
    """The fields of a document that are not as its mapping made them."""
    clear = document.__dict__.get(_CLEAR, {})
    changed = {name: value for name, value in document.body.items() if value is not clear.get(name) and name != KEY}
    return changed | {name: document.body[name] for name in _MADE if name in document.body}


def unpacked(row: Any) -> tuple[Any, dict[str, Any]]:
    """A letter's row, and the fields that its document gets once it is made of that: none for a row in the clear."""
    if not _is_done(row):
        return row, {}
    rest = {name: value for name, value in row.items() if name not in (KEY, _KEPT)}
    kept = row.get(_KEPT)
    return rest, {**(kept if isinstance(kept, dict) else {}), KEY: row[KEY]}


def _is_done(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get(KEY), str)


class _Disguise:
    """One row on its way into a letter, and which values it held."""

    def __init__(self, pseudonyms: Pseudonyms, kind: str, row: Any) -> None:
        self._pseudonyms = pseudonyms
        self._names = rownames.of_kind(kind)
        self._row = row
        self._held: dict[str, str] = {}

    def row(self) -> Any:
        """The row, with pseudonyms."""
        if isinstance(self._row, str):
            return self._torn(self._row)
        return self._value(self._row, "")

    def reason(self, reason: str) -> str:
        """A reason that quotes no value that the row held, nor the beginning of a long one."""
        for value, pseudonym in sorted(self._held.items(), key=lambda pair: -len(pair[0])):
            for shown in {value, repr(value)[1:-1], json.dumps(value)[1:-1]}:
                reason = reason.replace(shown, pseudonym)
                if len(shown) > _QUOTED and (at := reason.find(shown[:_QUOTED])) >= 0:
                    end = at + len(_common(reason[at:], shown))
                    reason = f"{reason[:at]}{pseudonym}{reason[end:]}"
        return reason

    def _value(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return self._object(value, path)
        if isinstance(value, list):
            return [self._value(item, path) for item in value]
        return value

    def _object(self, value: dict[str, Any], path: str, keyed: bool = True) -> dict[str, Any]:
        # As in a list, the names in a map of things are no part of what a field of one of them is called.
        keyed = keyed and path in self._names.keys
        named = keyed and self._match(self._names.keys[path])
        made = {}
        for name, item in value.items():
            inner = f"{path}.{name}" if path else name
            if keyed and isinstance(item, dict):
                item = self._object(item, path, keyed=False)
            elif inner in self._names.addresses and isinstance(item, str):
                item = self._addresses(item)
            elif not isinstance(item, dict | list) and item in self._names.blank:
                pass
            elif self._match(self._names.paths(self._row, inner, item)) and not self._is_wrapper(inner):
                item = self._whole(item)
            else:
                item = self._value(item, inner)
            made[self._whole(name) if named else name] = item
        return made

    def _is_wrapper(self, path: str) -> bool:
        """Whether it is no field of the source but ours, such as the key of a row."""
        return path in ("key", "value", "row", "of", "filed", "sessions", "result", "workflows")

    def _match(self, paths: Sequence[str]) -> bool:
        """Whether one of the paths has pseudonyms, or an object on its way."""
        return any(self._pseudonyms.names.match(part) for path in paths for part in accumulate(path.split("."), _join))

    def _whole(self, value: Any) -> Any:
        made = self._pseudonyms.whole(value)
        self._note(value, made)
        return made

    def _note(self, value: Any, made: Any) -> None:
        if isinstance(value, dict) and isinstance(made, dict):
            for (name, item), (other, instead) in zip(value.items(), made.items(), strict=False):
                self._note(name, other)
                self._note(item, instead)
        elif isinstance(value, list) and isinstance(made, list):
            for item, instead in zip(value, made, strict=False):
                self._note(item, instead)
        elif not isinstance(value, bool) and value != made and len(text := str(value).strip()) >= _SHORT:
            self._held[text] = str(made)

    def _addresses(self, text: str) -> str:
        parts = [part.strip() for part in text.split(",")]
        if parts and parts[0] in self._names.blank:
            return text
        place = 0
        for at, part in enumerate(parts):
            name = f"proxy{place}" if at else "ip"
            place += bool(part) or not at
            if part and self._match((name,)):
                parts[at] = self._whole(part)
        return ", ".join(parts)

    def _torn(self, text: str) -> str:
        """A text that is no JSON, as half of a message is none: what looks like a field in it counts as one."""

        made, at = [], 0
        for found in _FIELD.finditer(text):
            paths = self._names.paths(self._row, found["name"], None)
            if not any(self._pseudonyms.names.end(path) for path in paths):
                continue
            made.append(text[at : found.start("value")])
            if found["several"] is not None:
                return f"{''.join(made)}…"  # nobody can say where it ends
            value = found["text"] if found["text"] is not None else found["value"]
            made.append(json.dumps(self._whole(value)) if value.strip() else found["value"])
            at = found.end("value")
        return "".join(made) + text[at:]


_FIELD = re.compile(
    r'"(?P<name>[^"]+)"\s*:\s*(?P<value>"(?P<text>(?:[^"\\]|\\.)*)(?:"|\Z)|(?P<several>[\[{])|[^\s,}\]]+)', re.DOTALL
)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}"


def _common(text: str, other: str) -> str:
    """The beginning that both have."""
    size = next((at for at, (one, two) in enumerate(zip(text, other, strict=False)) if one != two), None)
    return text[: size if size is not None else min(len(text), len(other))]
