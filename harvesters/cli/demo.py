"""``harvest.py dev demo``: the main job, start to end, on embedded servers; leaves nothing running or behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from harvesters.cli.demo_listings import market
from harvesters.cli.demo_messages import DAYS, pilot
from harvesters.cli.demo_stage import harvest, say
from harvesters.errors import ConfigError

if TYPE_CHECKING:
    from harvesters.simulators.opencast.server import OpencastSimulator

QUEUE = "harvest-demo-actions"
USER, PASSWORD = "demo", "demo-password"
_EVENTS = 2000


@click.command(short_help="Watch the main job at work on embedded servers.")
@click.option("--actions", type=click.IntRange(min=1), default=300, show_default=True, help="User actions to make up.")
def demo(actions: int) -> None:
    """Watch the main job at work on embedded servers: a simulated Opencast, local S3 and SQS, and Redis.

    Runs `useractions` twice into a queue, so that the second run shows the checkpoint at work, and once into a file;
    then `zoom` and `firebase events` from simulated sources, and has `insights` say what the events tell. With Java and
    Maven on this machine the queue is indexed into a real Elasticsearch, and a question asked of it; messages of a
    chatbot are posted there and exported; and a market place on a real Kafka has its listings found, viewed and
    counted.

    \b
    Example:
      harvest.py dev demo --actions 1000
    """
    from harvesters.standins.base import StandInMissing, child_environment
    from harvesters.standins.moto import Moto
    from harvesters.standins.redis import Redis

    if not Moto.installed():
        raise ConfigError("the demo needs moto, which stands in for S3 and SQS: pip install 'harvest[embedded]'")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harvest-demo-")))
        say("Starting a simulated Opencast, local S3 and SQS, and Redis on free loopback ports …")
        aws = stack.enter_context(Moto())
        servers: list[Moto | Redis] = [aws]
        try:
            servers.append(stack.enter_context(Redis()))
        except StandInMissing as missing:
            say(f"Going on without Redis: {missing}")
        simulator = stack.enter_context(_opencast(actions))
        environment = child_environment(*servers) | {
            "MATTERHORN_ENGAGE_HOST": simulator.url,
            "MATTERHORN_REST_USER": USER,
            "MATTERHORN_REST_PASS": PASSWORD,
            "S3_HARVEST_TS_BUCKET": "harvest-demo-timestamps",
            "S3_LAST_ACTION_TS_KEY": "last-action-timestamp",
            "SQS_QUEUE_NAME": QUEUE,
            "HARVEST_STATE_DIR": str(folder / "state"),
        }
        os.environ.update(servers[0].environment())
        _first_and_second_run(environment, simulator)
        queued = list(_received())
        _into_a_file(environment, simulator, folder / "actions.jsonl", queued)
        _zoom(environment, folder / "zoom.jsonl")
        _firebase(environment, folder / "firebase.jsonl")
        _insights(environment, folder / "firebase.jsonl")
        _elasticsearch(environment, simulator, len(queued), folder)
    _next_steps()


def _opencast(actions: int) -> OpencastSimulator:
    from harvesters.simulators.opencast.server import OpencastSimulator

    simulator = OpencastSimulator(dialect="dce", user=USER, password=PASSWORD)
    now = datetime.now(UTC)
    simulator.generate(actions=actions, episodes=40, start=now - timedelta(hours=1), end=now, seed=1)
    return simulator


def _first_and_second_run(environment: dict[str, str], simulator: OpencastSimulator) -> None:
    say("\nFirst run: there is no checkpoint yet, so it takes the last 60 minutes.")
    harvest(environment, "useractions", "--interval", "60")
    say("\nMeanwhile three more users press play …")
    _three_more(simulator)
    say("\nSecond run: it goes on from the checkpoint in S3, reads the last minute again, and sends only what is new.")
    harvest(environment, "useractions")


def _three_more(simulator: OpencastSimulator) -> None:
    from harvesters.simulators.opencast.server import ActionRow

    now = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=2)
    for number in range(3):
        session = {"sessionId": f"demo-session-{number}", "userId": f"{10000001 + number}", "userIp": "127.0.0.1"}
        mpid = next(iter(simulator.episodes))
        simulator.add(ActionRow(10_000_000_000 + number, mpid, session, 0, 0, "PLAY", True, now))


def _into_a_file(
    environment: dict[str, str],
    simulator: OpencastSimulator,
    path: Path,
    queued: list[dict[str, object]],
) -> None:
    now = datetime.now(UTC)
    say("\nThird run: the same two hours once more, by hand and into a file, without touching the checkpoint.")
    harvest(
        environment,
        *("useractions", "--start", f"{now - timedelta(hours=2):%Y%m%d%H%M%S}", "--end", f"{now:%Y%m%d%H%M%S}"),
        *("--no-update-last-ts", "--output", str(path)),
    )
    written = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    in_queue = sorted(str(document["action_id"]) for document in queued)
    in_file = sorted(str(document["action_id"]) for document in written)
    say(f"\nThe queue holds {len(in_queue)} documents with {len(set(in_queue))} different ids.")
    say(f"The file holds {len(in_file)} documents with {len(set(in_file))} different ids.")
    if in_queue != in_file:
        raise click.ClickException("the queue and the file differ; please report this")
    say("Both hold every user action once.\n\nThree of them:")
    for document in (written[0], written[len(written) // 2], written[-1]):
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _zoom(environment: dict[str, str], path: Path) -> None:
    from harvesters.simulators.zoom.generate import generate
    from harvesters.simulators.zoom.server import ZoomSimulator

    say("\nFourth run: yesterday's meetings of a simulated Zoom, with their participant sessions.")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    with ZoomSimulator(generate(meetings=20, sessions=150, day=yesterday)) as simulator:
        account = {"ZOOM_ACCOUNT_ID": "account", "ZOOM_CLIENT_ID": "client", "ZOOM_CLIENT_SECRET": "secret"}
        urls = {"ZOOM_API_URL": simulator.api_url, "ZOOM_OAUTH_URL": simulator.oauth_url}
        harvest({**environment, **account, **urls}, "zoom", "--date", f"{yesterday}", "--output", str(path))
    written = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    meetings = sum("uuid" in document for document in written)
    say(f"The file holds {meetings} meetings and {len(written) - meetings} sessions. One of each:")
    for kind in ("uuid", "meeting"):
        document = next(document for document in reversed(written) if kind in document)
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _firebase(environment: dict[str, str], path: Path) -> None:
    from harvesters.simulators.firebase import buddyup
    from harvesters.simulators.firebase.server import FirebaseSimulator

    say("\nFifth run: the events of a simulated Firebase, from the first key on.")
    now = datetime.now(UTC)
    with FirebaseSimulator() as simulator:
        for place, children in buddyup.database(_EVENTS, now - timedelta(days=60), now, 1).items():
            simulator.load(place, children)
        settings = {"FIREBASE_ENDPOINT": simulator.url, "FIREBASE_KEY": simulator.secret}
        harvest({**environment, **settings}, "firebase", "events", "--output", str(path))
    written = path.read_bytes().splitlines()
    say(f"The file holds {len(written)} events. One of them:")
    click.echo(orjson.dumps(orjson.loads(written[-1]), option=orjson.OPT_INDENT_2).decode())


def _insights(environment: dict[str, str], path: Path) -> None:
    say("\nHow far did the new users of these 60 days come on their way to a buddy?")
    if find_spec("duckdb") is None:
        say("Going on without an answer: that needs pip install 'harvest[insights]'")
        return
    harvest(environment, "insights", "funnel", "--from", str(path))


def _elasticsearch(environment: dict[str, str], simulator: OpencastSimulator, queued: int, folder: Path) -> None:
    from harvesters.standins.base import StandInMissing
    from harvesters.standins.elasticsearch import Elasticsearch

    say("\nStarting Elasticsearch (the first time its jars are fetched with Maven) …")
    try:
        server = Elasticsearch().start()
    except StandInMissing as missing:
        say(f"Going on without it: {missing}")
        return
    with server:
        environment = {**environment, **server.environment(), "MATTERHORN_ADMIN_HOST": simulator.url}
        harvest(environment, "setup", "load_index_templates")
        say(f"\nThe {queued} messages that are still in the queue go into Elasticsearch, and are deleted then.")
        harvest(environment, "index", "--drain")
        harvest(environment, "load_episodes", "--source-index-pattern", "useractions-*")
        say("\nWhich episodes were watched most?")
        harvest(environment, "query", "top_episodes", "--format", "table")
        _pilot(environment, folder)
        _market(environment)


def _pilot(environment: dict[str, str], folder: Path) -> None:
    from harvesters.simulators.wenet import generate
    from harvesters.simulators.wenet.server import WenetSimulator
    from harvesters.standins.base import free_port

    say(
        "\nA chatbot: its messages are posted, counted and exported, with what a simulated platform knows of its users."
    )
    if not all(map(find_spec, ("emoji", "fastapi", "uvicorn"))):
        say("Going on without it: that needs pip install 'harvest[messages,web]'")
        return
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=DAYS)
    world = generate.generate(users=20, tasks=40, start=start, end=end)
    with WenetSimulator(world) as simulator:
        ids = {"APP_ID": generate.APP, "ILOG_ID": generate.ILOG, "SURVEY_ID": generate.SURVEY}
        platform = {"INSTANCE": simulator.url, "APIKEY": simulator.key, "HARVEST_API_RATE": "0"}
        pilot({**environment, **ids, **platform}, [*generate.messages(world, 300, start, end)], folder, free_port())


def _market(environment: dict[str, str]) -> None:
    from harvesters.standins.base import StandInMissing, free_port
    from harvesters.standins.kafka import Kafka

    say("\nA market place: starting Kafka (the first time its jars are fetched with Maven) …")
    if not all(map(find_spec, ("confluent_kafka", "fastapi", "uvicorn"))):
        say("Going on without it: that needs pip install 'harvest[kafka,web]'")
        return
    try:
        kafka = Kafka().start()
    except StandInMissing as missing:
        say(f"Going on without it: {missing}")
        return
    with kafka:
        market({**environment, **kafka.environment(), "HARVEST_API_RATE": "0"}, free_port)


def _received() -> Iterator[dict[str, object]]:
    """Everything in the queue, received as a consumer would, and then left to the next one."""
    from harvesters.aws.client import client as aws_client

    client = aws_client("sqs")
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    handles = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            handles.append(message["ReceiptHandle"])
            yield orjson.loads(message["Body"])
    for handle in handles:
        client.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)


def _next_steps() -> None:
    say(
        "\nEverything is stopped again. What to try next:\n"
        "  cp example.env .env                          fill in your Opencast, queue and bucket\n"
        "  ./harvest.py useractions --interval 10 -o -  look at the last ten minutes, without a queue\n"
        "  ./harvest.py useractions --help              all options\n"
        "  ./harvest.py dev simulate opencast           a simulated Opencast that stays until Ctrl-C\n"
        "  ./harvest.py insights report --help          every answer as a chart, in one file\n"
        "and a line for your crontab:\n"
        f"  */2 * * * * {Path.cwd() / 'harvest.py'} --log-level WARNING useractions"
    )
