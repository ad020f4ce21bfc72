"""Index State Management: policies, put, read and added to indices. The job that applies them is not here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import orjson

from harvesters.simulators.base import Request, Response

_ROOT = "/_plugins/_ism"
_RETRY = {"count": 3, "backoff": "exponential", "delay": "1m"}


class Ism:
    """The policies of one cluster.

    Args:
        exists: whether there is an index of that name.
    """

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self.exists = exists
        self.policies: dict[str, dict[str, Any]] = {}
        self.managed: dict[str, str] = {}
        self._numbers = 0
        self._lock = threading.Lock()

    def handle(self, request: Request) -> Response | None:
        """The answer, if the request is about ISM."""
        if not request.path.startswith(_ROOT):
            return None
        what, _, name = request.path.removeprefix(f"{_ROOT}/").partition("/")
        with self._lock:
            match (what, request.method):
                case ("policies", "GET"):
                    return self._get(name)
                case ("policies", "PUT"):
                    return self._put(name, request)
                case ("add", "POST"):
                    return self._add(name, orjson.loads(request.body)["policy_id"])
        return Response.json({"error": "no handler found", "status": 400}, 400)

    def _get(self, name: str) -> Response:
        if not name:
            found = [{"_id": each, **policy} for each, policy in self.policies.items()]
            return Response.json({"policies": found, "total_policies": len(found)})
        if name not in self.policies:
            error = {"type": "status_exception", "reason": "Policy not found"}
            return Response.json({"error": {"root_cause": [error], **error}, "status": 404}, 404)
        return Response.json({"_id": name, **self.policies[name]})

    def _put(self, name: str, request: Request) -> Response:
        there = self.policies.get(name)
        given = (request.param("if_seq_no"), request.param("if_primary_term"))
        expected = (str(there["_seq_no"]), str(there["_primary_term"])) if there else ("", "")
        if given != expected:
            error = {"type": "version_conflict_engine_exception", "reason": f"[{name}]: version conflict"}
            return Response.json({"error": {"root_cause": [error], **error}, "status": 409}, 409)
        self._numbers += 1
        policy = orjson.loads(request.body)["policy"]
        for state in policy["states"]:
            state["actions"] = [{"retry": _RETRY, **action} for action in state["actions"]]
        for each in policy["ism_template"]:
            each["last_updated_time"] = 1_700_000_000_000 + self._numbers
        policy |= {"policy_id": name, "schema_version": 21, "error_notification": None}
        self.policies[name] = {"_version": 1, "_seq_no": self._numbers, "_primary_term": 1, "policy": policy}
        return Response.json({"_id": name, **self.policies[name]}, 200 if there else 201)

    def _add(self, names: str, policy: str) -> Response:
        failed, updated = [], 0
        for name in filter(self.exists, names.split(",")):
            if name in self.managed:
                why = "This index already has a policy, use the update policy API to update index policies"
                failed.append({"index_name": name, "index_uuid": f"uuid-{name}", "reason": why})
            else:
                self.managed[name] = policy
                updated += 1
        return Response.json({"updated_indices": updated, "failures": bool(failed), "failed_indices": failed})
