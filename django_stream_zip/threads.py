"""Synchronous iterables under ASGI: pulled in the request's own thread, in batches.

It has to be that thread (`thread_sensitive`): database connections belong to it, and Django closes
the response in it. From another one, closing could happen while the next chunk is being made.
Back-pressure comes by itself: who isn't asked doesn't pull.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

from asgiref.sync import sync_to_async
from django.db import connections

from django_stream_zip import conf
from django_stream_zip.engine.streams import close

# A batch is full when it has so many bytes, or is so many seconds old: a hop costs about 0.2 ms,
# and a slow source must neither wait nor be hard to cancel. Measured from 128 KiB to 2 MiB: longer
# batches are no faster, as what was read is out of the processor's cache when it is sent.
_BATCH_LENGTH: Final = 384 << 10
_BATCH_SECONDS: Final = 0.1


class Threaded:
    """Iterates chunks of bytes from an event loop, several of them with one hop to the thread."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._pulled = ordinary(self._chunks)
        self._length = 0  # the first chunk goes on alone, at once
        self._batch: deque[bytes] = deque()
        self._error: Exception | None = None
        self._is_over = False

    def __aiter__(self) -> Threaded:
        return self

    async def __anext__(self) -> bytes:
        while not self._batch:
            if self._is_over:
                raise StopAsyncIteration
            await sync_to_async(self._pull)()
        self._length = _BATCH_LENGTH
        return self._batch.popleft()

    def _pull(self) -> None:
        """Pull chunks until there are enough or a moment is over.

        An error waits until what came before it has gone on. Empty chunks count as time: whoever
        reads without sending comes back to the loop, which may learn that the client has gone.
        """
        if self._error is not None:
            raise self._error
        left, deadline = self._length, time.monotonic() + _BATCH_SECONDS
        try:
            for chunk in self._pulled:
                if chunk:
                    self._batch.append(chunk)
                    left -= len(chunk)
                if (chunk and left <= 0) or time.monotonic() > deadline:
                    return
            self._is_over = True
        except Exception as error:
            if not self._batch:
                raise
            self._error = error

    async def aclose(self) -> None:
        """Close the iterator, after the batch that is being made."""
        await sync_to_async(close)(self._chunks)


def ordinary(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield chunks, with an ordinary error where they end by a GeneratorExit.

    Nobody closes them while they are asked for one: something that they read from was closed. That
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


def release_connections(keep: Collection[str] = ()) -> None:
    """Close this thread's database connections, but for those in an atomic block or to `keep`.

    A download would keep them for as long as it takes. One that is needed on the way is opened
    again, and closed with the response.
    """
    if not conf.get("RELEASE_CONNECTIONS"):
        return
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block and connection.alias not in keep:
            connection.close()


@contextmanager
def borrowed_connections() -> Iterator[None]:
    """Close the database connections of this thread that the block opens.

    From one that was open before, somebody may still read: a generator that iterates a queryset,
    and asks for these rows in between.
    """
    existing = connections.all(initialized_only=True)
    open_before = {known.alias for known in existing if known.connection is not None}
    try:
        yield
    finally:
        release_connections(keep=open_before)


@cache
def cpu_limiter() -> BoundedSemaphore:
    """Return what limits long work under ASGI, for all downloads of this process together.

    One CPU is left to the event loop: with eight downloads that deflate on two of them, it was late
    by 35 ms in one of a hundred cases, and without them by 3.
    """
    return BoundedSemaphore(max(1, available_cpus() - 1))


def available_cpus(root: Path = Path("/")) -> int:
    """Return how many CPUs this process may use: a container often gets few of a machine's many."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        count = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return max(1, min([count or 1, *_cpu_quotas(root)]))


def _cpu_quotas(root: Path) -> Iterator[int]:
    """Yield the limits that control groups of Linux set, version 2 and 1, as numbers of CPUs."""
    groups = root / "sys/fs/cgroup"
    # "0::/own/path": a limit of any group above holds, too. In a container its own is the root.
    for line in _words(root / "proc/self/cgroup"):
        if line.startswith("0::/"):
            own = groups / line.removeprefix("0::/")
            for group in (own, *own.parents):
                if group.is_relative_to(groups):
                    yield from _quota(_words(group / "cpu.max"))
    version_1 = groups / "cpu"
    yield from _quota(
        [*_words(version_1 / "cpu.cfs_quota_us"), *_words(version_1 / "cpu.cfs_period_us")]
    )


def _quota(words: list[str]) -> Iterator[int]:
    """Yield the CPUs of a quota and its period in microseconds; "max" and -1 mean no limit."""
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]):
        yield -(-int(words[0]) // int(words[1]))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, UnicodeDecodeError):
        return []
