"""Synchronous iterables under ASGI: pulled in the request's own thread, in batches.

It has to be that thread (`thread_sensitive`): database connections belong to it, and Django closes
the response in it. From another one, closing could happen while the next chunk is being made.
Back-pressure needs nothing more: without demand, no more than one batch is pulled.

What defers, as `waiting` says, is pulled on the event loop instead, until it yields an empty chunk.
Then the thread pulls for a while, one batch ahead of what is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final
from weakref import WeakSet

from asgiref.sync import sync_to_async

from django_stream_zip.engine.streams import close
from django_stream_zip.prefetch.waiting import not_waiting

# A batch is full when it has so many bytes, or is so many seconds old: a hop costs about 0.2 ms,
# and a slow source must neither wait nor be hard to cancel. Measured from 128 KiB to 2 MiB: longer
# batches are no faster, as what was read is out of the CPU's cache when it is sent.
_BATCH_LENGTH: Final = 384 << 10
_BATCH_SECONDS: Final = 0.1
# On the event loop everybody else has a turn between two batches. With what it takes to send it,
# one of that length takes 0.3 ms. All who pull there share it, or ten would keep a timer waiting.
_LOOP_SECONDS: Final = 0.001
_on_loop: Final[WeakSet[Threaded]] = WeakSet()
# Where the event loop can't pull, as files are short or not in the page cache, so many batches come
# from the thread before it is tried again: each of them is made while the one before it is sent.
_AHEAD: Final = 8


class Threaded:
    """Iterates chunks of bytes from an event loop, several of them with one hop to the thread.

    `defers`: whether they may be pulled on the event loop as long as none of them is empty.
    """

    def __init__(self, chunks: Iterable[bytes], *, defers: bool = False) -> None:
        self._chunks = iter(chunks)
        self._pulled = ordinary(self._chunks)
        self._defers = defers
        self._may_wait = True  # whether what comes next has to be pulled in a thread
        self._has_turned = False  # whether everybody else has had a turn since the last batch
        self._length = 0  # the first chunk goes on alone, at once
        self._batch: deque[bytes] = deque()
        # What the thread pulls while the batch before it is sent, and how many more are to come so.
        self._following: asyncio.Future[deque[bytes]] | None = None
        self._ahead = 0
        self._error: Exception | None = None
        self._is_over = False

    def __aiter__(self) -> Threaded:
        return self

    async def __anext__(self) -> bytes:
        while not self._batch:
            if self._following is None:
                if self._error is not None:
                    raise self._error
                if self._is_over:
                    raise StopAsyncIteration
            self._batch = await self._next_batch()
        return self._batch.popleft()

    async def _next_batch(self) -> deque[bytes]:
        if self._following is None and not self._may_wait:
            return await self._pulled_on_loop()
        following, self._following = self._following, None
        batch = await (following or self._pulled_in_thread())
        self._has_turned = True
        self._length = _BATCH_LENGTH
        if self._ahead and not (self._is_over or self._error):
            self._ahead -= 1
            self._following = asyncio.ensure_future(self._pulled_in_thread())
        return batch

    async def _pulled_in_thread(self) -> deque[bytes]:
        self._may_wait = True
        return await sync_to_async(self._pull)(_BATCH_SECONDS)

    async def _pulled_on_loop(self) -> deque[bytes]:
        if not self._has_turned:
            await asyncio.sleep(0)
        self._has_turned = False
        _on_loop.add(self)
        self._length = _BATCH_LENGTH // len(_on_loop)
        with not_waiting():
            batch = self._pull(_LOOP_SECONDS)
        self._ahead = 0 if batch else _AHEAD
        return batch

    def _pull(self, seconds: float) -> deque[bytes]:
        """Pull chunks until there are enough or a moment is over.

        An error waits until the chunks before it are yielded. Empty chunks count as time: reading
        without sending comes back to the loop, which may notice that the client has gone.
        """
        batch: deque[bytes] = deque()
        left, deadline = self._length, time.monotonic() + seconds
        try:
            for chunk in self._pulled:
                if chunk:
                    batch.append(chunk)
                    left -= len(chunk)
                is_enough = left <= 0 if chunk else not self._may_wait
                if is_enough or time.monotonic() > deadline:
                    # An empty one says that what comes next would wait.
                    self._may_wait = not (chunk and self._defers)
                    return batch
            self._is_over = True
            _on_loop.discard(self)
        except Exception as error:
            self._error = error
        return batch

    async def aclose(self) -> None:
        """Close the iterator, after the batch that is being made."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        await sync_to_async(close)(self._chunks)


def ordinary(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield chunks, and raise an ordinary error where they end by a GeneratorExit.

    Nobody closes them while the next one is made: something that they read from was closed. That
    must not look as if the download were.
    """
    while True:
        try:
            chunk = next(chunks)
        except StopIteration:
            return
        except GeneratorExit as error:
            raise RuntimeError("reading the content was ended by GeneratorExit") from error
        yield chunk
