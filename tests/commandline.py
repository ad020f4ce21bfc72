"""Command lines: as documents show them, and run in this process."""

from __future__ import annotations

import logging
import os
import re
import shlex

import click

from harvesters.cli import main
from harvesters.cli.main import cli


def parses(words: list[str]) -> bool:
    """Whether the command line knows these words; raises click's usage errors."""
    with cli.make_context("harvest.py", words) as context:
        command: click.Command = cli
        rest = [*context._protected_args, *context.args]
        while isinstance(command, click.Group):
            name, known, rest = command.resolve_command(context, rest)
            assert known is not None
            command = known
        command.make_context(str(name), rest)
    return True


def examples(text: str) -> list[list[str]]:
    """The words after ``harvest.py`` of each line in a block of code."""
    lines = [line for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.S) for line in block.splitlines()]
    calls = [match[1] for line in lines if (match := re.search(r"harvest\.py ([^#<>|]*)", line))]
    return [shlex.split(call) for call in calls]


def run_here(*arguments: str) -> int:
    """The exit code of ``harvest.py ARGUMENTS``, run in this process, whose logging is as it was then."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        return int(main.run(["--env-file", os.devnull, *arguments]))
    finally:
        root.handlers[:], root.level = before
