"""The policy of dated indices in OpenSearch's ISM, which is simulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from harvesters.elastic.client import SearchClient
from harvesters.errors import CredentialsRefused, ProtocolError, TryLater
from harvesters.search import ism, templates
from harvesters.simulators.amazon.ism import Ism
from harvesters.simulators.base import Request, Response, Simulator
from tests.clocks import FakeClock, patient

ROOT = {"version": {"number": "2.19.0", "distribution": "opensearch"}}
PATTERNS = ["buddyupevents-*", "meetings-*", "sessions-*", "useractions-*"]


class Managing(Simulator):
    """An OpenSearch of which only ISM matters."""

    def __init__(self, root: dict[str, Any] = ROOT) -> None:
        super().__init__()
        self.root = root
        self.indices = {"meetings-2026.02.13", "meetings-2026.02.14"}
        self.ism = Ism(self.indices.__contains__)

    def handle(self, request: Request) -> Response:
        if request.path == "/":
            return Response.json(self.root)
        return self.ism.handle(request) or Response.json({"error": "no handler found", "status": 400}, 400)


@pytest.fixture
def managing() -> Iterator[Managing]:
    with Managing() as simulator:
        yield simulator


@pytest.fixture
def client(managing: Managing) -> Iterator[SearchClient]:
    client = SearchClient(managing.url, patient())
    yield client
    client.close()


def put(client: SearchClient, days: int | None, dry_run: bool = False) -> str:
    return ism.put_policy(client, templates.read(), days, dry_run)


def test_it_names_the_patterns_of_dated_indices_and_when_they_go(managing: Managing, client: SearchClient) -> None:
    assert ism.has_ism(client)
    assert "would be new" in put(client, 400, dry_run=True)
    assert managing.ism.policies == {}
    assert "new, deletes indices 400 days" in put(client, 400)
    policy = managing.ism.policies["harvest"]["policy"]
    assert [each["index_patterns"] for each in policy["ism_template"]] == [PATTERNS]
    kept, deleted = policy["states"]
    assert policy["default_state"] == kept["name"]
    assert kept["transitions"] == [{"state_name": deleted["name"], "conditions": {"min_index_age": "400d"}}]
    assert [action.keys() - {"retry"} for action in deleted["actions"]] == [{"delete"}]


def test_put_again_nothing_changes_and_another_retention_replaces_it(managing: Managing, client: SearchClient) -> None:
    put(client, 400)
    before = managing.ism.policies["harvest"]
    assert "unchanged" in put(client, 400)
    assert managing.ism.policies["harvest"] is before
    assert "changed" in put(client, 30)
    states = managing.ism.policies["harvest"]["policy"]["states"]
    assert states[0]["transitions"][0]["conditions"] == {"min_index_age": "30d"}


def test_without_a_retention_nothing_is_put_and_what_is_there_stays(managing: Managing, client: SearchClient) -> None:
    assert "none" in put(client, None)
    assert managing.ism.policies == {}
    put(client, 400)
    assert "left as it is" in put(client, None)


def test_one_that_somebody_changes_meanwhile_is_not_replaced(managing: Managing, client: SearchClient) -> None:
    put(client, 400)
    handle = managing.ism.handle

    def changing(request: Request) -> Response | None:
        if request.method == "PUT":
            managing.ism.policies["harvest"]["_seq_no"] += 1
        return handle(request)

    managing.ism.handle = changing  # type: ignore[method-assign]
    with pytest.raises(TryLater, match="meanwhile"):
        put(client, 30)


def test_it_is_added_to_indices_that_have_none(managing: Managing, client: SearchClient) -> None:
    managing.ism.managed["meetings-2026.02.13"] = "another"
    names = sorted(managing.indices)
    assert ism.add_policy(client, names) == 1
    assert managing.ism.managed == {"meetings-2026.02.13": "another", "meetings-2026.02.14": "harvest"}
    assert ism.add_policy(client, names) == 0
    assert ism.add_policy(client, []) == 0


def test_an_index_is_put_under_the_policy_where_there_is_one(managing: Managing, client: SearchClient) -> None:
    ism.govern(client, "meetings-2026.02.13")
    assert managing.ism.managed == {}
    put(client, 400)
    ism.govern(client, "meetings-2026.02.13")
    assert managing.ism.managed == {"meetings-2026.02.13": "harvest"}


def test_an_index_that_is_removed_meanwhile_keeps_no_other_out(managing: Managing, client: SearchClient) -> None:
    names = sorted(managing.indices)
    gone = Response.json({"error": {"type": "index_not_found_exception"}, "status": 404}, 404)
    managing.fail("status", path="/_plugins/_ism/add", times=2, response=gone)
    assert ism.add_policy(client, names) == 1
    assert len(managing.ism.managed) == 1


@pytest.mark.parametrize("busy", [429, 503])
def test_a_cluster_that_is_busy_is_asked_again(managing: Managing, busy: int) -> None:
    client = SearchClient(managing.url, patient(FakeClock()))
    managing.fail("status", path="/_plugins", response=Response.json({"message": "busy"}, busy))
    assert ism.has_ism(client)
    client.close()


def test_who_may_not_know_is_told_so_if_he_wants_it(managing: Managing, client: SearchClient) -> None:
    managing.fail("status", path="/_plugins", times=2, response=Response.json({"Message": "not authorized"}, 403))
    assert not ism.has_ism(client)
    with pytest.raises(CredentialsRefused, match="not authorized"):
        ism.has_ism(client, wanted=True)


def test_an_index_that_does_not_get_it_is_named(managing: Managing, client: SearchClient) -> None:
    failed = [{"index_name": "meetings-2026.02.14", "reason": "it is closed"}]
    body = {"updated_indices": 0, "failures": True, "failed_indices": failed}
    managing.fail("status", path="/_plugins/_ism/add", response=Response.json(body))
    with pytest.raises(ProtocolError, match=r"meetings-2026\.02\.14: it is closed"):
        ism.add_policy(client, sorted(managing.indices))


def test_many_indices_are_added_by_several_requests(managing: Managing, client: SearchClient) -> None:
    managing.indices |= {f"useractions-2026.{number:03d}" for number in range(120)}
    assert ism.add_policy(client, sorted(managing.indices)) == 122
    assert max(len(seen.path) for seen in managing.requests) < 4096


def test_where_there_is_none(managing: Managing, client: SearchClient) -> None:
    managing.fail("status", path="/_plugins", response=Response(400, orjson.dumps({"error": "no handler found"})))
    assert not ism.has_ism(client)


def test_elasticsearch_is_not_asked() -> None:
    with Managing({"version": {"number": "8.19.21"}, "tagline": "You Know, for Search"}) as simulator:
        client = SearchClient(simulator.url, patient())
        assert not ism.has_ism(client)
        client.close()
        assert [seen.path for seen in simulator.requests] == ["/"]
