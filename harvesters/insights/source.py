"""Where the events of the answers come from: dumps and other files, or our index in Elasticsearch."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, BinaryIO, NoReturn, cast

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import Refused, error_type
from harvesters.errors import BadInput, ConfigError
from harvesters.firebase import exact
from harvesters.firebase.dumps.reading import Dump
from harvesters.firebase.keys import Path
from harvesters.insights.events import Document, Reading, Row
from harvesters.search.scan import verbatim

_LONGEST = 16 << 20  # bytes of a document: the longest text that Firebase takes, and what is around it
_FIELDS = {*Document.__struct_fields__}
_BOM = b"\xef\xbb\xbf"


@dataclass
class File:
    """What `firebase load` reads, or the documents that ``firebase events -o FILE`` wrote; gzip too.

    Args:
        inside: where in a dump the events are.
    """

    path: FilePath
    inside: Path = ()

    def check(self) -> None:
        """Look at the file's beginning and end, before anything is done with it.

        Raises:
            BadInput: it is empty, holds no events, or is cut off as far as its end shows.
            ConfigError: it cannot be read.
        """
        if not self._has_documents:
            Dump(self.path, self.inside).check()

    def rows(self, reading: Reading) -> Iterator[Row]:
        """A row for each event, in the file's order.

        Raises:
            BadInput: it is damaged; rows before that place were yielded already.
        """
        if self._has_documents:
            return self._of_lines(reading.document)
        if self._has_entries and not self.inside:  # as the dump's reader does, in half of the time
            return self._of_lines(reading.entry)
        return (reading.event(key, value) for key, value in Dump(self.path, self.inside).pairs())

    @property
    def _has_documents(self) -> bool:
        """Whether the first line is a document: its id is a text, where that of a dump's child would be an object.

        A dump in one line may have a text under that key, too; beside it are objects, and nothing that an event has.
        """
        first = self._first
        if not isinstance(first, dict) or not isinstance(first.get("id"), str):
            return False
        others = first.keys() - {"id"}
        if not others & _FIELDS and any(isinstance(first[name], dict) for name in others):
            return False
        return not (self.inside and isinstance(first.get(self.inside[0]), dict | list))

    @property
    def _has_entries(self) -> bool:
        """Whether the first line is one of an export's."""
        return isinstance(self._first, dict) and self._first.keys() == {"key", "value"}

    @cached_property
    def _first(self) -> Any:
        """The first line that is not blank; None if it is no JSON by itself."""
        try:
            with self._opened() as file:
                line = file.readline(_LONGEST).removeprefix(_BOM)
                while line.isspace():
                    line = file.readline(_LONGEST)
            return exact.loads(line) if line.rstrip()[-1:] == b"}" else None
        except (ValueError, EOFError, zlib.error, OSError):
            return None  # the dump's reader says what is wrong

    def _of_lines(self, row: Callable[[bytes], Row]) -> Iterator[Row]:
        number = 0
        try:
            with self._opened() as file:
                for number, line in enumerate(file, 1):
                    text = line if number > 1 else line.removeprefix(_BOM)
                    if not text.isspace():
                        yield row(text)
        except ValueError:
            self._fail(number, "it is no line of an export, and no document of firebase events")
        except (EOFError, zlib.error, OSError) as error:
            self._fail(number + 1, str(error))

    def _fail(self, line: int, reason: str) -> NoReturn:
        raise BadInput(f"{self.path} is damaged at line {line}: {reason}. Get a whole file and ask again.") from None

    def _opened(self) -> BinaryIO:
        with self.path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        return cast(BinaryIO, gzip.open(self.path)) if zipped else self.path.open("rb")


def file_rows(files: Sequence[File], reading: Reading) -> Iterator[Row]:
    """The rows of all files, each of which is looked at before the first is read.

    Raises:
        BadInput, ConfigError: as `File.check` and `File.rows` say.
    """
    for file in files:
        file.check()
    for file in files:
        yield from file.rows(reading)


def index_rows(
    client: SearchClient, alias: str, reading: Reading, since: Mapping[str, int] | None = None
) -> Iterator[Row]:
    """A row for each event behind `alias`, what was indexed until now included.

    Args:
        since: read these indices alone, each from this sequence number on.

    Raises:
        ConfigError: there is no such index, or one of them is closed.
        Unavailable, CredentialsRefused, ProtocolError: as the cluster answers.
    """
    try:
        # Who may only read may not refresh: then the events of the last 30 seconds are missing.
        refreshed = client.request("POST", f"/{paths.pattern(alias)}/_refresh", accept=(403, 404))
        if not refreshed.found:
            raise ConfigError(
                f"{client.name} has no index {alias!r}: fill it (harvest.py firebase load, firebase events), name "
                "another (FIREBASE_INDEX_PREFIX), or ask a file (--from)."
            )
        for index, number in (since if since is not None else {alias: None}).items():
            for hits in verbatim(client, index, number, ordered=False):
                for hit in hits:
                    if hit.source:
                        yield reading.document(bytes(hit.source), hit.id)
    except Refused as error:
        if error_type(error.body) != "index_closed_exception":
            raise
        raise ConfigError(f"an index behind {alias} of {client.name} is closed: open it, or ask a file.") from error
