"""Workflows, by the endpoints that each version has: ``/workflow/…`` and the External API's ``/api/…``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any
from xml.etree.ElementTree import Element

import orjson

from harvesters.simulators.base import Request, Response
from harvesters.simulators.opencast.auth import Refused
from harvesters.simulators.opencast.data import Episode, Operation, Workflow
from harvesters.simulators.opencast.jettison import document
from harvesters.simulators.opencast.usertracking import java_int
from harvesters.simulators.opencast.xml import media_package, workflow

# The newest External API of each release, from ApiVersion.java.
_API_VERSIONS = {
    2: "1.0",
    6: "1.1",
    7: "1.2",
    8: "1.3",
    9: "1.5",
    10: "1.6",
    11: "1.7",
    12: "1.8",
    13: "1.10",
    16: "1.11",
}
_ACCEPTED = re.compile(r"application/v(\d+)\.(\d+)\.(\d+)\+json")


def instances(
    request: Request, known: Iterable[Workflow], episodes: dict[str, Episode], version: int, zone: tzinfo
) -> Response:
    """``/workflow/instances.json`` (up to Opencast 11): filtered by state, definition, media package and title."""
    mpid = request.param("mp")
    found = [one for one in known if mpid in ("", one.mpid) and _matches(one, request, episodes)]
    count, start = java_int(request.param("count")), max(0, java_int(request.param("startPage")))
    count = count if count >= 1 else 20
    page = found[start * count : (start + 1) * count]
    numbers = {"startPage": start, "count": count, "searchTime": 6, "totalCount": len(found)}
    root = Element("workflows", {name: str(number) for name, number in numbers.items()})
    return _listed(root, page, episodes, version, zone)


def of_media_package(
    mpid: str, known: Iterable[Workflow], episodes: dict[str, Episode], version: int, zone: tzinfo
) -> Response:
    """``/workflow/mediaPackage/{id}/instances.json`` (from Opencast 12): all of them, oldest first, no paging."""
    found = sorted((one for one in known if one.mpid == mpid), key=lambda one: _order(one.created, one.id))
    return _listed(Element("workflows"), found, episodes, version, zone)


def _listed(root: Element, page: list[Workflow], episodes: dict[str, Episode], version: int, zone: tzinfo) -> Response:
    for one in page:
        episode = episodes.get(one.mpid) or Episode(one.mpid, one.title)
        package = media_package(episode)
        root.append(workflow(one, package, version, zone))
    return Response(200, document(root, version), {"Content-Type": "application/json"})


def _order(created: datetime | None, number: int) -> tuple[float, int]:
    return (created.timestamp() if created else 0.0, number)


def _matches(one: Workflow, request: Request, episodes: dict[str, Episode]) -> bool:
    states = [text for name, text in request.query if name == "state" and text]
    definitions = [text for name, text in request.query if name == "workflowdefinition" and text]
    current = next((step.name for step in one.operations if step.state in ("RUNNING", "PAUSED")), "")
    steps = [text for name, text in request.query if name == "op" and text]
    series = episodes[one.mpid].series if one.mpid in episodes else ""
    return (
        all(
            _chosen(value, wanted)
            for value, wanted in ((one.state, states), (one.template, definitions), (current, steps))
        )
        and request.param("seriesId") in ("", series)
        and request.param("title").lower() in one.title.lower()
    )


def _chosen(value: str, wanted: list[str]) -> bool:
    """Whether `value` is one of the wanted and none of those that a leading ``-`` excludes."""
    excluded = {text[1:] for text in wanted if text.startswith("-")}
    included = {text for text in wanted if not text.startswith("-")}
    return value not in excluded and (not included or value in included)


def api_versions(version: int) -> list[str]:
    """The External API versions that this release offers, oldest first; none before Opencast 2."""
    return [f"v{number}.0" for release, number in _API_VERSIONS.items() if release <= version]


def api(request: Request, known: dict[int, Workflow], version: int) -> Response:
    """The External API: its versions, the workflow list (6 to 11), one workflow (from 6); 404 for all else."""
    offered = api_versions(version)
    if not offered:
        return Response.html(404, "<h2>HTTP ERROR 404</h2>")
    media_type = _negotiated(request, offered)
    if request.path == "/api/version":
        return _api_json({"versions": offered, "default": offered[-1]}, media_type)
    if request.path.rstrip("/") == "/api/workflows" and 6 <= version < 12:
        wanted = dict(part.partition(":")[::2] for part in request.param("filter").split(",") if ":" in part)
        found = [one for one in known.values() if _api_matches(one, wanted)]
        offset, limit = java_int(request.param("offset")), java_int(request.param("limit"))
        page = found[offset : offset + limit] if limit else found[offset:]
        return _api_json([_api_workflow(request, one) for one in page], media_type)
    single = re.fullmatch(r"/api/workflows/(\d+)", request.path)
    if single and version >= 6 and int(single[1]) in known:
        return _api_json(_api_workflow(request, known[int(single[1])]), media_type)
    return Response.html(404, "<h2>HTTP ERROR 404</h2>")


def _negotiated(request: Request, offered: list[str]) -> str:
    asked = _ACCEPTED.search(request.headers.get("accept", ""))
    if asked is None:
        return f"application/{offered[-1]}+json"
    if f"v{asked[1]}.{asked[2]}.{asked[3]}" not in offered:
        raise Refused(Response(406))
    return asked[0]


def _api_json(value: Any, media_type: str) -> Response:
    """json-simple, which the External API writes with, escapes slashes in every version."""
    return Response(200, orjson.dumps(value).replace(b"/", b"\\/"), {"Content-Type": media_type})


def _api_matches(one: Workflow, wanted: dict[str, str]) -> bool:
    values = {
        "state": one.state.lower(),
        "workflow_definition_identifier": one.template,
        "event_identifier": one.mpid,
    }
    return all(values.get(name) == text for name, text in wanted.items())


def _api_workflow(request: Request, one: Workflow) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "identifier": one.id,
        "title": one.title,
        "description": "",
        "workflow_definition_identifier": one.template,
        "event_identifier": one.mpid,
        "creator": one.creator,
        "state": one.state.lower(),
    }
    if request.param("withoperations") == "true":
        answer["operations"] = [_api_operation(step) for step in one.operations]
    if request.param("withconfiguration") == "true":
        answer["configuration"] = {}
    return answer


def _api_operation(step: Operation) -> dict[str, Any]:
    return {
        "identifier": step.id,
        "operation": step.name,
        "state": step.state.lower(),
        "start": _utc(step.started),
        "completion": _utc(step.completed),
        "time_in_queue": step.time_in_queue or 0,
        "host": "http://localhost:8080",
        "description": "",
        "if": "",
        "fail_workflow_on_error": bool(step.fail_on_error),
        "error_handler_workflow": "",
        "retry_strategy": "none",
        "max_attempts": 1,
        "failed_attempts": 0,
        "configuration": dict(step.configuration),
    }


def _utc(moment: datetime | None) -> str:
    if moment is None:
        return ""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")
