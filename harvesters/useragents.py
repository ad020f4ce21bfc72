"""What browsers, systems and devices are called, by uap-core's names, as Logstash's filter gave them to old indices.

The parser is imported, and its thousand expressions are compiled, with the first user agent: by RE2, all at once, in a
tenth of a second. A user agent costs it 0.1 ms then; Python's own expressions, which stand in where RE2 is not
installed, take 0.3 s for the first and 2 ms for each further one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from harvesters.pseudonyms import KEY

if TYPE_CHECKING:
    from ua_parser import Parser

_OTHER = "Other"  # what Logstash's filter says where uap-core knows none
_REMEMBERED = 20_000  # user agents; a course's students come back every thirty seconds
_MOST = 1024  # characters; what makes a browser stands at the beginning, and a header of 8 KB is nobody's browser


@lru_cache(_REMEMBERED)
def parsed(useragent: str) -> Mapping[str, str]:
    """``name``, ``os``, ``os_name`` and ``device`` of a user agent, and the parts of versions that it tells."""
    sayable = useragent[:_MOST].encode("utf-8", "replace").decode()  # RE2 reads no halves of surrogate pairs
    result = _parser().parse(sayable)
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
    if KEY in body and "ua" in body:
        return  # the useragent may be a pseudonym by now
    if isinstance(useragent, str) and useragent:
        before = body.get("ua")
        found = parsed(useragent)
        body["ua"] = {**before, **found} if isinstance(before, dict) else dict(found)


@cache
def _parser() -> Parser:
    from ua_parser import Parser
    from ua_parser.loaders import load_lazy_builtins

    try:
        from ua_parser.re2 import Resolver
    except ImportError:
        from ua_parser.basic import Resolver  # type: ignore[assignment]

    return Parser(Resolver(load_lazy_builtins()))
