"""What goes into an archive, told so that every engine can be given it in its own way."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

CHUNK_LENGTH = 65536


@dataclass(frozen=True, slots=True)
class File:
    """A file to be archived. `chunks` can be iterated any number of times."""

    name: str
    size: int
    crc_32: int
    chunks: Iterable[bytes]

    @classmethod
    def of(cls, name: str, data: bytes) -> File:
        return cls(name, len(data), zlib.crc32(data), (data,))

    @classmethod
    def of_chunks(cls, name: str, size: int, chunks: Iterable[bytes]) -> File:
        crc_32 = 0
        for chunk in chunks:
            crc_32 = zlib.crc32(chunk, crc_32)
        return cls(name, size, crc_32, chunks)


class Repeated:
    """The same few chunks again and again, `count` in all. Takes no memory beside them."""

    def __init__(self, chunks: list[bytes], count: int) -> None:
        self._chunks = chunks
        self._count = count

    def __iter__(self) -> Iterator[bytes]:
        return islice(cycle(self._chunks), self._count)


class OnDisk:
    """The chunks of a file on disk, read while they are asked for."""

    def __init__(self, path: Path | str) -> None:
        self.path = path

    def __iter__(self) -> Iterator[bytes]:
        with open(self.path, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK_LENGTH):
                yield chunk


class Decoded:
    """The bytes of which these chunks are the gzipped form, as a content of the package."""

    size = crc_32 = validator = None
    identity = "decoded"

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        decoder = zlib.decompressobj(wbits=31)
        for chunk in self._chunks:
            if data := decoder.decompress(chunk):
                yield data
        yield decoder.flush()
