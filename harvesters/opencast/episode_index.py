"""The harvest of episodes: what Opencast's search and workflows say of media packages, as documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any

from harvesters.document import Document
from harvesters.harvest import Page
from harvesters.opencast.client import OpencastClient
from harvesters.opencast.episodes import find_result, plain, to_episode
from harvesters.opencast.jettison import as_dict, as_list
from harvesters.opencast.metadata import metadata
from harvesters.opencast.segments import slide_texts
from harvesters.opencast.workflows import WorkflowLookup, stream_times, to_workflow

KIND = "episodes"
BATCH = 100
_LOOKUPS = 8
_SIDES = ("presenter", "presentation")
_ELSE = ("mixed", "audience")  # whose picture stands in for a missing one, the first that there is
_SLIDE = "presentation/segment+preview"
_SLIDE_TIME = re.compile(r"time=([^;]+)")
_CLOCK = re.compile(r"T(\d+):(\d+):(\d+)(?::(\d+)F(\d+))?")


def to_body(mpid: str, result: dict[str, Any], workflows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The document of an episode: only the fields that it has, but always ``slides`` and ``live_stream``."""
    package = as_dict(result.get("mediapackage"))
    body = {
        "mpid": mpid,
        **to_episode(result),
        **metadata(result),
        **slide_texts(mpid, result),
        **_pictures(_elements(package, "attachments", "attachment")),
        **stream_times(to_workflow(raw) for raw in workflows),
    }
    body["live_stream"] |= any(_is_live(track) for track in _elements(package, "media", "track"))
    return body


def document_of(row: dict[str, Any], now: datetime) -> Document:
    """The document of an episode, which `now` dates where it has no start."""
    body = to_body(row["mpid"], row["result"], row["workflows"])
    start = datetime.fromisoformat(body["start"]) if "start" in body else now
    return Document(id=row["mpid"], kind=KIND, timestamp=start, body=body, mutable=True)


def _elements(package: dict[str, Any], wrapper: str, name: str) -> list[dict[str, Any]]:
    return [one for one in as_list(as_dict(package.get(wrapper)).get(name)) if isinstance(one, dict)]


def _is_live(track: dict[str, Any]) -> bool:
    """Whether it is streamed as it happens, which a search says while the workflow that captures is under way."""
    return plain(track.get("live")) == "true"


def _pictures(attachments: list[dict[str, Any]]) -> dict[str, Any]:
    """The stills, and the slides in the order in which they were shown."""
    pictures: dict[str, Any] = {}
    for side in _SIDES:
        urls = (_preview(attachments, one) for one in (side, *_ELSE))
        if url := next(filter(None, urls), None):
            pictures[f"{side}_still"] = url
    slides = []
    for one in attachments:
        found = _SLIDE_TIME.search(plain(one.get("ref")) or "") if one.get("type") == _SLIDE else None
        if found is not None and (url := plain(one.get("url"))):
            slides.append({"img": url, "time": found[1]})
    pictures["slides"] = sorted(slides, key=lambda slide: _seconds(slide["time"]))
    return pictures


def _preview(attachments: list[dict[str, Any]], side: str) -> str | None:
    urls = (plain(one.get("url")) for one in attachments if one.get("type") == f"{side}/player+preview")
    return next(filter(None, urls), None)


def _seconds(time: str) -> float:
    """Of an MPEG-7 time such as ``T00:00:24:960F1000``; one that is none sorts last."""
    match = _CLOCK.match(time)
    if match is None:
        return float("inf")
    hours, minutes, seconds, part, of = (int(group or 0) for group in match.groups())
    return hours * 3600 + minutes * 60 + seconds + (part / of if of else 0)


@dataclass
class EpisodeIndex:
    """Looks up media packages, a batch at a time and several at once.

    Args:
        engage: the node that is searched.
        workflows: of the admin node.
        mpids: each once.
        now: the time of a document whose episode has no start.
        wait: seconds between two batches.
    """

    engage: OpencastClient
    workflows: WorkflowLookup
    mpids: Iterable[str]
    now: datetime
    wait: float = 0.0
    kind: str = KIND
    asked: int = 0
    unknown: int = 0
    without_workflow: int = 0

    @property
    def source(self) -> str:
        """The engage host."""
        return self.engage.base_url

    def time(self) -> datetime | None:
        """There is no checkpoint that a clock could lead astray."""
        return None

    def acknowledged(self, page: Page) -> None:
        """Nothing is kept of a page."""

    def pages(self, scope: None) -> Iterator[Page]:
        """What Opencast says of each media package that it knows."""
        mpids = iter(self.mpids)
        while batch := list(islice(mpids, BATCH)):
            if self.asked and self.wait:
                self.engage.clock.sleep(self.wait)
            found = [row for row in self._pool.map(self._look_up, batch) if row is not None]
            self.asked += len(batch)
            self.unknown += len(batch) - len(found)
            self.without_workflow += sum(not row["workflows"] for row in found)
            yield Page(found)

    def row_id(self, row: Any) -> str:
        """The media package's id."""
        return str(row["mpid"])

    def documents(self, rows: Sequence[Any]) -> list[Document | str]:
        """One document each."""
        return [document_of(row, self.now) for row in rows]

    def report(self) -> dict[str, Any]:
        """How many media packages were asked for, and of which Opencast knows nothing."""
        return {"mpids": self.asked, "unknown": self.unknown, "without_workflow": self.without_workflow}

    def close(self) -> None:
        """Drop look-ups that have not begun."""
        if "_pool" in self.__dict__:
            self._pool.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_LOOKUPS, "episodes")

    def _look_up(self, mpid: str) -> dict[str, Any] | None:
        result = find_result(self.engage, mpid)
        if result is None:
            return None
        return {"mpid": mpid, "result": result, "workflows": self.workflows.find(mpid)}
