"""Which indices are ours and old, by the date in their names alone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from harvesters.search import retention
from harvesters.search.retention import DatedIndex, last_day, older_than
from harvesters.search.templates import Template, find
from tests.nodes import Node

NOW = datetime(2026, 2, 13, 0, 0, 1, tzinfo=UTC)
MONTHLY = Template("events", {"index_patterns": ["events-*"], "template": {}, "_meta": {"dated": "month"}})


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("useractions-2026.02.13", date(2026, 2, 13)),
        ("useractions-2026.02.30", None),
        ("useractions-2026.2.13", None),
        ("useractions-2026.02.13-old", None),
        ("useractions-old-2026.02.13", None),
        ("myuseractions-2026.02.13", None),
        ("useractions", None),
        ("useractions-", None),
        ("meetings-2026.02.13", None),
        ("useractions-２０２６.02.13", None),
    ],
)
def test_exactly_our_dated_indices(name: str, day: date | None) -> None:
    assert last_day(find("useractions"), name) == day


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("useractions-prod-2017.10.05", True),
        ("useractions-dev-1-2017.10.05", True),
        ("useractions-dev-2017.10.05", False),
        ("useractions-dev-1-x-2017.10.05", False),
        ("useractions-prod-2017.10.05-backup", False),
        ("useractions-2017.10.05", True),
    ],
)
def test_indices_of_a_stack_are_ours_where_it_is_named(name: str, ours: bool) -> None:
    assert (last_day(find("useractions"), name, ["prod", "dev-1"]) is not None) == ours
    assert last_day(find("meetings"), "meetings-prod-2017.10.05", ["prod"]) is None


def test_a_month_ends_on_its_last_day() -> None:
    assert last_day(MONTHLY, "events-2024-02") == date(2024, 2, 29)
    assert last_day(MONTHLY, "events-2025-12") == date(2025, 12, 31)
    assert last_day(MONTHLY, "events-2025-13") is None


def test_whole_utc_days_are_kept() -> None:
    days = [DatedIndex(f"i{day}", f"i{day}", date(2026, 2, day)) for day in range(9, 14)]
    assert [index.last.day for index in older_than(days, 1, NOW)] == [9, 10, 11]
    assert [index.last.day for index in older_than(days, 3, NOW)] == [9]
    assert older_than(days, 400, NOW) == []


def test_on_a_node_with_others_around(node: Node) -> None:
    mine = ["useractions-2020.01.01", "useractions-2020.01.02"]
    others = ["useractions-2020.01", "useractions", "useractions-2020.01.01-copy", "foreign-2020.01.01"]
    for name in mine + others:
        node.ask("PUT", f"/{node.prefix}{name}")
    node.ask("PUT", f"/{node.prefix}foreign-2020.01.01/_alias/{node.prefix}useractions-2019.01.01")
    node.ask("PUT", f"/migrated-0002-{node.prefix}useractions-2020.01.03")
    node.ask(
        "PUT",
        f"/migrated-0002-{node.prefix}useractions-2020.01.03/_alias/{node.prefix}useractions-2020.01.03",
    )
    node.ask("POST", f"/{node.prefix}useractions-2020.01.02/_close")
    client = node.client()
    found = retention.dated_indices(client, [node.template("useractions"), node.template("episodes")])
    for index in older_than(found, 400, NOW):
        retention.remove(client, index)
    client.close()
    assert [index.name.replace(node.prefix, "") for index in found] == [
        *mine,
        "migrated-0002-useractions-2020.01.03",
    ]
    left = {
        index["name"].removeprefix(node.prefix)
        for index in node.ask("GET", f"/_resolve/index/*{node.prefix}*")["indices"]
    }
    assert left == set(others)
