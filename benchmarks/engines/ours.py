"""django_stream_zip's engine: `stream_zip` and `async_stream_zip`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.engines.engine import MODE, MODIFIED_AT, AsyncChunks, How, aiterate, alength
from benchmarks.files import File


class Ours:
    """The engine, with so many worker threads if it is told a number."""

    def __init__(self, **options: int) -> None:
        self._options = options

    def missing(self) -> str | None:
        from django_stream_zip import stream_zip

        unknown = self._options.keys() - inspect.signature(stream_zip).parameters.keys()
        return f"stream_zip() has no argument {', '.join(unknown)}" if unknown else None

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        method = _method(how)
        for file in files:
            yield file.name, MODIFIED_AT, MODE, method(file), file.chunks

    def write(self, members: Iterable[Any], how: How) -> int:
        from django_stream_zip import stream_zip

        return sum(map(len, stream_zip(members, password=how.password, **self._options)))


class OursAsync(Ours):
    """Its asynchronous form."""

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        for *member, chunks in super().members(files, how):
            yield *member, AsyncChunks(chunks)

    def write(self, members: Iterable[Any], how: How) -> int:
        from django_stream_zip import async_stream_zip

        blocks = async_stream_zip(aiterate(members), password=how.password, **self._options)
        return asyncio.run(alength(blocks))


def _method(how: How) -> Callable[[File], Any]:
    from django_stream_zip import NO_COMPRESSION_64, NO_COMPRESSION_AUTO, ZIP_64

    if how.compress is not False:
        return lambda file: ZIP_64
    if how.knows_crc_32:
        return lambda file: NO_COMPRESSION_64(file.size, file.crc_32)
    return lambda file: NO_COMPRESSION_AUTO(file.size)
