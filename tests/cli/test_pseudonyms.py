"""With pseudonyms no value of a named field is in anything that leaves a run, whatever becomes of its row."""

# ruff: noqa: F811 - fixtures are imported by their names

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis
import requests

from harvesters.pseudonyms import Key
from harvesters.simulators.base import Response
from harvesters.simulators.firebase.server import FirebaseSimulator
from harvesters.simulators.opencast.server import ActionRow, OpencastSimulator
from harvesters.simulators.zoom.data import Account, User
from harvesters.simulators.zoom.server import ZoomSimulator
from harvesters.sinks.deadletters import DeadLetter, open_dead_letters
from tests import mmdb
from tests.cli import test_deadletters as letters
from tests.cli.buddyup import SECRET
from tests.cli.conftest import PASSWORD, USER, Command, spoil
from tests.cli.searching import Cluster, cluster_for_a_test
from tests.cli.test_deadletters import refusing  # noqa: F401 - a fixture
from tests.cli.test_export import Banner, banner  # noqa: F401 - a fixture
from tests.cli.test_index import queue  # noqa: F401 - a fixture
from tests.cli.test_zoom import FAST, noon, point_at, zoom  # noqa: F401 - a fixture
from tests.cli.watching import Export
from tests.clocks import patient
from tests.indexing.queues import Queue, action
from tests.zoom.harness import meeting

KEY = Key("k1", "a-secret-of-this-test")
FIELDS = (
    "huid,ip,proxy*,useragent,session_id,user_name,user_id,ip_address,email,host.name,host_id,zoom.id,creator,"
    "participant_user_id,first_name,last_name,involved,bio,buddy_ids,student_ids"
)
MARK = "m4rk"


@pytest.fixture(autouse=True)
def pseudonyms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVEST_PSEUDONYMISE", FIELDS)
    monkeypatch.setenv("HARVEST_PSEUDONYM_KEY", f"{KEY.id}:{KEY.secret},old:another-secret-of-it")


