"""Index State Management: the policy `harvest` of dated indices, where an OpenSearch has it.

An index template cannot name a policy there. The policy names the patterns of indices that are made from then on, and
is added to those that are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.cluster import OPENSEARCH
from harvesters.errors import ProtocolError, TryLater
from harvesters.search.ilm import POLICY, is_there
from harvesters.search.templates import Template

_PATH = f"/_plugins/_ism/policies/{POLICY}"
_PRIORITY = 100
_NAMES = 50  # of indices in one URL


def has_ism(client: SearchClient, wanted: bool = False) -> bool:
    """Whether the cluster has it: a refusal means that it has not.

    Raises:
        CredentialsRefused: it is `wanted`, and we may not know.
    """
    return client.cluster.distribution == OPENSEARCH and is_there(client, "/_plugins/_ism/policies", wanted)


def put_policy(client: SearchClient, found: Sequence[Template], days: int | None, dry_run: bool = False) -> str:
    """Put the policy for the dated ones of `found`; returns what that did, or would do.

    Raises:
        TryLater: somebody else has changed it at the same time.
    """
    there = client.request("GET", _PATH, accept=(404,))
    if days is None:
        return f"ISM policy {POLICY}: {'left as it is' if there.found else 'none, so nothing deletes indices'}"
    wanted = _policy([pattern for each in found if each.dated for pattern in each.patterns], days)
    keeps = f"deletes indices {days} days after they were made"
    if there.found and _holds(there.body["policy"], wanted):
        return f"ISM policy {POLICY}: unchanged, {keeps}"
    if not dry_run:
        version = (
            {"if_seq_no": there.body["_seq_no"], "if_primary_term": there.body["_primary_term"]} if there.found else {}
        )
        put = client.request("PUT", _PATH, {"policy": wanted}, params=version, accept=(409,))
        if put.status == 409:
            raise TryLater(f"{client.name}: somebody else has changed the ISM policy {POLICY} meanwhile. Run again.")
    would = "would be " if dry_run else ""
    return f"ISM policy {POLICY}: {would}{'changed' if there.found else 'new'}, {keeps}"


def add_policy(client: SearchClient, names: Sequence[str]) -> int:
    """Add the policy to those of our indices `names` that have none; returns how many that were.

    Raises:
        ProtocolError: it was not added to others, for another reason.
    """
    added, failed = 0, {}
    waiting = [names[start : start + _NAMES] for start in range(0, len(names), _NAMES)]
    while waiting:
        some = waiting.pop()
        path = f"/_plugins/_ism/add/{paths.pattern(','.join(some))}"
        answer = client.request("POST", path, {"policy_id": POLICY}, accept=(404,))
        if not answer.found:  # one of them was removed meanwhile, and that keeps the others out
            waiting += [[name] for name in some] if len(some) > 1 else []
            continue
        said = answer.body
        added += int(said.get("updated_indices", 0))
        for each in said.get("failed_indices", ()):
            failed[str(each.get("index_name"))] = str(each.get("reason"))
    failed = {name: why for name, why in failed.items() if "already has a policy" not in why}
    if failed:
        reasons = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise ProtocolError(f"{client.name} did not add the ISM policy {POLICY} to {len(failed)} indices: {reasons}")
    return added


def govern(client: SearchClient, name: str) -> None:
    """Put an index of ours under the policy, where there is one: its patterns do not name those that migrations make.

    Raises:
        ProtocolError: as `add_policy`.
    """
    if has_ism(client) and client.request("GET", _PATH, accept=(403, 404)).status == 200:
        add_policy(client, [name])


def _policy(patterns: Sequence[str], days: int) -> dict[str, Any]:
    old = {"state_name": "deleted", "conditions": {"min_index_age": f"{days}d"}}
    return {
        "description": "Dated indices of harvest.py (setup load_index_templates --retention).",
        "default_state": "kept",
        "states": [
            {"name": "kept", "actions": [], "transitions": [old]},
            {"name": "deleted", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": sorted(patterns), "priority": _PRIORITY}],
    }


def _holds(theirs: Any, ours: Any) -> bool:
    """Whether their policy says what ours does; it says when it was changed, and how often it tries, too."""
    return all(_at(theirs, path) == value for path, value in _values(ours))


def _values(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value with the way to it; of a list and an object also how many are in it, and that it is one."""
    if isinstance(value, list):
        yield (*path, len), len(value)
        for place, inner in enumerate(value):
            yield from _values(inner, (*path, place))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _values(inner, (*path, name))
    else:
        yield path, value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        if step is len:
            return len(value) if isinstance(value, list) else None
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
