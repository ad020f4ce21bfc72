"""Workflows of a media package, from the three ways in which Opencast has told of them, and what they say of a stream.

Up to version 11 there is ``/workflow/instances.json``, with filters and pages; from 12 on
``/workflow/mediaPackage/{id}/instances.json``, which has neither, and in which an operation's name has moved from
``id`` to ``template``. The External API listed workflows from 6 to 11, in a shape of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from harvesters.errors import ProtocolError
from harvesters.opencast.client import NotThere, OpencastClient
from harvesters.opencast.episodes import plain
from harvesters.opencast.jettison import as_dict, as_list, integer
from harvesters.timespan import as_utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
_PAGE = 100
_RETRACTIONS = ("retract-element", "retract-live")


@dataclass(frozen=True)
class Operation:
    """One step of a workflow; `state` in capitals, times UTC, None where the server has none."""

    name: str
    state: str
    started: datetime | None = None
    completed: datetime | None = None

    @property
    def counts(self) -> bool:
        """Whether it took place: it began and ended, and did not fail.

        The state says less: DCE's workflows end a capture that took place as SKIPPED, but with both times.
        """
        return self.started is not None and self.completed is not None and self.state != "FAILED"


@dataclass(frozen=True)
class Workflow:
    """One run over a media package; `state` in capitals, `mpid` None where the server does not say."""

    id: int
    state: str
    mpid: str | None
    created: datetime | None
    operations: tuple[Operation, ...]

    def operation(self, name: str) -> Operation | None:
        """The first operation of that name that counts."""
        return next((one for one in self.operations if one.name == name and one.counts), None)

    def first_ended(self, *names: str) -> Operation | None:
        """Of the operations with these names, the one that ended first."""
        return min(filter(None, map(self.operation, names)), key=lambda one: one.completed or _NEVER, default=None)

    def after(self, operation: Operation) -> Workflow:
        """The same with only what came after `operation`."""
        return replace(self, operations=self.operations[self.operations.index(operation) + 1 :])


def to_workflow(raw: dict[str, Any]) -> Workflow:
    """A workflow in any of the three shapes."""
    operations = raw.get("operations")
    if isinstance(operations, dict):
        operations = operations.get("operation")
    package = as_dict(raw.get("mediapackage")).get("id")
    return Workflow(
        id=_number(raw.get("id")) or _number(raw.get("identifier")) or 0,
        state=(plain(raw.get("state")) or "").upper(),
        mpid=plain(raw.get("mediaPackageId")) or plain(package) or plain(raw.get("event_identifier")),
        created=_moment(raw.get("dateCreated")),
        operations=tuple(_operation(one) for one in as_list(operations) if isinstance(one, dict)),
    )


def stream_times(workflows: Iterable[Workflow]) -> dict[str, Any]:
    """``live_stream``, ``live_start``, ``live_end``, ``live_duration`` (ms) and ``available`` of an episode.

    The live stream is what the newest workflow that succeeded captured; see `_made_available` for the recording.
    """
    succeeded = sorted((one for one in workflows if one.state == "SUCCEEDED"), key=_age)
    captured = next((one for one in succeeded if one.operation("capture")), None)
    capture = captured.operation("capture") if captured is not None else None
    start, end = (capture.started, capture.completed) if capture is not None else (None, None)
    available = _made_available(captured, succeeded)
    times: dict[str, Any] = {
        "live_stream": capture is not None,
        "live_start": _iso(start),
        "live_end": _iso(end),
        "live_duration": (end - start) // timedelta(milliseconds=1) if start and end else None,
        "available": _iso(available.completed) if available is not None else None,
    }
    return {name: value for name, value in times.items() if value is not None}


def _made_available(captured: Workflow | None, newest_first: Iterable[Workflow]) -> Operation | None:
    """The operation at whose end the recording took the place of the live stream.

    That is the first retraction in the workflow that captured. Where it has none it may be in another one, but for
    ``retract-engage``, which without a capture is part of a republication. Where nothing was ever retracted, it is the
    first publication after the capture.
    """
    if captured is not None and (retraction := captured.first_ended(*_RETRACTIONS, "retract-engage")):
        return retraction
    for one in newest_first:
        if retraction := one.first_ended(*_RETRACTIONS):
            return retraction
    capture = captured.operation("capture") if captured is not None else None
    if captured is None or capture is None:
        return None
    return captured.after(capture).operation("publish-engage")


@dataclass
class WorkflowLookup:
    """Finds the workflows of a media package, in the first of the three ways that the node knows.

    Args:
        client: the admin node.
    """

    client: OpencastClient
    _way: Callable[[str], list[Any]] | None = field(default=None, init=False)
    _finding: threading.Lock = field(default_factory=threading.Lock, init=False)

    def find(self, mpid: str) -> list[dict[str, Any]]:
        """Its workflows that succeeded, as the server tells of them.

        Raises:
            ProtocolError: the node has none of the endpoints.
        """
        with self._finding if self._way is None else nullcontext():
            found = self._ask(mpid)
        return [raw for raw in found if isinstance(raw, dict) and _concerns(to_workflow(raw), mpid)]

    def _ask(self, mpid: str) -> list[Any]:
        ways = [self._way] if self._way is not None else [self._instances, self._of_media_package, self._external_api]
        for way in ways:
            try:
                found = way(mpid)
            except NotThere:
                continue
            self._way = way
            return found
        if self._way is None and not self._is_admin_node():
            raise ProtocolError(
                f"{self.client.base_url} has none of the endpoints by which any Opencast tells of workflows: point "
                "MATTERHORN_ADMIN_HOST (-A/--admin-host) at the admin node itself."
            )
        return []  # the endpoint is there, and knows no such media package

    def _is_admin_node(self) -> bool:
        """Whether it has the External API, as every admin node from Opencast 2 on."""
        try:
            return "versions" in as_dict(self.client.get("/api/version"))
        except NotThere:
            return False

    def _instances(self, mpid: str) -> list[Any]:
        """Up to Opencast 11."""
        found: list[Any] = []
        page = 0
        while True:
            params = {"mp": mpid, "state": "SUCCEEDED", "count": _PAGE, "startPage": page}
            workflows = as_dict(self._get("/workflow/instances.json", params).get("workflows"))
            some = as_list(workflows.get("workflow"))
            found += some
            if not some or len(found) >= (_number(workflows.get("totalCount")) or 0):
                return found
            page += 1

    def _of_media_package(self, mpid: str) -> list[Any]:
        """From Opencast 12 on."""
        answer = self._get(f"/workflow/mediaPackage/{quote(mpid, safe='')}/instances.json")
        return as_list(as_dict(answer.get("workflows")).get("workflow"))

    def _external_api(self, mpid: str) -> list[Any]:
        """Opencast 6 to 11, where ``/workflow`` is not to be had: no total, so pages until one has nothing new."""
        params = {"filter": f"event_identifier:{mpid},state:succeeded", "withoperations": "true", "limit": _PAGE}
        found: dict[str | None, dict[str, Any]] = {}
        while True:
            page = as_list(self.client.get("/api/workflows", {**params, "offset": len(found)}))
            rows = {plain(raw.get("identifier")): raw for raw in page if isinstance(raw, dict)}
            if rows.keys() <= found.keys():
                return [self._with_operations(identifier, raw) for identifier, raw in found.items()]
            found |= rows

    def _with_operations(self, identifier: str | None, raw: dict[str, Any]) -> dict[str, Any]:
        """A row of the External API's list, which may tell of operations only workflow by workflow."""
        if "operations" in raw or identifier is None:
            return raw
        path = f"/api/workflows/{quote(identifier, safe='')}"
        try:
            return raw | as_dict(self.client.get(path, {"withoperations": "true"}))
        except NotThere:
            return raw  # removed since it was listed

    def _get(self, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = as_dict(self.client.get(path, params))
        if "workflows" not in answer:
            raise ProtocolError(f"{self.client.base_url}{path} answers JSON without 'workflows': is this an Opencast?")
        return answer


def _concerns(workflow: Workflow, mpid: str) -> bool:
    """Whether it succeeded and is this media package's, in case the server does not filter, or cannot."""
    return workflow.state == "SUCCEEDED" and workflow.mpid in (None, mpid)


def _age(workflow: Workflow) -> tuple[timedelta, int]:
    """Sorts the newest first: by its date where servers tell it (from Opencast 12 on), by its id before."""
    return (_EPOCH - (workflow.created or _EPOCH), -workflow.id)


def _operation(raw: dict[str, Any]) -> Operation:
    name = raw.get("operation") or raw.get("template") or raw.get("id")
    return Operation(
        name=plain(name) or "",
        state=(plain(raw.get("state")) or "").upper(),
        started=_moment(raw.get("started")) or _moment(raw.get("start")),
        completed=_moment(raw.get("completed")) or _moment(raw.get("completion")),
    )


def _number(value: Any) -> int | None:
    try:
        return integer(value)
    except (ValueError, OverflowError):
        return None


def _moment(value: Any) -> datetime | None:
    """Milliseconds since 1970, or ISO 8601; None for what is neither, and for what is absent."""
    milliseconds = _number(value)
    try:
        if milliseconds is not None:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        moment = datetime.fromisoformat(plain(value) or "")
    except (ValueError, OverflowError):
        return None
    return as_utc(moment, UTC)


def _iso(moment: datetime | None) -> str | None:
    """``2015-10-30T04:00:00Z``, with milliseconds only when there are some."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
