"""What browsers, systems and devices are called, by uap-core's names, as Logstash's filter gave them to old indices.

The parser is imported, and its thousand expressions are compiled, with the first user agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ua_parser import Parser

_OTHER = "Other"  # what Logstash's filter says where uap-core knows none
_REMEMBERED = 20_000  # user agents; each costs a millisecond, and a course's students come back every thirty seconds
_MOST = 1024  # characters; what makes a browser stands at the beginning, and a header of 8 KB is nobody's browser


@lru_cache(_REMEMBERED)
def parsed(useragent: str) -> Mapping[str, str]:
    """``name``, ``os``, ``os_name`` and ``device`` of a user agent, and the parts of versions that it tells."""
    result = _parser().parse(useragent[:_MOST])
    agent, system, device = result.user_agent, result.os, result.device
    fields = {
        "name": agent.family if agent else _OTHER,
        "major": agent.major if agent else None,
        "minor": agent.minor if agent else None,
        "patch": agent.patch if agent else None,
        "os": system.family if system else _OTHER,
        "os_name": system.family if system else _OTHER,
        "os_major": system.major if system else None,
        "os_minor": system.minor if system else None,
        "device": device.family if device else _OTHER,
    }
    return {name: value for name, value in fields.items() if value}


def add_to(body: dict[str, Any]) -> None:
    """Put ``ua`` beside the ``useragent`` of a user action, where there is one."""
    useragent = body.get("useragent")
    if isinstance(useragent, str) and useragent:
        before = body.get("ua")
        found = parsed(useragent)
        body["ua"] = {**before, **found} if isinstance(before, dict) else dict(found)


@cache
def _parser() -> Parser:
    # Of the three ways to try the expressions this one needs no compiled library, and compiles none before its turn.
    from ua_parser import Parser
    from ua_parser.basic import Resolver
    from ua_parser.loaders import load_lazy_builtins

    return Parser(Resolver(load_lazy_builtins()))
