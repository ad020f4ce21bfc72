"""Names of the index of log events: which can be one, and which are somebody else's."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from harvesters.errors import ConfigError
from harvesters.migration.ledger import INDEX as LEDGER
from harvesters.search.retention import MIGRATED
from harvesters.search.templates import Template

TEMPLATE = "pset_x"
SETTING = "ELASTIC_INDEX"

_NEVER = '\\/*?"<>| ,#:'  # in names of indices; of these * and , name others too, and so do < and : (dates, clusters)
_NEVER_FIRST = "-_+."
_MOST_BYTES = 255


def require_name(name: str) -> None:
    """See that `name` can be that of one index, whatever a request makes of patterns, lists and dates.

    Raises:
        ConfigError: it cannot.
    """
    why = _wrong_with(name)
    if why:
        raise ConfigError(f"{SETTING}={name!r} is no name of one index, for {why}. Give another, such as {TEMPLATE}.")


def _wrong_with(name: str) -> str:
    never = sorted({letter for letter in name if letter in _NEVER or not letter.isprintable()})
    if never:
        return f"it holds {' '.join(map(repr, never))}"
    if name[:1] in _NEVER_FIRST:
        return f"it begins with {name[0]!r}"
    if name != name.lower():
        return "it is not in lower case"
    if len(name.encode()) > _MOST_BYTES:
        return f"it has more than {_MOST_BYTES} bytes"
    return ""


def require_not_ours(name: str, known: Sequence[Template]) -> None:
    """See that `name` is none that another of the templates in `known` is for, nor stands for such an index.

    Raises:
        ConfigError: it is.
    """
    made = MIGRATED.fullmatch(name)
    names = {name, made[1] if made is not None else name}
    for template in known:
        patterns = [template.name, *template.aliases, *template.patterns]
        if template.name != TEMPLATE and any(fnmatchcase(one, pattern) for one in names for pattern in patterns):
            raise ConfigError(
                f"{SETTING}={name!r} is a name for {template.name}, and not for log events. Give another one, such as "
                f"{TEMPLATE}. Nothing was changed."
            )
    if name == LEDGER:
        raise ConfigError(f"{SETTING}={name!r} is the index of setup migrate. Give another one, such as {TEMPLATE}.")