@pytest.fixture
def bucket(aws: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything that is kept goes to Redis and to this bucket."""
    name = f"privacy-{id(monkeypatch)}"
    boto3.client("s3").create_bucket(Bucket=name)
    monkeypatch.setenv("S3_HARVEST_TS_BUCKET", name)
    monkeypatch.setenv("HARVEST_DEAD_LETTERS", f"s3://{name}/dead")
    return name


class Left:
    """All that left, as one text."""

    def __init__(self, state: Path, redis_url: str, bucket: str) -> None:
        self.state, self.redis, self.bucket = state, redis.Redis.from_url(redis_url), bucket

    def text(self, *more: str) -> str:
        return "\n".join([*more, *self._files(), *self._keys(), *self._objects()])

    def _files(self) -> Iterator[str]:
        for path in self.state.rglob("*"):
            yield path.name
            if path.is_file():
                yield path.read_text(errors="replace")

    def _keys(self) -> Iterator[str]:
        for key in self.redis.scan_iter():
            yield key.decode(errors="replace")
            kind = self.redis.type(key)
            yield str(self.redis.hgetall(key) if kind == b"hash" else self.redis.dump(key))

    def _objects(self) -> Iterator[str]:
        client: Any = boto3.client("s3")
        for found in client.list_objects_v2(Bucket=self.bucket).get("Contents", ()):
            yield found["Key"]
            yield client.get_object(Bucket=self.bucket, Key=found["Key"])["Body"].read().decode(errors="replace")


@pytest.fixture
def left(state: Path, redis_url: str, bucket: str) -> Left:
    return Left(state, redis_url, bucket)


ADDRESSES = ("203.0.113.77", "198.51.100.66")


def marked_actions(simulator: OpencastSimulator) -> None:
    """Rows whose every personal field says so."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=40)
    for number in (200, 201, 202):
        session = {
            "sessionId": f"{MARK}-session",
            "userId": f"{MARK}-huid",
            "userIp": ", ".join(ADDRESSES),
            "userAgent": f"{MARK}-agent",
        }
        simulator.add(ActionRow(number, "episode-1", session, 1, 1, "HEARTBEAT", True, start))


def assert_clean(text: str, *markers: str) -> None:
    for marker in (MARK, *ADDRESSES, *markers):
        assert marker not in text, text[max(0, text.index(marker) - 300) : text.index(marker) + 300]


class TestNothingLeaves:
    def test_useractions_that_are_delivered_refused_and_poison(
        self,
        harvest: Command,
        opencast: OpencastSimulator,
        left: Left,
        redis_url: str,
        tmp_path: Path,
        refusing: Callable[..., None],
    ) -> None:
        marked_actions(opencast)
        spoil(opencast, 201)
        env = {"REDIS_URL": redis_url}
        out = tmp_path / "out.jsonl"
        first = harvest("--log-level", "DEBUG", "useractions", "-i", "10", "-o", str(out), env=env)
        assert first.code == 0, first.err
        assert_clean(left.text(out.read_text(), first.err), "u3")
        assert str(KEY.pseudonym(f"{MARK}-huid")) in out.read_text()
        assert str(KEY.pseudonym(ADDRESSES[1])) in out.read_text()
        again = harvest("--log-format", "json", "useractions", "-o", str(out), env=env)
        assert again.report["duplicates"] >= 3  # the look-back knows them, poison included
        assert (again.report["delivered"], again.report["dead"]) == (0, 0)
        refusing("useractions", "-i", "10", "-o", str(tmp_path / "no.jsonl"), "--no-update-last-ts")
        assert_clean(left.text())
        result = harvest("deadletters", "show", "--all")
        assert_clean(result.out)
        # The row of a minute ago lies at the edge of the look-back.
        assert {letter["id"] for letter in result.documents} - {"109"} == {"200", "201", "202"}
        replay = harvest("deadletters", "replay", "--all", "-o", str(tmp_path / "replayed.jsonl"), env=env)
        assert replay.code == 65, replay.err
        assert_clean(left.text((tmp_path / "replayed.jsonl").read_text(), replay.err, replay.out))

    def test_zoom_that_has_to_stop_in_its_lists(
        self, harvest: Command, left: Left, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host = User(f"{MARK}-host-id", f"{MARK}-host@example.edu", f"{MARK}-host")
        today = datetime.now(UTC) - timedelta(hours=2)  # for a live run, which goes back a day
        made = [meeting(f"m{at}==", when, host=host) for at, when in enumerate([noon()] * 3 + [today] * 3)]
        for one in made:
            one.participants = [
                replace(each, name=f"{MARK}-guest", user_id="", ip_address=ADDRESSES[0], odd={"join_time": "never"})
                if at
                else each
                for at, each in enumerate(one.participants)
            ]
        with ZoomSimulator(Account(meetings=made), limits=FAST, client_secret="zoom-client-secret") as simulator:
            point_at(simulator, monkeypatch)
            monkeypatch.setenv("HARVEST_ERROR_BUDGET", "100%")
            out = tmp_path / "out.jsonl"
            env = {"REDIS_URL": redis_url, "HARVEST_RETRY_BUDGET": "1"}
            away = simulator.fail("status", after=3, times=500, response=Response(503))
            stopped = harvest("--log-level", "DEBUG", "zoom", "-o", str(out), env=env)
            assert stopped.code == 69
            text = out.read_text() if out.exists() else ""
            assert_clean(left.text(text, stopped.err), "@example.edu")
            away.times = 0
            result = harvest("--log-level", "DEBUG", "zoom", "-o", str(out), env=env)
            assert result.code == 0, result.err
            live = harvest("zoom", "--live", "-o", str(tmp_path / "live.jsonl"), env=env)
            assert live.code == 0
        assert_clean(left.text(out.read_text(), result.err, live.err, (tmp_path / "live.jsonl").read_text()))
        assert str(KEY.pseudonym(f"{MARK}-host@example.edu")) in out.read_text()
        assert "never" in left.text()  # a letter

    @pytest.mark.parametrize("what", ["events", "profiles", "classes"])
    def test_firebase_into_an_index_that_refuses_some(
        self, harvest: Command, left: Left, redis_url: str, prefix: str, elasticsearch_url: str, what: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        person: dict[str, Any] = {
            "type": "heart",
            "creator": f"{MARK}-creator",
            "first_name": f"{MARK}-first",
            "last_name": {"odd": f"{MARK}-odd"},
            "bio": f"{MARK}-bio",
            "email": f"{MARK}@example.edu",
            "involved": {f"{MARK}-involved": True},
            "created_at": 1456700000000,
            "order": 1,
        }
        if what == "classes":
            person["students"] = {f"{MARK}-student": True}
        if what == "profiles":
            person["buddies"] = {f"{MARK}-buddy": {"user_id": f"{MARK}-buddy"}}
        deep: dict[str, Any] = {}
        for _ in range(25):
            deep = {"d": deep, "email": f"{MARK}-deep"}
        path = {"events": "events", "profiles": "users", "classes": "classes"}[what]
        with FirebaseSimulator(secret=SECRET) as simulator:
            children = {"-K000000000000000000": person, "-K000000000000000001": {**person, "data": deep}}
            simulator.load(path, {**children, "-K000000000000000002": f"no {path}"})
            monkeypatch.setenv("FIREBASE_ENDPOINT", simulator.url)
            monkeypatch.setenv("FIREBASE_KEY", SECRET)
            monkeypatch.setenv("HARVEST_ERROR_BUDGET", "100%")
            result = harvest("--log-level", "DEBUG", "firebase", what, env={"REDIS_URL": redis_url})
        assert result.code == 0, result.err
        requests.post(f"{elasticsearch_url}/{prefix}*/_refresh", timeout=30)
        hits = requests.get(f"{elasticsearch_url}/{prefix}*/_search?size=100", timeout=30).json()["hits"]["hits"]
        assert len(hits) == 2
        assert {hit["_source"]["pseudonym_key"] for hit in hits} == {KEY.id}
        assert_clean(left.text(json.dumps(hits), result.err), f"{MARK}-FIRST".lower())

    def test_episodes(
        self, harvest: Command, left: Left, redis_url: str, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from harvesters.simulators.opencast.server import Episode

        monkeypatch.setenv("HARVEST_PSEUDONYMISE", "creator,contributor,title")
        monkeypatch.setenv("ES_HOST", elasticsearch_url)
        target = f"episodes-{MARK[::-1]}"
        requests.delete(f"{elasticsearch_url}/{target}", timeout=30)
        assert harvest("setup", "load_index_templates").code == 0
        with OpencastSimulator(user=USER, password=PASSWORD, anonymous=False) as simulator:
            simulator.add(
                Episode(
                    "mp-1", f"{MARK}-title", 1000, datetime(2026, 2, 13, tzinfo=UTC), creators=(f"{MARK}-lecturer",)
                )
            )
            for node in ("ENGAGE", "ADMIN"):
                monkeypatch.setenv(f"MATTERHORN_{node}_HOST", f"127.0.0.1:{simulator.port}")
            monkeypatch.setenv("MATTERHORN_REST_USER", USER)
            monkeypatch.setenv("MATTERHORN_REST_PASS", PASSWORD)
            words = ("--log-format", "json", "load_episodes", "-t", target, "--mpid", "mp-1")
            first, second = (harvest(*words, env={"REDIS_URL": redis_url}) for _ in range(2))
        assert first.code == 0, first.err
        assert (first.report["indexed"], second.report["unchanged"]) == (1, 1)
        found = requests.get(f"{elasticsearch_url}/{target}/_doc/mp-1", timeout=30).json()
        requests.delete(f"{elasticsearch_url}/{target}", timeout=30)
        assert found["_source"]["creator"] == [KEY.pseudonym(f"{MARK}-lecturer")]
        assert_clean(left.text(json.dumps(found), first.err, second.err))


def test_an_episode_that_is_hidden_is_not_in_redis(
    harvest: Command, opencast: OpencastSimulator, left: Left, redis_url: str, tmp_path: Path
) -> None:
    env = {"REDIS_URL": redis_url, "HARVEST_PSEUDONYMISE": "episode.title", "OPENCAST_SOURCE": "hidden"}
    left.redis.flushdb()
    assert harvest("useractions", "-i", "10", "-o", str(tmp_path / "out.jsonl"), env=env).code == 0
    assert "Lecture 1" not in left.text((tmp_path / "out.jsonl").read_text())


class TestReplay(letters.TestStraight):
    """With pseudonyms too, a replay delivers what a straight run would have delivered."""


class TestIndex:
    @pytest.fixture
    def cluster(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
        with cluster_for_a_test(request) as cluster:
            monkeypatch.setenv("ES_HOST", cluster.url)
            yield cluster

    def test_it_does_what_comes_in_the_clear_and_nothing_twice(
        self,
        harvest: Command,
        cluster: Cluster,
        queue: Queue,
        state: Path,
    ) -> None:
        assert harvest("setup", "load_index_templates").code == 0
        clear, done = action(1, cluster.day(1)), action(2, cluster.day(1), huid="f" * 32, pseudonym_key="k0")
        queue.fill(
            [clear, done, {**action(3, cluster.day(1)), "action": {"type": "X", "strange": MARK}}, f'{{"huid":"{MARK}']
        )
        result = harvest("index", env={"HARVEST_ERROR_BUDGET": "100%"})
        assert result.code == 0, result.err
        found = {hit["_id"]: hit["_source"] for hit in cluster.hits("01")}
        assert found["1"]["huid"] == KEY.pseudonym("10564389")
        assert found["1"]["ip"] == KEY.pseudonym("10.0.0.1")
        assert found["1"]["pseudonym_key"] == "k1"
        assert (found["2"]["huid"], found["2"]["pseudonym_key"]) == ("f" * 32, "k0")
        kept = "".join(path.read_text() for path in (state / "dead-letters").glob("*.jsonl"))
        assert len(kept.splitlines()) == 2
        assert "10564389" not in kept
        assert f'huid\\": \\"{MARK}' not in kept

    def test_a_queue_between_changes_nothing(
        self, harvest: Command, cluster: Cluster, opencast: OpencastSimulator, queue: Queue, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        pytest.importorskip("maxminddb", reason="the extra geoip is not installed")
        record = {"city": {"names": {"en": "Cambridge"}}, "location": {"latitude": 42.5, "longitude": -71.5}}
        path = mmdb.write(tmp_path / "city.mmdb", {"203.0.113.0/24": record})
        monkeypatch.setenv("GEOLITE_PATH", str(path))
        assert harvest("setup", "load_index_templates").code == 0
        marked_actions(opencast)
        today = datetime.now(UTC)
        indices = [f"useractions-{day:%Y.%m.%d}" for day in (today, today - timedelta(days=1))]

        def stored() -> dict[str, Any]:
            cluster.ask("POST", "/useractions-*/_refresh")
            hits = cluster.ask("GET", f"/{','.join(indices)}/_search?size=100&ignore_unavailable=true")["hits"]["hits"]
            for index in indices:
                cluster.ask("DELETE", f"/{index}", accept=(404,))
            return {hit["_id"]: hit["_source"] for hit in hits}

        stored()
        words = ("useractions", "-i", "10", "--no-update-last-ts", "-o")
        assert harvest(*words, "es").code == 0
        straight = stored()
        assert harvest(*words, "sqs").code == 0
        assert harvest("index").code == 0
        assert stored() == straight
        assert straight["200"]["geoip"]["city_name"] == "Cambridge"
        assert straight["200"]["ua"]["name"] == "Other"
        assert_clean(json.dumps(straight))


def test_a_letter_in_the_clear_that_dies_again_is_done(
    harvest: Command, opencast: OpencastSimulator, state: Path, tmp_path: Path
) -> None:
    row = {"id": 7, "created": f"{MARK}-never", "sessionId": {"userId": f"{MARK}-huid", "sessionId": "s"}}
    open_dead_letters("", state, patient(), "useractions").write(
        [DeadLetter("useractions", "7", f"quotes {MARK}-huid", row)]
    )
    (before,) = harvest("deadletters", "ls", "--json").documents
    result = harvest("deadletters", "replay", "--all", "-o", str(tmp_path / "out.jsonl"))
    assert result.code == 65
    (after,) = harvest("deadletters", "ls", "--json").documents
    (shown,) = harvest("deadletters", "show", "--all").documents
    assert after["letter"] == before["letter"]
    assert f"{MARK}-huid" not in json.dumps(shown)
    assert shown["row"]["sessionId"]["userId"] == KEY.pseudonym(f"{MARK}-huid")
    assert harvest("deadletters", "replay", after["letter"], "-o", str(tmp_path / "out.jsonl")).code == 65
    assert harvest("deadletters", "show", "--all").documents == [shown]


class TestSettings:
    @pytest.mark.parametrize("key", ["", "k1:too-short", "k1", "@/nowhere/keys"])
    @pytest.mark.parametrize(
        "words",
        [
            ("useractions", "-o", "out.jsonl"),
            ("index",),
            ("load_episodes",),
            ("zoom", "-o", "-"),
            ("zoom", "--live"),
            ("firebase", "events"),
            ("firebase", "profiles"),
            ("firebase", "load", "dump.json"),
            ("deadletters", "replay", "--all"),
            ("export", "rollcall"),
            ("backfill", "useractions", "--start", "2026-02-13", "--end", "2026-02-14", "-o", "out.jsonl"),
        ],
    )
    def test_no_good_key_is_78_before_anything_is_read(
        self,
        harvest: Command,
        opencast: OpencastSimulator,
        zoom: ZoomSimulator,
        database: FirebaseSimulator,
        banner: Banner,
        words: tuple[str, ...],
        key: str,
    ) -> None:
        env = {"HARVEST_PSEUDONYM_KEY": key, "SQS_QUEUE_NAME": "none", "MATTERHORN_ADMIN_HOST": "127.0.0.1:1"}
        result = harvest(*words, env=env)
        assert result.code == 78
        assert "HARVEST_PSEUDONYM" in result.err or "secret of key" in result.err
        assert "too-short" not in result.err
        assert not any(server.requests for server in (opencast, zoom, database, banner))

    def test_what_ids_are_made_of_is_78(self, harvest: Command, opencast: OpencastSimulator) -> None:
        result = harvest("useractions", "-o", "-", env={"HARVEST_PSEUDONYMISE": "action_id"})
        assert result.code == 78
        assert "so it stays" in result.err

    def test_config_shows_no_secret(self, harvest: Command) -> None:
        result = harvest("config")
        assert KEY.secret not in result.out
        assert FIELDS in result.out


class TestCommand:
    def test_a_line_a_key(self, harvest: Command) -> None:
        result = harvest("pseudonym", "10564389")
        old = Key("old", "another-secret-of-it").pseudonym("10564389")
        assert result.out == f"k1 {KEY.pseudonym('10564389')}\nold {old}\n"
        found = harvest("pseudonym", " 10564389", "--json").out
        assert json.loads(found) == [
            {"id": "k1", "pseudonym": KEY.pseudonym("10564389")},
            {"id": "old", "pseudonym": old},
        ]

    def test_from_standard_input(self, harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"10.0.0.1\n\nA@b.c\n")))
        lines = harvest("pseudonym", "-").out.splitlines()
        assert lines[::2] == [f"k1 {KEY.pseudonym('10.0.0.1')}", f"k1 {KEY.pseudonym('a@b.c')}"]

    @pytest.mark.parametrize("value", ["", " ", "anonymous"])
    def test_what_stays_is_usage(self, harvest: Command, value: str) -> None:
        assert harvest("pseudonym", value).code == 2

    def test_without_a_key_78(self, harvest: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HARVEST_PSEUDONYM_KEY")
        assert harvest("pseudonym", "x").code == 78

    def test_find_names_every_document_under_any_of_them(
        self, harvest: Command, elasticsearch_url: str, request: pytest.FixtureRequest
    ) -> None:
        with cluster_for_a_test(request) as days:
            env = {"ES_HOST": days.url}
            assert harvest("setup", "load_index_templates", env=env).code == 0
            value = f"{MARK}-{days.month}"
            old = Key("old", "another-secret-of-it").pseudonym(value)
            bodies = [
                action(1, days.day(1), huid=KEY.pseudonym(value)),
                action(2, days.day(2), session_id=old),
                action(3, days.day(2), huid="somebody else"),
            ]
            for body in bodies:
                path = f"/{days.index(int(body['timestamp'][8:10]))}/_doc/{body['action_id']}?refresh=true"
                days.ask("PUT", path, body)
            result = harvest("pseudonym", value, "--find", env=env)
            assert result.out.splitlines() == [f"{days.index(1)} 1", f"{days.index(2)} 2"], result.err
            assert json.loads(harvest("pseudonym", value, "--find", "--json", env=env).out)[0]["_id"] == "1"
            within = {"id": value, "data": {"who": {"name": old}}}
            days.ask("PUT", f"/buddyupevents-{days.month}/_doc/{value}?refresh=true", within)
            result = harvest("pseudonym", value, "--find", env=env)
            days.ask("DELETE", f"/buddyupevents-{days.month}")
            assert f"buddyupevents-{days.month} {value}" in result.out.splitlines(), result.err
            place = {"ip": KEY.pseudonym(f"10.0.0.{int(days.month[:2])}")}
            days.ask("PUT", f"/{days.index(1)}/_doc/9?refresh=true", action(9, days.day(1), **place))
            found = harvest("pseudonym", f"10.0.0.{int(days.month[:2])}", "--find", env=env)
            assert f"{days.index(1)} 9" in found.out.splitlines()


def test_the_roll_follows(export: Export, banner: Banner) -> None:
    lines = export("rollcall").out.splitlines()
    assert lines[0] == "series,huid,status,first_name,mi,last_name,reg_level"
    assert lines[1].split(",")[1:3] == [KEY.pseudonym("1"), "E"]
    assert lines[1].split(",")[3] == KEY.pseudonym("Ada")
    assert lines[3].split(",")[4] == ""


class TestDoctor:
    def told(self, harvest: Command, job: str, fields: str) -> list[dict[str, str]]:
        found = json.loads(harvest("doctor", job, "--json", env={"HARVEST_PSEUDONYMISE": fields}).out)
        return [check for check in found if check["check"] == "privacy"]

    def test_it_names_what_leaves_in_the_clear(self, harvest: Command, opencast: OpencastSimulator) -> None:
        (found,) = self.told(harvest, "useractions", "h*,proxy*")
        assert found["status"] == "warn"
        assert found["detail"].endswith("in the clear: ip, useragent, session_id")
        assert "HARVEST_PSEUDONYMISE" in found["remedy"]

    def test_it_is_well_when_nothing_does(self, harvest: Command, opencast: OpencastSimulator) -> None:
        (found,) = self.told(harvest, "useractions", "huid,ip,proxy*,useragent,session_id")
        assert found["status"] == "ok"

    def test_a_key_that_is_no_good_fails_settings(self, harvest: Command, opencast: OpencastSimulator) -> None:
        result = harvest("doctor", "useractions", "--json", env={"HARVEST_PSEUDONYM_KEY": "k1:short"})
        assert result.code == 78
        assert any(check["check"] == "settings" and check["status"] == "fail" for check in json.loads(result.out))
