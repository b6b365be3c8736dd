"""What is to be done next for an archive: emit bytes, read a content, or act.

A generator of steps says what to do, and in which order. The `drivers` carry them out, one
synchronously and one on an event loop: all they do by themselves is to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn, Protocol, TypeAlias, cast

from asgiref.sync import sync_to_async

from django_stream_zip.engine import spec
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile
from django_stream_zip.planning.content import Content, ContentChangedError


class Reading:
    """Content that has to be read: its bytes from `start` to `stop` (None: the end).

    Pass each chunk to `take`, which returns what is to be sent for it, and call `end` at last.
    `header` comes before all of that, and what `tail` returns after it.
    """

    __slots__ = ("_left", "become", "content", "header", "name", "slow_from", "start", "stop")

    def __init__(
        self,
        member: MemberFile | AsyncMemberFile,
        start: int,
        stop: int,
        become: Callable[[bytes], bytes],
        slow_from: int = spec.MAX_64,
    ) -> None:
        self.name, _, _, method, content = member
        self.content = cast(Content, content)
        self.start = start
        # To the very end, to find out if there is more than was expected.
        self.stop = None if stop == method.content_size else stop
        self.become = become
        #: Length from which a chunk shouldn't be taken on an event loop, in bytes.
        self.slow_from = slow_from
        self.header = b""
        self._left = stop - start

    def take(self, chunk: bytes) -> bytes:
        """Take a chunk and return the bytes to be sent for it. Raises ContentChangedError."""
        length = len(chunk) if chunk.__class__ is bytes else memoryview(chunk).nbytes
        if not length:
            return b""
        self._left -= length
        if self._left < 0:
            self._changed("more")
        return self.become(chunk)

    def end(self) -> None:
        """Raise ContentChangedError unless all of it was there."""
        if self._left:
            self._changed("fewer")

    def tail(self) -> bytes:
        """Return what comes behind it."""
        return b""

    def _changed(self, how: str) -> NoReturn:
        raise ContentChangedError(
            f"member {self.name!r}: its content has {how} bytes than were declared when the "
            "download was planned: it was replaced since, or the size (in a row, perhaps) is wrong"
        )


class Action(Protocol):
    """Something to be done between bytes, which may take its time."""

    def run(self) -> object:
        """Do it."""

    async def arun(self) -> object:
        """Do it on an event loop."""


class Pause:
    """A wait for another window, which reads what this one needs."""

    seconds: Final = 0.02

    def run(self) -> None:
        """Sleep."""
        time.sleep(self.seconds)

    async def arun(self) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(self.seconds)


class Call(NamedTuple):
    """A call of something synchronous."""

    function: Callable[[], object]

    def run(self) -> None:
        """Call it."""
        self.function()

    async def arun(self) -> None:
        """Call it in the request's thread."""
        await sync_to_async(self.function)()


#: What is to be done next.
Step: TypeAlias = bytes | Reading | Action
