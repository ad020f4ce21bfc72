"""Composable index templates: files of `index_templates/`, compared with the cluster's and put where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import orjson

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import reason
from harvesters.errors import ConfigError

# What newer clusters add to a template that they give back: when it was put.
_OF_THE_CLUSTER = {"created_date", "created_date_millis", "modified_date", "modified_date_millis"}

POLICY = "harvest"
"""Name of the ILM policy that dated indices get, where the cluster has ILM."""


def directory() -> Traversable:
    """Where the template files are: in the package, which in a checkout links to the folder beside ``harvest.py``."""
    return files("harvesters.search") / "index_templates"


@dataclass(frozen=True)
class Template:
    """One composable template: its name is that of its file."""

    name: str
    body: dict[str, Any]

    @property
    def version(self) -> int:
        """Its version; the cluster's may be newer."""
        return int(self.body.get("version", 0))

    @property
    def kind(self) -> str:
        """What its indices are, whatever they are called: as their mappings say, else the template's name."""
        return str(self.mappings.get("_meta", {}).get("harvest", self.name))

    @property
    def patterns(self) -> list[str]:
        """The index patterns that it is for."""
        return list(self.body["index_patterns"])

    @property
    def dated(self) -> str:
        """What its indices hold, by their names: a ``day`` or a ``month``; "" when they have no date."""
        return str(self.body.get("_meta", {}).get("dated", ""))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of its indices."""
        return dict(self.body["template"].get("settings", {}))

    @property
    def mappings(self) -> dict[str, Any]:
        """Mappings of its indices."""
        return dict(self.body["template"].get("mappings", {}))

    @property
    def aliases(self) -> dict[str, Any]:
        """Aliases of its indices."""
        return dict(self.body["template"].get("aliases", {}))

    def renamed(self, name: str) -> Template:
        """The same for indices that are called `name`, where these are called as this template is."""
        patterns = [pattern.replace(self.name, name, 1) for pattern in self.patterns]
        aliases = {alias.replace(self.name, name, 1): value for alias, value in self.aliases.items()}
        template = {**self.body["template"], **({"aliases": aliases} if aliases else {})}
        return Template(name, {**self.body, "index_patterns": patterns, "template": template})

    def under(self, policy: str) -> Template:
        """The same, its indices under an ILM policy."""
        index = {**self.settings.get("index", {}), "lifecycle": {"name": policy}}
        template = {**self.body["template"], "settings": {**self.settings, "index": index}}
        return Template(self.name, {**self.body, "template": template})


def read(path: Traversable | None = None) -> list[Template]:
    """All templates of a directory (ours without one), by name.

    Raises:
        ConfigError: there are none, or one cannot be read.
    """
    path = path if path is not None else directory()
    found = []
    there = [file for file in path.iterdir() if file.name.endswith(".json")] if path.is_dir() else []
    for file in sorted(there, key=lambda file: file.name):
        try:
            body = orjson.loads(file.read_bytes())
            if not isinstance(body, dict) or not body.get("index_patterns") or "template" not in body:
                raise ValueError("it has no index_patterns or no template")
        except (OSError, ValueError) as error:
            raise ConfigError(f"the index template {file} cannot be read: {error}") from error
        found.append(Template(file.name.removesuffix(".json"), body))
    if not found:
        raise ConfigError(f"there are no index templates in {path}")
    return found


def find(name: str) -> Template:
    """Our template of that name."""
    return next(template for template in read() if template.name == name)


class Verdict(StrEnum):
    """What a template is to the cluster."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "unchanged"
    OLDER = "left out"


@dataclass(frozen=True)
class Comparison:
    """A template beside the cluster's: the `diff` has one line for each value, ``-`` the cluster's and ``+`` ours."""

    template: Template
    verdict: Verdict
    diff: list[str]
    theirs: int | None = None


def compare(client: SearchClient, template: Template) -> Comparison:
    """What putting `template` would change. Nothing is put."""
    answer = client.request("GET", f"/_index_template/{paths.name(template.name)}", accept=(404,))
    if not answer.found:
        return Comparison(template, Verdict.NEW, [f"+ {line}" for line in _lines(template.body)])
    current = answer.body["index_templates"][0]["index_template"]
    version = int(current.get("version", 0))
    if version > template.version:
        return Comparison(template, Verdict.OLDER, [], version)
    before, after = _lines(current), _lines(template.body)
    diff = sorted(
        [f"- {line}" for line in before if line not in after] + [f"+ {line}" for line in after if line not in before],
        key=lambda line: (line[2:].split("=")[0], line[0] == "+"),
    )
    return Comparison(template, Verdict.CHANGED if diff else Verdict.SAME, diff, version)


def put(client: SearchClient, template: Template) -> None:
    """Put it; indices made from now on follow it."""
    client.request("PUT", f"/_index_template/{paths.name(template.name)}", template.body)


def _lines(body: Mapping[str, Any]) -> dict[str, None]:
    """Every value with its path, in one spelling: the cluster gives settings back as strings, and below ``index``."""
    body = {
        name: value for name, value in body.items() if name not in _OF_THE_CLUSTER and (name != "composed_of" or value)
    }
    template = dict(body.get("template", {}))
    settings = template.pop("settings", {})
    lines: dict[str, None] = {}
    for path, value in _leaves({**body, "template": template}):
        lines[f"{path}={value}"] = None
    for path, value in _leaves(settings):
        lines[f"template.settings.index.{path.removeprefix('index.')}={value}"] = None
    return lines


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, Mapping):
        yield path, "{}"
    elif isinstance(value, list):
        yield path, ", ".join(str(inner) for inner in value)
    else:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def has_ilm(client: SearchClient) -> bool:
    """Whether the cluster has index lifecycle management: anything but 200 means that it has not."""
    return client.request("GET", "/_ilm/policy", accept=range(300, 600)).status == 200


def under_policy(client: SearchClient, found: Sequence[Template]) -> list[Template]:
    """The templates, dated ones under our ILM policy; as they are where the cluster does not know the setting for it.

    A gateway in front of a cluster may answer for ILM without the cluster having it.
    """
    made = [each.under(POLICY) if each.dated else each for each in found]
    probe = {"index_patterns": ["harvest-probe-*"], "template": {"settings": {"index.lifecycle.name": POLICY}}}
    answer = client.request("POST", "/_index_template/_simulate", probe, accept=range(400, 500))
    return [*found] if answer.status == 400 and "lifecycle" in reason(answer.body) else made


def put_policy(client: SearchClient, retention_days: int | None, dry_run: bool = False) -> str:
    """Put the ILM policy of dated indices; returns what it did, or would do.

    Without `retention_days` nothing is ever deleted, and a policy that is already there stays as its operator wants it.
    """
    path = f"/_ilm/policy/{POLICY}"
    there = client.request("GET", path, accept=(404,))
    if retention_days is None and there.found:
        return f"ILM policy {POLICY}: left as it is"
    phases: dict[str, Any] = {"hot": {"min_age": "0ms", "actions": {}}}
    if retention_days is not None:
        phases["delete"] = {"min_age": f"{retention_days}d", "actions": {"delete": {}}}
    if not dry_run:
        client.request("PUT", path, {"policy": {"phases": phases}})
    keeps = (
        "deletes nothing" if retention_days is None else f"deletes indices {retention_days} days after they were made"
    )
    would = "would be " if dry_run else ""
    return f"ILM policy {POLICY}: {would}{'changed' if there.found else 'new'}, {keeps}"
