"""Data views and dashboards: whole, and imported as Kibana wants them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from harvesters.dev.kibana import FOLDER, import_saved_objects
from harvesters.errors import ProtocolError, Unavailable
from harvesters.retry import RetryPolicy
from harvesters.simulators.base import Request, Response, Simulator
from harvesters.standins.opencast import ROOT
from tests.clocks import FakeClock

FILES = sorted(FOLDER.glob("*.ndjson"))
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {}
for _line in (line for path in FILES for line in path.read_text().splitlines()):
    OBJECTS[json.loads(_line)["type"], json.loads(_line)["id"]] = json.loads(_line)


class FakeKibana(Simulator):
    """The one endpoint of Kibana that is needed, as its documentation has it."""

    refuse = ""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, list[dict[str, Any]]] = {}

    def handle(self, request: Request) -> Response:
        if (request.method, request.path) != ("POST", "/api/saved_objects/_import"):
            return Response.json({"statusCode": 404}, 404)
        if "kbn-xsrf" not in request.headers:
            return Response.json({"statusCode": 400, "message": "Request must contain a kbn-xsrf header."}, 400)
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        (part,) = message_from_bytes(head + request.body, policy=default).iter_parts()
        assert part.get_param("name", header="content-disposition") == "file"
        objects = [json.loads(line) for line in part.get_content().splitlines()]
        if self.refuse:
            error = {"id": objects[0]["id"], "type": objects[0]["type"], "error": {"type": self.refuse}}
            return Response.json({"success": False, "successCount": len(objects) - 1, "errors": [error]})
        assert request.param("overwrite") == "true"
        self.files[str(part.get_filename())] = objects
        return Response.json({"success": True, "successCount": len(objects)})


@pytest.fixture
def retry() -> RetryPolicy:
    return RetryPolicy(FakeClock(), 30)


def test_everything_is_imported(retry: RetryPolicy) -> None:
    with FakeKibana() as kibana:
        counts = import_saved_objects(kibana.url, retry)
    assert set(counts) == set(kibana.files) == {path.name for path in FILES}
    assert sum(counts.values()) == len(OBJECTS)


def test_a_kibana_that_is_still_starting_is_waited_for(retry: RetryPolicy) -> None:
    with FakeKibana() as kibana:
        kibana.fail("status", times=3, response=Response(503, b"Kibana server is not ready yet"))
        kibana.fail("reset", after=3)
        import_saved_objects(kibana.url, retry)
        assert len(kibana.files) == len(FILES)


def test_one_that_never_starts_is_unavailable(retry: RetryPolicy) -> None:
    with FakeKibana() as kibana:
        kibana.fail("status", times=1000, response=Response(503))
        with pytest.raises(Unavailable, match=r"Kibana at http://127\.0\.0\.1"):
            import_saved_objects(kibana.url, retry)


def test_what_kibana_refuses_is_named(retry: RetryPolicy) -> None:
    with FakeKibana() as kibana:
        kibana.refuse = "missing_references"
        with pytest.raises(ProtocolError, match=r"episodes\.ndjson: index-pattern harvest-episodes: missing_ref"):
            import_saved_objects(kibana.url, retry)


def test_an_answer_without_reasons_is_quoted(retry: RetryPolicy, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text("{}")
    with FakeKibana() as kibana:
        kibana.fail("status", response=Response.json({"message": "no"}, 403))
        with pytest.raises(ProtocolError, match=r"a\.ndjson: 403 .*no"):
            import_saved_objects(kibana.url, retry, tmp_path)


def test_every_reference_leads_to_an_object_of_the_same_file() -> None:
    for path in FILES:
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        known = {(entry["type"], entry["id"]) for entry in entries}
        assert len(known) == len(entries), path.name
        for entry in entries:
            assert {(wanted["type"], wanted["id"]) for wanted in entry["references"]} <= known, entry["id"]


def test_every_kind_of_document_has_a_data_view_and_every_file_a_dashboard() -> None:
    views = {entry["attributes"]["title"] for (kind, _), entry in OBJECTS.items() if kind == "index-pattern"}
    assert views == {"useractions-*", "episodes,episodes-*", "meetings-*", "sessions-*"}
    for path in FILES:
        assert '"type":"dashboard"' in path.read_text(), path.name


def test_every_panel_of_a_dashboard_is_a_reference_and_none_overlaps() -> None:
    for (kind, name), entry in OBJECTS.items():
        if kind != "dashboard":
            continue
        panels = json.loads(entry["attributes"]["panelsJSON"])
        wanted = {f"{panel['panelIndex']}:{panel['panelRefName']}" for panel in panels}
        assert wanted == {reference["name"] for reference in entry["references"]}, name
        cells = [cell for panel in panels for cell in _cells(panel["gridData"])]
        assert len(cells) == len(set(cells)), name
        assert max(column for column, _ in cells) < 48, name


def test_every_visualization_asks_its_data_view_by_reference() -> None:
    for (kind, name), entry in OBJECTS.items():
        if kind != "visualization":
            continue
        search = json.loads(entry["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        assert search["indexRefName"] == entry["references"][0]["name"], name
        state = json.loads(entry["attributes"]["visState"])
        assert state["type"] == state["params"]["type"] if "type" in state["params"] else state["type"] == "table"
        assert [agg["id"] for agg in state["aggs"]] == sorted({agg["id"] for agg in state["aggs"]}), name


def test_every_field_that_a_visualization_asks_is_mapped_so_that_it_can_be() -> None:
    mapped = {
        pattern: dict(_fields(template["template"]["mappings"]["properties"]))
        for path in (ROOT / "index_templates").glob("*.json")
        for template in [json.loads(path.read_text())]
        for pattern in template["index_patterns"]
    }
    wanted = {"date_histogram": {"date"}, "terms": {"keyword", "boolean"}, "cardinality": {"keyword"}}
    for (kind, name), entry in OBJECTS.items():
        if kind == "index-pattern":
            for pattern in entry["attributes"]["title"].split(","):
                assert mapped[pattern][entry["attributes"]["timeFieldName"]] == "date", name
        if kind == "visualization":
            view = OBJECTS["index-pattern", entry["references"][0]["id"]]["attributes"]["title"]
            for agg in json.loads(entry["attributes"]["visState"])["aggs"]:
                if agg["type"] != "count":
                    assert mapped[view.split(",")[0]][agg["params"]["field"]] in wanted[agg["type"]], (name, agg)


def test_no_object_is_from_a_kibana_newer_than_ours(parsed: dict[str, Any]) -> None:
    ours = _version(parsed["services"]["kibana"]["image"])
    for entry in OBJECTS.values():
        assert _version(entry["typeMigrationVersion"]) <= ours
        assert _version(entry["coreMigrationVersion"]) <= ours


def _fields(properties: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, mapping in properties.items():
        if "properties" in mapping:
            yield from _fields(mapping["properties"], f"{before}{name}.")
        else:
            yield f"{before}{name}", mapping["type"]


def _cells(grid: dict[str, int]) -> list[tuple[int, int]]:
    return [(grid["x"] + column, grid["y"] + row) for column in range(grid["w"]) for row in range(grid["h"])]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.rpartition(":")[2]))
