"""Runs over a Realtime Database: its events, a dump of them, its profiles and classes, an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harvesters.assembly import Assembly
from harvesters.errors import Interrupted
from harvesters.firebase.cursor import EventKeys, EventLog, SinceKey
from harvesters.firebase.events import Events
from harvesters.firebase.follow import FollowedEvents
from harvesters.firebase.load import DumpHarvest
from harvesters.firebase.mirror import Mirror
from harvesters.harvest import Harvest
from harvesters.pipeline import Counts
from harvesters.runs import HarvestRun, Parts, Place
from harvesters.sinks.base import Sink
from harvesters.spans import Everything
from harvesters.stores.cache import Cache
from harvesters.stores.delivered import DeliveredLog
from harvesters.telemetry import Report

_FOLLOW_PAUSE = 10.0  # seconds between two commits while following; a kill repeats what came since
Watch = Callable[[Counts], None]


def event_place(assembly: Assembly) -> Place:
    """Where the harvest of events keeps how far it got (``FIREBASE_CHECKPOINT``)."""
    return assembly.place(assembly.settings.get("FIREBASE_CHECKPOINT"), EventKeys())


def harvest_events(
    parts: Parts, place: Place, harvest: Events, sink: Sink, asked: SinceKey, watch: Watch, claim: bool = False
) -> Report:
    """Harvest what `asked` says, and move the checkpoint.

    A harvest that follows ends when it is told to, and that is a good end.

    Raises:
        HarvestError: as its subclasses say; what was committed stays so.
    """
    following = isinstance(harvest, FollowedEvents)

    def remember(cache: Cache, harvested: Harvest, output: Sink, anew: bool) -> DeliveredLog:
        clock = harvest.client.clock
        return EventLog(cache, harvested.source, output.identity, anew=anew, lookback=harvest.lookback, clock=clock)

    run = HarvestRun(
        "firebase events",
        parts,
        asked,
        harvest,
        sink,
        place,
        claim,
        pause=_FOLLOW_PAUSE if following else 0.0,
        remember=remember,
        on_plan=lambda plan: watch,
    )
    return run.run(good_end=Interrupted if following else None)


def load_dump(assembly: Assembly, harvest: DumpHarvest, sink: Sink, watch: Watch) -> Report:
    """Deliver everything that a dump has.

    Raises:
        HarvestError: as its subclasses say.
    """
    run = HarvestRun("firebase load", assembly.parts, Everything(), harvest, sink, on_plan=lambda plan: watch)
    return run.run()


def mirror(assembly: Assembly, mirrored: Mirror, sink: Sink, what: str, watch: Watch) -> Report:
    """Deliver all that `mirrored` has, then remove what is gone; one such run at a time.

    Args:
        what: ``profiles`` or ``classes``.

    Raises:
        HarvestError: as its subclasses say.
    """
    place = assembly.place(f"{assembly.settings.get('FIREBASE_CHECKPOINT')}-{what}", EventKeys())
    run = HarvestRun(f"firebase {what}", assembly.parts, Everything(), mirrored, sink, place, alone=True)
    return replace(run, at_end=mirrored.sweep, on_plan=lambda plan: watch).run()
