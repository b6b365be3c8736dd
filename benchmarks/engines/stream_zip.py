"""stream-zip, by the API that it documents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.engines.engine import (
    MODE,
    MODIFIED_AT,
    AsyncChunks,
    How,
    aiterate,
    alength,
    needs,
)
from benchmarks.files import File


class StreamZip:
    """Its synchronous form."""

    def missing(self) -> str | None:
        return needs("stream_zip", "stream-zip")

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        method = method_of(how)
        for file in files:
            yield file.name, MODIFIED_AT, MODE, method(file), file.chunks

    def write(self, members: Iterable[Any], how: How) -> int:
        from stream_zip import stream_zip

        return sum(map(len, stream_zip(members, password=how.password)))


class StreamZipAsync(StreamZip):
    """Its asynchronous form."""

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        for *member, chunks in super().members(files, how):
            yield *member, AsyncChunks(chunks)

    def write(self, members: Iterable[Any], how: How) -> int:
        from stream_zip import async_stream_zip

        return asyncio.run(alength(async_stream_zip(aiterate(members), password=how.password)))


def method_of(how: How) -> Callable[[File], Any]:
    """Return what makes the method of a file. What is to be stored needs its CRC-32, or it would be
    held in memory.
    """
    from stream_zip import NO_COMPRESSION_64, ZIP_64

    if how.compress is False:
        return lambda file: NO_COMPRESSION_64(file.size, file.crc_32)
    return lambda file: ZIP_64
