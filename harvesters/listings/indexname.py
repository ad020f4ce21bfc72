"""What ``LISTINGS_INDEX`` names: one index. A listing is read by its id, which cannot be done in several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harvesters.elastic import paths
from harvesters.elastic.client import SearchClient
from harvesters.elastic.errors import error_type, reason
from harvesters.errors import ConfigError


def ensure_index(client: SearchClient, name: str, body: Mapping[str, Any]) -> bool:
    """Make the index where there is none of that name, nor an alias; whether it was made.

    Raises:
        ConfigError: no index can be called or be made so.
    """
    if require_one(client, name):
        return False
    answer = client.request("PUT", f"/{paths.name(name)}", body, accept=(400,))
    if answer.status == 400 and error_type(answer.body) != "resource_already_exists_exception":
        raise ConfigError(f"{client.name} makes no index {name!r}: {reason(answer.body)}")
    return answer.status == 200


def require_one(client: SearchClient, name: str) -> bool:
    """Whether there is an index of that name, or an alias that leads to one index and lets us write there.

    Raises:
        ConfigError: the name is none, or it leads to several indices, where a listing cannot be read by its id.
    """
    answer = client.request("GET", f"/{paths.name(name)}/_alias", accept=(400, 404))
    if answer.status == 400:
        raise ConfigError(f"{client.name} has no index {name!r}: {reason(answer.body)}")
    if not answer.found:
        return False
    if [*answer.body] == [name]:
        return True
    aliases = [each.get("aliases", {}).get(name) for each in answer.body.values()]
    if len(aliases) != 1 or aliases[0] is None or aliases[0].get("is_write_index") is False:
        places = ", ".join(sorted(answer.body)) or "no index"
        raise ConfigError(
            f"{name!r} leads to {places} in {client.name}, and has to be one index, or an alias of one that may be "
            "written to. Name that one in LISTINGS_INDEX. Nothing is lost."
        )
    return True
