"""``index`` as a user gives it, killed as machines do it, and ``useractions -o es``."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harvesters.simulators.opencast.server import OpencastSimulator
from harvesters.standins.moto import CREDENTIALS
from harvesters.standins.redis import Redis
from tests import mmdb
from tests.cli.conftest import Command
from tests.cli.processes import wait
from tests.cli.searching import Cluster, cluster_for_a_test
from tests.indexing.queues import Queue, action

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster_for_a_test(request) as cluster:
        monkeypatch.setenv("ES_HOST", cluster.url)
        yield cluster


@pytest.fixture
def queue(elasticmq_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    queue = Queue()
    monkeypatch.setenv("SQS_QUEUE_NAME", queue.name)
    yield queue
    queue.remove()


def test_it_drains_the_queue_into_daily_indices(harvest: Command, cluster: Cluster, queue: Queue) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    queue.fill(action(number, cluster.day(1 + number % 2), is_live=number % 2) for number in range(50))
    result = harvest("--log-format", "json", "index")
    assert result.code == 0
    assert (cluster.count("01"), cluster.count("02")) == (25, 25)
    assert queue.empty
    report = result.report
    assert (report["received"], report["indexed"], report["deleted"], report["dead"]) == (50, 50, 50, 0)
    assert {hit["_source"]["is_live"] for hit in cluster.hits("0*")} == {True, False}


def test_poison_goes_to_the_dead_letters(harvest: Command, cluster: Cluster, queue: Queue, tmp_path: Path) -> None:
    queue.fill([action(1, cluster.day(1)), "poison"])
    result = harvest("index", env={"HARVEST_DEAD_LETTERS": str(tmp_path / "dead")})
    assert result.code == 0
    (line,) = next((tmp_path / "dead").glob("useractions-*.jsonl")).read_text().splitlines()
    assert json.loads(line)["row"] == "poison"
    assert queue.empty


def test_over_the_error_budget_is_65(harvest: Command, cluster: Cluster, queue: Queue) -> None:
    queue.fill(["poison"] * 3)
    result = harvest("index", env={"HARVEST_ERROR_BUDGET": "2"})
    assert result.code == 65
    assert "3 rows went to the dead letters" in result.err
    assert queue.empty


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"properties": {"is_live": {"type": "long"}}}, "is_live as long"),
        ({"properties": {"episode": {"type": "keyword"}}}, "episode as keyword"),
        ({"dynamic": "strict", "properties": {"action_id": {"type": "long"}}}, "setup migrate"),
    ],
)
def test_an_index_of_an_older_form_is_78_and_the_queue_keeps_everything(
    harvest: Command, cluster: Cluster, queue: Queue, state: Path, mapping: dict[str, Any], words: str, workers: str
) -> None:
    cluster.ask("PUT", f"/{cluster.index(1)}", {"mappings": mapping})
    assert harvest("setup", "load_index_templates").code == 0
    queue.fill([action(1, cluster.day(1)), action(2, cluster.day(2)), "poison"])
    result = harvest("index", "--workers", workers)
    assert result.code == 78, result.err
    assert words in result.err
    assert "setup migrate" in result.err
    assert "Traceback" not in result.err
    assert sum(queue.counts()) == 3
    assert not list(state.glob("dead-letters/*"))


def test_more_than_a_few_refused_for_the_same_field_are_78_too(
    harvest: Command, cluster: Cluster, queue: Queue, state: Path
) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    queue.fill(action(number, cluster.day(1), action={"inpoint": True}) for number in range(30))
    result = harvest("index")
    assert result.code == 78, result.err
    assert sum(queue.counts()) == 30
    assert "10564389" not in result.err  # the server's words quote the document
    assert not list(state.glob("dead-letters/*"))


def test_what_logstash_made_of_actions_is_indexed_as_todays_is(
    harvest: Command, cluster: Cluster, queue: Queue, state: Path
) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    phone = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 10_3 like Mac OS X) AppleWebKit/603.1.30 (KHTML, like Gecko) Version/10.0 "
        "Mobile/14E277 Safari/602.1"
    )
    ua = {"name": "Mobile Safari", "major": "10", "os": "iOS", "os_name": "iOS", "device": "iPhone"}
    when = f"{cluster.day(1)}T09:00:00.000Z"
    ours = action(1, cluster.day(1), useragent=phone)
    theirs = {**action(2, cluster.day(1)), "@timestamp": when, "@version": "1", "ua": ua, "hostname": "140.247.1.2"}
    del theirs["timestamp"]
    late = f"{cluster.day(9)}T00:00:00.000Z"  # when Logstash had read it, for it could not read the time
    both = {**action(3, cluster.day(1)), "@timestamp": late, "huid": "None", "tags": ["_dateparsefailure"]}
    queue.fill([ours, theirs, both])
    result = harvest("--log-format", "json", "index")
    assert (result.code, result.report["indexed"], result.report["dead"]) == (0, 3, 0), result.err
    found = {hit["_id"]: hit["_source"] for hit in cluster.hits("01")}
    assert set(found) == {"1", "2", "3"}
    names = ("name", "os_name", "device")
    assert [[found[id]["ua"][name] for name in names] for id in "12"] == [[ua[name] for name in names]] * 2
    assert found["2"]["timestamp"].startswith(f"{cluster.day(1)}T09:00:00")
    assert found["3"]["tags"] == ["_dateparsefailure"]
    assert "huid" not in found["3"]
    for field, value, count in (("@timestamp", cluster.day(1), 3), ("hostname", "140.247.1.2", 1)):
        asked = {"query": {"match": {field: value}}}
        assert cluster.ask("POST", f"/{cluster.index(1)}/_search", asked)["hits"]["total"]["value"] == count, field
    devices = harvest("query", "devices", "--index", cluster.index(1), "--format", "json")
    assert [(row["device"], row["count"]) for row in json.loads(devices.out)] == [("phone", 2)], devices.out
    assert not list(state.glob("dead-letters/*"))


def test_where_addresses_are(harvest: Command, cluster: Cluster, queue: Queue, tmp_path: Path) -> None:
    pytest.importorskip("maxminddb", reason="the extra geoip is not installed")
    record = {"city": {"names": {"en": "Cambridge"}}, "location": {"latitude": 42.5, "longitude": -71.5}}
    path = mmdb.write(tmp_path / "city.mmdb", {"140.247.0.0/16": record})
    assert harvest("setup", "load_index_templates").code == 0
    ips = ("140.247.1.2", "10.0.0.1", "unknown", "")
    queue.fill(action(number, cluster.day(1), ip=ip) for number, ip in enumerate(ips))
    assert harvest("index", env={"GEOLITE_PATH": str(path)}).code == 0
    found = {hit["_id"]: hit["_source"] for hit in cluster.hits("01")}
    assert found["0"]["geoip"]["city_name"] == "Cambridge"
    assert all("geoip" not in found[id] for id in ("1", "2", "3"))
    near = {"query": {"geo_distance": {"distance": "1km", "geoip.location": {"lat": 42.5, "lon": -71.5}}}}
    assert cluster.ask("POST", f"/{cluster.index(1)}/_search", near)["hits"]["total"]["value"] == 1


@pytest.mark.parametrize(
    ("arguments", "env", "code", "text"),
    [
        (["index"], {"SQS_QUEUE_NAME": ""}, 78, "SQS_QUEUE_NAME"),
        (["index", "-q", "-"], {}, 78, "SQS_QUEUE_NAME"),
        (["index", "--receivers", "0"], {}, 2, "--receivers"),
        (["index", "--workers", "0"], {}, 2, "--workers"),
        (["index", "--visibility-timeout", "1"], {}, 2, "--visibility-timeout"),
        (["index"], {"GEOLITE_PATH": "/nowhere/city.mmdb"}, 78, "GEOLITE_PATH"),
    ],
)
def test_what_is_wrong_is_said(
    harvest: Command, queue: Queue, arguments: list[str], env: dict[str, str], code: int, text: str
) -> None:
    result = harvest(*arguments, env=env)
    assert result.code == code
    assert text in result.err


def test_a_cluster_that_is_away_is_69_and_the_queue_keeps_everything(harvest: Command, queue: Queue) -> None:
    queue.fill(action(number) for number in range(5))
    env = {"ES_HOST": "127.0.0.1:1", "HARVEST_RETRY_BUDGET": "0"}
    assert harvest("index", env=env).code == 69
    assert sum(queue.counts()) == 5


class TestProcesses:
    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "harvest.py"), "--env-file", os.devnull, "index", *arguments]
        return subprocess.Popen(command, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True)

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        try:
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, log

    def test_several_workers_share_the_queue(self, cluster: Cluster, queue: Queue) -> None:
        queue.fill(action(number, cluster.day(1)) for number in range(600))
        code, log = self.ended(self.start("--workers", "2", "--receivers", "2"))
        assert code == 0, log
        assert cluster.count("01") == 600
        assert queue.empty
        assert log.count("index done") == 2

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_a_service_that_is_told_to_stop_finishes_what_it_holds(
        self, cluster: Cluster, queue: Queue, workers: str
    ) -> None:
        queue.fill(action(number, cluster.day(1)) for number in range(300))
        process = self.start("--follow", "--workers", workers)
        wait(lambda: queue.counts()[0] == 0)
        process.send_signal(signal.SIGTERM)
        code, log = self.ended(process)
        assert code == 0, log
        assert cluster.count("01") == 300
        assert queue.empty

    @pytest.mark.parametrize(("arguments", "code"), [(["--follow"], 0), ([], 75), (["--follow", "--workers", "2"], 0)])
    def test_what_is_told_to_stop_does_not_wait_for_a_queue_that_is_away(self, arguments: list[str], code: int) -> None:
        away = {**CREDENTIALS, "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1", "SQS_QUEUE_NAME": "away"}
        with self.start(*arguments, **away) as process:
            assert process.stderr is not None
            said = iter(process.stderr.readline, "")
            assert any("trying again" in line for line in said)
            process.send_signal(signal.SIGTERM)
            ended, log = self.ended(process)
        assert ended == code, log

    def test_cron_that_is_told_to_stop_says_that_there_is_more(self, cluster: Cluster, queue: Queue) -> None:
        queue.fill(action(number, cluster.day(1)) for number in range(2000))
        process = self.start("--receivers", "1")
        wait(lambda: queue.counts()[0] < 2000)
        process.send_signal(signal.SIGTERM)
        code, log = self.ended(process)
        assert code == 75, log
        left, held = queue.counts()
        assert left > 0
        assert held == 0
        assert cluster.count("01") == 2000 - left

    def test_killed_at_random_points_every_message_is_there_once(self, cluster: Cluster, queue: Queue) -> None:
        total, kills, dice = 3000, 0, random.Random(4)
        queue.fill(action(number, cluster.day(1 + number % 3)) for number in range(total))
        while not queue.empty:
            process = self.start("--visibility-timeout", "2", "--receivers", "2", "--workers", "1")
            if kills < 5:
                before = queue.counts()[0]
                wait(lambda before=before: queue.counts()[0] < before)
                time.sleep(dice.random() * 0.2)  # anywhere in its work, not only just after a receive
                process.kill()
                kills += 1
                self.ended(process)
                wait(lambda: queue.counts()[1] == 0)
            else:
                code, log = self.ended(process)
                assert code == 0, log
        assert kills == 5
        assert cluster.count("0*") == total
        assert {int(hit["_id"]) for hit in cluster.hits("0*")} == set(range(total))


def test_useractions_go_straight_into_elasticsearch(
    harvest: Command, opencast: OpencastSimulator, cluster: Cluster
) -> None:
    assert harvest("setup", "load_index_templates").code == 0
    first = harvest("--log-format", "json", "useractions", "-o", "es", "-i", "10")
    assert first.code == 0, first.err
    assert first.report["delivered"] == 10
    again = harvest("--log-format", "json", "useractions", "-o", "es", "-i", "10", "--no-update-last-ts")
    assert again.code == 0
    days = {str(row.created.date()).replace("-", ".") for row in opencast.table._by_id.values()}
    ids = []
    for day in days:
        index = f"useractions-{day}"
        cluster.ask("POST", f"/{index}/_refresh")
        found = cluster.ask("POST", f"/{index}/_search", {"size": 100, "query": {"term": {"mpid": "episode-1"}}})
        ids += [hit["_id"] for hit in found["hits"]["hits"]]
        cluster.ask("DELETE", f"/{index}")
    assert sorted(ids) == [str(number) for number in range(100, 110)]


def test_odd_actions_that_are_all_that_the_look_back_has_to_send_end_no_quiet_night(
    harvest: Command, opencast: OpencastSimulator, cluster: Cluster, redis_server: Redis
) -> None:
    redis_server.flush()
    assert harvest("setup", "load_index_templates").code == 0
    rows = list(opencast.table._by_id.values())
    opencast.add(*(replace(row, id=row.id + 1000, inpoint=2**63) for row in rows[:3]))
    env = {"REDIS_URL": redis_server.url, "HARVEST_LOOKBACK": "600"}
    arguments = ("--log-format", "json", "useractions", "-o", "es", "-i", "10")
    try:
        first = harvest(*arguments, env=env)
        assert (first.code, first.report["delivered"], first.report["dead"]) == (0, 10, 3), first.err
        again = harvest(*arguments, env=env)
        assert (again.code, again.report["delivered"], again.report["dead"]) == (0, 0, 0), again.err
        opencast.add(*(replace(row, id=row.id + 2000, inpoint=2**63) for row in rows[:3]))
        assert harvest(*arguments, env=env).code == 78, "these are news"
    finally:
        for day in {str(row.created.date()).replace("-", ".") for row in rows}:
            cluster.ask("DELETE", f"/useractions-{day}", accept=(404,))
