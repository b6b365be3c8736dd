"""Where central directory headers go until the end of the archive."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from copy import copy
from typing import Final, Protocol

from django_stream_zip.engine import records

_BLOCK_LENGTH: Final = 65536


class Directory(Protocol):
    """The central directory, as far as an archive has to know it."""

    @property
    def size(self) -> int:
        """Number of bytes."""

    @property
    def entries(self) -> int:
        """Number of headers."""

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


class KnownDirectory:
    """The central directory of an archive that isn't written yet: all of it but some CRC-32s.

    `starts` has the position in it of each header, and of its end.
    """

    def __init__(self) -> None:
        self.starts = array("Q", [0])
        self._headers = bytearray()

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self._headers)

    @property
    def entries(self) -> int:
        """Number of headers."""
        return len(self.starts) - 1

    def append(self, header: bytes) -> None:
        """Add one more header."""
        self._headers += header
        self.starts.append(len(self._headers))

    def copy(self) -> KnownDirectory:
        """Return one in which CRC-32s can be set: it has bytes of its own."""
        copied = copy(self)
        copied._headers = self._headers.copy()
        return copied

    def local_file_header(self, number: int) -> bytes:
        """Return the local file header of a member without Zip64."""
        starts = self.starts
        return records.local_file_header_of(self._headers, starts[number], starts[number + 1])

    def data_descriptor(self, number: int, crc_32: int) -> bytes:
        """Return the data descriptor of a member without Zip64."""
        return records.data_descriptor_of(self._headers, self.starts[number], crc_32)

    def set_crc_32(self, number: int, crc_32: int) -> None:
        """Set the CRC-32 in one of the headers."""
        records.set_crc_32(self._headers, self.starts[number], crc_32)

    def blocks(self) -> Iterator[bytes]:
        """Yield all headers, in blocks of 64 KiB."""
        for start in range(0, len(self._headers), _BLOCK_LENGTH):
            yield bytes(self._headers[start : start + _BLOCK_LENGTH])


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
