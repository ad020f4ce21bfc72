"""``harvest.py dev init|up|down|status``: the local servers, in containers or (``--embedded``) as processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvesters.cli.choices import did_you_mean
from harvesters.cli.runtime import settings_of
from harvesters.cli.streams import say
from harvesters.errors import ConfigError

if TYPE_CHECKING:
    from harvesters.dev.record import Home, Record

_CREDENTIALS = ("ES_API_KEY", "ES_USER", "ES_PASSWORD", "ES_CA_CERTS")  # those of a real cluster are not for this one


def _names(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Service names, given one by one or separated by commas."""
    from harvesters.dev.services import SERVICES

    named = tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))
    unknown = [name for name in named if name not in SERVICES]
    if unknown:
        hint = did_you_mean(unknown[0], SERVICES)
        raise click.BadParameter(f"{', '.join(unknown)} is none of {', '.join(SERVICES)}.{hint}", ctx, parameter)
    return named


def _up_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--fetch",
            is_flag=True,
            help="With --embedded: let Maven fetch Elasticsearch, ElasticMQ and Kafka (120 MB) once.",
        ),
        click.option("--embedded", is_flag=True, help="Processes of this machine instead of containers."),
        click.option(
            "--services",
            multiple=True,
            callback=_names,
            metavar="NAME[,NAME…]",
            help="Only these: elasticsearch, kibana, redis, sqs, s3, opencast, cerebro, kafka, serve, worker, beat. "
            "Default: all but the last five.",
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Start the local servers.")
@_up_options
def up(services: tuple[str, ...], embedded: bool, fetch: bool) -> None:
    """Start the local servers and write the settings that point at them to .env.dev in this directory.

    In containers by docker/docker-compose.yml; with --embedded, where there is no Docker, as background processes on
    free ports. A second `up` starts only what is missing.

    \b
    Example:
      harvest.py dev up --embedded
      harvest.py --env-file .env.dev useractions --interval 60 --output -
    """
    home = _home()
    with home.alone():
        record = _bring_up(home, services, embedded, fetch)
    if embedded:  # it answers by now
        _make_topics(record)
    _next_steps(record)


@click.command(short_help="Start everything, load templates and dashboards.")
@_up_options
@click.option(
    "--timeout", type=click.IntRange(min=1), default=300, show_default=True, help="Seconds to wait for health."
)
def init(services: tuple[str, ...], embedded: bool, fetch: bool, timeout: int) -> int:
    """Start the local servers, wait until they are healthy, load index templates and Kibana's dashboards.

    Where Kafka was named, the topics of `listings` are made. The rest is the same as `dev up`, `setup
    load_index_templates` and `dev install_kopf` one after the other, and Kibana's data views and dashboards. It can be
    run again at any time.

    \b
    Example:
      harvest.py dev init --services elasticsearch,kibana
    """
    from harvesters.cli.kopf import EXPLANATION

    home = _home()
    with home.alone():
        record = _bring_up(home, services, embedded, fetch, wait=timeout)
    up_now = {server.name: server.url for server in record.servers}
    if "elasticsearch" in up_now:
        say("Loading the index templates …")
        if code := _load_templates(record):
            return code
    else:
        say("There is no Elasticsearch: index templates are left out.")
    _make_topics(record)
    if "kibana" in up_now:
        _load_dashboards(up_now["kibana"], timeout)
    say(f"\n{EXPLANATION}")
    _next_steps(record)
    return 0


@click.command(short_help="Stop the local servers.")
@click.option("--volumes", is_flag=True, help="Delete the data of the containers too.")
def down(volumes: bool) -> None:
    """Stop what `dev up` started, and nothing else; remove .env.dev unless it was changed.

    Data of the embedded servers goes with them, that of the containers stays unless --volumes is given.

    \b
    Example:
      harvest.py dev down
    """
    from harvesters.dev import embedded
    from harvesters.dev.compose import Compose
    from harvesters.dev.record import remove_settings

    home = _home()
    with home.alone():
        record = home.load()
        if record is not None and record.kind == embedded.KIND:
            embedded.down(home, record, say)
            return
        try:
            compose = Compose.find()
            there = bool(compose.containers()) or volumes
        except ConfigError:
            if record is not None:
                raise
            there = False
        if record is None and not there:
            home.forget()
            say("Nothing is up.")
            return
        compose.down(volumes)
        if record is not None and (done := remove_settings(record)):
            say(done)
        home.forget()


@click.command(short_help="Show which local servers are up.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(as_json: bool) -> None:
    """Show which local servers are up, where, and where their settings are.

    \b
    Example:
      harvest.py dev status --json
    """
    found = _status(_home().load())
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found["services"]:
        click.echo("Nothing is up.")
    for entry in found["services"]:
        state = " ".join(str(word) for word in (entry["state"], entry["health"]) if word)
        process = f"  process {entry['pid']}" if entry["pid"] else ""
        click.echo(f"{entry['name']:<14}{state:<18}{entry['url']}{process}".rstrip())
    if found["env_file"]:
        click.echo(f"settings: {found['env_file']}")


def _home() -> Home:
    from harvesters.dev.record import Home

    return Home(settings_of().state_dir().absolute())


def _bring_up(home: Home, services: tuple[str, ...], embedded: bool, fetch: bool, wait: float | None = None) -> Record:
    from harvesters.dev import compose
    from harvesters.dev import embedded as processes

    if fetch and not embedded:
        raise click.UsageError("--fetch goes with --embedded: images are fetched by Docker itself")
    kind = processes.KIND if embedded else compose.KIND
    there = home.load()
    if there is not None and there.kind != kind:
        raise ConfigError(f"the {there.kind} servers are up: `harvest.py dev down` first ends them")
    if not embedded:
        return _containers(home, there, services, wait)
    elsewhere = [name for name in services if name not in processes.NAMES]
    if elsewhere:
        raise click.UsageError(f"{', '.join(elsewhere)} needs Docker; --embedded has {', '.join(processes.NAMES)}")
    if fetch:
        processes.fetch()
    return processes.up(home, services, Path.cwd(), say)


def _containers(home: Home, there: Record | None, services: Sequence[str], wait: float | None) -> Record:
    from harvesters.dev.compose import KIND, Compose
    from harvesters.dev.record import Record, Server, settings_path, write_settings
    from harvesters.dev.services import DEFAULTS, SERVICES, container_settings, with_needs

    record = there or Record(KIND)
    names = with_needs({*(services or DEFAULTS), *(server.name for server in record.servers)})
    record.servers = [Server(name, SERVICES[name].url, container_settings([name])) for name in names]
    settings_path(record, Path.cwd())  # before anything is started
    Compose.find().up(services, wait)
    write_settings(record, Path.cwd())
    home.save(record)
    return record


def _load_templates(record: Record) -> int:
    """``setup load_index_templates`` on the servers of `record`; its exit code."""
    from harvesters.standins.opencast import harvest_command

    environment = {name: value for name, value in os.environ.items() if name not in _CREDENTIALS}
    # Set here instead of left to .env.dev: the environment, which holds the user's .env by now, would win over it.
    for server in record.servers:
        environment |= server.settings
    return subprocess.run(harvest_command("setup", "load_index_templates"), env=environment, check=False).returncode


def _make_topics(record: Record) -> None:
    """The topics of `listings` in the Kafka of `record`, if there is one."""
    from harvesters.clock import SystemClock
    from harvesters.kafka.topics import Topics
    from harvesters.retry import RetryPolicy
    from harvesters.settings import Settings

    server = next((server for server in record.servers if server.name == "kafka"), None)
    if server is None:
        return
    if find_spec("confluent_kafka") is None:
        say("The topics are left out: they need an extra, pip install 'harvest[kafka]'")
        return
    given = settings_of()
    names = ("LISTINGS_TOPIC", "VIEWS_TOPIC")
    own = {name: given.get(name) for name in (*names, "KAFKA_PARTITIONS")}
    topics = Topics(
        Settings({**server.settings, **own}), RetryPolicy(SystemClock(), given.number("HARVEST_RETRY_BUDGET"))
    )
    for name in names:
        topics.make(own[name])


def _load_dashboards(url: str, budget: float) -> None:
    from harvesters.clock import SystemClock
    from harvesters.dev.kibana import import_saved_objects
    from harvesters.retry import RetryPolicy

    for name, count in import_saved_objects(url, RetryPolicy(SystemClock(), budget)).items():
        say(f"Kibana: {count} objects of {name}")


def _status(record: Record | None) -> dict[str, Any]:
    from harvesters.dev import embedded
    from harvesters.dev.compose import KIND, Compose

    env_file = record.env_file if record is not None else ""
    if record is not None and record.kind == embedded.KIND:
        entries = []
        for server in record.servers:
            alive = server.process is not None and server.process.alive
            pid = server.process.pid if server.process is not None and alive else None
            entries.append(_entry(server.name, "running" if alive else "ended", url=server.url, pid=pid))
        return {"kind": record.kind, "env_file": env_file, "services": entries}
    try:
        containers = Compose.find().containers()
    except ConfigError:
        if record is not None:
            raise
        containers = []
    entries = [_entry(found.service, found.state, found.health, _url(found.service)) for found in containers]
    return {"kind": KIND if record is not None or entries else None, "env_file": env_file, "services": entries}


def _entry(name: str, state: str, health: str = "", url: str = "", pid: int | None = None) -> dict[str, Any]:
    return {"name": name, "state": state, "health": health, "url": url, "pid": pid}


def _url(name: str) -> str:
    from harvesters.dev.services import SERVICES

    return SERVICES[name].url if name in SERVICES else ""


def _next_steps(record: Record) -> None:
    names = {server.name for server in record.servers}
    say(f"Settings are in {record.env_file}.")
    if "opencast" in names:
        say(f"Try: harvest.py --env-file {os.path.relpath(record.env_file)} useractions --interval 60 --output -")
    say("`harvest.py dev status` shows what is up, `harvest.py dev down` ends it.")
