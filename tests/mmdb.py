"""Writes small files in MaxMind's DB format 2.0, for tests of GeoIP."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any

_MARKER = b"\xab\xcd\xefMaxMind.com"


class Uint32(int):
    """A number that is written with four bytes, where others have two."""


def write(path: Path, networks: dict[str, dict[str, Any]], ip_version: int = 6) -> Path:
    """A database of `networks` (CIDR) with their records; IPv4 ones lie at ``::/96``, as in GeoLite2."""
    root: list[Any] = [None, None]
    for network, record in networks.items():
        _insert(root, ipaddress.ip_network(network), record, ip_version)
    nodes: list[list[Any]] = []
    _number(root, nodes)
    data, offsets = bytearray(), {}
    for node in nodes:
        for side in node:
            if isinstance(side, dict) and id(side) not in offsets:
                offsets[id(side)] = len(data)
                data += _encode(side)
    places = {id(node): number for number, node in enumerate(nodes)}
    tree = b"".join(struct.pack(">I", _pointer(side, places, offsets, len(nodes))) for node in nodes for side in node)
    about = {
        "node_count": Uint32(len(nodes)),
        "record_size": 32,
        "ip_version": ip_version,
        "database_type": "GeoLite2-City",
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000 + (1 << 32),
        "description": {"en": "test"},
    }
    path.write_bytes(tree + bytes(16) + bytes(data) + _MARKER + _encode(about))
    return path


def _insert(root: list[Any], network: Any, record: dict[str, Any], ip_version: int) -> None:
    bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
    if network.version == 4 and ip_version == 6:
        bits = "0" * 96 + bits
    node = root
    for bit in bits[:-1]:
        if node[int(bit)] is None:
            node[int(bit)] = [None, None]
        node = node[int(bit)]
    node[int(bits[-1])] = record


def _number(node: list[Any], nodes: list[list[Any]]) -> None:
    nodes.append(node)
    for side in node:
        if isinstance(side, list):
            _number(side, nodes)


def _pointer(side: Any, places: dict[int, int], offsets: dict[int, int], count: int) -> int:
    if side is None:
        return count
    return places[id(side)] if isinstance(side, list) else count + 16 + offsets[id(side)]


def _encode(value: Any) -> bytes:
    if isinstance(value, dict):
        return _head(7, len(value)) + b"".join(_encode(key) + _encode(inner) for key, inner in value.items())
    if isinstance(value, list):
        return _head(11, len(value)) + b"".join(_encode(inner) for inner in value)
    if isinstance(value, str):
        text = value.encode()
        return _head(2, len(text)) + text
    if isinstance(value, float):
        return _head(3, 8) + struct.pack(">d", value)
    number: bytes = value.to_bytes((value.bit_length() + 7) // 8, "big")
    type = 9 if value >= 1 << 32 else 6 if isinstance(value, Uint32) else 5  # readers insist on the very type
    return _head(type, len(number)) + number


def _head(type: int, size: int) -> bytes:
    assert size < 285
    length = bytes([size - 29]) if size >= 29 else b""
    code = min(size, 29)
    return (bytes([code, type - 7]) if type > 7 else bytes([type << 5 | code])) + length
