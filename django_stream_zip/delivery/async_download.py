"""One download whose members or contents are asynchronous, made on the event loop.

What it does is said by `DownloadBase`; here it is awaited. What is synchronous in it, a content
among asynchronous ones or the cache, is left to the request's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Iterable
from contextlib import aclosing
from typing import Any

from django_stream_zip import AsyncMemberFile, MemberFile
from django_stream_zip.delivery.download import DownloadBase, PromptBlocks
from django_stream_zip.engine.members import unpacked
from django_stream_zip.engine.streams import aclose, async_stream_with
from django_stream_zip.planning.drivers import adriven
from django_stream_zip.planning.steps import Action
from django_stream_zip.prefetch.ambient import AsyncAmbientBlocks
from django_stream_zip.prefetch.batches import Threaded
from django_stream_zip.prefetch.tasks import AsyncDirect, AsyncPrefetch

AnyMembers = Iterable[MemberFile | AsyncMemberFile] | AsyncIterable[MemberFile | AsyncMemberFile]


class AsyncDownload(DownloadBase):
    """Iterates the blocks of an archive, or of a range in it. Once."""

    _carrier, _prefetch, _direct = AsyncAmbientBlocks, AsyncPrefetch, AsyncDirect

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the blocks; none for a HEAD request."""
        return _each(()) if self.order.is_headers_only else self._carried

    async def aclose(self) -> None:
        """Close what is open."""
        await self._carried.aclose()

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        """Carry out the download."""
        try:
            await _to_its_end(_run(self._before()))
            async with aclosing(self._source), aclosing(self._archive()) as blocks:
                async for block in blocks:
                    self._progress.count(block)
                    yield block
            self._is_exhausted = True
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled(error):
                raise
            raise self._failed(error) from error
        finally:
            await _to_its_end(_run(self._after()))

    def _archive(self) -> AsyncGenerator[bytes, None]:
        plan = self.order.plan
        if plan is None or plan.entity_tag is None:
            blocks = PromptBlocks()
            return async_stream_with(self._options, self._peeked(), blocks, workers=self._workers)
        return adriven(self._window(plan), self._source)

    async def _peeked(self) -> AsyncIterator[AsyncMemberFile]:
        """Yield the members, each with its first chunk read: see `Download`."""
        async with (
            aclosing(_each(self._members)) as each,
            aclosing(self._source.members(each)) as members,
        ):
            async for member in members:
                name, modified_at, mode, method, content = unpacked(member)
                self._progress.begin(name)
                if hasattr(content, "__iter__") and not hasattr(content, "__aiter__"):
                    content = Threaded(content)
                if hasattr(content, "__aiter__"):
                    content = _AsyncPeeked(aiter(content))
                    await content.peek()
                yield name, modified_at, mode, method, content


async def _run(actions: Iterable[Action]) -> None:
    for action in actions:
        await action.arun()


async def _to_its_end(running: Coroutine[Any, Any, object]) -> None:
    """Run something, also if this is cancelled meanwhile; then wait for it, and be cancelled.

    A disconnect cancels, but who got a signal of the beginning is to get one of the end, after it.
    """
    task = asyncio.create_task(running)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _is_cancelled(error: BaseException) -> bool:
    """Return whether this task is being cancelled, and not only something that it waits for."""
    task = asyncio.current_task()
    is_asked = task is not None and task.cancelling() > 0
    return is_asked and isinstance(error, asyncio.CancelledError)


class _AsyncPeeked:
    """Iterates chunks of which the first one has been read."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._first: list[bytes] = []

    async def peek(self) -> None:
        try:
            async for chunk in self._chunks:
                self._first.append(chunk)
                break
        except BaseException:
            await asyncio.shield(self.aclose())  # nobody else has them yet
            raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return self._first.pop() if self._first else await anext(self._chunks)

    async def aclose(self) -> None:
        await aclose(self._chunks)


async def _each(members: AnyMembers) -> AsyncGenerator[Any, None]:
    if isinstance(members, AsyncIterable):
        iterator = aiter(members)
        try:
            async for member in iterator:
                yield member
        finally:
            await aclose(iterator)
        return
    for member in members:
        yield member
