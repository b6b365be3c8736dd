"""Decodes what is stored gzipped, while it comes in."""

from __future__ import annotations

from collections.abc import Iterator
from gzip import GzipFile
from io import BufferedReader, RawIOBase
from typing import Any, Final

_CHUNK_LENGTH: Final = 256 << 10


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
