"""A set of numbers that are mostly neighbours, in a few bits each."""

from __future__ import annotations

_BITS = 512


class IdSet:
    """Row ids that were seen: a bitmap for each 512 consecutive ones, so that a day of rows costs next to nothing."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}
        self._count = 0

    def add(self, id: int) -> bool:
        """Add `id`; True when it was new."""
        block, bit = divmod(id, _BITS)
        mask = 1 << bit
        bits = self._blocks.get(block, 0)
        if bits & mask:
            return False
        self._blocks[block] = bits | mask
        self._count += 1
        return True

    def __contains__(self, id: int) -> bool:
        block, bit = divmod(id, _BITS)
        return bool(self._blocks.get(block, 0) >> bit & 1)

    def __len__(self) -> int:
        return self._count
