"""``setup migrate`` as an operator gives it, where there are messages, analytics and logs of older versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvesters.messages import dated, stored
from harvesters.messages.model import Message
from tests.cli.conftest import Command, harvest  # noqa: F401 - fixture
from tests.messages.chats import Chats, log, message
from tests.migration.chatting import analytic
from tests.migration.test_chats import given_out, names


@pytest.fixture
def old(chats: Chats) -> Chats:
    """A cluster as the former service left it."""
    chats.put("message-wenet-2021-01-22", {"a": message("1"), "b": message("2", project="other")})
    chats.put("analytic-wenet-message", {"c": analytic("c", "from_users")})
    chats.put("logging-wenet-2021-1-2", {"d": log("1")})
    return chats


def test_all_of_it_is_migrated_once(harvest: Command, old: Chats) -> None:  # noqa: F811
    dry = harvest("setup", "migrate", "--dry-run")
    assert dry.code == 0, dry.err
    assert dry.out.endswith("3 indices would be migrated\n")
    assert old.indices() == {"message-wenet-2021-01-22", "analytic-wenet-message", "logging-wenet-2021-1-2"}
    result = harvest("setup", "migrate")
    assert result.code == 0, result.err
    assert "logging-wenet-2021-1-2: copied 1 documents" in result.out
    assert "MIGRATION_FOLDER" not in result.err
    assert names(old) == {"message-2021-01-22"}
    assert set(given_out(old)) == {"a", "b"}
    assert old.all("analytic-*")["c"]["descriptor"]["metric"] == "requests"
    assert harvest("setup", "migrate").out.endswith("nothing to migrate\n")
    pruned = harvest("setup", "prune", "--messages", "--older-than", "1000d")
    assert "(behind message-2021-01-22)" in pruned.out
    assert "(behind logging-wenet-2021-1-2)" in pruned.out


def test_what_the_former_migrator_did_is_not_done_again(
    harvest: Command,  # noqa: F811
    old: Chats,
) -> None:
    old.put("migrations-of-theirs", {"5-message_analytic": {"name": "message_analytic"}})
    env = {"MIGRATION_MANAGER_INDEX": "migrations-of-theirs", "MIGRATION_FOLDER": "/scripts/actions"}
    result = harvest("setup", "migrate", env=env)
    assert result.code == 0
    assert result.err.count("MIGRATION_FOLDER") == 1
    assert old.all("analytic-*")["c"]["descriptor"]["metric"] == "from_users"


def test_projects_get_other_names_by_a_file(harvest: Command, old: Chats, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "projects.csv"
    file.write_text("old,new,from,to\nwenet,app-1,,2021-01-23\n")
    result = harvest("setup", "migrate", "--rename-projects", str(file))
    assert result.code == 0, result.err
    assert {id: body["project"] for id, body in given_out(old).items()} == {"a": "app-1", "b": "other"}


def test_a_bad_file_is_a_mistake_and_changes_nothing(harvest: Command, old: Chats, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "projects.csv"
    file.write_text("wenet,app-1,,\nother,app-2,tomorrow,\n")
    for options in ((), ("--dry-run",)):
        result = harvest("setup", "migrate", "--rename-projects", str(file), *options)
        assert result.code == 2
        assert "line 2: from is no time in ISO 8601: 'tomorrow'" in result.err
    assert harvest("setup", "migrate", "--rename-projects", str(tmp_path / "none.csv")).code == 2
    assert harvest("setup", "migrate", "--rename-projects", str(file), "--undo", "8").code == 2
    assert "message-wenet-2021-01-22" in old.indices()


@pytest.mark.parametrize("number", ["9", "10", "11"])
def test_it_cannot_be_undone(harvest: Command, old: Chats, number: str) -> None:  # noqa: F811
    result = harvest("setup", "migrate", "--undo", number)
    assert result.code == 78
    assert "cannot be undone" in result.err


def test_one_that_cannot_be_migrated_does_not_keep_the_others(harvest: Command, old: Chats) -> None:  # noqa: F811
    for name in ("logging-wenet-2021-1-2", "analytic-wenet-message"):
        old.ask("PUT", f"/{name}/_settings", {"index.blocks.read_only": True})
    result = harvest("setup", "migrate")
    assert result.code == 65
    assert "logging-wenet-2021-1-2: it has index.blocks.read_only" in result.err
    assert "analytic: it has index.blocks.read_only" in result.err
    assert names(old) == {"message-2021-01-22"}


def test_templates_make_indices_that_need_nothing(harvest: Command, chats: Chats) -> None:  # noqa: F811
    for template in dated.ours():
        chats.ask("PUT", f"/_index_template/{template.name}", template.on(chats.product).body)
    chats.put("message-2021-01-22", {"a": stored.loads(stored.document(Message.parse(message("1"))))})
    chats.put("logging-wenet-2021-01-02", {"b": log("1")})
    chats.put("analytic-2021-01-02", {"c": analytic("c", "requests")})
    assert harvest("setup", "migrate").out == "nothing to migrate\n"
