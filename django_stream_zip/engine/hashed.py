"""A set of very many texts in little memory, by their hashes alone."""

from __future__ import annotations

from array import array
from typing import Final

_FIRST_LENGTH: Final = 1024
_MASK_64: Final = 0xFFFFFFFFFFFFFFFF


class HashedSet:
    """Knows of a text whether it was added, in 8 to 16 bytes each, where a set takes 100.

    It errs where two texts have the same 64-bit hash, which among a million happens in one of
    36 million such sets; and then it takes a new one for an old one.
    """

    def __init__(self) -> None:
        self._slots = array("Q", [0]) * _FIRST_LENGTH  # 0: empty
        self._used = 0

    def __contains__(self, text: str) -> bool:
        hashed = _hash(text)
        return self._slots[self._slot(hashed)] == hashed

    def add(self, text: str) -> None:
        """Add a text."""
        hashed = _hash(text)
        slot = self._slot(hashed)
        if not self._slots[slot]:
            self._slots[slot] = hashed
            self._used += 1
            if 2 * self._used > len(self._slots):
                self._grow()

    def _slot(self, hashed: int) -> int:
        """Find where a hash is, or the empty slot where it would be."""
        slots, mask = self._slots, len(self._slots) - 1
        slot = hashed & mask
        while slots[slot] not in (0, hashed):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        hashes = self._slots
        self._slots = array("Q", [0]) * (2 * len(hashes))
        for hashed in hashes:
            if hashed:
                self._slots[self._slot(hashed)] = hashed


def _hash(text: str) -> int:
    return hash(text) & _MASK_64 or 1
