"""Our templates on a real node: what they take, what they refuse, and when they are put."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harvesters.elastic.client import SearchClient
from harvesters.errors import CredentialsRefused
from harvesters.search import ilm, templates
from harvesters.search.templates import Template, Verdict, compare, put
from harvesters.simulators.base import Request, Response, Simulator
from tests.clocks import FakeClock, patient
from tests.nodes import Node
from tests.sinks.bulk import HEADERS, WELCOME, answer

NAMES = ["buddyupprofiles", "episodes", "listings", "meetings", "pset_x", "sessions", "useractions"]
ACTION = {
    "action_id": 1,
    "timestamp": "2026-02-13T09:00:00+00:00",
    "mpid": "mp-1",
    "session_id": "s1",
    "huid": "10564389",
    "useragent": "Mozilla",
    "ip": "140.247.1.2",
    "proxy1": "10.0.0.5",
    "is_live": False,
    "action": {"type": "HEARTBEAT", "inpoint": 30, "outpoint": 30, "length": 0, "is_playing": True},
    "episode": {"title": "Lecture 1", "duration": 1000, "start": "2026-02-13T09:00:00Z", "series": "1", "crn": "13001"},
}


@pytest.mark.parametrize("name", NAMES)
def test_every_template_is_explicit(name: str) -> None:
    template = templates.find(name)
    assert template.version >= 1
    assert template.body["priority"] > 100  # Elasticsearch's own for logs-*-* and the like have 100
    assert template.mappings["_meta"] == {"harvest": name, "version": template.version}
    assert template.body["_meta"]["description"]
    assert set(_types(template.mappings)) <= {
        *("keyword", "text", "date", "ip", "geo_point", "boolean", "long", "integer", "float", "flattened", "object"),
        *("alias", "double"),
    }
    assert all(str(dynamic).lower() in ("false", "strict") for dynamic in _dynamics(template.mappings))
    if template.dated:
        assert template.aliases == {name: {}}


def _types(mapping: dict[str, Any]) -> list[str]:
    return [
        found
        for field in mapping.get("properties", {}).values()
        for found in ([field["type"]] if "type" in field else _types(field))
    ]


def _dynamics(mapping: dict[str, Any]) -> list[Any]:
    inner = [found for field in mapping.get("properties", {}).values() for found in _dynamics(field)]
    return inner + ([mapping["dynamic"]] if "dynamic" in mapping else [])


class TestMappings:
    def test_a_document_of_today_is_taken_and_can_be_searched(self, node: Node) -> None:
        node.load("useractions")
        geoip = {"ip": "140.247.1.2", "location": {"lat": 42.3, "lon": -71.1}, "country_name": "United States"}
        node.fill("useractions-2026.02.13", [{**ACTION, "geoip": geoip}])
        for field, value in (("huid", "10564389"), ("ip", "140.247.0.0/16"), ("is_live", False)):
            query = {"query": {"term": {field: value}}}
            assert node.ask("POST", f"/{node.prefix}useractions/_search", query)["hits"]["total"]["value"] == 1

    @pytest.mark.parametrize(
        ("change", "type"),
        [
            ({"is_live": 1}, "parsing_exception"),
            ({"is_live": "perhaps"}, "parsing_exception"),
            ({"timestamp": "yesterday"}, "parsing_exception"),
            ({"action_id": "poison"}, "parsing_exception"),
            ({"action": {"type": "PLAY", "inpoint": "poison"}}, "parsing_exception"),
            ({"action": {"type": "PLAY", "unheard": "of"}}, "strict_dynamic_mapping_exception"),
            ({"episode": {"cdn": "13001"}}, "strict_dynamic_mapping_exception"),
            ({"episode": "no object"}, "parsing_exception"),
        ],
    )
    def test_mappings_refuse_what_they_should(self, node: Node, change: dict[str, Any], type: str) -> None:
        node.load("useractions")
        client = node.client()
        path = f"/{node.prefix}useractions-2026.02.13/_doc/1"
        answer = client.request("PUT", path, {**ACTION, **change}, accept=(400,))
        client.close()
        assert answer.status == 400
        assert answer.body["error"]["type"].endswith(type)

    def test_what_a_browser_sends_can_refuse_nothing(self, node: Node) -> None:
        node.load("useractions")
        proxies = {f"proxy{number}": "unknown" for number in range(1, 60)}
        node.fill("useractions-2026.02.13", [{**ACTION, "ip": "unknown", **proxies}])
        (hit,) = node.hits("useractions-2026.02.13")
        assert hit["_source"]["proxy59"] == "unknown"

    def test_what_logstash_wrote_is_taken_but_for_its_time(self, node: Node) -> None:
        node.load("useractions")
        more = {"@version": "1", "hostname": "140.247.1.2", "ua": {"name": "Chrome", "patch": "3163"}}
        node.fill("useractions-2026.02.13", [{**ACTION, **more, "geoip": {"latitude": 1.5, "longitude": 2.5}}])
        assert node.count("useractions") == 1

    def test_an_episode(self, node: Node) -> None:
        node.load("episodes")
        slides = [{"img": "https://x/1.jpg", "time": "T00:00:24:960F1000"}]
        body = {"mpid": "mp-1", **ACTION["episode"], "slides": slides, "live_stream": True, "live_duration": 5}  # type: ignore[dict-item]
        node.fill("episodes", [body], key="mpid")
        client = node.client()
        answer = client.request("PUT", f"/{node.prefix}episodes/_doc/2", {**body, "unheard": 1}, accept=(400,))
        client.close()
        assert answer.body["error"]["type"] == "strict_dynamic_mapping_exception"

    def test_a_meeting_and_a_session_with_fields_that_zoom_thought_of_yesterday(self, node: Node) -> None:
        node.load("meetings")
        node.load("sessions")
        zoom = {"route": "dashboard", "new": {"deeply": [{"nested": 1}]}, "text": "x" * 20_000}
        meeting = {"uuid": "a/b==", "meeting_series_id": 98765432109, "host": {"email": "x@y"}, "has_voip": True}
        node.fill("meetings-2026.02.13", [{**meeting, "duration": 60, "zoom": zoom}], key="uuid")
        session = {"id": "s1", "meeting": "a/b==", "ip_address": "Public IP: 1.2.3.4", "recording": False}
        node.fill("sessions-2026.02.13", [{**session, "zoom": zoom}], key="id")
        found = node.ask("POST", f"/{node.prefix}meetings/_search", {"query": {"term": {"zoom.route": "dashboard"}}})
        assert found["hits"]["total"]["value"] == 1


class TestLoading:
    @pytest.mark.parametrize("name", NAMES)
    def test_once_put_it_is_unchanged(self, node: Node, name: str) -> None:
        template = Template(f"{node.prefix}{name}", node.template(name).body)
        client = node.client()
        assert compare(client, template).verdict is Verdict.NEW
        put(client, template)
        found = compare(client, template)
        client.close()
        assert (found.verdict, found.diff) == (Verdict.SAME, [])

    def test_when_it_was_put_is_no_change(self) -> None:
        class Nine(Simulator):
            """Elasticsearch 9 tells when a template was made, and when it was changed."""

            def handle(self, request: Request) -> Response:
                if request.path == "/":
                    return answer(WELCOME)
                stamps = {"created_date_millis": 1_795_588_729_504, "modified_date_millis": 1_795_588_729_504}
                entry = {"name": "episodes", "index_template": {**templates.find("episodes").body, **stamps}}
                return Response(200, json.dumps({"index_templates": [entry]}).encode(), HEADERS)

        with Nine() as nine:
            found = compare(SearchClient(nine.url, patient()), templates.find("episodes"))
        assert (found.verdict, found.diff) == (Verdict.SAME, [])

    def test_under_a_policy_it_is_unchanged_too(self, node: Node) -> None:
        template = Template(f"{node.prefix}meetings", node.template("meetings").body).under("harvest")
        client = node.client()
        # The core knows no ILM, nor its setting; what it would give back is known.
        lines = templates._lines(template.body)
        client.close()
        assert "template.settings.index.lifecycle.name=harvest" in lines

    def test_a_change_is_shown_value_by_value(self, node: Node) -> None:
        body = node.template("meetings").body
        name = f"{node.prefix}meetings"
        client = node.client()
        put(client, Template(name, body))
        fields = {**body["template"]["mappings"]["properties"], "topic": {"type": "text"}}
        mappings = {**body["template"]["mappings"], "properties": fields}
        newer = Template(
            name, {**body, "version": body["version"] + 1, "template": {**body["template"], "mappings": mappings}}
        )
        found = compare(client, newer)
        client.close()
        assert found.verdict is Verdict.CHANGED
        assert found.theirs == body["version"]
        assert found.diff == [
            "- template.mappings.properties.topic.ignore_above=8191",
            "- template.mappings.properties.topic.type=keyword",
            "+ template.mappings.properties.topic.type=text",
            f"- version={body['version']}",
            f"+ version={body['version'] + 1}",
        ]

    def test_one_older_than_the_clusters_is_left_out(self, node: Node) -> None:
        name = f"{node.prefix}meetings"
        body = node.template("meetings").body
        client = node.client()
        put(client, Template(name, {**body, "version": 7}))
        found = compare(client, Template(name, body))
        client.close()
        assert (found.verdict, found.theirs) == (Verdict.OLDER, 7)


class Ilm(Simulator):
    """A cluster of which only the policies matter."""

    def __init__(self, status: int = 200, simulates: int = 200) -> None:
        super().__init__()
        self.status = status
        self.simulates = simulates
        self.policies: dict[str, Any] = {}

    def handle(self, request: Request) -> Response:
        if request.path == "/":
            return answer(WELCOME)
        name = request.path.removeprefix("/_ilm/policy").strip("/")
        if not name:
            return Response(self.status, b"{}", HEADERS)
        if request.method == "PUT":
            self.policies[name] = json.loads(request.body)["policy"]
            return Response(200, b"{}", HEADERS)
        if request.path == "/_index_template/_simulate":
            return Response(
                self.simulates, json.dumps({"error": {"reason": "unknown [index.lifecycle.name]"}}).encode(), HEADERS
            )
        return Response(200 if name in self.policies else 404, b"{}", HEADERS)


class TestIlm:
    def test_the_core_has_none(self, node: Node) -> None:
        client = node.client()
        assert not ilm.has_ilm(client)
        client.close()

    @pytest.mark.parametrize(("status", "there"), [(200, True), (400, False), (401, False), (403, False), (405, False)])
    def test_a_refusal_means_none(self, status: int, there: bool) -> None:
        with Ilm(status) as cluster:
            client = SearchClient(cluster.url, patient())
            assert ilm.has_ilm(client) is there
            client.close()

    @pytest.mark.parametrize("busy", [429, 500, 503])
    def test_a_cluster_that_is_busy_is_asked_again(self, busy: int) -> None:
        with Ilm() as cluster:
            client = SearchClient(cluster.url, patient(FakeClock()))
            for path in ("/_ilm/policy", "/_index_template/_simulate"):
                cluster.fail("status", path=path, response=Response.json({"message": "busy"}, busy))
            assert ilm.has_ilm(client)
            assert ilm.under_policy(client, templates.read()) != templates.read()
            client.close()

    def test_who_wants_it_is_told_that_he_may_not_know(self) -> None:
        with Ilm(403) as cluster:
            client = SearchClient(cluster.url, patient())
            with pytest.raises(CredentialsRefused, match="_ilm/policy"):
                ilm.has_ilm(client, wanted=True)
            client.close()

    def test_a_policy_deletes_only_when_told_to_and_is_the_operators_afterwards(self) -> None:
        with Ilm() as cluster:
            client = SearchClient(cluster.url, patient())
            assert "would be new" in ilm.put_policy(client, 400, dry_run=True)
            assert cluster.policies == {}
            assert "deletes nothing" in ilm.put_policy(client, None)
            assert "delete" not in cluster.policies["harvest"]["phases"]
            assert "400 days" in ilm.put_policy(client, 400)
            assert cluster.policies["harvest"]["phases"]["delete"]["min_age"] == "400d"
            assert "left as it is" in ilm.put_policy(client, None)
            assert "delete" in cluster.policies["harvest"]["phases"]
            client.close()


@pytest.mark.parametrize(("simulates", "governed"), [(200, True), (403, True), (400, False)])
def test_templates_are_under_the_policy_where_the_cluster_knows_the_setting(simulates: int, governed: bool) -> None:
    with Ilm(simulates=simulates) as cluster:
        client = SearchClient(cluster.url, patient())
        found = {each.name: each for each in ilm.under_policy(client, templates.read())}
    assert ("lifecycle" in found["meetings"].settings["index"]) is governed
    assert "lifecycle" not in found["episodes"].settings.get("index", {})


def test_the_core_does_not_know_the_setting(node: Node) -> None:
    client = node.client()
    assert ilm.under_policy(client, templates.read()) == templates.read()
    client.close()
