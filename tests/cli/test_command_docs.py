"""The documents of these commands: their examples parse, and nothing that is shipped is missing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harvesters.search.saved import saved_queries
from tests.commandline import examples, parses

DOCS = Path(__file__).parents[2] / "docs"
NAMES = (
    "load_episodes",
    "export",
    "query",
    "search",
    "insights",
    "serve",
    "logs",
    "operate",
    "backfill",
    "schedule",
    "analytics",
)


@pytest.mark.parametrize("name", NAMES)
def test_examples_parse(name: str) -> None:
    found = examples((DOCS / f"{name}.md").read_text())
    assert len(found) > 2
    assert all(parses(words) for words in found)


@pytest.mark.parametrize("name", NAMES)
def test_shell_blocks_parse(name: str) -> None:
    for block in re.findall(r"```sh\n(.*?)```", (DOCS / f"{name}.md").read_text(), re.S):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_every_shipped_query_is_named() -> None:
    text = (DOCS / "query.md").read_text()
    assert all(f"`{saved.name}`" in text for saved in saved_queries())
