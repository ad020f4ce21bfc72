"""What changed in the form of our documents, in order. A new change is a new entry at the end; none is ever edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harvesters.migration import oldmessages, profiles, upgrade

Body = dict[str, Any]


@dataclass(frozen=True)
class Migration:
    """One change of form.

    Attributes:
        number: its place in the order.
        kind: whose indices it is for; the kind of their template.
        born: version of the template whose new indices are in this form already.
        apply: a document in the new form; the same when there is nothing to change.
        outdated: whether the fields of a mapping say that the index needs it, whatever its documents are.
        undo: a document in the old form; None when that cannot be known.
        unmap: fields of the new mapping, for documents in the old form.
        irreversible: why there is no `undo`.
    """

    number: int
    name: str
    kind: str
    born: int
    apply: Callable[[Body], Body]
    outdated: Callable[[Body], bool]
    undo: Callable[[Body], Body] | None = None
    unmap: Callable[[Body], Body] = lambda properties: properties
    irreversible: str = ""


def _episode(properties: Body) -> Body:
    return dict(properties.get("episode", {}).get("properties", {}))


def _with_cdn_mapped(properties: Body) -> Body:
    episode = _episode(properties)
    episode["cdn"] = episode.pop("crn", {"type": "keyword"})
    return {**properties, "episode": {**properties.get("episode", {}), "properties": episode}}


def _before_user_agents(properties: Body) -> bool:
    names = properties.get("ua", {}).get("properties", {})
    types = (names.get("name", {}).get("type"), properties.get("@timestamp", {}).get("type"))
    return types != ("keyword", "alias")


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "episode.cdn becomes episode.crn",
        "useractions",
        born=1,
        apply=upgrade.with_crn,
        outdated=lambda properties: "cdn" in _episode(properties),
        undo=upgrade.with_cdn,
        unmap=_with_cdn_mapped,
    ),
    Migration(
        2,
        "is_live and action.is_playing become booleans",
        "useractions",
        born=1,
        apply=upgrade.with_booleans,
        outdated=lambda properties: properties.get("is_live", {}).get("type", "boolean") != "boolean",
        irreversible='0, "0", "false" and false are all false now, and nothing says which it was',
    ),
    Migration(
        3,
        'huid "None" and "" become no huid',
        "useractions",
        born=2,
        apply=upgrade.without_nobody,
        outdated=lambda properties: False,
        irreversible="nothing says any more which of the two it was",
    ),
    Migration(
        4,
        "episodes can hold people, subjects, room, planned times and the text of slides; live_stream is a boolean",
        "episodes",
        born=2,
        apply=lambda body: upgrade.with_live_stream(upgrade.with_known_duration(body)),
        outdated=lambda properties: "slide_text" not in properties,
        undo=upgrade.as_episode_1,
        unmap=upgrade.as_episode_1,
    ),
    Migration(
        5,
        "timestamp from Logstash's @timestamp, ua from useragent",
        "useractions",
        born=2,
        apply=lambda body: upgrade.with_useragent(upgrade.with_timestamp(body)),
        outdated=_before_user_agents,
        irreversible="nothing says any more which of the two a time was, nor who made ua",
    ),
    Migration(
        6,
        "meetings have the numbers that one sums in fields of their own",
        "meetings",
        born=2,
        apply=upgrade.with_sums,
        outdated=lambda properties: "total_minutes" not in properties,
        undo=upgrade.without_sums,
        unmap=upgrade.without_sums,
    ),
    Migration(
        7,
        "profiles have the words to find them by",
        "buddyupprofiles",
        born=2,
        apply=profiles.with_folded_words,
        outdated=lambda properties: "folded" not in properties,
        undo=profiles.without_folded_words,
        unmap=profiles.without_folded_words,
    ),
    Migration(
        8,
        "episodes can say which key their pseudonyms are made with",
        "episodes",
        born=3,
        apply=lambda body: body,
        outdated=lambda properties: "pseudonym_key" not in properties,
        undo=upgrade.without_pseudonym_key,
        unmap=upgrade.without_pseudonym_key,
    ),
    Migration(
        9,
        "logs in a mapping that takes any of them, and finds whom they name",
        "logging",
        born=1,
        apply=oldmessages.log,
        outdated=lambda properties: "harvest" not in properties,
        irreversible="the cluster guessed the old mapping from the first documents",
    ),
)


def find(number: int) -> Migration | None:
    """The migration of that number."""
    return next((migration for migration in MIGRATIONS if migration.number == number), None)


def applied(migrations: Sequence[Migration], body: Body) -> Body:
    """A document after all of `migrations`."""
    for migration in migrations:
        body = migration.apply(body)
    return body
