"""Members whose contents are read on the event loop, where there is a way to do so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from django_stream_zip.engine.streams import aclose
from django_stream_zip.members.readers.loop import LoopReader, PackedError, loop_reader
from django_stream_zip.members.storage import StorageContent
from django_stream_zip.misuse import unpacked
from django_stream_zip.threads import Threaded


def on_loop(member: Any) -> Any:
    """Give the member with an asynchronous content, if it is in S3, Google Cloud or Azure.

    Any other member is given as it is; so are all without the extra `async`. Not to be called on an
    event loop: the first call for a storage looks for its credentials.
    """
    name, modified_at, mode, method, content = unpacked(member)
    if not isinstance(content, StorageContent):
        return member
    reader = loop_reader(content.reader)
    if reader is None:
        return member
    return name, modified_at, mode, method, LoopContent(content, reader)


class LoopContent:
    """A file in a storage, read on the event loop; `synchronous` is the same, read without one."""

    is_remote = True

    def __init__(self, content: StorageContent, reader: LoopReader) -> None:
        self.identity = content.identity
        self.size = content.size
        self.crc_32 = content.crc_32
        self.validator = content.validator
        self.synchronous = content
        self._reader = reader

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Give the bytes of the file from `start` to `stop`."""
        try:
            async with aclosing(self._reader.chunks(start, stop)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except PackedError:
            pass  # which takes its time to unpack, too
        threaded = Threaded(self.synchronous.chunks(start, stop))
        try:
            async for chunk in threaded:
                yield chunk
        finally:
            await aclose(threaded)

    def __iter__(self) -> Iterator[bytes]:
        """Give all bytes of the file, without an event loop."""
        return iter(self.synchronous)

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Give all bytes of the file."""
        return self.chunks()
