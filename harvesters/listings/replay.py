"""Dead letters of `listings index`, indexed once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from harvesters.assembly import Assembly
from harvesters.errors import BadInput
from harvesters.listings.change import Change, Fate, change_of
from harvesters.listings.letters import message_of
from harvesters.listings.versions import Versions
from harvesters.sinks.deadletters import DeadLetter

_AT_ONCE = 2000


@dataclass(frozen=True)
class Unreplayable:
    """There is no message to be indexed in the letter, as in one of a gap: it stays as it is."""

    reason: str


Ending = Fate | str | Unreplayable
"""What became of a letter's message; a text is why it died again."""


def replay(assembly: Assembly, letters: Sequence[DeadLetter]) -> list[Ending]:
    """Index the messages of dead letters; what became of each.

    A message counts as what it was: of its old topic, partition, offset and time. So a newer version stays, and a
    listing that was deleted later does not come back.

    Raises:
        SinkUnavailable, RateLimited, CredentialsRefused, ConfigError, ProtocolError: Elasticsearch took none or some of
            them; to do it again changes nothing of what it took.
    """
    endings: dict[int, Ending] = {}
    changes: dict[int, Change] = {}
    for at, letter in enumerate(letters):
        try:
            topic, record = message_of(letter)
        except BadInput as error:
            endings[at] = Unreplayable(str(error))
            continue
        try:
            changes[at] = change_of(topic, record)
        except BadInput as error:
            endings[at] = str(error)
    if changes:
        versions = Versions(assembly.search(), assembly.settings.require("LISTINGS_INDEX"))
        versions.prepare()
        waiting = iter(changes.items())
        while batch := dict(islice(waiting, _AT_ONCE)):
            fates = versions.apply([*batch.values()])
            endings |= {at: fates[change] for at, change in batch.items()}
        versions.refresh()
    return [endings[at] for at in range(len(letters))]
