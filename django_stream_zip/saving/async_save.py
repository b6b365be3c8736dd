"""`asave_zip`: the same from an event loop, in the thread for synchronous code.

Asynchronous members and contents are pulled from there, and iterated on the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from asgiref.sync import async_to_sync, sync_to_async

from django_stream_zip.engine.members import unpacked
from django_stream_zip.engine.streams import aclose
from django_stream_zip.members.ready import synchronous
from django_stream_zip.saving.archive import ZipSource
from django_stream_zip.saving.parts import SavedZip
from django_stream_zip.saving.reader import Progress
from django_stream_zip.saving.save import saved_as

__all__ = ["asave_zip"]

_END: Final = object()
# Seconds after which it is looked again whether an archive is made by now that is to be stopped.
_LOOK_AGAIN: Final = 0.1


async def asave_zip(
    storage: Any,
    name: str,
    members: Any,
    *,
    password: str | None = None,
    compress: bool | None = None,
    extended_timestamps: bool = True,
    comment: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
    workers: int = 1,
    part_size: int | None = None,
    begun: Callable[[str], object] | None = None,
    resume: str | None = None,
    copy: bool = True,
) -> SavedZip:
    """Do what `save_zip` does, from an event loop.

    Members may be asynchronous, or have asynchronous contents; these are saved by one worker.
    Otherwise it takes, returns and raises the same. When it is cancelled, nothing is published.
    """
    sources: list[ZipSource] = []

    def make() -> ZipSource:
        source = ZipSource(
            members,
            password=password,
            compress=compress,
            extended_timestamps=extended_timestamps,
            comment=comment,
            adapted=_bridged,
        )
        sources.append(source)
        return source

    save = partial(
        saved_as,
        storage,
        name,
        make,
        overwrite=overwrite,
        progress=progress,
        workers=workers,
        part_size=part_size,
        begun=begun,
        resume=resume,
        copy=copy,
    )
    task = asyncio.ensure_future(sync_to_async(save)())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            for source in sources:
                source.stop()
            await asyncio.wait([task], timeout=_LOOK_AGAIN)
        raise


def _bridged(members: Any) -> Any:
    """Return synchronous members for what may be asynchronous, or have such contents."""
    if isinstance(members, Sequence):
        return [_bridged_member(member) for member in members]
    if isinstance(members, AsyncIterable):
        members = _pulled(members)
    return map(_bridged_member, members)


def _bridged_member(member: Any) -> Any:
    member = synchronous(member)
    *opening, content = unpacked(member)
    return (*opening, _BridgedContent(content)) if hasattr(content, "__aiter__") else member


class _BridgedContent:
    """An asynchronous content, iterated from a thread that the loop waits for.

    It has no validator: only that thread can read it, and so no window is made apart from others.
    """

    def __init__(self, content: Any) -> None:
        self.size = getattr(content, "size", None)
        self.crc_32 = getattr(content, "crc_32", None)
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return _pulled(self._content)


def _pulled(items: AsyncIterable[Any]) -> Iterator[Any]:
    """Yield what an asynchronous iterable yields, each item pulled on the loop."""
    iterator = aiter(items)
    pull = async_to_sync(_next)
    try:
        while (item := pull(iterator)) is not _END:
            yield item
    finally:
        async_to_sync(aclose)(iterator)


async def _next(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator, _END)
