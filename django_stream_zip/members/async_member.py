"""Members whose contents are read on the event loop, where there is a way to do so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from django_stream_zip.engine.streams import aclose
from django_stream_zip.members.describe import PendingMember
from django_stream_zip.members.misuse import checked_values
from django_stream_zip.members.readers.async_reader import AsyncReader, EncodedError, async_reader
from django_stream_zip.members.storage import StorageContent
from django_stream_zip.prefetch.batches import Threaded


def async_member(member: Any) -> Any:
    """Return the member with an asynchronous content, if it is in S3, Google Cloud or Azure.

    Any other member is returned as it is; so are all without the extra `async`. Not to be called
    on an event loop: the first call for a storage looks for its credentials. A member whose storage
    hasn't been asked yet stays so.
    """
    if isinstance(member, PendingMember) and not member.is_described:
        return member.then(async_member)
    name, modified_at, mode, method, content = checked_values(member)
    if not (isinstance(content, StorageContent) and content.is_remote):
        return member
    reader = async_reader(content.reader)
    if reader is None:
        return member
    return name, modified_at, mode, method, AsyncStorageContent(content, reader)


class AsyncStorageContent:
    """A file in a storage, read on the event loop; `synchronous` is the same, read without one."""

    is_remote = True

    def __init__(self, content: StorageContent, reader: AsyncReader) -> None:
        self.identity = content.identity
        self.size = content.size
        self.crc_32 = content.crc_32
        self.validator = content.validator
        self.local_state = content.local_state
        self.is_settled = content.is_settled
        self.is_deflated = content.is_deflated
        self.synchronous = content
        self._reader = reader

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` to `stop` of the file that was described."""
        return _chunks(self._reader, start, stop)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes of the file as it is when it is opened, without an event loop."""
        return iter(self.synchronous)

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Yield all bytes of the file as it is when it is opened."""
        return _chunks(self._reader.afresh(), 0, None)


async def _chunks(reader: AsyncReader, start: int, stop: int | None) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(reader.chunks(start, stop)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    except EncodedError:
        pass  # to decode would hold the loop
    threaded = Threaded(reader.threaded.chunks(start, stop))
    try:
        async for chunk in threaded:
            yield chunk
    finally:
        await aclose(threaded)
