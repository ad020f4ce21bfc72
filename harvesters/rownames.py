"""What documents call the fields of their rows: rows end in dead letters, and hold the same values under other names.

`tests/test_outbound.py` holds these tables against the mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Paths = Mapping[str, tuple[str, ...]]


def _itself(row: Any, path: str) -> str:
    return path


@dataclass(frozen=True)
class RowNames:
    """Of one kind.

    Attributes:
        says: of a path in a row, the paths in the document that say the same.
        keys: of an object in a row, whose names the document has as values, their paths there.
        inside: the path in the document of what is at a path in the row otherwise.
        addresses: fields that list addresses, the first of which is ``ip``, and the others ``proxy1``, ``proxy2`` …
        blank: what a row writes where it means nothing.
        made: of a field that the mapping makes of others, those others.
        told: the address and the browser that a row tells, as the document would.
    """

    says: Callable[[Any], Paths] = lambda row: {}
    keys: Paths = field(default_factory=dict)
    inside: Callable[[Any, str], str] = _itself
    addresses: frozenset[str] = frozenset()
    blank: frozenset[str] = frozenset()
    made: Paths = field(default_factory=dict)
    told: Callable[[Any], dict[str, Any]] = lambda row: {}

    def paths(self, row: Any, path: str, value: Any) -> list[str]:
        """What the document says the same under, as far as that can be; the path itself among them."""
        told = self.says(row).get(path, ()) if not isinstance(value, dict) else ()
        found = [*told, self.inside(row, path), path]
        return found + [source for each in found for source in self.made.get(each, ())]


_ACTION = {
    "sessionId": ("session_id",),
    **{f"{at}userId": ("huid",) for at in ("", "sessionId.")},
    **{f"{at}userAgent": ("useragent",) for at in ("", "sessionId.")},
    "sessionId.sessionId": ("session_id",),
}


def _told_of_action(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        return {}
    session = row["sessionId"] if isinstance(row.get("sessionId"), dict) else row
    ip, useragent = session.get("userIp", session.get("ip")), session.get("userAgent", session.get("useragent"))
    return {"ip": ip.split(",")[0].strip() if isinstance(ip, str) else None, "useragent": useragent}


def _told_of_session(row: Any) -> dict[str, Any]:
    inner = row.get("row") if isinstance(row, dict) else None
    return {"ip": inner.get("ip_address")} if isinstance(inner, dict) else {}


_OF_ZOOM: dict[str, dict[str, tuple[str, ...]]] = {
    "meetings": {
        "row.host": ("host.name",),
        "row.user_name": ("host.name",),
        "row.email": ("host.email",),
        "row.user_email": ("host.email",),
        "row.user_type": ("host.user_type",),
        "row.host_id": ("host.host_id",),
        "host.id": ("host.host_id",),
        "host.type": ("host.user_type",),
        "row.has_recording": ("recording",),
        "row.id": ("meeting_series_id",),
    },
    "sessions": {
        "row.name": ("user_name",),
        "row.user_email": ("zoom.email",),
        "row.location": ("zoom.location", "city", "country"),
    },
}
_AT_THE_TOP = {
    *("uuid", "topic", "user_id", "user_name", "device", "ip_address", "network_type"),
    *("start_time", "end_time", "join_time", "leave_time", "duration"),
}
_PEOPLE: dict[str, tuple[str, ...]] = {
    "buddies": ("buddies.user_id", "buddy_ids"),
    "buddies-outgoing": ("buddies-outgoing.user_id",),
    **{name: (f"{name}.id", f"{one}_ids") for name, one in (("schools", "school"), ("groups", "group"))},
    "classes": ("classes.id", "class_ids"),
}


def _of_zoom(row: Any) -> Paths:
    return _OF_ZOOM.get(str(row.get("of")), {}) if isinstance(row, dict) else {}


def _in_zoom(row: Any, path: str) -> str:
    """What the mapping names itself stands at the top, and the rest of a row under ``zoom``."""
    rest = path.removeprefix("row.")
    return rest if rest == path or rest in _AT_THE_TOP or path in _of_zoom(row) else f"zoom.{rest}"


def _value(row: Any, path: str) -> str:
    return path.removeprefix("value.")


def _below_value(names: Paths) -> Paths:
    return {f"value.{name}": paths for name, paths in names.items()}


_NAMES = {"name": ("first_name", "last_name"), "folded.name": ("name", "first_name", "last_name")}
_EPISODE_NAMES = ("creator", "contributor", "publisher", "subject", "title", "description", "type")

_BY_KIND = {
    "useractions": RowNames(
        says=lambda row: _ACTION,
        addresses=frozenset(("userIp", "sessionId.userIp")),
        blank=frozenset(("-omitted-", "None")),
        told=_told_of_action,
    ),
    "episodes": RowNames(
        says=lambda row: {
            **{f"result.dc{name.capitalize()}": (name,) for name in _EPISODE_NAMES},
            **{f"result.mediapackage.{name}s.{name}": (name,) for name in _EPISODE_NAMES},
            "result.mediapackage.seriestitle": ("course",),
            "result.mediapackage.series": ("series",),
            "result.dcIsPartOf": ("series",),
            "result.dc.isPartOf": ("series",),
        },
        inside=lambda row, path: path.removeprefix("result.mediapackage.").removeprefix("result.dc."),
    ),
    "zoom": RowNames(
        says=_of_zoom,
        inside=_in_zoom,
        made={
            "geoip.ip": ("ip_address",),
            "zoom.location": ("city", "country", "location"),
            "city": ("zoom.location", "location"),
        },
        told=_told_of_session,
    ),
}
_BY_KIND["meetings"] = _BY_KIND["sessions"] = _BY_KIND["zoom"]
_BY_ENDING = {
    "events": RowNames(keys={"value.involved": ("involved",)}, inside=_value),
    "profiles": RowNames(
        keys=_below_value(_PEOPLE),
        inside=_value,
        made={**_NAMES, "folded.order": _NAMES["folded.name"], "folded.bio": ("bio",)}
        | {name: paths for paths in _PEOPLE.values() for name in paths},
    ),
    "classes": RowNames(keys={"value.students": ("student_ids",)}, inside=_value),
}
_NONE = RowNames()


def of_kind(kind: str) -> RowNames:
    """Those of documents, or letters, of that kind."""
    ending = next((names for end, names in _BY_ENDING.items() if kind.endswith(end)), _NONE)
    return _BY_KIND.get(kind, ending)
