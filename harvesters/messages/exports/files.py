"""The files of an export: what they may be called, and when they take their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from harvesters.files import refusal, replacing_all
from harvesters.messages.exports.sheet import DELIMITERS
from harvesters.settings import Settings

SHEETS = tuple(DELIMITERS)
ARRAYS = (".json",)


def path_of(settings: Settings, name: str, extensions: Sequence[str]) -> Path | None:
    """The file that setting `name` names; None without it.

    Raises:
        ValueError: its name has another extension.
    """
    text = settings.get(name)
    if not text:
        return None
    path = Path(text).expanduser()
    if path.suffix.lower() not in extensions:
        raise ValueError(f"{name}: the name of {text} has to end in {' or '.join(extensions)}")
    return path


def check_distinct(paths: Sequence[Path]) -> None:
    """See that no two files are one.

    Raises:
        ValueError: they are.
    """
    places = [path.resolve() for path in paths]
    if twice := [str(path) for path, place in zip(paths, places, strict=True) if places.count(place) > 1]:
        raise ValueError(f"{' and '.join(twice)} are one file: each needs one of its own")


@contextmanager
def whole_files(paths: Sequence[Path]) -> Iterator[list[TextIO]]:
    """Texts that take the names of the files together, when the block ends well.

    Raises:
        ConfigError: one of them cannot be written.
        SinkUnavailable: there is no room.
    """
    try:
        with replacing_all([path.resolve() for path in paths]) as streams:
            yield streams
    except OSError as error:
        path = _meant(Path(str(error.filename)), paths) if error.filename else paths[0]
        raise refusal(error, path, "Give another file.", "Run again then.") from error


def _meant(part: Path, paths: Sequence[Path]) -> Path:
    """Whose part that is."""
    return next((path for path in paths if part.name.startswith(f".{path.resolve().name}.")), paths[0])
