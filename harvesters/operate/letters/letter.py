"""One dead letter as it was written, and whose it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from harvesters.canonical import digest
from harvesters.settings import Settings
from harvesters.sinks.deadletters import DeadLetter
from harvesters.timespan import iso

_KINDS = {
    "zoom": "zoom",
    "meetings": "zoom",
    "sessions": "zoom",
    "episodes": "load_episodes",
    "listings": "listings-index",
    "page-views": "listings-log",
}
_NAME = 6  # bytes of a short name: 100,000 letters share one with a chance of 1 in 50,000


@dataclass(frozen=True, eq=False)
class Letter:
    """A letter.

    Attributes:
        name: short, and the same as long as the letter stays, whatever its reason is by now.
        raw: the bytes that stand where it is kept.
        where: where that is, for people.
        fields: all that it says.
    """

    name: str
    time: datetime
    job: str
    raw: bytes
    where: str
    fields: dict[str, Any]

    @classmethod
    def read(cls, raw: bytes, where: str, settings: Settings) -> Self | None:
        """What `raw` says; None where it is no letter: torn, or somebody else's."""
        try:
            fields = json.loads(raw)
            time = datetime.fromisoformat(fields["time"])
            kind, id, reason, row = fields["kind"], fields["id"], fields["reason"], fields["row"]
            job = fields.get("job") or ""
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        if time.tzinfo is None or not all(isinstance(text, str) for text in (kind, id, reason, job)):
            return None
        named = digest(json.dumps([fields["time"], kind, id, row], sort_keys=True).encode(), _NAME).hex()
        named = fields["letter"] if isinstance(fields.get("letter"), str) else named
        return cls(named, time, job or _job(kind, row, settings), raw, where, fields)

    @property
    def reason(self) -> str:
        """Why it is here."""
        return str(self.fields["reason"])

    @property
    def id(self) -> str:
        """The document's id; "" where the row did not say."""
        return str(self.fields["id"])

    @property
    def letter(self) -> DeadLetter:
        """As a run writes it."""
        return DeadLetter(str(self.fields["kind"]), self.id, self.reason, self.fields["row"])

    def died_again(self, reason: str, now: DeadLetter | None = None) -> bytes:
        """The same letter, with the reason that it has now; and with the row of `now`, under its old name."""
        changed = {"letter": self.name, "row": now.row} if now is not None else {}
        return json.dumps({**self.fields, "job": self.job, "reason": reason, **changed}).encode()

    def line(self) -> dict[str, Any]:
        """A line of `ls`."""
        said = {"letter": self.name, "time": iso(self.time), "job": self.job}
        return {**said, "kind": self.fields["kind"], "id": self.id, "reason": self.reason, "where": self.where}


def _job(kind: str, row: Any, settings: Settings) -> str:
    """Whose letter it is that does not say so, as older versions wrote them; "" where that cannot be told."""
    if kind == "useractions":
        # From a harvest Opencast's own row; from `index` the body of a message, whatever that was.
        from_harvest = isinstance(row, dict) and "action_id" not in row and ("id" in row or "created" in row)
        return "useractions" if from_harvest else "index"
    prefix = settings.get("FIREBASE_INDEX_PREFIX")
    people = {f"{prefix}{what}": f"firebase-{what}" for what in ("events", "profiles", "classes")}
    return _KINDS.get(kind) or people.get(kind, "")
