"""Whether an index has the form that our templates give it; one from before an upgrade has another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.errors import ConfigError
from harvesters.search import templates
from harvesters.search.templates import Template

Body = Mapping[str, Any]
_WORDS = {"keyword", "text", "wildcard", "constant_keyword", "match_only_text"}  # these take flags as they come


def type_at(mapping: Body, field: str) -> str:
    """The type of a field with dots in its name; "" where it is not mapped."""
    here: Any = mapping
    for name in field.split("."):
        here = here.get("properties", {}).get(name) if isinstance(here, Mapping) else None
    return str(here.get("type", "object")) if isinstance(here, Mapping) else ""


def difference(client: SearchClient, index: str, kind: str, *fields: str) -> str:
    """How `index` maps one of `fields` otherwise than our template `kind`; "" where it does not, or none is ours."""
    template = next((each.on(client.cluster) for each in templates.read() if each.name == kind), None)
    ours = {field: type_at(template.mappings, field) for field in fields} if template is not None else {}
    if not any(ours.values()):
        return ""
    for name, mapping in _mappings(client, index).items():
        for field, wanted in ours.items():
            theirs = type_at(mapping, field)
            if wanted and theirs != wanted:
                return f"{name} has {field} {f'as {theirs}' if theirs else 'not at all'}, and our template as {wanted}"
    return ""


def is_replaced(client: SearchClient, index: str) -> bool:
    """Whether a migration has put another index in the place of `index`, maybe a moment ago."""
    named = _mappings(client, index)
    return index not in named and bool(named)


def require_fitting(client: SearchClient, index: str, template: Template, but: Collection[str] = ()) -> None:
    """See that `index` would take documents of today; one that is not there yet is fine.

    `but`: fields that they will not have.

    Raises:
        ConfigError: it would refuse each, as an index does that an older version made.
    """
    for name, mapping in _mappings(client, index).items():
        misfits = list(_misfits(mapping, template.mappings, but=but))
        if misfits:
            raise ConfigError(
                f"the index {name} of {client.name} is in the form of an older version (its {', '.join(misfits[:3])}) "
                "and would refuse every document: run harvest.py setup load_index_templates, then harvest.py setup "
                "migrate. Nothing was changed."
            )


def _mappings(client: SearchClient, index: str) -> dict[str, Body]:
    """The mappings behind `index`, which may be an alias, by the names of the indices; none where there is none."""
    answer = client.request("GET", f"/{paths.name(index)}/_mapping", accept=(404,))
    found = answer.body.items() if answer.found else ()
    return {name: body["mappings"] for name, body in found if isinstance(body, Mapping) and "mappings" in body}


def _misfits(
    theirs: Body, ours: Body, prefix: str = "", strict: bool = False, but: Collection[str] = ()
) -> Iterator[str]:
    strict = str(theirs["dynamic"]).lower() == "strict" if "dynamic" in theirs else strict
    known = theirs.get("properties", {})
    for name, wanted in ours.get("properties", {}).items():
        if name not in known:
            if strict and f"{prefix}{name}" not in but:
                yield f"{prefix}{name} is not mapped, and it is strict"
            continue
        found, here = str(known[name].get("type", "object")), str(wanted.get("type", "object"))
        if here == "boolean" and found not in {"boolean", *_WORDS}:
            yield f"{prefix}{name} is {found}, not boolean"
        if found == here == "object":
            yield from _misfits(known[name], wanted, f"{prefix}{name}.", strict)
