"""Migrations of what documents say: people who are nobody, and episodes from before they had people and slides."""

from __future__ import annotations

from typing import Any

from harvesters.clock import SystemClock
from harvesters.migration import migrations
from harvesters.migration.ledger import Ledger
from harvesters.migration.run import Migrator
from harvesters.search import templates
from harvesters.search.saved import saved_queries
from tests.migration.test_ancestor import rows
from tests.nodes import Node

LATER = ("creator", "contributor", "publisher", "subject", "license", "language", "spatial", "start_planned")


def migrate(node: Node, kind: str, undo: int | None = None) -> int:
    client = node.client()
    ledger = Ledger(client, SystemClock(), f"{node.prefix}migrations")
    ledger.prepare()
    with ledger.lease(60) as held:
        it = Migrator(client, ledger, lambda line: None, held, known=[node.template(kind)])
        if undo is None:
            changed = it.run()
        else:
            found = migrations.find(undo)
            assert found is not None
            changed = it.undo(found)
    client.close()
    return changed


def sources(node: Node, index: str) -> dict[str, dict[str, Any]]:
    return {hit["_id"]: hit["_source"] for hit in node.hits(index)}


def test_nobody_has_no_huid() -> None:
    (nobody,) = (one for one in migrations.MIGRATIONS if "nobody" in one.name or "huid" in one.name)
    assert nobody.kind == "useractions"
    bodies = [{"huid": huid, "mpid": "m"} for huid in ("None", "", "none", "anonymous", "1", None)]
    assert [nobody.apply(body).get("huid", "-") for body in bodies] == ["-", "-", "none", "anonymous", "1", None]


def test_a_day_of_user_actions(node: Node) -> None:
    day = "useractions-2026.02.12"
    node.fill(day, [{"action_id": number, "huid": huid} for number, huid in enumerate(("None", "", "anonymous", "1"))])
    assert migrate(node, "useractions") == 1
    assert [body.get("huid", "-") for _, body in sorted(sources(node, day).items())] == ["-", "-", "anonymous", "1"]


class TestEpisodes:
    def fill(self, node: Node) -> dict[str, dict[str, Any]]:
        """An index as the first version of the template made it."""
        mappings = templates.find("episodes").mappings
        properties = {
            name: value
            for name, value in mappings["properties"].items()
            if name not in (*LATER, "end_planned", "segments", "slide_text")
        }
        first = {**mappings, "_meta": {"harvest": "episodes", "version": 1}, "properties": properties}
        node.ask("PUT", f"/{node.prefix}episodes", {"mappings": first})
        known = {"mpid": "a", "title": "Lecture", "duration": 5000, "live_stream": True, "slides": []}
        bodies = [known, {"mpid": "b", "duration": -1, "live_stream": False, "slides": []}]
        node.fill("episodes", bodies, "mpid")
        return {str(body["mpid"]): body for body in bodies}

    def test_they_get_the_new_fields_and_lose_the_unknown_duration(self, node: Node) -> None:
        before = self.fill(node)
        assert migrate(node, "episodes") == 1
        assert sources(node, "episodes") == {
            "a": before["a"],
            "b": {k: v for k, v in before["b"].items() if k != "duration"},
        }
        ours = templates.find("episodes").mappings["properties"]
        (index,) = node.ask("GET", f"/{node.prefix}episodes/_mapping").values()
        assert index["mappings"]["properties"].keys() >= ours.keys()
        more = {
            "mpid": "c",
            "creator": ["A"],
            "slide_text": "the zeta function",
            "segments": [{"index": 0, "text": "x"}],
        }
        node.fill("episodes", [more], "mpid")
        found = node.ask("POST", f"/{node.prefix}episodes/_search", {"query": {"match": {"slide_text": "Zeta"}}})
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["c"]
        assert migrate(node, "episodes") == 0

    def test_of_the_ancestor_whether_it_was_a_live_stream_is_a_boolean(self, node: Node) -> None:
        long = {"properties": {"mpid": {"type": "keyword"}, "live_stream": {"type": "long"}}}
        node.ask("PUT", f"/{node.prefix}episodes", {"mappings": long})
        bodies: list[dict[str, Any]] = [{"mpid": "a", "live_stream": 1}, {"mpid": "b", "live_stream": 0}, {"mpid": "c"}]
        node.fill("episodes", bodies, "mpid")
        assert migrate(node, "episodes") == 1
        streams = {id: body.get("live_stream") for id, body in sources(node, "episodes").items()}
        assert streams == {"a": True, "b": False, "c": None}
        live = node.ask("POST", f"/{node.prefix}episodes/_search", {"query": {"term": {"live_stream": True}}})
        assert [hit["_id"] for hit in live["hits"]["hits"]] == ["a"]

    def test_every_query_of_the_ancestors_answers_as_over_todays(self, node: Node) -> None:
        strings = {"match_mapping_type": "string", "mapping": {"type": "keyword"}}
        node.ask("PUT", f"/{node.prefix}episodes", {"mappings": {"dynamic_templates": [{"strings": strings}]}})
        node.ask("PUT", f"/{node.prefix}today", {"mappings": templates.find("episodes").mappings})
        for number in range(20):
            start = f"2017-10-{number + 1:02}T14:00:00Z"
            stream = {"live_start": start, "live_end": start.replace("T14", "T15"), "live_duration": 3_600_000}
            live = number % 3 == 0
            body: dict[str, Any] = {"mpid": f"m{number}", "title": f"{number}", "start": start, "slides": []}
            body |= {"series": f"s{number % 4}", **(stream if live else {})}
            length = {"duration": 5000} if number % 5 else {}
            node.fill("today", [{**body, **length, "live_stream": live}], "mpid")
            node.fill("episodes", [{**body, "duration": length.get("duration", -1), "live_stream": int(live)}], "mpid")
        assert migrate(node, "episodes") == 1
        queries = [query for query in saved_queries() if query.index == "episodes"]
        assert len(queries) == 2
        for query in queries:
            wanted = rows(node, "today", query)
            assert wanted, query.name
            assert rows(node, "episodes", query) == wanted, query.name

    def test_and_back(self, node: Node) -> None:
        before = self.fill(node)
        migrate(node, "episodes")
        node.fill("episodes", [before["a"] | {"creator": ["A"], "slide_text": "x"}], "mpid")
        (number,) = (one.number for one in migrations.MIGRATIONS if one.name.startswith("episodes can hold"))
        assert migrate(node, "episodes", undo=number) == 1
        assert sources(node, "episodes")["a"] == before["a"]
        (index,) = node.ask("GET", f"/{node.prefix}episodes/_mapping").values()
        assert not set(LATER) & index["mappings"]["properties"].keys()


