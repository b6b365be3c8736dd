"""Where central directory headers go until the end of the archive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

_BLOCK_LENGTH: Final = 65536


class Directory(Protocol):
    """The central directory, as far as an archive has to know it."""

    size: int
    entries: int

    def append(self, header: bytes) -> None:
        """Add one more header."""

    def blocks(self) -> Iterator[bytes]:
        """Yield all of them, in blocks of any length."""


class HeldDirectory:
    """The central directory in memory: nothing but the bytes that will be written."""

    def __init__(self) -> None:
        self.size = 0
        self.entries = 0
        self._blocks: list[bytes] = []
        self._last = bytearray()

    def append(self, header: bytes) -> None:
        """Add one more header."""
        self.entries += 1
        self.size += len(header)
        self._last += header
        if len(self._last) >= _BLOCK_LENGTH:
            self._blocks.append(bytes(self._last))
            self._last.clear()

    def blocks(self) -> Iterator[bytes]:
        """Yield all headers, in blocks of about 64 KiB."""
        yield from self._blocks
        yield bytes(self._last)


class CountedDirectory:
    """Counts the headers and forgets them: for an archive that is only measured."""

    def __init__(self) -> None:
        self.size = 0
        self.entries = 0

    def append(self, header: bytes) -> None:
        """Count one more header."""
        self.entries += 1
        self.size += len(header)

    def blocks(self) -> Iterator[bytes]:
        """Yield nothing."""
        yield from ()


class NoDirectory(CountedDirectory):
    """Doesn't even count: for a window of an archive that has no directory in it."""

    def append(self, header: bytes) -> None:
        """Forget the header."""
