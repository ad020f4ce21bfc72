"""``harvest.py search``: people among what is indexed."""

from __future__ import annotations

from dataclasses import asdict

import click

from harvesters.cli.choices import format_option
from harvesters.cli.main import LazyGroup
from harvesters.cli.runtime import running, setting_option

_MOST = 9_999  # hits in one answer of Elasticsearch, less the one that says whether there are more


@click.group(cls=LazyGroup, short_help="Search what is indexed: profiles.")
def search() -> None:
    """Search what is indexed, by words: no query language, no quotes, no operators."""


@search.command("profiles", short_help="Find people by words of their name and bio.")
@click.argument("text")
@click.option("--school", metavar="ID", help="Only people of the school with this id, exactly.")
@click.option("--class", "class_id", metavar="ID", help="Only people of the class with this id, exactly.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=20, show_default=True, help="People shown, the best first."
)
@format_option
@setting_option("--es-host", setting="ES_HOST")
def profiles(text: str, school: str | None, class_id: str | None, limit: int, style: str) -> None:
    """Find the people who have every word of TEXT in their name or bio.

    Case, accents and order do not matter; words of three letters and more may have a typo, those of six and more two.
    Exact words come before nearly right ones, names before bios. `firebase profiles` fills the index.

    \b
    Examples:
      harvest.py search profiles "nguyen coffee"
      harvest.py search profiles lukasz --school osu_edu --format csv
    """
    from harvesters.firebase.indices import Indices
    from harvesters.profiles.index import ProfileIndex
    from harvesters.profiles.profile import COLUMNS
    from harvesters.profiles.search import LONGEST_TEXT, search
    from harvesters.tables.output import WRITERS, opened

    if len(text) > LONGEST_TEXT:
        raise click.UsageError(f"TEXT has {len(text)} characters; at most {LONGEST_TEXT} are searched for.")
    write = WRITERS[style]
    with running() as assembly:
        index = ProfileIndex(assembly.search(), Indices(assembly.settings.get("FIREBASE_INDEX_PREFIX")).profiles)
        found = search(index, text, school, class_id, limit)
        with opened(None) as stream:
            write(map(asdict, found.hits), COLUMNS, stream)
