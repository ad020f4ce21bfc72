"""Index lifecycle management: the policy `harvest` of dated indices, where an Elasticsearch has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harvesters.elastic.client import SearchClient
from harvesters.elastic.cluster import ELASTICSEARCH
from harvesters.elastic.connection import NO
from harvesters.elastic.errors import reason
from harvesters.search.templates import Template

POLICY = "harvest"
"""Name of the policy."""


def has_ilm(client: SearchClient, wanted: bool = False) -> bool:
    """Whether the cluster has index lifecycle management: a refusal means that it has not.

    Raises:
        CredentialsRefused: it is `wanted`, and we may not know.
    """
    return client.cluster.distribution == ELASTICSEARCH and is_there(client, "/_ilm/policy", wanted)


def is_there(client: SearchClient, path: str, wanted: bool) -> bool:
    """Whether there are policies at `path`; a cluster that is busy is asked again.

    Raises:
        CredentialsRefused: they are `wanted`, and we may not know.
    """
    return client.request("GET", path, accept=NO - {401, 403} if wanted else NO).status == 200


def under_policy(client: SearchClient, found: Sequence[Template]) -> list[Template]:
    """The templates, dated ones under our ILM policy; as they are where the cluster does not know the setting for it.

    A gateway in front of a cluster may answer for ILM without the cluster having it.
    """
    made = [each.under(POLICY) if each.dated else each for each in found]
    probe = {"index_patterns": ["harvest-probe-*"], "template": {"settings": {"index.lifecycle.name": POLICY}}}
    answer = client.request("POST", "/_index_template/_simulate", probe, accept=NO)
    return [*found] if answer.status == 400 and "lifecycle" in reason(answer.body) else made


def put_policy(client: SearchClient, retention_days: int | None, dry_run: bool = False) -> str:
    """Put the ILM policy of dated indices; returns what it did, or would do.

    Without `retention_days` nothing is ever deleted, and a policy that is already there stays as its operator wants it.
    """
    path = f"/_ilm/policy/{POLICY}"
    there = client.request("GET", path, accept=(404,))
    if retention_days is None and there.found:
        return f"ILM policy {POLICY}: left as it is"
    phases: dict[str, Any] = {"hot": {"min_age": "0ms", "actions": {}}}
    if retention_days is not None:
        phases["delete"] = {"min_age": f"{retention_days}d", "actions": {"delete": {}}}
    if not dry_run:
        client.request("PUT", path, {"policy": {"phases": phases}})
    keeps = (
        "deletes nothing" if retention_days is None else f"deletes indices {retention_days} days after they were made"
    )
    would = "would be " if dry_run else ""
    return f"ILM policy {POLICY}: {would}{'changed' if there.found else 'new'}, {keeps}"
