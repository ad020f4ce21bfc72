"""``harvest.py doctor``: every check, its exit code, and that nothing is changed."""

from __future__ import annotations

import json
import socket
import time
from email.utils import formatdate
from pathlib import Path

import boto3
import pytest
import redis
import requests

from harvesters.operate.doctor import examine
from harvesters.settingtable import SETTINGS
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.simulators.wenet.server import WenetSimulator
from harvesters.simulators.zoom.server import ZoomSimulator
from tests.brokers import Broker
from tests.cli.conftest import Command, Result
from tests.cli.test_zoom import zoom  # noqa: F401 - a fixture
from tests.indices import Cluster

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret-key", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(autouse=True)
def no_redis_is_named(harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL")


def told(result: Result) -> dict[str, str]:
    """The gravest status of each check."""
    checks: list[dict[str, str]] = json.loads(result.out)
    order = ["ok", "warn", "fail"]
    found: dict[str, str] = {}
    for check in checks:
        assert [*check] == ["check", "status", "detail", "remedy"]
        name, status = check["check"], check["status"]
        found[name] = max(found.get(name, "ok"), status, key=order.index)
    return found


def detail(result: Result, name: str) -> str:
    return " ".join(f"{one['detail']} {one['remedy']}" for one in json.loads(result.out) if one["check"] == name)


def test_a_good_installation(
    harvest: Command, opencast: OpencastSimulator, aws: str, redis_url: str, state: Path, cluster: Cluster
) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    client = boto3.client("s3")
    client.create_bucket(Bucket="kept")
    boto3.client("sqs").create_queue(QueueName="actions")
    env = {"S3_HARVEST_TS_BUCKET": "kept", "SQS_QUEUE_NAME": "actions", "REDIS_URL": redis_url}
    result = harvest("doctor", "useractions", "index", "--json", env={**env, "HARVEST_DEAD_LETTERS": "s3://kept/dead"})
    assert result.code == 0, result.out
    wanted = {"settings", "state", "s3", "s3.conditional", "clock.s3", "redis", "sqs", "deadletters", "elasticsearch"}
    wanted |= {"elasticsearch.templates", "opencast", "opencast.login", "opencast.usertracking", "opencast.timezone"}
    assert told(result) == {**dict.fromkeys(wanted | {"clock.opencast"}, "ok"), "privacy": "warn"}
    assert "huid" in detail(result, "privacy")
    assert "Contents" not in client.list_objects_v2(Bucket="kept"), "it leaves nothing behind"
    assert not state.exists()


def test_what_is_missing_is_not_made(harvest: Command, aws: str, state: Path) -> None:
    env = {"S3_HARVEST_TS_BUCKET": "kept", "SQS_QUEUE_NAME": "actions", "HARVEST_DEAD_LETTERS": "sqs://dead"}
    result = harvest("doctor", "--json", env=env)
    found = told(result)
    assert (found["s3"], found["sqs"], found["deadletters"]) == ("warn", "warn", "warn")
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    assert not boto3.client("sqs").list_queues().get("QueueUrls")


def test_the_state_directory_is_tried_and_left_as_it_was(harvest: Command, state: Path) -> None:
    state.mkdir()
    assert told(harvest("doctor", "--json"))["state"] == "ok"
    assert [*state.iterdir()] == []


def test_a_state_that_cannot_be_written_is_69(harvest: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = harvest("doctor", "--json", env={"HARVEST_STATE_DIR": str(tmp_path / "file" / "state")})
    assert (result.code, told(result)["state"]) == (69, "fail")


@pytest.mark.parametrize(
    ("env", "check", "code"),
    [
        ({"OPENCAST_TIMEZONE": "Mars"}, "settings", 78),
        ({"HARVEST_RETRY_BUDGET": "soon"}, "settings", 78),
        ({"HARVEST_ERROR_BUDGET": "all"}, "settings", 78),
        ({"GEOLITE_PATH": "/nowhere/city.mmdb"}, "settings", 78),
        ({"HARVEST_DEAD_LETTERS": "ftp://somewhere"}, "settings", 78),
        ({"MATTERHORN_ENGAGE_HOST": "127.0.0.1:1"}, "settings", 78),  # a host without a user
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "redis", 69),
        ({"CELERY_BROKER_URL": "redis://:secret-of-it@127.0.0.1:1/0"}, "celery", 69),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "kafka", 69),
        ({"HARVEST_API_KEYS": "bot:secret-of-it:nothing"}, "keys", 78),
        ({"INSTANCE": "http://127.0.0.1:1", "APIKEY": "secret-of-it"}, "platform", 69),
        ({"INSTANCE": "http://127.0.0.1:1"}, "platform", 78),
        ({"MESSAGES_BEAT": "25:00"}, "settings", 78),
        ({"MESSAGES_TIMEZONE": "Mars"}, "settings", 78),
        ({"CARDINALITY_PRECISION_THRESHOLD": "40001"}, "settings", 78),
    ],
)
def test_settings(harvest: Command, env: dict[str, str], check: str, code: int) -> None:
    result = harvest("doctor", "--json", env=env)
    assert result.code == code
    assert told(result)[check] == "fail"
    assert "secret-of-it" not in result.out + result.err


