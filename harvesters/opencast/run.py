"""Runs of the harvests of one Opencast: its user actions, and the episodes that they are about."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from harvesters.assembly import Assembly
from harvesters.cursor import Times
from harvesters.errors import ConfigError
from harvesters.opencast.client import OpencastClient
from harvesters.runs import HarvestRun, OnPlan
from harvesters.settings import Settings
from harvesters.spans import Everything, Span
from harvesters.telemetry import Report

if TYPE_CHECKING:
    from harvesters.opencast.useractions import UserActions

log = logging.getLogger(__name__)

_ZONE = "OPENCAST_TIMEZONE"
_ENGAGE, _ADMIN = "MATTERHORN_ENGAGE_HOST", "MATTERHORN_ADMIN_HOST"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_USER, _PASSWORD = "MATTERHORN_REST_USER", "MATTERHORN_REST_PASS"


def open_client(assembly: Assembly, host: str) -> OpencastClient:
    """The node that the setting `host` names.

    Raises:
        ConfigError: something is missing, or cannot be read.
    """
    settings = assembly.settings
    return OpencastClient(
        settings.url(host),
        settings.require(_USER),
        settings.require(_PASSWORD),
        settings.choice("OPENCAST_AUTH", ("digest", "basic")),
        assembly.retry,
        assembly.timeout,
    )


def source_name(settings: Settings) -> str:
    """``OPENCAST_SOURCE``; "" when it is unset.

    Raises:
        ConfigError: it is no name that can begin an id.
    """
    name = settings.get("OPENCAST_SOURCE")
    if name and _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"OPENCAST_SOURCE={name!r:.80} should be a short name of letters, digits, '_', '.' and '-', such as "
            "main-campus"
        )
    return name


@dataclass(frozen=True)
class ActionsWanted:
    """Which user actions to harvest, and how.

    Args:
        start, end: a range by hand; None for the checkpoint and now.
        output: ``sqs`` (also None), ``es``, ``-`` or a file.
        batch_size: actions a request.
        wait: seconds between two requests.
        guarded: whether ``MAX_START_END_SPAN`` counts.
        update: whether the checkpoint may move.
        claim: move it although it belongs to another output.
    """

    start: datetime | None = None
    end: datetime | None = None
    output: str | None = None
    batch_size: int = 1000
    wait: float = 0.0
    guarded: bool = True
    update: bool = True
    claim: bool = False


def harvest_useractions(assembly: Assembly, wanted: ActionsWanted, on_plan: OnPlan | None = None) -> Report:
    """Harvest user actions, with their episodes.

    Raises:
        HarvestError: as its subclasses say.
        WindowError: the start lies after the end.
    """
    settings = assembly.settings
    settings.require_all(*assembly.output_needs(wanted.output), _ENGAGE, _USER, _PASSWORD)
    zone = settings.timezone(_ZONE)
    sink = assembly.sink(wanted.output, fresh_pattern="useractions-*")
    harvest = open_mapping(assembly)
    harvest.batch_size, harvest.wait, harvest.stepwise = wanted.batch_size, wanted.wait, wanted.update and sink.durable
    interval = timedelta(minutes=settings.number("DEFAULT_INTERVAL"))
    run = HarvestRun(
        "useractions",
        assembly.parts,
        Span(wanted.start, wanted.end, interval, assembly.lookback, wanted.update),
        harvest,
        sink,
        assembly.place(settings.get("S3_LAST_ACTION_TS_KEY"), Times(zone)),
        wanted.claim,
        assembly.guard(wanted.guarded),
    )
    if on_plan is not None:
        run.on_plan = on_plan
    return run.run()


def open_mapping(assembly: Assembly) -> UserActions:
    """The harvest of user actions, which also makes documents of rows that were read before.

    Raises:
        ConfigError: something is missing, or cannot be read.
    """
    from harvesters.opencast.episodes import EpisodeLookup
    from harvesters.opencast.useractions import UserActions

    settings = assembly.settings
    client = open_client(assembly, _ENGAGE)
    episodes = EpisodeLookup(client, assembly.cache, settings.number("EPISODE_CACHE_EXPIRE"))
    return UserActions(client, episodes, assembly.cache, settings.timezone(_ZONE), name=source_name(settings))


def load_episodes(assembly: Assembly, target: str, pattern: str | None, mpids: Iterable[str], wait: float) -> Report:
    """Index the episodes of `mpids`, or of the user actions in the indices of `pattern`, into the index `target`.

    Without a pattern they are yesterday's (UTC).

    Raises:
        HarvestError: as its subclasses say.
    """
    from harvesters.opencast.episode_index import EpisodeIndex
    from harvesters.opencast.workflows import WorkflowLookup
    from harvesters.search import form, templates
    from harvesters.sinks.changed import ChangedOnly
    from harvesters.sinks.elastic import ElasticSink

    assembly.settings.require_all(_ENGAGE, _ADMIN, _USER, _PASSWORD)
    # An index from before an upgrade would refuse each episode; that is said before Opencast is asked for them.
    form.require_fitting(assembly.search(), target, templates.find("episodes"))
    now = assembly.clock.now()
    chosen = list(dict.fromkeys(mpids))
    pattern = pattern or yesterday(now)
    engage, admin = open_client(assembly, _ENGAGE), open_client(assembly, _ADMIN)
    harvest = EpisodeIndex(engage, WorkflowLookup(admin), chosen or _mpids(assembly, pattern), now, wait)
    sink = ChangedOnly(ElasticSink(assembly.search(), lambda document: target), target)

    def report() -> dict[str, Any]:
        indexed = {"unchanged": sink.unchanged, "indexed": sink.written}
        return {"source": ",".join(chosen) or pattern, "target": sink.name, **indexed}

    run = HarvestRun("load_episodes", assembly.parts, Everything(), harvest, sink, report=report)
    return run.run()


def yesterday(now: datetime) -> str:
    """The pattern of the useraction indices of the UTC day before `now`."""
    return f"useractions*-{now - timedelta(days=1):%Y.%m.%d}"


def _mpids(assembly: Assembly, pattern: str) -> Iterator[str]:
    """Every media package that the user actions in indices matching `pattern` are about: those of this Opencast,
    where several share a cluster (``OPENCAST_SOURCE``)."""
    from harvesters.search.reader import IndexReader

    reader = IndexReader(assembly.search(), pattern, source_name(assembly.settings))
    if "*" in pattern and not reader.exists():
        log.warning("no index matches %s, so there is nothing to look up (-s/--source-index-pattern)", pattern)
        return
    sources = {"mpid": {"terms": {"field": reader.exact("mpid")}}}
    for bucket in reader.buckets(sources, {"match_all": {}}, size=1000):
        yield str(bucket["key"]["mpid"])  # a number where an index was made without our templates
