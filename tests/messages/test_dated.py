"""Names of indices of the message service, and what prunes them: nothing, unless it is told."""

from __future__ import annotations

from datetime import date

import pytest

from harvesters.messages import dated
from harvesters.messages.dated import Named
from tests.cli.conftest import Command, harvest  # noqa: F401 - fixture
from tests.messages.chats import Chats, log, message

OLD = [
    "message-2001-01-02",
    "message-my-app-2001-1-2",
    "analytic-2001-01-02",
    "logging-wenet-2001-01-02",
    "logging-we-net-2001-1-2",
]
KEPT = ["message-history", "message-wenet-2001.01.02", "analytic-wenet-user", "message-2100-01-01", "message-board"]


@pytest.mark.parametrize(
    ("name", "found", "today"),
    [
        ("message-2021-01-22", Named("message", "", date(2021, 1, 22)), "message-2021-01-22"),
        ("message-a-b-2021-1-2", Named("message", "a-b", date(2021, 1, 2)), "message-2021-01-02"),
        ("message-2020-2021-01-22", Named("message", "2020", date(2021, 1, 22)), "message-2021-01-22"),
        ("message-history", Named("message", "", None), "message-history"),
        ("message-a-history", Named("message", "a", None), "message-history"),
        ("logging-a-2021-11-2", Named("logging", "a", date(2021, 11, 2)), "logging-2021-11-02"),
        ("message-2021-01-22-2", Named("message", "", date(2021, 1, 22)), "message-2021-01-22"),
        ("logging-2021-11-02", None, ""),
        ("analytic-a-2021-11-02", None, ""),
        ("analytic-a-user", None, ""),
        ("message-2021-02-30", None, ""),
        ("message-board", None, ""),
        ("messages-2021-01-22", None, ""),
    ],
)
def test_what_a_name_says(name: str, found: Named | None, today: str) -> None:
    assert Named.read(name) == found
    assert found is None or found.today == today


def test_no_retention_covers_them() -> None:
    """ILM and ISM cover what is dated in the sense of the templates."""
    assert len(dated.ours()) == 3
    assert not any(template.dated for template in dated.ours())


class TestPrune:
    @pytest.fixture(autouse=True)
    def filled(self, chats: Chats) -> None:
        for name in [*OLD, *KEPT]:
            chats.put(name, {"1": log("1") if name.startswith("logging") else message("1")})

    def test_none_goes_and_none_is_named_unless_it_is_told(self, harvest: Command, chats: Chats) -> None:  # noqa: F811
        result = harvest("setup", "prune", "--older-than", "1000d")
        assert result.code == 0, result.err
        assert not any(kind in result.out for kind in ("message", "analytic", "logging"))
        assert chats.indices() == {*OLD, *KEPT}

    def test_those_that_are_old_go_when_it_is_told(self, harvest: Command, chats: Chats) -> None:  # noqa: F811
        chats.ask("PUT", "/migrated-0009-logging-wenet-2001-3-4")
        chats.ask("PUT", "/migrated-0009-logging-wenet-2001-3-4/_alias/logging-wenet-2001-3-4")
        dry = harvest("setup", "prune", "--older-than", "1000d", "--messages", "--dry-run")
        assert dry.code == 0, dry.err
        assert all(f"would remove {name}\n" in dry.out for name in OLD)
        assert {*OLD, *KEPT} < chats.indices()
        result = harvest("setup", "prune", "--older-than", "1000d", "--messages")
        assert result.code == 0, result.err
        assert all(f"removed {name}\n" in result.out for name in OLD)
        assert "removed migrated-0009-logging-wenet-2001-3-4 (behind logging-wenet-2001-3-4)\n" in result.out
        assert "left message-wenet-2001.01.02: its name is not exactly" in result.out
        assert chats.indices() == {*KEPT}
