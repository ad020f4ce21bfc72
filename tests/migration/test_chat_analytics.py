"""Analytics of older versions in today's words: the former migrator's actions, each of them once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from harvesters.messages.names import analytics_of
from harvesters.migration import oldanalytics
from harvesters.migration.chats import seeds_actions
from tests.messages.chats import Chats
from tests.migration.chatting import analytic, migrate, migrator
from tests.migration.test_chats import names

NOW = "2026-11-28T04:00:00+00:00"
WINDOW = {"type": "fixed", "start": "2021-01-01T00:00:00", "end": "2021-02-01T00:00:00"}


def of_1(metric: str, result: Any = None, timespan: Any = None, dimension: str = "user", **more: Any) -> dict[str, Any]:
    """An analytic as version 1 stored it."""
    window = timespan or {"type": "DEFAULT", "value": "7D"}
    query = {"type": "analytic", "project": "wenet", "timespan": window, "dimension": dimension, "metric": metric}
    return {"staticId": "id-1", "query": {**query, **more}, "result": result}


def made(body: dict[str, Any], done: Collection[int] = ()) -> Any:
    return oldanalytics.analytic(body, done, NOW)


class TestActions:
    @pytest.mark.parametrize(
        ("old", "kind", "new"),
        [
            ("u:total", "count", "total"),
            ("u:engaged", "count", "engaged"),
            ("m:from_users", "count", "requests"),
            ("m:from_user", "count", "requests"),
            ("m:notifications", "count", "notifications"),
            ("t:closed", "count", "closed"),
            ("d:fallback", "count", "fallback"),
            ("b:response", "count", "response"),
            ("a:segmentation", "segmentation", "age"),
            ("m:segmentation", "segmentation", "all"),
            ("r:segmentation", "segmentation", "requests"),
            ("u:segmentation", "segmentation", "requests"),
            ("t:segmentation", "segmentation", "label"),
            ("x:made_up", "count", "x:made_up"),
        ],
    )
    def test_metrics_get_their_names_of_today(self, old: str, kind: str, new: str) -> None:
        found = made(of_1(old))
        assert (found["id"], found["descriptor"]["type"], found["descriptor"]["metric"]) == ("id-1", kind, new)
        assert found["descriptor"]["timespan"] == {"type": "moving", "value": "7D"}
        assert "staticId" not in found
        assert "query" not in found

    @pytest.mark.parametrize(
        ("metric", "action"),
        [("c:path", 3), ("c:length", 3), ("m:unhandled", 3), ("m:from_bot", 5), ("m:conversation", 6)],
    )
    def test_metrics_that_are_no_more_go_unless_that_was_done(self, metric: str, action: int) -> None:
        assert made(of_1(metric)) is None
        assert made(of_1(metric), {action}) is not None

    def test_results_get_dates_and_lose_what_is_no_more(self) -> None:
        result = {"count": 5, "items": [1], "type": "analytic"}
        moving = made(of_1("u:total", result))["result"]
        assert moving == {"count": 5, "type": "count", "creationDt": NOW, "fromDt": NOW, "toDt": NOW}
        fixed = made(of_1("u:total", result, {**WINDOW, "type": "CUSTOM"}))
        assert fixed["descriptor"]["timespan"] == WINDOW
        assert (fixed["result"]["fromDt"], fixed["result"]["toDt"]) == (WINDOW["start"], WINDOW["end"])
        dated = {"creationDt": "2021-05-05T04:00:00", "fromDt": None, "toDt": "2021-05-05T00:00:00", "count": 1}
        assert made(of_1("u:total", dated))["result"] == {**dated, "type": "count"}

    def test_segments_are_a_list(self) -> None:
        for name in ("counts", "segments"):
            found = made(of_1("t:segmentation", {name: {"a": 1, "b": 2}, "transactions": []}))["result"]
            assert found["segments"] == [{"type": "a", "count": 1}, {"type": "b", "count": 2}]
            assert "transactions" not in found

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("avg", {"avg": 0.5}, {"avg": 0.5}),
            ("value_count", {"aggregation": 7}, {"value_count": 7}),
            ("max", {"aggregation": {"max": 9}}, {"max": 9}),
            ("stats", {"stats": {"count": 1, "min": 2}}, {"count": 1, "min": 2}),
            ("percentiles", {"aggregation": {"1.0": 3}}, {"1.0": 3}),
        ],
    )
    def test_aggregations_are_objects_by_their_names(self, name: str, old: Any, new: Any) -> None:
        descriptor = {"type": "aggregation", "project": "p", "timespan": WINDOW, "field": "f", "aggregation": name}
        body = {"id": "1", "descriptor": descriptor, "result": {**old, "type": "aggregation", "creationDt": NOW}}
        assert made(body)["result"]["aggregation"] == new
        assert made(made(body)) == made(body)

    def test_what_was_done_is_not_done_again(self) -> None:
        assert made(of_1("u:total"), set(oldanalytics.ACTIONS)) == of_1("u:total")
        kept = made(of_1("m:from_users"), {5})
        assert kept["descriptor"]["metric"] == "from_users"

    @pytest.mark.parametrize("body", [{}, {"id": 5}, {"descriptor": "x"}, {"descriptor": {}}, {"query": {"type": []}}])
    def test_what_is_none_stays(self, body: dict[str, Any]) -> None:
        made(body)
        assert oldanalytics.unknown_metric(body) == "" or body


class TestIndices:
    def test_each_goes_to_the_day_on_which_it_was_made_and_keeps_its_id(self, chats: Chats) -> None:
        result = {"creationDt": "2021-05-05T04:00:00", "fromDt": None, "toDt": None, "count": 1, "type": "count"}
        chats.put("analytic-wenet-user", {"a": of_1("u:total", result), "b": of_1("c:path")})
        chats.put("analytic-we-net-message", {"c": analytic("c", "requests", result=result)})
        chats.put("analytic-2021-05-05", {"d": analytic("d", "responses", result=result)})
        chats.put("analytic-history", {"e": analytic("e", "responses")})
        with migrator(chats) as (it, said):
            it.plan()
        assert "leave 1 out" in said[0]
        migrate(chats)
        assert names(chats, "analytic-*") == {"analytic-2021-05-05", "analytic-history"}
        found = chats.all("analytic-2021-05-05")
        assert set(found) == {"a", "c", "d"}
        assert found["a"]["descriptor"]["metric"] == "total"
        term = {"query": {"term": {"descriptor.timespan.type.keyword": "moving"}}}
        assert chats.ask("POST", "/analytic-*/_search", term)["hits"]["total"]["value"] == 4
        assert migrate(chats) == []

    def test_one_that_has_no_result_goes_to_the_day_of_its_index(self, chats: Chats) -> None:
        chats.put("analytic-wenet-message", {"a": analytic("a", "requests")})
        migrate(chats)
        (name,) = names(chats, "analytic-*")
        with migrator(chats) as (it, _):
            assert name == analytics_of(it.ledger.clock.now().date())

    def test_an_unknown_metric_stays_and_is_named(self, chats: Chats) -> None:
        chats.put("analytic-wenet-user", {"a": of_1("x:made_up")})
        said = migrate(chats)
        assert "analytic-wenet-user: nobody computes count user x:made_up (analytic id-1); it stays" in said
        assert next(iter(chats.all("analytic-*").values()))["descriptor"]["metric"] == "x:made_up"

    def test_what_the_former_migrator_noted_is_not_done_again(self, chats: Chats) -> None:
        ids = [f"{number}-{oldanalytics.ACTIONS[number]}" for number in (3, 7)]
        chats.put("migrations", {**{id: {"name": id, "ts": NOW} for id in ids}, "3-something": {}, "9-x": {}})
        chats.put("analytic-wenet-user", {"a": of_1("u:total"), "b": analytic("b", "from_users")})
        chats.put("message-a-2021-01-22", {"m": {"messageId": "1"}})
        with migrator(chats) as (it, _):
            it.done = seeds_actions(it.client, "migrations")
            assert it.done == {3, 7}
            it.run()
        assert names(chats, "analytic-*,message-*") == {"analytic-wenet-user", "message-a-2021-01-22"}
        found = chats.all("analytic-*")
        assert found["a"]["query"]["metric"] == "u:total"
        assert found["b"]["descriptor"]["metric"] == "requests"

    def test_nothing_was_noted(self, chats: Chats) -> None:
        with migrator(chats) as (it, _):
            assert seeds_actions(it.client, "migrations") == frozenset()

    def test_foreign_ones_stay(self, chats: Chats) -> None:
        chats.put("analytic-of-somebody", {"a": {"visits": 5}})
        assert migrate(chats) == []
        assert chats.indices() == {"analytic-of-somebody"}
