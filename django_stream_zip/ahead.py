"""Contents of remote storages, fetched before their turn: several at a time, given in order.

Without it a hundred small objects cost a hundred round trips, one after the other. While one is
given, threads fetch those that come next, as far as there is room. Which may be fetched by another
thread, contents say themselves (`is_remote`): knows no storage and no Django.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from threading import Condition
from typing import Any, Final, Generic, Protocol, TypeVar

from django_stream_zip.content import Content
from django_stream_zip.engine.members import MemberFile, unpacked
from django_stream_zip.engine.streams import close

#: How many contents are fetched at a time, and how many bytes of them may wait, if nobody says.
MEMBERS: Final = 8
MAX_BYTES: Final = 4 << 20

#: What the next chunk is taken to need, until it has come: readers give no longer ones.
CHUNK_LENGTH: Final = 256 << 10


class Source(Protocol):
    """Gives the chunks of contents. It may be told which ones are going to be read as a whole."""

    def expect(self, contents: Iterator[Any]) -> None:
        """Take note of the contents that will be read as a whole, in their order."""

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Give a content's chunks."""


M = TypeVar("M")


class Direct(Generic[M]):
    """Reads nothing ahead: gives them as contents do, when they are asked for."""

    def expect(self, contents: Iterator[Any]) -> None:
        """Do nothing."""

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Ask the content."""
        return content.chunks(start, stop)

    def members(self, members: M) -> M:
        """Give the members as they are."""
        return members

    def close(self) -> None:
        """Do nothing."""


def read_ahead(
    members: Iterable[MemberFile], *, number: int = MEMBERS, max_bytes: int = MAX_BYTES
) -> Generator[MemberFile, None, None]:
    """Give the members, and meanwhile fetch the remote contents of those that come next.

    For the engine alone: `stream_zip(read_ahead(members))`. (`zip_response` does it by itself.) Up
    to `number` contents are fetched at a time, each by a thread, and up to `max_bytes` and a chunk
    of 256 KiB wait for their turn. A member is asked for ahead only while the one before it is
    remote. Errors come when it is their turn. Closing it stops the threads, each after the chunk
    that it waits for.
    """
    with closing(Ahead(number, max_bytes)) as ahead:
        yield from ahead.members(members)


class Ahead:
    """Fetches remote contents for one archive."""

    def __init__(self, number: int, max_bytes: int) -> None:
        self._number = number
        self._room = _Room(max_bytes)
        self._pool = ThreadPoolExecutor(number, thread_name_prefix="zip_ahead")
        self._expected: Iterator[Content] = iter(())
        self._line: deque[tuple[Content, Fetch]] = deque()

    def expect(self, contents: Iterator[Content]) -> None:
        """Take note of the contents that will be read as a whole, in their order."""
        self._expected = filter(is_remote, contents)

    def chunks(self, content: Content, start: int, stop: int | None) -> Iterator[bytes]:
        """Give a content's chunks: those that are fetched, if it is the next that was expected."""
        while len(self._line) < self._number:
            following = next(self._expected, None)
            if following is None:
                break
            self._line.append((following, self._fetched(following)))
        if start or stop is not None or not self._line or self._line[0][0] is not content:
            return content.chunks(start, stop)
        return self._line.popleft()[1]

    def members(self, members: Iterable[MemberFile]) -> Generator[MemberFile, None, None]:
        """Give the members with the contents of the remote ones being fetched."""
        iterator = iter(members)
        line: deque[Any] = deque()
        try:
            while True:
                self._pull(iterator, line)
                if not line:
                    return
                member = line.popleft()
                if isinstance(member, Exception):
                    raise member
                yield member
        finally:
            close(iterator)

    def _pull(self, members: Iterator[MemberFile], line: deque[Any]) -> None:
        """Pull members until there are enough in line.

        What is remote may be asked for ahead. Who makes a member of something that he takes away
        again when the next one is asked for does it with what is here. Making members may take its
        time: as soon as the first one can be given, only so many are made that the line grows.
        """
        enough = len(line) + 2
        while len(line) < self._number and (not line or _is_being_fetched(line[-1])):
            if len(line) >= enough and line[0][4].is_begun:
                break
            try:
                name, modified_at, mode, method, content = unpacked(next(members))
            except StopIteration:
                break
            except Exception as error:
                line.append(error)
                break
            if is_remote(content):
                content = self._fetched(content)
            line.append((name, modified_at, mode, method, content))

    def _fetched(self, content: Iterable[bytes]) -> Fetch:
        fetch = Fetch(content, self._room)
        self._pool.submit(copy_context().run, fetch.run)
        return fetch

    def close(self) -> None:
        """Have the threads close what they read from, each after the chunk that it waits for.

        Nobody waits for them: a store may have fallen silent.
        """
        self._room.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def is_remote(content: object) -> bool:
    """Say whether a content may be fetched in another thread, and whether that pays."""
    return bool(getattr(content, "is_remote", False))


def _is_being_fetched(member: Any) -> bool:
    return not isinstance(member, Exception) and isinstance(member[4], Fetch)


class _Room:
    """How many bytes may wait for their turn, of all contents together."""

    def __init__(self, length: int) -> None:
        self.changed = Condition()
        self.free = length
        self.is_closed = False

    def close(self) -> None:
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()


class Fetch:
    """Iterates the chunks of a content that a thread fetches.

    The thread stops where there is no room. The content whose turn it is always has room for one
    chunk: whatever waits behind it, it gets on.
    """

    def __init__(self, content: Iterable[bytes], room: _Room) -> None:
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

    def run(self) -> None:
        """Fetch it. To be called once, in a thread."""
        try:
            chunks = iter(self._content)
            try:
                while self._has_room() and (chunk := next(chunks, None)) is not None:
                    self._put(chunk)
            finally:
                close(chunks)
        except BaseException as error:
            self._error = error
        with self._room.changed:
            self._reserve(0)
            self._is_over = True

    def _has_room(self) -> bool:
        """Wait for room and take it; say whether anybody still wants the chunk."""
        room = self._room
        with room.changed:
            room.changed.wait_for(
                lambda: (
                    room.is_closed
                    or room.free >= CHUNK_LENGTH
                    or (self._is_due and not self._chunks)
                )
            )
            self._reserve(CHUNK_LENGTH)
            return not room.is_closed

    def _put(self, chunk: bytes) -> None:
        with self._room.changed:
            self._chunks.append(chunk)
            self._room.free -= len(chunk)
            self._reserve(0)

    def _reserve(self, length: int) -> None:
        self._room.free += self._reserved - length
        self._reserved = length
        self._room.changed.notify_all()

    def __iter__(self) -> Fetch:
        return self

    def __next__(self) -> bytes:
        room = self._room
        with room.changed:
            self._is_due = True
            room.changed.notify_all()
            room.changed.wait_for(lambda: self._chunks or self._is_over or room.is_closed)
            if self._chunks:
                chunk = self._chunks.popleft()
                room.free += len(chunk)
                room.changed.notify_all()
                return chunk
            if not self._is_over:
                raise ValueError("the archive that this content is read for is closed")
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration
