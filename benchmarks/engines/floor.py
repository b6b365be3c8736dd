"""The least that Python can do: a loop that packs the records and computes CRC-32s, no more.

It checks nothing and knows no Zip64: no engine, but a measure of how much of an engine's time is
the engine's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any

from benchmarks.engines.engine import How
from benchmarks.files import File

_LOCAL = Struct("<4sHHHLLLLHH").pack
_CENTRAL = Struct("<4sHHHHLLLLHHHHHLL").pack
_DESCRIPTOR = Struct("<4sLLL").pack
_END = Struct("<4sHHHHLLH").pack
_TIME = 0x5C3F63C0
_BLOCK_LENGTH = 65536


class Floor:
    """Members of one chunk each, stored with a known CRC-32 or deflated."""

    def missing(self) -> str | None:
        return None

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        for file in files:
            (data,) = file.chunks
            yield file.name, file.size, file.crc_32, data

    def write(self, members: Iterable[Any], how: How) -> int:
        pieces = _deflated(members) if how.compress else _stored(members)
        return sum(map(len, _blocks(pieces)))


def _stored(members: Iterable[Any]) -> Iterator[bytes]:
    offset, directory = 0, []
    for name, size, crc_32, data in members:
        file_name = name.encode()
        n = len(file_name)
        assert zlib.crc32(data) == crc_32
        yield _LOCAL(b"PK\3\4", 20, 2048, 0, _TIME, crc_32, size, size, n, 0) + file_name + data
        sizes = crc_32, size, size
        record = _CENTRAL(b"PK\1\2", 813, 20, 2048, 0, _TIME, *sizes, n, 0, 0, 0, 0, 0, offset)
        directory.append(record + file_name)
        offset += 30 + n + size
    yield from _end(directory, offset)


def _deflated(members: Iterable[Any]) -> Iterator[bytes]:
    offset, directory = 0, []
    for name, size, _, data in members:
        file_name = name.encode()
        n = len(file_name)
        header = _LOCAL(b"PK\3\4", 20, 2056, 8, _TIME, 0, 0, 0, n, 0) + file_name
        crc_32 = zlib.crc32(data)
        compressobj = zlib.compressobj(9, wbits=-15)
        data = compressobj.compress(data) + compressobj.flush()
        packed = len(data)
        yield header + data + _DESCRIPTOR(b"PK\7\x08", crc_32, packed, size)
        record = (
            b"PK\1\2",
            813,
            20,
            2056,
            8,
            _TIME,
            crc_32,
            packed,
            size,
            n,
            0,
            0,
            0,
            0,
            0,
            offset,
        )
        directory.append(_CENTRAL(*record) + file_name)
        offset += 30 + n + packed + 16
    yield from _end(directory, offset)


def _end(directory: list[bytes], offset: int) -> Iterator[bytes]:
    records = b"".join(directory)
    yield records
    count = len(directory)
    yield _END(b"PK\5\6", 0, 0, count, count, len(records), offset, 0)


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held, length = [], 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= _BLOCK_LENGTH:
            yield b"".join(held)
            held, length = [], 0
    yield b"".join(held)
