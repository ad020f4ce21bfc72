"""``harvest.py dev simulate``: the sources, simulated on loopback, for people to try things on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harvesters.cli.choices import Choice
from harvesters.cli.main import LazyGroup

if TYPE_CHECKING:
    from harvesters.simulators.base import Fault, Simulator

_latency = click.option("--latency", type=float, default=0.0, show_default=True, help="Seconds before each answer.")
_seed = click.option("--seed", type=int, default=1, show_default=True, help="Seed of the made-up data.")
_faults = click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:TIMES[:AFTER]]",
    help="Something that goes wrong TIMES times (1) after AFTER good requests (0): reset, truncate, cut, or a status "
    "such as 503. Can be repeated.",
)


@click.group(cls=LazyGroup, short_help="Start a stand-in of a source.")
def simulate() -> None:
    """Start a stand-in of a source, on loopback, until Ctrl-C."""


@simulate.command("opencast")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; another for containers.")
@click.option(
    "--dialect",
    type=Choice(["dce", "stock"]),
    default="stock",
    show_default=True,
    help="Whether start and end are honoured (DCE's fork) or only day (every other Opencast).",
)
@click.option("--version", "version", type=int, default=16, show_default=True, help="Major version; decides the JSON.")
@click.option("--timezone", default="UTC", show_default=True, help="The server's time zone.")
@click.option("--user", default="matterhorn_system_account", show_default=True, help="User of its REST API.")
@click.option("--password", default="CHANGE_ME", show_default=True, help="Password of that user.")
@click.option("--actions", type=int, default=5000, show_default=True, help="User actions of the last day.")
@click.option("--per-minute", type=int, default=60, show_default=True, help="User actions that keep coming.")
@_latency
@click.option(
    "--order",
    type=Choice(["created", "id", "shuffled"]),
    default="created",
    show_default=True,
    help="Order of rows; Opencast promises none.",
)
@_seed
@_faults
def simulate_opencast(
    port: int,
    host: str,
    dialect: str,
    version: int,
    timezone: str,
    user: str,
    password: str,
    actions: int,
    per_minute: int,
    latency: float,
    order: str,
    seed: int,
    faults: tuple[str, ...],
) -> None:
    """An Opencast engage and admin node with made-up user actions, episodes and workflows.

    \b
    Example:
      harvest.py dev simulate opencast --port 8080 --dialect stock --fault 503:3:10 --fault reset
    """
    from harvesters.simulators.opencast.server import OpencastSimulator

    planned = [_fault(text) for text in faults]
    simulator = OpencastSimulator(
        port,
        dialect=dialect,  # type: ignore[arg-type]
        version=version,
        timezone=timezone,
        user=user,
        password=password,
        latency=latency,
        order=order,  # type: ignore[arg-type]
        host=host,
    )
    simulator.faults.extend(planned)
    now = datetime.now(UTC)
    simulator.generate(actions=actions, episodes=40, start=now - timedelta(days=1), end=now, seed=seed)
    if per_minute:
        simulator.grow(per_minute=per_minute, seed=seed)
    click.echo(f"Opencast {version} ({dialect}) at {simulator.url}")
    click.echo(f"MATTERHORN_ENGAGE_HOST={simulator.url} MATTERHORN_REST_USER={user} MATTERHORN_REST_PASS={password}")
    _serve(simulator)


@simulate.command("zoom")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0 takes a free one.")
@click.option("--meetings", type=click.IntRange(min=1), default=200, show_default=True, help="Meetings a day.")
@click.option("--sessions", type=int, default=4000, show_default=True, help="Participant sessions a day.")
@click.option(
    "--plan",
    type=Choice(["pro", "business"]),
    default="business",
    show_default=True,
    help="Decides the rate limits; only business has the Dashboard.",
)
@click.option("--classic-scopes", is_flag=True, help="The app has classic scopes instead of granular ones.")
@click.option(
    "--jwt",
    is_flag=True,
    help="Take tokens of a JWT app (key: key, secret: jwt-secret-of-thirty-two-characters) too.",
)
@click.option("--no-limits", is_flag=True, help="Count calls, and refuse none.")
@click.option(
    "--retry-after",
    type=Choice(["iso", "seconds", "http-date", "absent", "bare"]),
    default="iso",
    show_default=True,
    help="Form of Retry-After in an answer 429.",
)
@click.option("--start-time-only", is_flag=True, help="Ignore query_date_type=end_time.")
@_latency
@_seed
@_faults
def simulate_zoom(
    port: int,
    meetings: int,
    sessions: int,
    plan: str,
    classic_scopes: bool,
    jwt: bool,
    no_limits: bool,
    retry_after: str,
    start_time_only: bool,
    latency: float,
    seed: int,
    faults: tuple[str, ...],
) -> None:
    """A Zoom account with the made-up meetings of yesterday and, as they end, of today.

    \b
    Example:
      harvest.py dev simulate zoom --port 8090 --plan pro --fault 503:2:20
    """
    from harvesters.simulators.zoom.auth import CLASSIC, GRANULAR
    from harvesters.simulators.zoom.generate import generate
    from harvesters.simulators.zoom.server import ZoomSimulator

    planned = [_fault(text) for text in faults]
    today = datetime.now(UTC).date()
    try:
        account = generate(meetings=meetings, sessions=sessions, day=today - timedelta(days=1), seed=seed)
        account.add(*generate(meetings=meetings, sessions=sessions, day=today, seed=seed + 1).meetings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    simulator = ZoomSimulator(
        account,
        port,
        plan=plan,
        scopes=CLASSIC if classic_scopes else GRANULAR,
        jwt=jwt,
        enforce_limits=not no_limits,
        retry_after=retry_after,
        honours_end_time=not start_time_only,
        latency=latency,
    )
    simulator.faults.extend(planned)
    click.echo(f"Zoom ({plan}) at {simulator.url}")
    click.echo(
        f"ZOOM_API_URL={simulator.api_url} ZOOM_OAUTH_URL={simulator.oauth_url} ZOOM_ACCOUNT_ID=account "
        "ZOOM_CLIENT_ID=client ZOOM_CLIENT_SECRET=secret"
    )
    _serve(simulator)


@simulate.command("firebase")
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0 takes a free one.")
@click.option("--secret", default="legacy-database-secret", show_default=True, help="The legacy database secret.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    help="Write a service-account file here, whose tokens open the database too.",
)
@click.option("--events", type=int, default=5000, show_default=True, help="BuddyUp events of the last 60 days.")
@click.option("--per-minute", type=int, default=60, show_default=True, help="Events that keep coming; 0 for none.")
@click.option(
    "--max-response",
    type=click.IntRange(min=100),
    default=256 * 1024 * 1024,
    show_default=True,
    help="Bytes beyond which an answer is refused.",
)
@_latency
@_seed
def simulate_firebase(
    port: int,
    secret: str,
    credentials: Path | None,
    events: int,
    per_minute: int,
    max_response: int,
    latency: float,
    seed: int,
) -> None:
    """A Firebase Realtime Database with made-up BuddyUp events, users and classes.

    More people join each week, and most when a term begins. They look for buddies, write to each other, and leave after
    days, weeks or terms. So each answer of `insights` has something to say of it.

    \b
    Example:
      harvest.py dev simulate firebase --port 9000 --per-minute 120
    """
    import json

    from harvesters.simulators.firebase import buddyup
    from harvesters.simulators.firebase.buddyup_growth import grow
    from harvesters.simulators.firebase.server import FirebaseSimulator

    simulator = FirebaseSimulator(port, secret=secret, max_response=max_response, latency=latency)
    now = datetime.now(UTC)
    for path, children in buddyup.database(events, now - timedelta(days=60), now, seed).items():
        simulator.load(path, children)
    if credentials is not None:
        credentials.write_text(json.dumps(simulator.service_account(), indent=2))
        click.echo(f"FIREBASE_CREDENTIALS={credentials}")
    if per_minute:
        grow(simulator, per_minute, seed)
    click.echo(f"FIREBASE_ENDPOINT={simulator.url} FIREBASE_KEY={secret}")
    _serve(simulator)


@simulate.command("wenet")
@click.option("--port", type=click.IntRange(0, 65535), default=8070, show_default=True, help="0 takes a free one.")
@click.option("--users", type=click.IntRange(min=1), default=40, show_default=True, help="Users of the last 30 days.")
@click.option("--tasks", type=click.IntRange(min=0), default=200, show_default=True, help="Tasks of these days.")
@click.option("--key", default="platform-key", show_default=True, help="The key that is wanted.")
@click.option("--page-cap", type=click.IntRange(min=1), default=100, show_default=True, help="Most rows of a page.")
@click.option("--gone", type=click.IntRange(min=0), default=0, show_default=True, help="Users without a profile.")
@click.option(
    "--arriving", type=click.IntRange(min=0), default=0, show_default=True, help="Tasks created while pages are read."
)
@click.option("--accepted", is_flag=True, help="Profiles come with 202 instead of 200.")
@_latency
@_seed
@_faults
def simulate_wenet(
    port: int,
    users: int,
    tasks: int,
    key: str,
    page_cap: int,
    gone: int,
    arriving: int,
    accepted: bool,
    latency: float,
    seed: int,
    faults: tuple[str, ...],
) -> None:
    """WeNet's platform, with a made-up pilot: hub, task manager, profile manager and incentive server.

    \b
    Example:
      harvest.py dev simulate wenet --port 8070 --page-cap 30 --gone 2 --fault 429:3:5
    """
    from harvesters.simulators.wenet import generate
    from harvesters.simulators.wenet.server import WenetSimulator

    planned = [_fault(text) for text in faults]
    now = datetime.now(UTC)
    world = generate.generate(users, tasks, now - timedelta(days=30), now, seed, gone)
    simulator = WenetSimulator(
        world, port, key=key, page_cap=page_cap, arriving=arriving, accepted=accepted, latency=latency
    )
    simulator.faults.extend(planned)
    click.echo(
        f"INSTANCE={simulator.url} APIKEY={key} APP_ID={generate.APP} ILOG_ID={generate.ILOG} "
        f"SURVEY_ID={generate.SURVEY}"
    )
    _serve(simulator)


def _serve(simulator: Simulator) -> None:
    try:
        simulator.serve_forever()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _fault(text: str) -> Fault:
    from harvesters.simulators.base import Fault, Response

    kind, *numbers = text.split(":")
    try:
        times, after = (*map(int, numbers), *(1, 0)[len(numbers) :])
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not KIND[:TIMES[:AFTER]]", param_hint="--fault") from error
    if kind.isdigit() and 400 <= int(kind) <= 599:
        return Fault("status", times=times, after=after, response=Response(int(kind)))
    if kind in ("reset", "truncate", "cut"):
        return Fault(kind, times=times, after=after)
    raise click.BadParameter(f"{kind!r} is neither reset, truncate, cut nor a status", param_hint="--fault")
