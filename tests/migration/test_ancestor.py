"""The ancestor's indices as its Logstash really wrote them: after migrating, every query answers as over today's."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from harvesters import useragents
from harvesters.document import Document
from harvesters.elastic.client import Answer, SearchClient
from harvesters.search.answers import to_rows
from harvesters.search.saved import USERACTIONS, SavedQuery, saved_queries
from tests.clocks import patient
from tests.migration.migrating import exit_code, migrator, sources
from tests.nodes import Node

ANCESTOR, TODAY = "useractions-my-stack-2017.10.05", "useractions-2017.10.05"
START = datetime(2017, 10, 5, 9, 0, tzinfo=UTC)
AGENTS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_6) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/61.0.3163.100 "
    "Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 10_3 like Mac OS X) AppleWebKit/603.1.30 (KHTML, like Gecko) Version/10.0 "
    "Mobile/14E277 Safari/602.1",
    "Mozilla/5.0 (iPad; CPU OS 9_3_5 like Mac OS X) AppleWebKit/601.1.46 (KHTML, like Gecko) Version/9.0 Mobile/13G36 "
    "Safari/601.1",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:55.0) Gecko/20100101 Firefox/55.0",
    None,
    "unheard-of",
)
MAPPING: dict[str, Any] = {
    "dynamic_templates": [{"strings": {"match_mapping_type": "string", "mapping": {"type": "keyword"}}}],
    "properties": {"@timestamp": {"type": "date"}, "geoip": {"properties": {"location": {"type": "geo_point"}}}},
}
QUERIES = [query for query in saved_queries() if query.index == USERACTIONS]


def facts(number: int) -> dict[str, Any]:
    """One action, in words of today."""
    moment = START + timedelta(minutes=7 * number)
    body = {
        "action_id": number,
        "timestamp": moment.isoformat(),
        "mpid": f"mp-{number % 3}",
        "huid": f"u{number % 5}" if number % 7 else None,
        "useragent": AGENTS[number % len(AGENTS)],
        "ip": "140.247.1.2",
        "is_live": number % 4 == 0,
        "action": {"type": ("HEARTBEAT", "PLAY")[number % 2], "inpoint": number, "is_playing": number % 3 > 0},
        "episode": {"title": f"Lecture {number % 3}", "course": "CSCI", "series": f"s{number % 3}", "crn": "13001"},
        "geoip": {"ip": "140.247.1.2", "country_name": ("France", "Peru")[number % 2], "location": [-71.1, 42.3]},
    }
    return {name: value for name, value in body.items() if value is not None}


def by_logstash(number: int) -> dict[str, Any]:
    """The same as the ancestor's pipeline left it."""
    body = facts(number)
    moment = datetime.fromisoformat(body.pop("timestamp"))
    useragent = body.pop("useragent", None)
    crn = body["episode"].pop("crn")
    more: dict[str, Any] = {
        "@timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "@version": "1",
        "hostname": body["ip"],
        "huid": body.get("huid", "None"),
        "is_live": int(body["is_live"]),
        "episode": {**body["episode"], "cdn": crn},
    }
    if useragent:
        more["ua"] = dict(useragents.parsed(useragent))
    if number % 10 == 9:  # a time with milliseconds, which its date filter does not read
        more |= {
            "timestamp": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000+00:00",
            "@timestamp": "2017-10-07T00:00:00.000Z",
            "tags": ["_dateparsefailure"],
        }
    return {**body, **more}


def fill(node: Node, count: int = 120) -> None:
    node.ask("PUT", f"/{node.prefix}{ANCESTOR}", {"mappings": MAPPING})
    node.fill(ANCESTOR, [by_logstash(number) for number in range(count)])
    today = Node(node.url, f"{node.prefix}today-")
    today.ask("PUT", f"/{today.prefix}{TODAY}", {"mappings": node.template("useractions").mappings})
    sink = today.sink()
    sink.send([Document(str(number), "useractions", START, facts(number)) for number in range(count)])
    sink.close()
    today.ask("POST", f"/{today.prefix}{TODAY}/_refresh")


def rows(node: Node, index: str, query: SavedQuery) -> list[Any]:
    node.ask("POST", f"/{node.prefix}{index}/_refresh")
    found = to_rows(node.ask("POST", f"/{node.prefix}{index}/_search", query.body))
    return sorted(found, key=repr)


def assert_the_same(node: Node) -> None:
    for query in QUERIES:
        wanted = rows(node, f"today-{TODAY}", query)
        assert wanted, query.name
        assert rows(node, "useractions-my-stack-*", query) == wanted, query.name
        part = query.between(START + timedelta(hours=1), START + timedelta(hours=3))
        assert rows(node, "useractions-my-stack-*", part) == rows(node, f"today-{TODAY}", part), query.name


def test_every_query_answers_as_over_the_same_actions_harvested_today(node: Node) -> None:
    fill(node)
    with migrator(node) as (it, _):
        assert it.run() == 1
    assert_the_same(node)
    found = sources(node, ANCESTOR)
    assert len(found) == 120
    assert found["9"]["timestamp"].startswith("2017-10-05T10:03:00")
    assert found["9"]["tags"] == ["_dateparsefailure"]
    assert "@timestamp" not in found["8"]
    for field, value in (("hostname", "140.247.1.2"), ("ua.os_name", "Mac OS X"), ("ua.device", "iPad")):
        asked = {"query": {"term": {field: value}}}
        answer = node.ask("POST", f"/{node.prefix}{ANCESTOR}/_search", asked)
        assert answer["hits"]["total"]["value"] > 0, field
    per_day = {"size": 0, "aggs": {"day": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d"}}}}
    (day,) = node.ask("POST", f"/{node.prefix}{ANCESTOR}/_search", per_day)["aggregations"]["day"]["buckets"]
    assert day["doc_count"] == 120


class Dying(SearchClient):
    """Kills its own process before its request number `at`."""

    at = 0

    def attempt(self, *args: Any, **named: Any) -> Answer:
        self.at -= 1
        if self.at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().attempt(*args, **named)


def _attempt(node: Node, at: int) -> None:
    client = Dying(node.url, patient())
    client.at = at
    with migrator(node, client) as (it, _):
        it.run()


def test_killed_in_the_middle_too(node: Node) -> None:
    fill(node)
    kills = 0
    for at in (12, 19, 25, 31, 36, 40, 60, 10_000):
        code = exit_code(_attempt, node, at, page=30)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 4
    assert_the_same(node)


def test_todays_indices_take_todays_harvest_before_they_are_migrated(node: Node) -> None:
    mappings = node.template("useractions").mappings
    before = {name: value for name, value in mappings["properties"].items() if name not in ("ua", "hostname", "odd")}
    first = {**mappings, "properties": {**before, "@timestamp": {"type": "date"}}}
    node.ask("PUT", f"/{node.prefix}{TODAY}", {"mappings": first})
    sink = node.sink()
    outcomes = sink.send([Document(str(number), "useractions", START, facts(number)) for number in range(10)])
    sink.close()
    assert all(outcome.delivered for outcome in outcomes)
    assert node.count(TODAY) == 10
