"""What is stored gzipped: decoded while it comes in, or the deflate stream in it as it is.

Section numbers are those of RFC 1952.
"""

from __future__ import annotations

from collections.abc import Iterator
from gzip import GzipFile
from io import BufferedReader, RawIOBase
from struct import Struct
from typing import Any, Final, NamedTuple

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import blocks_size_bound

_CHUNK_LENGTH: Final = 256 << 10

#: No header that has a file's name is longer, nor one that has a comment of some length.
MAX_HEADER_LENGTH: Final = 1024
TRAILER_LENGTH: Final = 8  # 2.3: CRC-32, size modulo 2³²

_TRAILER: Final = Struct("<LL")
_START: Final = b"\x1f\x8b\x08"  # 2.3.1: ID1, ID2, deflate
_HEADER_LENGTH: Final = 10
# 2.3.1: bits of FLG. Extra fields are from those who cut a file into many gzip members, for access
# from any position (bgzip's "BC", mgzip's "IG"): such files are decoded, as are reserved bits.
_HAS_HEADER_CRC, _HAS_NAME, _HAS_COMMENT = 1 << 1, 1 << 3, 1 << 4
_NOT_KNOWN: Final = 0xFF & ~(1 | _HAS_HEADER_CRC | _HAS_NAME | _HAS_COMMENT)

# Deflate makes no more than that of a byte.
_MAX_RATIO: Final = 1032
# What hardly any file has: 20 is much for a log.
_UNLIKELY_RATIO: Final = 32
_MODULUS: Final = spec.MAX_32 + 1


class DeflateStream(NamedTuple):
    """The deflate stream in a gzip file: from where to where, and what it inflates to.

    `remainder` is that size modulo 2³², which is all that the file says.
    """

    start: int
    stop: int
    remainder: int
    crc_32: int

    @property
    def compressed_size(self) -> int:
        """Number of bytes of the stream."""
        return self.stop - self.start

    def part(self, start: int, stop: int | None) -> tuple[int, int]:
        """Return where bytes of the stream from `start` to `stop` are in the file."""
        return self.start + start, self.stop if stop is None else self.start + stop

    def is_likely(self, size: int | None = None, crc_32: int | None = None) -> bool:
        """Return whether this is all that is in the file, and its size is known.

        It isn't where there are more gzip members, of which the trailer is that of the last one, or
        4 GiB or more, or something that is no gzip. Size and CRC-32 are what somebody else knows.
        """
        if crc_32 not in (None, self.crc_32):
            return False
        if size is not None:
            return size % _MODULUS == self.remainder
        length, size = self.compressed_size, self.remainder
        is_only_likely = length * _UNLIKELY_RATIO < size + _MODULUS
        return length <= blocks_size_bound(size) and size <= length * _MAX_RATIO and is_only_likely


def deflate_stream(beginning: bytes, ending: bytes, length: int) -> DeflateStream | None:
    """Return the deflate stream of a gzip file of so many bytes.

    None where the file has none, has a header of another kind or one that is longer than the
    beginning.
    """
    start = _header_length(beginning)
    stop = length - TRAILER_LENGTH
    if start is None or stop - start < spec.MIN_DEFLATED_SIZE:
        return None
    crc_32, remainder = _TRAILER.unpack(ending[-TRAILER_LENGTH:])
    return DeflateStream(start, stop, remainder, crc_32)


def _header_length(beginning: bytes) -> int | None:
    """Return the length of a header (2.3), None where it isn't one or isn't known."""
    if not beginning.startswith(_START) or len(beginning) < _HEADER_LENGTH:
        return None
    flags, position = beginning[3], _HEADER_LENGTH
    if flags & _NOT_KNOWN:
        return None
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            position = beginning.find(0, position) + 1
            if not position:
                return None
    return position + (2 if flags & _HAS_HEADER_CRC else 0)


def decoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what was encoded. Raises EOFError or BadGzipFile where it isn't all gzip."""
    with GzipFile(fileobj=BufferedReader(_Chunks(chunks), _CHUNK_LENGTH)) as file:
        while chunk := file.read(_CHUNK_LENGTH):
            yield chunk


def cut(chunks: Iterator[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    """Yield the bytes from `start` to `stop`; take no more chunks than that needs."""
    position = 0
    for chunk in chunks:
        end = len(chunk) if stop is None else stop - position
        if piece := chunk[max(0, start - position) : max(0, end)]:
            yield piece
        position += len(chunk)
        if stop is not None and position >= stop:
            return


class _Chunks(RawIOBase):
    """A file made of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        length = min(len(buffer), len(self._rest))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length
