"""``harvest.py completion``: the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from harvesters.cli.choices import Choice


@click.command()
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell completion script.

    \b
    Example:
      ./harvest.py completion bash > ~/.local/share/bash-completion/completions/harvest.py
    """
    from harvesters.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(kind(cli, {}, "harvest.py", "_HARVEST_PY_COMPLETE").source())
