"""Composable index templates: files of `index_templates/`, compared with the cluster's and put where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import orjson

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.cluster import Cluster
from harvesters.errors import ConfigError

# What newer clusters add to a template that they give back: when it was put.
_OF_THE_CLUSTER = {"created_date", "created_date_millis", "modified_date", "modified_date_millis"}


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

    def on(self, cluster: Cluster) -> Template:
        """The same as `cluster` takes it: OpenSearch has ``flat_object``, without parameters, for ``flattened``."""
        if "flat_object" not in cluster.features or not self.mappings:
            return self
        template = {**self.body["template"], "mappings": _with_flat_objects(self.mappings)}
        return Template(self.name, {**self.body, "template": template})


def _with_flat_objects(mapping: Mapping[str, Any]) -> dict[str, Any]:
    if mapping.get("type") == "flattened":
        return {"type": "flat_object"}
    return {
        name: {field: _with_flat_objects(inner) for field, inner in value.items()}
        if name in ("properties", "fields")
        else value
        for name, value in mapping.items()
    }


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
    """What putting `template` would change, in the words of the cluster. Nothing is put."""
    template = template.on(client.cluster)
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
    client.request("PUT", f"/_index_template/{paths.name(template.name)}", template.on(client.cluster).body)


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
