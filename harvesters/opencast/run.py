"""Runs of the harvests of one Opencast: its user actions, and the episodes that they are about."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harvesters.assembly import Assembly
from harvesters.cursor import Times
from harvesters.errors import ConfigError
from harvesters.opencast.client import OpencastClient
from harvesters.pseudonyms import KEY
from harvesters.runs import HarvestRun, OnPlan
from harvesters.settings import Settings
from harvesters.spans import Everything, Span
from harvesters.telemetry import Report

if TYPE_CHECKING:
    from harvesters.opencast.useractions import UserActions
    from harvesters.sinks.base import Sink
    from harvesters.sinks.changed import ChangedOnly

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


def actions_sink(assembly: Assembly, output: str | None) -> Sink:
    """Where user actions go."""
    return assembly.sink(output, fresh_pattern="useractions-*")


def require_actions(assembly: Assembly, output: str | None) -> None:
    """See that a harvest of user actions has what it needs.

    Raises:
        ConfigError: something is missing; it is all named.
    """
    assembly.settings.require_all(*assembly.output_needs(output), _ENGAGE, _USER, _PASSWORD)


def open_useractions(
    assembly: Assembly, batch_size: int = 1000, wait: float = 0.0, stepwise: bool = False
) -> UserActions:
    """The harvest of the engage node's user actions.

    Args:
        stepwise: whether the run may commit in its middle.
    """
    from harvesters.opencast.episodes import EPISODE_FIELDS, EpisodeLookup
    from harvesters.opencast.useractions import UserActions

    settings = assembly.settings
    client = open_client(assembly, _ENGAGE)
    expire = settings.number("EPISODE_CACHE_EXPIRE")
    if assembly.outbound.hides(*(f"episode.{name}" for name in EPISODE_FIELDS)):
        expire = 0.0  # what is kept in Redis stays there as it is
    episodes = EpisodeLookup(client, assembly.cache, expire)
    zone, name = settings.timezone(_ZONE), source_name(settings)
    return UserActions(client, episodes, assembly.cache, zone, batch_size, wait, stepwise, name)


def harvest_useractions(assembly: Assembly, wanted: ActionsWanted, on_plan: OnPlan | None = None) -> Report:
    """Harvest user actions, with their episodes.

    Raises:
        HarvestError: as its subclasses say.
        WindowError: the start lies after the end.
    """
    settings = assembly.settings
    require_actions(assembly, wanted.output)
    zone = settings.timezone(_ZONE)
    sink = actions_sink(assembly, wanted.output)
    run = HarvestRun(
        "useractions",
        assembly.parts,
        Span(
            wanted.start,
            wanted.end,
            timedelta(minutes=settings.number("DEFAULT_INTERVAL")),
            assembly.lookback,
            wanted.update,
        ),
        open_useractions(assembly, wanted.batch_size, wanted.wait, wanted.update and sink.durable),
        sink,
        assembly.place(settings.get("S3_LAST_ACTION_TS_KEY"), Times(zone)),
        wanted.claim,
        assembly.guard(wanted.guarded),
    )
    if on_plan is not None:
        run.on_plan = on_plan
    return run.run()


def require_episodes(assembly: Assembly) -> None:
    """See that `load_episodes` has what it needs.

    Raises:
        ConfigError: something is missing; it is all named.
    """
    assembly.settings.require_all(_ENGAGE, _ADMIN, _USER, _PASSWORD)


def episodes_sink(assembly: Assembly, target: str) -> ChangedOnly:
    """Where episodes go: the index `target`."""
    from harvesters.sinks.changed import ChangedOnly
    from harvesters.sinks.elastic import ElasticSink

    return ChangedOnly(ElasticSink(assembly.search(), lambda document: target, fresh_pattern=target), target)


def load_episodes(
    assembly: Assembly,
    target: str,
    patterns: Sequence[str],
    mpids: Iterable[str] = (),
    wait: float = 0.0,
    on_plan: OnPlan | None = None,
) -> Report:
    """Index the episodes of `mpids`, or of the user actions in the indices of `patterns`, into the index `target`.

    Raises:
        HarvestError: as its subclasses say.
    """
    from harvesters.opencast.episode_index import EpisodeIndex
    from harvesters.opencast.workflows import WorkflowLookup
    from harvesters.search import form, templates

    require_episodes(assembly)
    # An index from before an upgrade would refuse each episode; that is said before Opencast is asked for them.
    absent = () if assembly.outbound.hiding else (KEY,)
    form.require_fitting(assembly.search(), target, templates.find("episodes"), absent)
    chosen = list(dict.fromkeys(mpids))
    engage, admin = open_client(assembly, _ENGAGE), open_client(assembly, _ADMIN)
    wanted = chosen or _mpids(assembly, patterns)
    harvest = EpisodeIndex(engage, WorkflowLookup(admin), wanted, assembly.clock.now(), wait)
    sink = episodes_sink(assembly, target)

    def report() -> dict[str, Any]:
        indexed = {"unchanged": sink.unchanged, "indexed": sink.written}
        return {"source": ",".join(chosen or patterns), "target": sink.name, **indexed}

    run = HarvestRun("load_episodes", assembly.parts, Everything(), harvest, sink, report=report)
    if on_plan is not None:
        run.on_plan = on_plan
    return run.run()


def of_day(day: date) -> str:
    """The pattern of the useraction indices of a UTC day."""
    return f"useractions*-{day:%Y.%m.%d}"


def yesterday(now: datetime) -> str:
    """The pattern of the useraction indices of the UTC day before `now`."""
    return of_day(now - timedelta(days=1))


def _mpids(assembly: Assembly, patterns: Iterable[str]) -> Iterator[str]:
    """Every media package that the user actions in indices matching `patterns` are about: those of this Opencast,
    where several share a cluster (``OPENCAST_SOURCE``)."""
    from harvesters.search.reader import IndexReader

    seen: set[str] = set()
    for pattern in patterns:
        reader = IndexReader(assembly.search(), pattern, source_name(assembly.settings))
        if "*" in pattern and not reader.exists():
            log.warning("no index matches %s, so there is nothing to look up (-s/--source-index-pattern)", pattern)
            continue
        sources = {"mpid": {"terms": {"field": reader.exact("mpid")}}}
        for bucket in reader.buckets(sources, {"match_all": {}}, size=1000):
            mpid = str(bucket["key"]["mpid"])  # a number where an index was made without our templates
            if mpid not in seen:
                seen.add(mpid)
                yield mpid
