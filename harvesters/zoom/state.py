"""How far unfinished runs got, meeting by meeting: one small JSON object beside the checkpoint."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from harvesters.canonical import canonical
from harvesters.clock import Clock
from harvesters.errors import ConfigError, RaceLost
from harvesters.outbound import Outbound
from harvesters.stores.blob import Blob, Conflict
from harvesters.timespan import Window, iso
from harvesters.zoom.listed import ListedMeeting

_KEPT = timedelta(days=30)
_TRIES = 20


@dataclass
class RunState:
    """What one run has done.

    Attributes:
        window: what it covers.
        since: everything that ended before is done.
        done: meetings after that which are done: key to a digest of the row they were listed with and their end
            (epoch seconds; 0 without one). A meeting whose row has changed since is not done.
        listing: the lists of the days in hand, where the run had to stop (see `Notebook`).
        good, refused: how many meetings Zoom gave, and refused for a reason of their own, since the run began.
    """

    window: Window | None = None
    since: datetime | None = None
    done: dict[str, tuple[str, float]] = field(default_factory=dict)
    listing: dict[str, Any] = field(default_factory=dict)
    good: int = 0
    refused: int = 0
    outbound: Outbound = field(default_factory=Outbound, compare=False)

    def has(self, meeting: ListedMeeting) -> bool:
        """The meeting is done, as it is listed now."""
        found = self.done.get(self._key(meeting))
        return found is not None and found[0] == self._digest(meeting)

    def add(self, meeting: ListedMeeting) -> None:
        """The meeting is delivered, with all of its sessions."""
        self.done[self._key(meeting)] = (self._digest(meeting), meeting.filed.timestamp())

    def forget(self, before: datetime) -> None:
        """Drop the meetings that are filed before then: nobody will ask for them again."""
        limit = before.timestamp()
        self.done = {name: entry for name, entry in self.done.items() if entry[1] >= limit}

    def encode(self) -> dict[str, Any]:
        """For JSON."""
        window = [iso(self.window.start), iso(self.window.end)] if self.window is not None else None
        since = iso(self.since) if self.since is not None else None
        counts = {"good": self.good, "refused": self.refused}
        # With pseudonyms the lists, which say who met, are not kept: they are asked for again.
        listing = {} if self.outbound.hiding else self.listing
        return {"window": window, "since": since, "done": dict(self.done), "listing": listing, **counts}

    def _key(self, meeting: ListedMeeting) -> str:
        """A short name of a meeting."""
        return self._short(meeting.uuid.encode("utf-8", "replace") or repr(meeting.row).encode(), 9)

    def _digest(self, meeting: ListedMeeting) -> str:
        """A short digest of all that the list says of it."""
        return self._short(canonical(meeting.row), 6)

    def _short(self, content: bytes, size: int) -> str:
        return base64.b64encode(self.outbound.digest(content, size)).decode()

    @classmethod
    def decode(cls, data: dict[str, Any]) -> RunState:
        """From JSON."""
        window = Window(*map(datetime.fromisoformat, data["window"])) if data["window"] else None
        since = datetime.fromisoformat(data["since"]) if data["since"] else None
        done = {name: (str(entry[0]), float(entry[1])) for name, entry in data["done"].items()}
        return cls(window, since, done, data["listing"], int(data.get("good", 0)), int(data.get("refused", 0)))


@dataclass
class RunStates:
    """The states of all unfinished runs in one blob, by a key that says which command it was."""

    blob: Blob
    clock: Clock

    def load(self, run: str) -> RunState:
        """That of `run`; an empty one when it is finished, or never was.

        Raises:
            ConfigError: the blob holds something else; it is left as it is.
        """
        data = self._read()[0].get(run)
        try:
            return RunState.decode(data) if data is not None else RunState()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unreadable(error) from error

    def save(self, run: str, state: RunState) -> None:
        """Keep how far `run` got."""
        self._change(lambda runs: runs.__setitem__(run, {**state.encode(), "saved": iso(self.clock.now())}))

    def drop(self, run: str) -> None:
        """`run` is finished."""
        if run in self._read()[0]:
            self._change(lambda runs: runs.pop(run, None))

    def _change(self, change: Callable[[dict[str, Any]], Any]) -> None:
        for _ in range(_TRIES):
            runs, etag = self._read()
            change(runs)
            oldest = iso(self.clock.now() - _KEPT)
            runs = {name: data for name, data in runs.items() if str(data.get("saved", "")) >= oldest}
            try:
                self.blob.write(_dumps({"runs": runs}), etag)
            except Conflict:
                continue  # another run has written its own in between
            return
        raise RaceLost(f"{self.blob.name} was written by others {_TRIES} times in a row")

    def _read(self) -> tuple[dict[str, Any], str | None]:
        version = self.blob.read()
        if version is None:
            return {}, None
        try:
            runs = json.loads(version.content)["runs"]
            if not all(isinstance(data, dict) for data in runs.values()):
                raise TypeError("a run is no object")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(error) from error
        return runs, version.etag

    def _unreadable(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"{self.blob.name} cannot be read as the state of runs ({error}). It was left as it is; delete it, and "
            "runs that are unfinished begin again."
        )


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a listed row may hold what orjson does not write: half a surrogate pair, a very long number
        return json.dumps(value, default=str).encode()