def test_meetings_of_the_first_template_can_be_summed(node: Node) -> None:
    names = ("total_minutes", "participants", "participants_count", "avg_jointime_cost")
    ours = node.mappings("meetings")
    properties = {name: value for name, value in ours["properties"].items() if name not in names}
    first = {**ours, "_meta": {"harvest": "meetings", "version": 1}, "properties": properties}
    day = "meetings-2026.02.12"
    node.ask("PUT", f"/{node.prefix}{day}", {"mappings": first})
    bodies: list[dict[str, Any]] = [
        {"uuid": "a==", "zoom": {"total_minutes": "12", "participants_count": 3}},
        {"uuid": "b==", "zoom": {"total_minutes": 30, "avg_jointime_cost": "2.25", "participants": "many"}},
        {"uuid": "c==", "zoom": {"route": "report"}},
        {"uuid": "d=="},
    ]
    node.fill(day, bodies, "uuid")
    assert migrate(node, "meetings") == 1
    found = sources(node, day)
    assert found["a=="] == {**bodies[0], "total_minutes": 12, "participants_count": 3}
    assert found["b=="] == {**bodies[1], "total_minutes": 30, "avg_jointime_cost": 2.25}
    assert (found["c=="], found["d=="]) == (bodies[2], bodies[3])
    total = {"size": 0, "aggs": {name: {"sum": {"field": name}} for name in names}}
    sums = node.ask("POST", f"/{node.prefix}{day}/_search", total)["aggregations"]
    assert [sums[name]["value"] for name in names] == [42, 0, 3, 2.25]
    assert migrate(node, "meetings") == 0
    (number,) = (one.number for one in migrations.MIGRATIONS if one.kind == "meetings")
    assert migrate(node, "meetings", undo=number) == 1
    assert sources(node, day) == {body["uuid"]: body for body in bodies}


def test_a_value_that_is_too_long_costs_only_its_own_object(node: Node) -> None:
    """On OpenSearch, where an index that guessed its mappings took it and today's does not."""
    day = "meetings-2026.02.13"
    body = {"uuid": "a==", "topic": "algebra", "zoom": {"agenda": "x" * 40_000, "total_minutes": 12}}
    node.fill(day, [body], "uuid")
    assert migrate(node, "meetings") == 1
    found = sources(node, day)["a=="]
    assert (found["topic"], found["total_minutes"]) == ("algebra", 12)
    assert {"zoom": body["zoom"]} in (found.get("odd"), {"zoom": found.get("zoom")})


def test_a_new_index_of_episodes_needs_nothing(node: Node) -> None:
    node.load("episodes")
    node.fill("episodes", [{"mpid": "a", "live_stream": True, "slides": []}], "mpid")
    assert migrate(node, "episodes") == 0
