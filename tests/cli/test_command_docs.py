"""The documents of these commands: their examples parse, and nothing that is shipped is missing."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from harvesters.cli.main import cli
from harvesters.search.saved import saved_queries

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("load_episodes", "export", "query")


def parses(words: list[str]) -> bool:
    """Whether the command line knows these words; raises click's usage errors."""
    with cli.make_context("harvest.py", words) as context:
        command: click.Command = cli
        rest = [*context._protected_args, *context.args]
        while isinstance(command, click.Group):
            name, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command = found
        command.make_context(str(name), rest)
    return True


def examples(text: str) -> list[list[str]]:
    lines = [line for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.S) for line in block.splitlines()]
    calls = [match[1] for line in lines if (match := re.search(r"harvest\.py ([^#>|]*)", line))]
    return [shlex.split(call) for call in calls]


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
