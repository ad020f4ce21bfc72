"""Words to choose from; a mistyped one is answered with the one that may be meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice


class Choice(_Choice):
    """As click's own, with a hint."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word, or a usage error that names the nearest one."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            hint = did_you_mean(str(value), [str(choice) for choice in self.choices])
            raise click.BadParameter(f"{error.message}{hint}", ctx, param) from None


format_option = click.option(
    "--format",
    "style",
    type=Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="How the rows are written; json is one array.",
)
"""``--format`` of commands that show rows; `tables.output.WRITERS` has who writes each."""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` with the word nearest to `word`, hyphens and underscores alike; "" when none is near."""
    from difflib import get_close_matches  # here, for it takes as long as a tenth of --help, and is rarely wanted

    spelled = {_plain(known): known for known in words}
    near = get_close_matches(_plain(word), spelled, 1)
    return f" Did you mean {spelled[near[0]]!r}?" if near else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "-")
