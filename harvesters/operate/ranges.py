"""The jobs over ranges of time: what a run of each by hand is, for any window, from settings and an output."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harvesters.assembly import Assembly
from harvesters.operate.windows import DAY, whole_days
from harvesters.spans import WindowError
from harvesters.timespan import Window, iso

if TYPE_CHECKING:
    from harvesters.firebase.elsewhere import Elsewhere
    from harvesters.firebase.events import Events
    from harvesters.runs import Watch
    from harvesters.sinks.base import Sink

_EPISODES = "episodes"
_MAX_WAIT = 300.0  # seconds that a single wait for a rate limit may last: the default of zoom


class Ranges(Protocol):
    """One job over ranges of time, into one output."""

    @property
    def source(self) -> str:
        """What tells the source, and what is wanted of it, from others."""

    def sink(self) -> Sink:
        """The output."""

    def require(self) -> None:
        """See that there is all that a run needs.

        Raises:
            ConfigError: something is missing; it is all named.
        """

    def check(self, step: timedelta) -> None:
        """See that windows may be that long.

        Raises:
            WindowError: they may not.
        """

    def fitted(self, start: datetime, end: datetime, now: datetime) -> Window:
        """What of a range can be harvested by `now`.

        Raises:
            WindowError: it is no such range.
        """

    def days(self, step: timedelta) -> str:
        """The zone whose whole days are all that the source can be asked for; "" where `step` is as good.

        Raises:
            HarvestError: the source was asked, and did not say.
        """

    def preload(self) -> None:
        """Import what a run needs, so that forks need not."""

    def read_ahead(self, whole: Window, directory: Path) -> Any:
        """Read once what each window would read again, and keep it in `directory`; what tells `run` of it."""

    def run(self, window: Window, ahead: Any, watch: Watch) -> None:
        """Harvest `window` as a run by hand does, with what was read ahead.

        Raises:
            HarvestError: as a run by hand.
        """


@dataclass(frozen=True)
class _Ranges:
    """What most have in common.

    Args:
        output: as ``--output`` has it; None for the job's own.
    """

    assembly: Assembly
    output: str | None

    def check(self, step: timedelta) -> None:
        """They may."""

    def fitted(self, start: datetime, end: datetime, now: datetime) -> Window:
        """The part of it that has gone by, to the second."""
        return _until(start, end, now.replace(microsecond=0))

    def days(self, step: timedelta) -> str:
        """Any time can be asked for."""
        return ""

    def preload(self) -> None:
        """Of what has no forks there is no need to."""

    def read_ahead(self, whole: Window, directory: Path) -> Any:
        """There is no such thing."""
        return None


class UserActionRanges(_Ranges):
    """User actions of an Opencast."""

    @property
    def source(self) -> str:
        from harvesters.opencast.run import source_name

        settings = self.assembly.settings
        return f"{settings.url('MATTERHORN_ENGAGE_HOST')} {source_name(settings)}"

    def sink(self) -> Sink:
        from harvesters.opencast.run import actions_sink

        return actions_sink(self.assembly, self.output)

    def require(self) -> None:
        from harvesters.opencast.run import require_actions

        require_actions(self.assembly, self.output)

    def days(self, step: timedelta) -> str:
        """A stock Opencast knows nothing finer than a day."""
        from harvesters.opencast.run import open_useractions

        with closing(open_useractions(self.assembly)) as harvest:
            return harvest.zone.key if harvest.only_days() else ""

    def preload(self) -> None:
        import harvesters.opencast.episodes
        import harvesters.opencast.useractions  # noqa: F401

    def run(self, window: Window, ahead: Any, watch: Watch) -> None:
        from harvesters.opencast.run import ActionsWanted, harvest_useractions

        wanted = ActionsWanted(window.start, window.end, self.output, guarded=False, update=False)
        harvest_useractions(self.assembly, wanted, lambda plan: watch)


class EpisodeRanges(_Ranges):
    """Episodes that the user actions of whole UTC days are about, in an index."""

    @property
    def source(self) -> str:
        from harvesters.opencast.run import source_name

        settings = self.assembly.settings
        hosts = (settings.url(host) for host in ("MATTERHORN_ENGAGE_HOST", "MATTERHORN_ADMIN_HOST"))
        return f"{' '.join(hosts)} {source_name(settings)}"

    def sink(self) -> Sink:
        from harvesters.opencast.run import episodes_sink

        if self.output not in (None, "es"):
            raise WindowError("load_episodes writes into Elasticsearch only: leave --output out, or give es")
        return episodes_sink(self.assembly, _EPISODES)

    def require(self) -> None:
        from harvesters.opencast.run import require_episodes

        require_episodes(self.assembly)

    def fitted(self, start: datetime, end: datetime, now: datetime) -> Window:
        """The days of it that are over; what of today is indexed will be more later."""
        if not whole_days(Window(start, max(start, end))):
            raise WindowError("load_episodes goes by the indices of whole UTC days: give --start and --end at 00:00Z")
        return _until(start, end, datetime.combine(now.astimezone(UTC).date(), time(), UTC))

    def check(self, step: timedelta) -> None:
        if step % DAY:
            raise WindowError("load_episodes goes by the indices of whole UTC days: give --step as days, such as 1d")

    def run(self, window: Window, ahead: Any, watch: Watch) -> None:
        from harvesters.opencast.run import load_episodes, of_day

        patterns = [of_day(day) for day, _ in window.days(UTC)]
        load_episodes(self.assembly, _EPISODES, patterns, on_plan=lambda plan: watch)


class ZoomRanges(_Ranges):
    """Meetings of a Zoom account."""

    @property
    def source(self) -> str:
        settings = self.assembly.settings
        return f"{settings.url('ZOOM_API_URL')} {settings.get('ZOOM_ACCOUNT_ID') or settings.get('ZOOM_KEY')}"

    def sink(self) -> Sink:
        from harvesters.zoom.run import open_sink

        return open_sink(self.assembly, self.output or "es")

    def require(self) -> None:
        from harvesters.zoom.run import open_client

        open_client(self.assembly, 0.0, self.assembly.output_needs(self.output or "es"))[0].close()

    def fitted(self, start: datetime, end: datetime, now: datetime) -> Window:
        """What has gone by of what Zoom keeps."""
        from harvesters.zoom.ranges import horizon

        window = super().fitted(start, end, now)
        if not window.empty and window.start.date() < horizon(now):
            raise WindowError(f"Zoom keeps meetings for six months only: since {horizon(now)}")
        return window

    def days(self, step: timedelta) -> str:
        """Zoom lists whole UTC days, so that shorter windows would list each several times."""
        return "UTC" if step % DAY else ""

    def run(self, window: Window, ahead: Any, watch: Watch) -> None:
        from harvesters.zoom.run import ZoomRun, open_client

        client, account = open_client(self.assembly, _MAX_WAIT)
        command = ["", iso(window.start), iso(window.end), "UTC"]
        ZoomRun(self.assembly, client, account, self.sink, lambda plan: watch, command).by_hand(window)


class EventRanges(_Ranges):
    """Events of a Firebase database."""

    @property
    def source(self) -> str:
        return f"{self.assembly.settings.url('FIREBASE_ENDPOINT')} events"

    def sink(self) -> Sink:
        from harvesters.firebase.parts import open_events_sink

        return open_events_sink(self.assembly, self.output or "es")

    def require(self) -> None:
        from harvesters.firebase.parts import open_client

        open_client(self.assembly, self.output or "es").close()

    def preload(self) -> None:
        import harvesters.firebase.parts
        import harvesters.firebase.run  # noqa: F401

    def read_ahead(self, whole: Window, directory: Path) -> Elsewhere:
        """The events whose keys do not say when they happened."""
        from harvesters.firebase.elsewhere import Elsewhere

        found = Elsewhere(whole, directory / "elsewhere.sqlite")
        with closing(self._events()) as events:
            found.fill(events.others(whole))
        return found

    def run(self, window: Window, ahead: Any, watch: Watch) -> None:
        from harvesters.firebase.cursor import SinceKey
        from harvesters.firebase.run import event_place, harvest_events

        harvest = self._events()
        harvest.elsewhere = ahead
        place, asked = event_place(self.assembly), SinceKey(window, update=False)
        harvest_events(self.assembly.parts, place, harvest, self.sink(), asked, watch)

    def _events(self) -> Events:
        from harvesters.firebase.parts import open_events

        return open_events(self.assembly, self.output or "es")


def _until(start: datetime, end: datetime, now: datetime) -> Window:
    """The range as far as `now`; empty where it begins later."""
    if start > end:
        raise WindowError(f"the start ({iso(start)}) lies after the end ({iso(end)})")
    return Window(min(start, now), min(end, now))
