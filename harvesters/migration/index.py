"""An index as a migration finds it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Self

from harvesters.errors import ConfigError
from harvesters.migration.migrations import Body, Migration

UNREADABLE = ("read", "metadata")
BLOCKS = ("read_only", *UNREADABLE)
"""What an operator may forbid of an index so that it cannot be migrated."""


@dataclass(frozen=True)
class Index:
    """An index as it is: `name` is its own, `logical` what it is called by (an alias after a migration).

    `block`: what its operator has forbidden, such as ``read_only``; with ``metadata`` nothing else is known of it.
    `write_blocked`: whether it takes no writes, by its operator or by a migration under way.
    `created`: in milliseconds since 1970.
    """

    name: str
    logical: str
    uuid: str = ""
    mappings: Body = field(default_factory=dict)
    shards: int = 1
    hidden: bool = False
    block: str = ""
    write_blocked: bool = False
    closed: bool = False
    created: int = 0

    @property
    def properties(self) -> Body:
        """The mapped fields."""
        return dict(self.mappings.get("properties", {}))

    def born(self, migration: Migration) -> bool:
        """Whether it was made by a template of ours that knew of the migration."""
        meta = self.mappings.get("_meta", {})
        return meta.get("harvest") == migration.kind and int(meta.get("version", 0)) >= migration.born

    @classmethod
    def read(cls, name: str, logical: str, body: Any) -> Self:
        """From what the cluster says of index `name`."""
        config = body["settings"]["index"]
        hidden = config.get("hidden") == "true"
        blocks = config.get("blocks", {})
        block = next((one for one in BLOCKS if blocks.get(one) == "true"), "")
        write_blocked = blocks.get("write") == "true"
        closed = config.get("verified_before_close") == "true"
        shards = int(config["number_of_shards"])
        created = int(config["creation_date"])
        return cls(
            name, logical, config["uuid"], body["mappings"], shards, hidden, block, write_blocked, closed, created
        )

    def require_free(self, blocks: Collection[str]) -> None:
        """See that its operator has set none of `blocks`; waiting would not help.

        Raises:
            ConfigError: he has.
        """
        if self.block in blocks:
            raise ConfigError(
                f"it has index.blocks.{self.block}: lift that (PUT /{self.name}/_settings "
                f'{{"index.blocks.{self.block}": null}}), and run again'
            )
