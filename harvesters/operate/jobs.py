"""The table of jobs: what each is called, where its checkpoint is, and how its dead letters are delivered again.

Whoever asks for all jobs (back-fills, status, doctor, dead letters, schedule) asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from harvesters.assembly import Assembly
from harvesters.cursor import Cursor, CursorKind, TimeCursor, Times
from harvesters.operate import again
from harvesters.operate.again import Again
from harvesters.operate.ranges import EpisodeRanges, EventRanges, Ranges, UserActionRanges, ZoomRanges
from harvesters.operate.records import SUFFIX, WITHIN, RunRecords
from harvesters.settings import Settings
from harvesters.stores.blob import Blob

_OPENCAST = ("MATTERHORN_ENGAGE_HOST", "MATTERHORN_REST_USER", "MATTERHORN_REST_PASS")
_LISTINGS = ("KAFKA_BOOTSTRAP_SERVERS", "LISTINGS_TOPIC", "VIEWS_TOPIC")


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        name: in commands, letters, records and files.
        command: what follows ``harvest.py`` in a run of it by cron.
        needs: the settings without which it cannot run; of several in a tuple one is enough.
        output: its output by default: ``sqs``, ``es`` or "" for what takes no ``--output``.
        key: the setting that names its checkpoint; "" for none.
        kind: reads that checkpoint.
        moment: the time that a checkpoint says.
        again: opens the mapping and the sink of its dead letters; None where they cannot be delivered again.
        lease: where its lease is, when that is not beside a checkpoint.
        uses: what `doctor` looks at for it.
        ranges: opens it for ranges of time; None for what cannot be back-filled.
        zone: the setting that names the zone of times by hand; "" for UTC.
        step: how long one window of a back-fill is by default.
        every: how often it runs by the clock, unless told otherwise.
        leased: another run of it finds the lease held, and leaves at once.
        waits: a run waits most of the time, or shares a budget of calls within a process.
        signs: of what can run without any setting, those that show that it is used here.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str | tuple[str, ...], ...]
    output: str = ""
    key: str = ""
    kind: Callable[[Settings], CursorKind] | None = None
    moment: Callable[[Cursor], datetime | None] = lambda cursor: None
    again: Callable[[Assembly, str | None], Again] | None = None
    signs: tuple[str, ...] = ()
    lease: Callable[[Settings], Blob] | None = None
    uses: frozenset[str] = frozenset()
    ranges: Callable[[Assembly, str | None], Ranges] | None = None
    zone: str = ""
    step: timedelta = timedelta(hours=1)
    waits: bool = False
    every: str = "2m"
    leased: bool = True

    def checkpoint(self, settings: Settings) -> str:
        """CHECKPOINT: the name of its checkpoint, or its own."""
        return settings.get(self.key) if self.key else self.name

    def configured(self, settings: Settings) -> bool:
        """Whether the settings name all that it needs."""
        groups = [(need,) if isinstance(need, str) else need for need in self.needs]
        used = not self.signs or any(settings.given(name) for name in self.signs)
        return used and all(any(settings.get(name) for name in group) for group in groups)

    def records(self, assembly: Assembly, once: bool = False) -> RunRecords:
        """How its runs ended; see `Assembly.blob_within`."""
        return RunRecords(assembly.blob_within(self.checkpoint(assembly.settings) + SUFFIX, WITHIN, once))

    def backfills(self, assembly: Assembly) -> list[dict[str, Any]]:
        """Its back-fills: ``{"id", "output", "missing", "failed"}``, the latter two in windows."""
        from harvesters.operate.backfills import of_checkpoint

        if self.ranges is None:
            return []
        return [*of_checkpoint(assembly, self.checkpoint(assembly.settings), WITHIN)]


def _times(zone: str) -> Callable[[Settings], CursorKind]:
    return lambda settings: Times(settings.timezone(zone))


def _event_keys(settings: Settings) -> CursorKind:
    from harvesters.firebase.cursor import EventKeys

    return EventKeys()


def _of_time(cursor: Cursor) -> datetime | None:
    return cursor.moment if isinstance(cursor, TimeCursor) else None


def _of_push_id(cursor: Cursor) -> datetime | None:
    from harvesters.firebase.documents import from_ms
    from harvesters.firebase.pushid import push_ms

    return from_ms(push_ms(cursor.encode()))


def _count_lease(settings: Settings) -> Blob:
    from harvesters.listings.logfiles import LogFiles
    from harvesters.stores.file import FileBlob

    return FileBlob(LogFiles.of(settings).lease)


JOBS: tuple[Job, ...] = (
    Job(
        "useractions",
        ("useractions",),
        _OPENCAST,
        "sqs",
        "S3_LAST_ACTION_TS_KEY",
        _times("OPENCAST_TIMEZONE"),
        _of_time,
        again.useractions,
        uses=frozenset(("opencast", "redis", "sqs")),
        ranges=UserActionRanges,
        zone="OPENCAST_TIMEZONE",
    ),
    Job(
        "index",
        ("index",),
        ("SQS_QUEUE_NAME",),
        again=again.index,
        uses=frozenset(("sqs", "elasticsearch")),
        leased=False,
    ),
    Job(
        "load_episodes",
        ("load_episodes",),
        ("MATTERHORN_ADMIN_HOST", *_OPENCAST),
        again=again.load_episodes,
        uses=frozenset(("opencast", "opencast.admin", "elasticsearch")),
        ranges=EpisodeRanges,
        step=timedelta(days=1),
        waits=True,
        every="1d",
        leased=False,
    ),
    Job(
        "zoom",
        ("zoom", "--live"),
        (("ZOOM_ACCOUNT_ID", "ZOOM_KEY"), ("ZOOM_CLIENT_SECRET", "ZOOM_SECRET")),
        "es",
        "ZOOM_LAST_END_TS_KEY",
        _times("ZOOM_TIMEZONE"),
        _of_time,
        again.zoom,
        uses=frozenset(("redis", "elasticsearch")),
        ranges=ZoomRanges,
        zone="ZOOM_TIMEZONE",
        step=timedelta(days=1),
        waits=True,
        every="15m",
    ),
    Job(
        "firebase-events",
        ("firebase", "events"),
        ("FIREBASE_ENDPOINT", ("FIREBASE_CREDENTIALS", "FIREBASE_KEY")),
        "es",
        "FIREBASE_CHECKPOINT",
        _event_keys,
        _of_push_id,
        again.firebase_events,
        uses=frozenset(("redis", "elasticsearch")),
        ranges=EventRanges,
        zone="FIREBASE_TIMEZONE",
        every="5m",
    ),
    Job(
        "listings-index",
        ("listings", "index"),
        (),
        again=again.listings_index,
        signs=_LISTINGS,
        uses=frozenset(("elasticsearch", "kafka")),
        leased=False,
    ),
    Job("listings-log", ("listings", "log"), (), signs=_LISTINGS, uses=frozenset(("kafka",))),
    Job(
        "listings-count",
        ("listings", "count"),
        (),
        signs=(*_LISTINGS, "ACCESS_LOG"),
        lease=_count_lease,
        uses=frozenset(("elasticsearch",)),
    ),
)

BY_NAME = {job.name: job for job in JOBS}

LETTERS_ONLY: dict[str, Callable[[Assembly, str | None], Again]] = {
    "firebase-profiles": again.firebase_profiles,
    "firebase-classes": again.firebase_classes,
}
"""Who else writes letters: mirrors, which begin anew each time and so are no jobs."""
