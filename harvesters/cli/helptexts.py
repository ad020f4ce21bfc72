"""Help where Python has no docstrings (``PYTHONOPTIMIZE=2``): read from the source, so that it says the same."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TypeVar

import click

C = TypeVar("C", bound=click.Command)


def described(command: C) -> C:
    """`command` with its help, if that was a docstring which Python has thrown away."""
    if sys.flags.optimize >= 2 and command.help is None and command.callback is not None:
        command.help = _docstring(inspect.unwrap(command.callback))
    return command


def _docstring(function: object) -> str | None:
    """The docstring of a function in a module, cleaned as click cleans one; None where the source is not there."""
    import ast

    code = getattr(function, "__code__", None)
    try:
        tree = ast.parse(Path(code.co_filename).read_text(encoding="utf-8"))  # type: ignore[union-attr]
    except (OSError, AttributeError, SyntaxError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == getattr(function, "__name__", ""):
            return ast.get_docstring(node)
    return None
