"""``harvest.py load_episodes``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from harvesters import settings
from harvesters.cli.runtime import Runtime, running, setting_option

if TYPE_CHECKING:
    from harvesters.opencast.client import OpencastClient
    from harvesters.opencast.episode_index import EpisodeIndex
    from harvesters.sinks.changed import ChangedOnly

log = logging.getLogger(__name__)


def _index_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse what Elasticsearch would refuse for each document in turn."""
    if value != value.lower() or not re.fullmatch(r"[^-_+.][^\s\\/*?\"<>|,#:]{0,254}", value):
        raise click.BadParameter(f"{value!r} is no name of an index, such as episodes")
    return value


def _media_packages(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what cannot be one, such as bytes that are no UTF-8, which could not be asked for either."""
    for value in values:
        if not value.isprintable():
            raise click.BadParameter(f"{value!r} is no id of a media package")
    return values


@click.command(short_help="Index the episodes that user actions are about.")
@setting_option("-A", "--admin-host", setting="MATTERHORN_ADMIN_HOST")
@setting_option("-E", "--engage-host", setting="MATTERHORN_ENGAGE_HOST")
@setting_option("-u", "--user", setting="MATTERHORN_REST_USER")
@setting_option(
    "-p",
    "--password",
    setting="MATTERHORN_REST_PASS",
    text="Its password. Better put it into the setting: everybody on this machine can read command lines (ps).",
)
@setting_option("-e", "--es-host", setting="ES_HOST")
@click.option(
    "-t",
    "--target-index",
    default="episodes",
    show_default=True,
    callback=_index_name,
    help="Index that the episodes are written to.",
)
@click.option(
    "-s",
    "--source-index-pattern",
    help="Useraction indices whose media packages are looked up, such as 'useractions*-2026.02.*'; default: "
    "yesterday's (UTC).",
)
@click.option(
    "--mpid", "mpids", multiple=True, callback=_media_packages, help="Index this media package only. Can be repeated."
)
@click.option(
    "-w", "--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait between batch requests; default 0."
)
def load_episodes(
    admin_host: str | None,
    engage_host: str | None,
    user: str | None,
    password: str | None,
    es_host: str | None,
    target_index: str,
    source_index_pattern: str | None,
    mpids: tuple[str, ...],
    wait: float,
) -> None:
    """Index the episodes that user actions are about: what Opencast's search and workflows say of them.

    Finds the media packages in the useraction indices, and writes one document for each into the target index. What
    is there already, just so, is not written again; ids that Opencast does not know are counted.

    \b
    Examples:
      harvest.py load_episodes
      harvest.py load_episodes -s 'useractions*-2026.02.*' -w 1
      harvest.py load_episodes --mpid 74b6c02f-afbb-42bc-8145-344153a1792e
    """
    from harvesters.opencast.episode_index import EpisodeIndex
    from harvesters.opencast.workflows import WorkflowLookup
    from harvesters.sinks.changed import ChangedOnly
    from harvesters.sinks.elastic import ElasticSink

    with running() as runtime:
        name = settings.require("MATTERHORN_REST_USER", user, "-u/--user")
        secret = settings.require("MATTERHORN_REST_PASS", password, "-p/--password")
        engage = _client(runtime, "MATTERHORN_ENGAGE_HOST", engage_host, "-E/--engage-host", name, secret)
        admin = _client(runtime, "MATTERHORN_ADMIN_HOST", admin_host, "-A/--admin-host", name, secret)
        _see_that_it_fits(runtime, es_host, target_index)
        now = runtime.clock.now()
        pattern = source_index_pattern or yesterday(now)
        found = dict.fromkeys(mpids) if mpids else _mpids(runtime, es_host, pattern)
        harvest = EpisodeIndex(engage, WorkflowLookup(admin), found, now, wait)
        sink = ChangedOnly(ElasticSink(runtime.search(es_host), lambda document: target_index), target_index)
        _run(runtime, harvest, sink, ",".join(mpids) if mpids else pattern)


def yesterday(now: datetime) -> str:
    """The pattern of the useraction indices of the UTC day before `now`."""
    return f"useractions*-{now - timedelta(days=1):%Y.%m.%d}"


def _client(runtime: Runtime, setting: str, host: str | None, option: str, user: str, password: str) -> OpencastClient:
    from harvesters.opencast.client import OpencastClient

    return OpencastClient(
        settings.base_url(settings.require(setting, host, option), setting),
        user,
        password,
        settings.choice("OPENCAST_AUTH", ("digest", "basic")),
        runtime.retry,
        settings.number("HARVEST_HTTP_TIMEOUT", minimum=0.001),
    )


def _mpids(runtime: Runtime, es_host: str | None, pattern: str) -> Iterator[str]:
    """Every media package that the user actions in indices matching `pattern` are about."""
    from harvesters.search.reader import IndexReader

    reader = IndexReader(runtime.search(es_host), pattern)
    if "*" in pattern and not reader.exists():
        log.warning("no index matches %s, so there is nothing to look up (-s/--source-index-pattern)", pattern)
        return
    sources = {"mpid": {"terms": {"field": reader.exact("mpid")}}}
    for bucket in reader.buckets(sources, {"match_all": {}}, size=1000):
        yield str(bucket["key"]["mpid"])  # a number where an index was made without our templates


def _see_that_it_fits(runtime: Runtime, es_host: str | None, target_index: str) -> None:
    """An index from before an upgrade would refuse each episode; that is said before Opencast is asked for them."""
    from harvesters.search import form, templates

    with closing(runtime.search(es_host)) as client:
        form.require_fitting(client, target_index, templates.find("episodes"))


def _run(runtime: Runtime, harvest: EpisodeIndex, sink: ChangedOnly, source: str) -> None:
    from harvesters.pipeline import Pipeline, Progress
    from harvesters.sinks.deadletters import ErrorBudget
    from harvesters.telemetry import reported
    from harvesters.timespan import Window

    budget = ErrorBudget(*settings.error_budget())
    pipeline = Pipeline(harvest, sink, runtime.dead_letters, budget, Progress(), None, runtime.stop)

    def fields(_seconds: float) -> dict[str, Any]:
        counts = pipeline.counts
        indexed = {"unchanged": sink.unchanged, "indexed": counts.delivered - sink.unchanged, "dead": counts.dead}
        return {"source": source, "target": sink.name, **harvest.report(), **indexed}

    with reported("load_episodes", runtime.clock, fields), closing(sink), closing(harvest):
        pipeline.run(Window(harvest.now, harvest.now))
