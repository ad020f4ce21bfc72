"""Who is at the other end, and which name he called us by."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from harvesters.addresses import is_loopback
from harvesters.errors import ConfigError
from harvesters.web.problems import Problem, refuse

SETTING = "HARVEST_PROXY"
TRUSTED = "harvest.trusted"
"""In the scope of a request: whether it comes from a proxy of ours, or none is named."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::[0-9]*)?")
_LONGEST = 45  # characters of an address; what is remembered is not to be long because somebody sends what is none
_HOUSEHOLD = 64  # bits: who has one address of IPv6 has all that begin with these


@dataclass(frozen=True)
class Proxies:
    """Whose ``X-Forwarded-*`` is believed (``HARVEST_PROXY``)."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def read(cls, names: Sequence[str]) -> Proxies:
        """From addresses, or networks such as ``10.0.0.0/8``.

        Raises:
            ConfigError: one is neither.
        """
        try:
            return cls(tuple(ipaddress.ip_network(name, strict=False) for name in names))
        except ValueError as error:
            raise ConfigError(f"{SETTING}: {error}; it should list addresses, with commas between.") from error

    def client(self, peer: str, forwarded: str) -> str:
        """The address of who asks: the last in `forwarded` (``X-Forwarded-For``) that is no proxy of ours."""
        if not self._trusts(peer):
            return peer
        hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
        for hop in reversed(hops):
            if _address(hop) is None:
                return peer
            if not self._trusts(hop):
                return hop
        return hops[0] if hops else peer

    def brought(self, peer: str) -> bool:
        """Whether a request of `peer` comes by a proxy of ours; without any, all do."""
        return not self.networks or self._trusts(peer)

    def _trusts(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self.networks)


class Hosts:
    """Refuses a ``Host`` that is not loopback, where that is all we listen on: a foreign page may have such a name
    lead to us. Writes who asks into ``scope["client"]``, and whether a proxy of ours says so.
    """

    def __init__(self, app: ASGIApp, loopback_only: bool, proxies: Proxies) -> None:
        self.app, self.loopback_only, self.proxies = app, loopback_only, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if self.loopback_only and not is_loopback(_name(_header(scope, b"host"))):
            return await refuse(Problem(400, "The Host of the request is not this machine."), scope, receive, send)
        peer, port = scope.get("client") or ("", 0)
        client = self.proxies.client(peer, _header(scope, b"x-forwarded-for"))
        known = {"client": (client, port), TRUSTED: self.proxies.brought(peer)}
        return await self.app({**scope, **known}, receive, send)


def household(client: str) -> str:
    """What requests of one `client` are counted under: an address of IPv4, the network of one of IPv6."""
    address = _address(client)
    if address is None or address.version == 4:
        return str(address or client)
    return str(ipaddress.ip_network((address, _HOUSEHOLD), strict=False))


def _address(text: str) -> Address | None:
    plain = text.partition("%")[0]
    return _read(plain) if len(plain) <= _LONGEST else None


@lru_cache(10_000)
def _read(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _name(host: str) -> str:
    """The host of a ``Host`` header, without the port and the brackets of IPv6; "" for a header that is none."""
    found = _HOST.fullmatch(host)
    return found[1] or found[2] if found else ""


def _header(scope: Scope, name: bytes) -> str:
    """The values of a header, with commas between."""
    return ", ".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)
