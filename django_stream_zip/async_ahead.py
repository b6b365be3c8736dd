"""Remote contents that are asynchronous, fetched before their turn: what `ahead` does, by tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from django_stream_zip.ahead import (
    MAX_BYTES,
    MEMBERS,
    Ahead,
    Direct,
    Expecting,
    Held,
    Room,
    as_bytes,
    closed_error,
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


class _Room(Room):
    """The room that tasks share."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._waiters: list[asyncio.Future[None]] = []

    def change(self) -> None:
        """Have the tasks that wait look again."""
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
        self._held = Held(room)
        self._room = room
        self.task = asyncio.create_task(self._run())

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be given at once."""
        return self._held.is_begun

    async def _run(self) -> None:
        try:
            await self._take_all(aiter(self._content))
        except Exception as error:
            self._held.error = error
        except asyncio.CancelledError:
            self._held.error = closed_error()
            raise
        finally:
            self._held.end()

    async def _take_all(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            await self._wait_for_room()
            async for chunk in chunks:
                self._held.keep(as_bytes(chunk))
                await self._wait_for_room()
        finally:
            await aclose(chunks)

    async def _wait_for_room(self) -> None:
        await self._room.until(lambda: self._held.has_room)
        self._held.reserve()

    def __aiter__(self) -> AsyncFetch:
        return self

    async def __anext__(self) -> bytes:
        self._held.ask()
        await self._room.until(lambda: self._held.can_be_taken)
        for chunk in self._held.taken():
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Want no more of it."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self._held.want_no_more()
