"""One download whose members or contents are asynchronous, made on the event loop.

The same as `download`, step by step. What is synchronous in it, a content among asynchronous ones
or the cache, is left to the request's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Coroutine,
    Iterable,
    Iterator,
)
from contextlib import AbstractContextManager, aclosing, suppress
from contextvars import copy_context
from typing import Any

from asgiref.sync import sync_to_async

from django_stream_zip import AsyncMemberFile, MemberFile, conf
from django_stream_zip.delivery.checksums import CachedChecksums
from django_stream_zip.delivery.download import BROKEN_PROMISES, Progress
from django_stream_zip.engine.blocks import LooseBlocks
from django_stream_zip.engine.encoders import UNLIMITED
from django_stream_zip.engine.members import unpacked
from django_stream_zip.engine.streams import aclose, async_stream_with, close, make_options
from django_stream_zip.members.connections import release_connections
from django_stream_zip.planning.plan import Pause, Plan, Reading, Step
from django_stream_zip.prefetch.ambient import Ambient, AsyncSteps, carried
from django_stream_zip.prefetch.batches import Threaded
from django_stream_zip.prefetch.source import Source
from django_stream_zip.prefetch.tasks import AsyncDirect, AsyncPrefetch
from django_stream_zip.signals import zip_download_finished, zip_download_started

AnyMembers = Iterable[MemberFile | AsyncMemberFile] | AsyncIterable[MemberFile | AsyncMemberFile]


class AsyncDownload:
    """Iterates the blocks of an archive, or of a range in it. Once."""

    def __init__(
        self,
        progress: Progress,
        members: AnyMembers,
        password: str | None,
        limiter: AbstractContextManager[Any] = UNLIMITED,
    ) -> None:
        self.progress = progress
        self.checksums = CachedChecksums(progress.plan.unknown() if progress.plan else ())
        self._members = members
        self._source = source()
        # Opens nothing, but raises now if the password is none.
        options = make_options(password, limiter=limiter)
        self._archive = async_stream_with(options, self._primed(), workers=conf.get("WORKERS"))
        self.ambient = Ambient(copy_context())
        self._blocks = AsyncSteps(self._told(), self.ambient)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the blocks; none for a HEAD request."""
        return _each(()) if self.progress.is_headers_only else self._blocks

    async def aclose(self) -> None:
        """Close what is open."""
        await self._blocks.aclose()

    async def _told(self) -> AsyncGenerator[bytes, None]:
        """Give the blocks, and tell of their beginning and end."""
        progress, exhausted = self.progress, False
        plan = progress.plan
        blocks = self._window(plan) if plan and plan.entity_tag else self._archive
        try:
            await _to_its_end(zip_download_started.asend_robust(type(self), **progress.at_start()))
            await sync_to_async(release_connections)()  # those of the receivers too
            async with aclosing(self._source), aclosing(blocks):
                async for block in blocks:
                    progress.count(block)
                    yield block
            exhausted = True
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled(error):
                raise
            raise progress.logged(error) from error
        finally:
            facts = progress.at_end(exhausted=exhausted)
            await _to_its_end(zip_download_finished.asend_robust(type(self), **facts))

    async def _window(self, plan: Plan) -> AsyncGenerator[bytes, None]:
        """Give what is asked for of a planned archive."""
        checksums = self.checksums
        blocks = LooseBlocks()
        steps = plan.steps(*self.progress.window, checksums, self.progress.begin, self._source)
        try:
            async with aclosing(_pieces(steps, checksums, self._source)) as pieces:
                async for piece in pieces:
                    for block in blocks.push(piece):
                        yield block
                    if not piece:  # read and not sent: a disconnect is to be noticed all the same
                        await asyncio.sleep(0)
            for block in blocks.flush():
                yield block
        except BROKEN_PROMISES:
            assert plan.entity_tag is not None
            await sync_to_async(checksums.distrust)(plan.entity_tag)
            raise
        finally:
            await asyncio.shield(sync_to_async(checksums.save)())

    async def _primed(self) -> AsyncIterator[AsyncMemberFile]:
        """Give the members, each with its first chunk read: see `Download`."""
        async with (
            aclosing(_each(self._members)) as each,
            aclosing(self._source.members(each)) as members,
        ):
            async for member in members:
                name, modified_at, mode, method, content = unpacked(member)
                self.progress.begin(name)
                if hasattr(content, "__iter__") and not hasattr(content, "__aiter__"):
                    content = Threaded(content)
                if hasattr(content, "__aiter__"):
                    content = _Primed(aiter(content))
                    await content.read_first()
                yield name, modified_at, mode, method, content


async def _to_its_end(sending: Coroutine[Any, Any, object]) -> None:
    """Send a signal, also if this is cancelled meanwhile; then wait for it, and be cancelled.

    A disconnect cancels, but who was told of the beginning is to be told of the end, after it.
    """
    task = asyncio.create_task(sending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _is_cancelled(error: BaseException) -> bool:
    """Say whether this task is being cancelled, and not only something that it waits for."""
    task = asyncio.current_task()
    is_asked = task is not None and task.cancelling() > 0
    return is_asked and isinstance(error, asyncio.CancelledError)


def source() -> AsyncPrefetch | AsyncDirect:
    """Give what contents are read through, as the settings say. Starts nothing."""
    number = conf.get("PREFETCH_MEMBERS")
    return AsyncPrefetch(number, conf.get("PREFETCH_BYTES"), carried) if number else AsyncDirect()


class _Primed:
    """Iterates chunks of which the first one has been read."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._first: list[bytes] = []

    async def read_first(self) -> None:
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


async def _pulled(steps: Iterator[Step]) -> AsyncGenerator[Step, None]:
    """Give the steps; those up to the first bytes from a thread.

    Before them, the cache is asked, and members are passed over: 100,000 of them take 0.7 s.
    """
    pull = sync_to_async(lambda: next(steps, None))
    try:
        while (step := await pull()) is not None:
            yield step
            if step and isinstance(step, bytes):
                break
        for step in steps:
            yield step
    finally:
        # If a thread is still at them, after a cancellation, they end when it lets go of them.
        with suppress(ValueError):
            close(steps)


async def _pieces(
    steps: Iterator[Step], checksums: CachedChecksums, source: Source
) -> AsyncGenerator[bytes, None]:
    """Give what the steps give, and what comes of their readings."""
    async with aclosing(_pulled(steps)) as pulled:
        async for step in pulled:
            if isinstance(step, bytes):
                yield step
                continue
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                continue
            async with aclosing(_read(step, source)) as pieces:
                async for piece in pieces:
                    yield piece
            if checksums.is_due:
                await sync_to_async(checksums.save)()


async def _read(reading: Reading, source: Source) -> AsyncGenerator[bytes, None]:
    chunks: Any = source.chunks(reading.content, reading.start, reading.stop)
    if not hasattr(chunks, "__aiter__"):
        chunks = Threaded(chunks)
    try:
        async for chunk in chunks:
            yield reading.take(chunk)
    finally:
        await aclose(chunks)
    reading.end()