def test_the_platform(harvest: Command) -> None:
    with WenetSimulator(key="good-key") as platform:
        env = {"INSTANCE": platform.url, "APIKEY": "good-key"}
        assert told(harvest("doctor", "--json", env=env))["platform"] == "ok"
        result = harvest("doctor", "--json", env=env | {"APIKEY": "bad-key"})
        assert (result.code, told(result)["platform"]) == (69, "fail")
    assert "platform" not in told(harvest("doctor", "--json"))


def test_the_broker_says_how_much_waits_and_nothing_is_made(harvest: Command, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.lpush("messages", "a task")
    result = harvest("doctor", "--json", env={"CELERY_BROKER_URL": redis_url})
    assert "tasks that wait: 0 in harvest, 1 in messages" in detail(result, "celery")
    assert client.keys("*") == [b"messages"]
    client.close()


def test_the_brokers(harvest: Command, kafka: Broker, redis_url: str) -> None:
    env = {"LISTINGS_TOPIC": kafka.listings, "VIEWS_TOPIC": kafka.views, "CELERY_BROKER_URL": redis_url}
    kafka.make(kafka.listings)
    result = harvest("doctor", "listings-index", "listings-log", "--json", env=env)
    found = told(result)
    assert (found["kafka"], found["celery"]) == ("warn", "ok")
    assert f"no topic {kafka.views}" in detail(result, "kafka")
    assert kafka.topics.find(kafka.views) is None, "nothing is made"
    kafka.make(kafka.views)
    assert told(harvest("doctor", "listings-index", "listings-log", "--json", env=env))["kafka"] == "ok"


def test_a_mistyped_name_warns_with_the_nearest(harvest: Command) -> None:
    result = harvest("doctor", "--json", env={"HARVEST_LOKBACK": "5"})
    assert (result.code, told(result)["settings"]) == (0, "warn")
    assert "HARVEST_LOKBACK is no setting Did you mean HARVEST_LOOKBACK?" in detail(result, "settings")


def test_settings_of_a_job_that_is_named(harvest: Command) -> None:
    result = harvest("doctor", "zoom", "--json")
    assert result.code == 78
    assert "ZOOM_ACCOUNT_ID" in detail(result, "settings")


def test_a_wrong_password_is_77(harvest: Command, opencast: OpencastSimulator) -> None:
    result = harvest("doctor", "useractions", "--json", env={"MATTERHORN_REST_PASS": "wrong-password"})
    assert result.code == 77
    assert told(result)["opencast.login"] == "fail"
    assert "wrong-password" not in result.out + result.err


def test_another_zone_is_78(harvest: Command, opencast: OpencastSimulator) -> None:
    result = harvest("doctor", "useractions", "--json", env={"OPENCAST_TIMEZONE": "Asia/Kolkata"})
    assert (result.code, told(result)["opencast.timezone"]) == (78, "fail")


def test_a_node_that_redirects_has_no_zone(harvest: Command, opencast: OpencastSimulator) -> None:
    opencast.fail("status", times=99, response=Response(302, b"", {"Location": "https://other.example.edu/"}))
    result = harvest("doctor", "useractions", "--json")
    assert result.code == 78
    assert "redirects" in detail(result, "opencast")
    assert "opencast.timezone" not in told(result)


def test_no_usertracking_is_76(harvest: Command, opencast: OpencastSimulator) -> None:
    opencast.plugin = False
    result = harvest("doctor", "useractions", "--json")
    assert (result.code, told(result)["opencast.usertracking"]) == (76, "fail")


def test_an_opencast_that_is_away_is_69(harvest: Command, opencast: OpencastSimulator) -> None:
    result = harvest("doctor", "useractions", "--json", env={"MATTERHORN_ENGAGE_HOST": "127.0.0.1:1"})
    assert (result.code, told(result)["opencast"]) == (69, "fail")


@pytest.mark.parametrize(("off", "status", "code"), [(2, "ok", 0), (15, "warn", 0), (-40, "fail", 78)])
def test_a_clock_that_is_off(harvest: Command, opencast: OpencastSimulator, off: int, status: str, code: int) -> None:
    answer = opencast.handle

    def dated(request: Request) -> Response:
        response = answer(request)
        response.headers["Date"] = formatdate(time.time() + off, usegmt=True)
        return response

    opencast.handle = dated  # type: ignore[method-assign]
    result = harvest("doctor", "useractions", "--json")
    assert (told(result)["clock.opencast"], result.code) == (status, code)


class Careless(Simulator):
    """An S3 that writes whatever the condition."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: set[str] = set()

    def handle(self, request: Request) -> Response:
        if request.method == "PUT":
            self.objects.add(request.path)
            return Response(200, b"", {"ETag": '"1"'})
        if request.method == "DELETE":
            self.objects.discard(request.path)
            return Response(204)
        return Response(200, b"<ListBucketResult></ListBucketResult>", {"Content-Type": "application/xml"})


def test_a_store_that_ignores_conditions_is_76(harvest: Command) -> None:
    with Careless() as s3:
        env = {"S3_HARVEST_TS_BUCKET": "kept", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3.port}"}
        result = harvest("doctor", "--json", env={**env, **KEYS})
        assert s3.objects == set()
    assert (result.code, told(result)["s3.conditional"]) == (76, "fail")


def test_zoom(harvest: Command, zoom: ZoomSimulator, cluster: Cluster) -> None:  # noqa: F811
    assert harvest("setup", "load_index_templates").code == 0
    result = harvest("doctor", "zoom", "--json")
    assert (result.code, told(result)["zoom"]) == (0, "ok")
    result = harvest("doctor", "zoom", "--json", env={"ZOOM_CLIENT_SECRET": "wrong-secret"})
    assert (result.code, told(result)["zoom"]) == (69, "fail")


def test_firebase(harvest: Command, database: FirebaseSimulator) -> None:
    assert told(harvest("doctor", "firebase-events", "--json"))["firebase"] == "ok"
    result = harvest("doctor", "firebase-events", "--json", env={"FIREBASE_KEY": "wrong-key"})
    assert told(result)["firebase"] == "fail"


def test_templates_that_are_missing_are_69(harvest: Command, cluster: Cluster) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    requests.delete(f"{cluster.url}/_index_template/episodes", timeout=30)
    try:
        result = harvest("doctor", "index", "--json", env={"SQS_QUEUE_NAME": "-"})
        assert (result.code, told(result)["elasticsearch.templates"]) == (69, "fail")
        assert "episodes" in detail(result, "elasticsearch.templates")
    finally:
        assert harvest("setup", "load_index_templates").code == 0


def test_whatever_hangs_is_named_in_time(harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "WITHIN", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        env = {"AWS_ENDPOINT_URL": f"http://{where}", "S3_HARVEST_TS_BUCKET": "hangs", "ES_HOST": where}
        env |= {"MATTERHORN_ENGAGE_HOST": where, "MATTERHORN_REST_USER": "u", "MATTERHORN_REST_PASS": "pass-word"}
        env |= {"REDIS_URL": f"redis://{where}/0"}
        result = harvest("doctor", "--json", env={**env, **KEYS})
    found = told(result)
    assert result.code == 69
    assert {name for name, status in found.items() if status == "fail"} == {"s3", "elasticsearch", "opencast", "redis"}


def test_all_that_hangs_takes_less_than_twenty_seconds() -> None:
    assert examine.WITHIN < 20


class TestConfig:
    def lines(self, result: Result) -> dict[str, tuple[str, str]]:
        return {line["setting"]: (line["value"], line["source"]) for line in json.loads(result.out)}

    def test_values_and_where_they_come_from(self, harvest: Command, tmp_path: Path) -> None:
        file = tmp_path / "my.env"
        file.write_text("HARVEST_LOOKBACK=5\nES_PASSWORD=secret-of-es\nDEFAULT_INTERVAL=9\n")
        env = {"DEFAULT_INTERVAL": "3", "REDIS_URL": "redis://:hidden-pass@redis:6379/0", "EL_HOST": "search"}
        result = harvest("--env-file", str(file), "config", "--json", env=env)
        found = self.lines(result)
        assert found["HARVEST_LOOKBACK"] == ("5", str(file))
        assert found["DEFAULT_INTERVAL"] == ("3", "environment")
        assert found["ES_PASSWORD"] == ("***", str(file))
        assert found["HARVEST_RETRY_BUDGET"] == ("5", "environment")
        assert found["HARVEST_LEASE_TTL"] == ("60", "default")
        assert found["ES_HOST"] == ("http://search", "EL_HOST")
        assert found["ZOOM_ACCOUNT_ID"] == ("", "unset")
        assert found["REDIS_URL"][0] == "redis://***@redis:6379/0"
        assert "secret-of-es" not in result.out
        assert "hidden-pass" not in result.out

    def test_every_setting_a_line(self, harvest: Command) -> None:
        assert len(harvest("config").out.splitlines()) == len(SETTINGS)

    def test_a_private_key_in_the_wrong_place_is_not_shown(self, harvest: Command) -> None:
        key = "-----BEGIN PRIVATE KEY-----\nabcdefgh\n-----END PRIVATE KEY-----"
        result = harvest("config", "--json", env={"LOGGLY_TAGS": key, "FIREBASE_CREDENTIALS": '{"private_key": "x"}'})
        assert "abcdefgh" not in result.out
        assert self.lines(result)["LOGGLY_TAGS"][0] == "***"
