"""Remote contents that are asynchronous, fetched before their turn: what `ahead` does, by tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing, suppress
from threading import get_ident
from typing import Any, TypeVar

from django_stream_zip.ahead import (
    MAX_BYTES,
    MEMBERS,
    Carried,
    Direct,
    Expecting,
    Fetch,
    Held,
    Room,
    as_bytes,
    copied,
    fetched_by_thread,
)
from django_stream_zip.engine.members import AsyncMemberFile
from django_stream_zip.engine.streams import aclose

T = TypeVar("T")


def async_read_ahead(
    members: AsyncIterable[AsyncMemberFile], *, number: int = MEMBERS, max_bytes: int = MAX_BYTES
) -> AsyncGenerator[AsyncMemberFile, None]:
    """Do what `read_ahead` does, for `async_stream_zip`."""
    return _read_ahead(members, AsyncAhead(number, max_bytes))


async def _read_ahead(members: Any, ahead: AsyncAhead) -> AsyncGenerator[AsyncMemberFile, None]:
    async with aclosing(ahead), aclosing(ahead.members(members)) as given:
        async for member in given:
            yield member


class AsyncDirect(Direct[AsyncGenerator[Any, None]]):
    """Reads nothing ahead: gives them as contents do, when they are asked for."""

    async def aclose(self) -> None:
        """Do nothing."""


class AsyncAhead(Expecting):
    """Fetches remote contents for one archive: by tasks, and synchronous ones by threads."""

    def __init__(self, number: int, max_bytes: int, carried: Carried = copied) -> None:
        super().__init__(number)
        self._carried = carried
        self._room = _Room(max_bytes)
        self._tasks: set[asyncio.Task[None]] = set()

    async def members(self, members: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
        """Give the members with the contents of the remote ones being fetched."""
        iterator = aiter(members)
        line: deque[Any] = deque()
        try:
            while True:
                await self._pull(iterator, line)
                if not line:
                    return
                member = line.popleft()
                if isinstance(member, Exception):
                    raise member
                yield member
                # Who has not read it won't any more.
                if isinstance(member[4], Fetch):
                    member[4].close()
                elif isinstance(member[4], AsyncFetch):
                    await member[4].aclose()
        finally:
            await aclose(iterator)

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
            return fetched_by_thread(content, self._room, self._carried)
        fetch = AsyncFetch(content, self._room)
        self._tasks.add(fetch.task)
        fetch.task.add_done_callback(self._tasks.discard)
        return fetch

    async def aclose(self) -> None:
        """Cancel what is being fetched, and wait until it is closed."""
        self._room.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Room(Room):
    """The room that the tasks of an event loop share, and threads with them."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._waiters: list[asyncio.Future[None]] = []
        self._loop_thread = 0

    def change(self) -> None:
        """Have the threads and tasks that wait look again."""
        super().change()
        waiters, self._waiters = self._waiters, []
        if not waiters:
            return
        if get_ident() == self._loop_thread:
            _wake(waiters)
            return
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            waiters[0].get_loop().call_soon_threadsafe(_wake, waiters)

    async def until(self, attempt: Callable[[], T | None]) -> T:
        """Wait until an attempt gives something. `change` is called when it may."""
        while True:
            with self.changed:
                result = attempt()
                if result is not None:
                    return result
                self._loop_thread = get_ident()
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
            await waiter


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


class AsyncFetch:
    """Iterates the chunks of a content that a task fetches: see `ahead.Fetch`."""

    def __init__(self, content: AsyncIterable[bytes], room: _Room) -> None:
        self._content = content
        self._held = Held(room)
        self._room = room
        self.task = asyncio.create_task(self._take_all())
        self.task.add_done_callback(self._end)

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be given at once."""
        return self._held.is_begun

    def _end(self, task: asyncio.Task[None]) -> None:
        """Take note of how fetching ended: also where it was cancelled before it began."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        with self._room.changed:
            self._held.end(error)

    async def _take_all(self) -> None:
        chunks = aiter(self._content)
        try:
            await self._room.until(self._reserved)
            async for chunk in chunks:
                with self._room.changed:
                    if not self._held.is_unwanted:
                        self._held.keep(as_bytes(chunk))
                await self._room.until(self._reserved)
        finally:
            await aclose(chunks)

    def _reserved(self) -> bool | None:
        """Take the room for the next chunk, if there is one."""
        if not self._held.has_room:
            return None
        self._held.reserve()
        return True

    def __aiter__(self) -> AsyncFetch:
        return self

    async def __anext__(self) -> bytes:
        with self._room.changed:
            self._held.ask()
        for chunk in await self._room.until(self._taken):
            return chunk
        raise StopAsyncIteration

    def _taken(self) -> tuple[bytes, ...] | None:
        return self._held.taken() if self._held.can_be_taken else None

    async def aclose(self) -> None:
        """Want no more of it."""
        with self._room.changed:
            self._held.want_no_more()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
