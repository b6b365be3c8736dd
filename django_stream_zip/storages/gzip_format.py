"""The gzip format: the deflate stream in a file, and files of it. Knows no Django.

Section numbers are those of RFC 1952.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import BinaryIO, Final, NamedTuple

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import ZLIB, blocks_size_bound, crc32

#: No header that has a file's name is longer, nor one that has a comment of some length.
MAX_HEADER_LENGTH: Final = 1024
TRAILER_LENGTH: Final = 8

_TRAILER: Final = Struct("<LL")  # 2.3.1: CRC-32, ISIZE
# Without a name and a time, and the same on every system: FLG, MTIME, XFL are 0, OS is unknown.
_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_START: Final = _HEADER[:3]  # ID1, ID2, CM
# Bits of FLG. Extra fields are from those who cut a file into many gzip members, for access
# from any position (bgzip's "BC", mgzip's "IG"): such files are decoded, as are reserved bits.
_HAS_HEADER_CRC, _HAS_NAME, _HAS_COMMENT = 1 << 1, 1 << 3, 1 << 4
_NOT_KNOWN: Final = 0xFF & ~(1 | _HAS_HEADER_CRC | _HAS_NAME | _HAS_COMMENT)

# Deflate makes no more than that of a byte.
_MAX_RATIO: Final = 1032
# What hardly any file has: 20 is much for a log.
_UNLIKELY_RATIO: Final = 32
# It is done once and read often. (zlib's: its level 9 takes 4 times as long for 1 %.)
_DEFLATE: Final = ZLIB[6]

#: Sizes are known modulo this.
MODULUS: Final = spec.MAX_32 + 1


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
            return size % MODULUS == self.remainder
        length, size = self.compressed_size, self.remainder
        is_only_likely = length * _UNLIKELY_RATIO < size + MODULUS
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


def deflate_stream_in(file: BinaryIO) -> DeflateStream | None:
    """Return the same of an open file."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    beginning = file.read(MAX_HEADER_LENGTH)
    file.seek(max(0, length - TRAILER_LENGTH))
    return deflate_stream(beginning, file.read(TRAILER_LENGTH), length)


def gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a gzip file of what the chunks are: the same bytes whenever and wherever."""
    compressobj = _DEFLATE()
    size = crc_32 = 0
    yield _HEADER
    for chunk in chunks:
        size += len(chunk)
        crc_32 = crc32(chunk, crc_32)
        yield compressobj.compress(chunk)
    yield compressobj.flush() + _TRAILER.pack(crc_32, size % MODULUS)


def _header_length(beginning: bytes) -> int | None:
    """Return the length of a header (2.3), None where it isn't one or isn't known."""
    if not beginning.startswith(_START) or len(beginning) < len(_HEADER):
        return None
    flags, position = beginning[3], len(_HEADER)
    if flags & _NOT_KNOWN:
        return None
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            position = beginning.find(0, position) + 1
            if not position:
                return None
    return position + (2 if flags & _HAS_HEADER_CRC else 0)
