"""Remote contents that are asynchronous, fetched before their turn by tasks: see `threads`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing, suppress
from functools import partial
from threading import get_ident
from typing import Any

from django_stream_zip.engine.members import AsyncMemberFile
from django_stream_zip.engine.streams import aclose
from django_stream_zip.prefetch.buffer import Budget, Buffer, Waiter, as_bytes, nothing
from django_stream_zip.prefetch.source import Direct, PrefetchBase
from django_stream_zip.prefetch.threads import (
    MAX_BYTES,
    MEMBERS,
    Carried,
    Fetch,
    copied,
    fetched_by_thread,
)


def aprefetched(
    members: AsyncIterable[AsyncMemberFile], *, number: int = MEMBERS, max_bytes: int = MAX_BYTES
) -> AsyncGenerator[AsyncMemberFile, None]:
    """Do what `prefetched` does, for `async_stream_zip`."""
    return _prefetched(members, AsyncPrefetch(number, max_bytes))


async def _prefetched(
    members: Any, prefetch: AsyncPrefetch
) -> AsyncGenerator[AsyncMemberFile, None]:
    async with aclosing(prefetch), aclosing(prefetch.members(members)) as fetched:
        async for member in fetched:
            yield member


class AsyncDirect(Direct[AsyncGenerator[Any, None]]):
    """Prefetches nothing: contents are asked when it is their turn."""

    async def aclose(self) -> None:
        """Do nothing."""


class AsyncPrefetch(PrefetchBase):
    """Fetches remote contents for one archive: by tasks, and synchronous ones by threads."""

    def __init__(self, number: int, max_bytes: int, carried: Carried = copied) -> None:
        super().__init__(number)
        self._carried = carried
        self._budget = _AsyncBudget(max_bytes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def members(self, members: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
        """Yield the members, with the contents of the remote ones being fetched."""
        iterator = aiter(members)
        queue: deque[Any] = deque()
        try:
            while True:
                await self._pull(iterator, queue)
                if not queue:
                    return
                member = queue.popleft()
                if isinstance(member, Exception):
                    raise member
                yield member
                # It won't be read any more.
                if isinstance(member[4], Fetch):
                    member[4].close()
                elif isinstance(member[4], AsyncFetch):
                    await member[4].aclose()
        finally:
            await aclose(iterator)

    async def _pull(self, members: AsyncIterator[Any], queue: deque[Any]) -> None:
        """Pull members until there are enough in the queue."""
        enough = len(queue) + 2
        while self.wants(queue, enough):
            try:
                queue.append(self.begun(await anext(members)))
            except StopAsyncIteration:
                break
            except Exception as error:
                queue.append(error)

    def fetched(self, content: Any, opened: Callable[[], Any]) -> Any:
        """Have a content fetched by a task of its own."""
        if not hasattr(content, "__aiter__"):
            return fetched_by_thread(opened, self._budget, self._carried)
        fetch = AsyncFetch(opened, self._budget)
        self._tasks.add(fetch.task)
        fetch.task.add_done_callback(self._tasks.discard)
        return fetch

    async def aclose(self) -> None:
        """Cancel what is being fetched, and wait until it is closed."""
        self._budget.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _AsyncBudget(Budget):
    """The budget that the tasks of an event loop share, and threads with them."""

    async def wait_async(
        self, is_ready: Callable[[], bool], claim: Callable[[], object] = nothing
    ) -> None:
        """Wait in a task until it can go on, and claim what it waits for."""
        with self.lock:
            if is_ready():
                claim()
                return
            woken = asyncio.get_running_loop().create_future()
            waiter = Waiter(is_ready, claim, partial(_wake, woken, get_ident()))
            self.waiting.append(waiter)
        try:
            await woken
        except BaseException:
            with self.lock, suppress(ValueError):  # cancelled: it must claim nothing any more
                self.waiting.remove(waiter)
            raise


def _wake(woken: asyncio.Future[None], loop_thread: int) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        if get_ident() == loop_thread:
            _set(woken)
        else:
            woken.get_loop().call_soon_threadsafe(_set, woken)


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class AsyncFetch:
    """Iterates the chunks of a content that a task fetches: see `threads.Fetch`."""

    def __init__(self, opened: Callable[[], AsyncIterable[bytes]], budget: _AsyncBudget) -> None:
        self._opened = opened
        self._buffer = Buffer(budget)
        self._budget = budget
        self.task = asyncio.create_task(self._take_all())
        self.task.add_done_callback(self._end)

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be taken at once."""
        return self._buffer.is_begun

    def _end(self, task: asyncio.Task[None]) -> None:
        """Record how fetching ended, also where it was cancelled before it began."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        with self._budget.lock:
            self._buffer.end(error)

    async def _take_all(self) -> None:
        buffer, budget = self._buffer, self._budget
        chunks = aiter(self._opened())
        try:
            await budget.wait_async(buffer.can_be_fetched, buffer.reserve)
            async for chunk in chunks:
                with budget.lock:
                    buffer.keep(as_bytes(chunk))
                await budget.wait_async(buffer.can_be_fetched, buffer.reserve)
        finally:
            await aclose(chunks)

    def __aiter__(self) -> AsyncFetch:
        return self

    async def __anext__(self) -> bytes:
        buffer, budget = self._buffer, self._budget
        if not buffer.is_due:
            with budget.lock:
                buffer.ask()
        await budget.wait_async(buffer.can_be_taken)
        with budget.lock:
            chunks = buffer.taken()
        for chunk in chunks:
            return chunk
        raise StopAsyncIteration

    def close(self) -> None:
        """Want no more of it, and wait for nobody."""
        with self._budget.lock:
            self._buffer.want_no_more()
        self.task.cancel()

    async def aclose(self) -> None:
        """Want no more of it."""
        self.close()
        await asyncio.gather(self.task, return_exceptions=True)
