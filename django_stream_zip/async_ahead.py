"""Remote contents that are asynchronous, fetched before their turn: what `ahead` does, by tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from typing import Any

from django_stream_zip.ahead import CHUNK_LENGTH, MAX_BYTES, MEMBERS, Direct, is_remote
from django_stream_zip.engine.members import AsyncMemberFile, unpacked
from django_stream_zip.engine.streams import aclose


async def async_read_ahead(
    members: AsyncIterable[AsyncMemberFile], *, number: int = MEMBERS, max_bytes: int = MAX_BYTES
) -> AsyncGenerator[AsyncMemberFile, None]:
    """Do what `read_ahead` does, for `async_stream_zip`."""
    each = aiter(members)
    ahead = AsyncAhead(number, max_bytes)
    try:
        async for member in ahead.members(each):
            yield member
    finally:
        await ahead.aclose()
        await aclose(each)


class AsyncDirect(Direct[AsyncGenerator[Any, None]]):
    """Reads nothing ahead: gives them as contents do, when they are asked for."""

    async def aclose(self) -> None:
        """Do nothing."""


class AsyncAhead:
    """Fetches remote contents for one archive, on its event loop."""

    def __init__(self, number: int, max_bytes: int) -> None:
        self._number = number
        self._room = _Room(max_bytes)
        self._tasks: set[asyncio.Task[None]] = set()
        self._expected: Iterator[Any] = iter(())
        self._line: deque[tuple[Any, AsyncFetch]] = deque()

    def expect(self, contents: Iterator[Any]) -> None:
        """Take note of the contents that will be read as a whole, in their order."""
        self._expected = filter(_is_fetchable, contents)

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Give a content's chunks: those that are fetched, if it is the next that was expected."""
        while len(self._line) < self._number:
            following = next(self._expected, None)
            if following is None:
                break
            self._line.append((following, self._fetched(following)))
        if start or stop is not None or not self._line or self._line[0][0] is not content:
            return content.chunks(start, stop)
        return self._line.popleft()[1]

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

    async def _pull(self, members: AsyncIterator[Any], line: deque[Any]) -> None:
        """Pull members until there are enough in line: see `Ahead`."""
        enough = len(line) + 2
        while len(line) < self._number and (not line or _is_being_fetched(line[-1])):
            if len(line) >= enough and line[0][4].is_begun:
                break
            try:
                name, modified_at, mode, method, content = unpacked(await anext(members))
            except StopAsyncIteration:
                break
            except Exception as error:
                line.append(error)
                break
            if _is_fetchable(content):
                content = self._fetched(content)
            line.append((name, modified_at, mode, method, content))

    def _fetched(self, content: AsyncIterable[bytes]) -> AsyncFetch:
        fetch = AsyncFetch(content, self._room)
        task = asyncio.create_task(fetch.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return fetch

    async def aclose(self) -> None:
        """Cancel what is being fetched, and wait until it is closed."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_fetchable(content: object) -> bool:
    return is_remote(content) and hasattr(content, "__aiter__")


def _is_being_fetched(member: Any) -> bool:
    return not isinstance(member, Exception) and isinstance(member[4], AsyncFetch)


class _Room:
    """How many bytes may wait for their turn, and those who wait for something to change."""

    def __init__(self, length: int) -> None:
        self.free = length
        self._waiters: list[asyncio.Future[None]] = []

    def change(self) -> None:
        """Have those who wait look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, is_true: Callable[[], object]) -> None:
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
        self._reserved = 0
        self._is_due = False
        self._is_over = False
        self._error: BaseException | None = None

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be given at once."""
        return bool(self._chunks) or self._is_over

    async def run(self) -> None:
        """Fetch it. To be run once, in a task."""
        try:
            chunks = aiter(self._content)
            try:
                await self._wait_for_room()
                async for chunk in chunks:
                    self._chunks.append(chunk)
                    self._room.free -= len(chunk)
                    self._reserve(0)
                    await self._wait_for_room()
            finally:
                await aclose(chunks)
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise  # who cancels a task must see it end so
        finally:
            self._is_over = True
            self._reserve(0)

    async def _wait_for_room(self) -> None:
        room = self._room
        await room.until(lambda: room.free >= CHUNK_LENGTH or (self._is_due and not self._chunks))
        self._reserve(CHUNK_LENGTH)

    def _reserve(self, length: int) -> None:
        self._room.free += self._reserved - length
        self._reserved = length
        self._room.change()

    def __aiter__(self) -> AsyncFetch:
        return self

    async def __anext__(self) -> bytes:
        self._is_due = True
        self._room.change()
        await self._room.until(lambda: self._chunks or self._is_over)
        if self._chunks:
            chunk = self._chunks.popleft()
            self._room.free += len(chunk)
            self._room.change()
            return chunk
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopAsyncIteration
