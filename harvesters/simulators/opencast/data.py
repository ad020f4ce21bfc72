"""What a simulated Opencast knows: user actions, episodes and workflows, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Session = dict[str, str]
"""A usertracking session: ``sessionId``, ``userId``, ``userIp``, ``userAgent``; a missing key is a null column."""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One row of usertracking. Points are seconds into the recording; `created` is an aware time.

    `is_playing` is 0, 1 or 2 (2: watching live, which stock Opencast reads as "not playing"). A row with `visible_at`
    is in no answer before that time, as when its transaction commits late.
    """

    id: int
    mpid: str
    session: Session | None
    inpoint: int
    outpoint: int
    type: str
    is_playing: int | bool
    created: datetime
    visible_at: datetime | None = None


@dataclass(frozen=True)
class MediaElement:
    """A track, catalogue or attachment of a media package; empty and None fields are left out of the answer.

    `ref` of a slide preview is ``track:<id>;time=T00:00:24:960F1000``.
    """

    id: str
    type: str
    url: str = ""
    mimetype: str = ""
    ref: str = ""
    tags: tuple[str, ...] = ()
    size: int | None = None
    md5: str = ""
    duration: int | None = None
    live: bool | None = None


@dataclass(frozen=True)
class Segment:
    """A slide while it was shown, and what was read on it; times in milliseconds."""

    time: int
    duration: int
    text: str = ""


@dataclass(frozen=True)
class Episode:
    """A published episode.

    `duration` and `extent` (the catalogue's own duration; -1 where Opencast knows none) are milliseconds; `planned` is
    when the recording was to begin and to end, `spatial` its room.
    """

    mpid: str
    title: str
    duration: int | None = None
    start: datetime | None = None
    series: str = ""
    series_title: str = ""
    type: str = ""
    description: str = ""
    creators: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    license: str = ""
    language: str = ""
    spatial: str = ""
    planned: tuple[datetime, datetime] | None = None
    segments: tuple[Segment, ...] = ()
    extent: int | None = None
    modified: datetime | None = None
    attachments: tuple[MediaElement, ...] = ()
    catalogs: tuple[MediaElement, ...] = ()
    tracks: tuple[MediaElement, ...] = ()
    live: bool = False
    deleted: bool = False
    public: bool = True


@dataclass(frozen=True)
class Operation:
    """One step of a workflow; times are aware, None while it has not started or ended."""

    id: int
    name: str
    state: str = "SUCCEEDED"
    started: datetime | None = None
    completed: datetime | None = None
    job: int = 0
    fail_on_error: bool | None = None
    time_in_queue: int | None = None
    configuration: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Workflow:
    """One run of a workflow definition (`template`) over one media package."""

    id: int
    mpid: str
    template: str
    title: str = ""
    state: str = "SUCCEEDED"
    operations: tuple[Operation, ...] = ()
    creator: str = "admin"
    created: datetime | None = None
