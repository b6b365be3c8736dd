"""Remote contents that are asynchronous, fetched before their turn: what `ahead` does, by tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from django_stream_zip.ahead import (
    CHUNK_LENGTH,
    MAX_BYTES,
    MEMBERS,
    Ahead,
    Direct,
    Expecting,
    as_bytes,
    closed_error,
    cost,
)
from django_stream_zip.engine.members import AsyncMemberFile
from django_stream_zip.engine.streams import aclose


def async_read_ahead(
    members: AsyncIterable[AsyncMemberFile], *, number: int = MEMBERS, max_bytes: int = MAX_BYTES
) -> AsyncGenerator[AsyncMemberFile, None]:
    """Do what `read_ahead` does, for `async_stream_zip`."""
    return _read_ahead(members, AsyncAhead(number, max_bytes))


async def _read_ahead(members: Any, ahead: AsyncAhead) -> AsyncGenerator[AsyncMemberFile, None]:
    each = aiter(members)
    try:
        async with aclosing(ahead), aclosing(ahead.members(each)) as given:
            async for member in given:
                yield member
    finally:
        await aclose(each)


class AsyncDirect(Direct[AsyncGenerator[Any, None]]):
    """Reads nothing ahead: gives them as contents do, when they are asked for."""

    async def aclose(self) -> None:
        """Do nothing."""


class AsyncAhead(Expecting):
    """Fetches remote contents for one archive: by tasks, and synchronous ones by threads."""

    def __init__(self, number: int, max_bytes: int) -> None:
        super().__init__(number)
        self._room = _Room(max_bytes)
        self._threads = Ahead(number, max_bytes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def members(self, members: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Give the members with the contents of the remote ones being fetched."""
        line: deque[Any] = deque()
        while True:
            await self._pull(members, line)
            if not line:
                return
            member = line.popleft()
            if isinstance(member, Exception):
                raise member
            yield member
            await aclose(member[4] if isinstance(member[4], AsyncFetch) else None)

    async def _pull(self, members: AsyncIterator[Any], line: deque[Any]) -> None:
        """Pull members until there are enough in line."""
        enough = len(line) + 2
        while self.wants(line, enough):
            try:
                line.append(self.begun(await anext(members)))
            except StopAsyncIteration:
                break
            except Exception as error:
                line.append(error)

    def fetched(self, content: Any) -> Any:
        """Have a content fetched by a task of its own."""
        if not hasattr(content, "__aiter__"):
            return self._threads.fetched(content)
        fetch = AsyncFetch(content, self._room)
        self._tasks.add(fetch.task)
        fetch.task.add_done_callback(self._tasks.discard)
        return fetch

    async def aclose(self) -> None:
        """Cancel what is being fetched, and wait until it is closed."""
        self._threads.close()
        self._room.is_closed = True
        self._room.change()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Room:
    """How many bytes may wait for their turn, and those who wait for something to change."""

    def __init__(self, length: int) -> None:
        self.free = length
        self.is_closed = False
        self._waiters: list[asyncio.Future[None]] = []

    def change(self) -> None:
        """Have those who wait look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, is_true: Callable[[], object]) -> None:
        """Wait for something to be true that `change` is called for."""
        while not is_true():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


class AsyncFetch:
    """Iterates the chunks of a content that a task fetches: see `ahead.Fetch`."""

    def __init__(self, content: AsyncIterable[bytes], room: _Room) -> None:
        self._content = content
        self._room = room
        self._chunks: deque[bytes] = deque()
        self._longest = CHUNK_LENGTH
        self._reserved = 0
        self._is_due = False
        self._is_over = False
        self._closed = False
        self._error: Exception | None = None
        self.task = asyncio.create_task(self._run())

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be given at once."""
        return bool(self._chunks) or self._is_over

    async def _run(self) -> None:
        try:
            await self._take_all(aiter(self._content))
        except Exception as error:
            self._error = error
        finally:
            self._reserve(0)
        self._is_over = True
        self._room.change()

    async def _take_all(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            await self._wait_for_room()
            async for chunk in chunks:
                kept = as_bytes(chunk)
                self._chunks.append(kept)
                self._room.free -= cost(kept)
                self._longest = max(self._longest, cost(kept))
                self._reserve(0)
                await self._wait_for_room()
        finally:
            await aclose(chunks)

    async def _wait_for_room(self) -> None:
        room = self._room
        await room.until(lambda: room.free >= self._longest or (self._is_due and not self._chunks))
        self._reserve(self._longest)

    def _reserve(self, length: int) -> None:
        self._room.free += self._reserved - length
        self._reserved = length
        self._room.change()

    def __aiter__(self) -> AsyncFetch:
        return self

    @property
    def _is_closed(self) -> bool:
        return self._closed or self._room.is_closed

    async def __anext__(self) -> bytes:
        self._is_due = True
        self._room.change()
        await self._room.until(lambda: self._chunks or self._is_over or self._is_closed)
        if self._chunks:
            chunk = self._chunks.popleft()
            self._room.free += cost(chunk)
            self._room.change()
            return chunk
        if not self._is_over:
            raise closed_error()
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Want no more of it."""
        self._closed = True
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if self._chunks:
            self._error = closed_error()
        self._room.free += sum(map(cost, self._chunks))
        self._chunks.clear()
        self._room.change()
