"""Contents of remote storages, fetched before their turn: several at a time, given in order.

Without it a hundred small objects cost a hundred round trips, one after the other. While one is
given, threads fetch those that come next, as far as there is room. Which may be fetched by another
thread, contents say themselves (`is_remote`): knows no storage and no Django.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from contextvars import copy_context
from functools import partial
from threading import Condition, RLock, Thread
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from django_stream_zip.engine.errors import ZipValueError
from django_stream_zip.engine.members import MemberFile, unpacked
from django_stream_zip.engine.streams import close

#: How many contents are fetched at a time, and how many bytes of them may wait, if nobody says.
MEMBERS: Final = 8
MAX_BYTES: Final = 4 << 20

#: What the next chunk is taken to need until it has come, if none before it was longer.
CHUNK_LENGTH: Final = 256 << 10
# What a chunk takes besides its bytes: a million of one byte are no megabyte.
_OVERHEAD: Final = 64

M = TypeVar("M")
T = TypeVar("T")

#: Gives what a thread calls a function by, so that it finds the context of the one who starts it.
Carried = Callable[[], Callable[..., Any]]


def copied() -> Callable[..., Any]:
    """Return what calls a function in a copy of this context."""
    return copy_context().run


class Source(Protocol):
    """Gives the chunks of contents. It may be told which ones are going to be read as a whole."""

    def expect(self, contents: Iterator[Any]) -> None:
        """Take note of the contents that will be read as a whole, in their order."""

    def skip(self, content: Any) -> None:
        """Take note that a content which was expected won't be read. In their order, too."""

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Give a content's chunks."""


class Direct(Generic[M]):
    """Reads nothing ahead: gives them as contents do, when they are asked for."""

    def expect(self, contents: Iterator[Any]) -> None:
        """Do nothing."""

    def skip(self, content: Any) -> None:
        """Do nothing."""

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Ask the content."""
        return content.chunks(start, stop)

    def members(self, members: M) -> M:
        """Give the members as they are."""
        return members

    def close(self) -> None:
        """Do nothing."""


class Expecting(ABC):
    """What fetching by threads and by tasks have in common: which content is fetched when.

    What comes behind a content that isn't fetched is left alone until that one was given: it may
    only be there for as long.
    """

    def __init__(self, number: int) -> None:
        if not (type(number) is int and number > 0):
            raise ZipValueError(f"number must be how many are fetched at a time, not {number!r}")
        self.number = number
        self._expected: Iterator[Any] = iter(())
        self._skipped: deque[Any] = deque()
        self._line: deque[tuple[Any, Any]] = deque()

    def expect(self, contents: Iterator[Any]) -> None:
        """Take note of the contents that will be read as a whole, in their order."""
        self._expected = contents

    def skip(self, content: Any) -> None:
        """Take note that a content which was expected won't be read. In their order, too."""
        # Only noted: another thread than the event loop's may call this.
        self._skipped.append(content)

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Give a content's chunks: those that are fetched, if it is the next that was expected."""
        line = self._line
        while line and self._is_skipped(line[0][0]):
            _, fetch = line.popleft()
            if fetch is not None:
                fetch.close()
        while len(line) < self.number and (not line or line[-1][1] is not None):
            following = next(self._expected, None)
            if following is None:
                break
            if not self._is_skipped(following):
                # Its chunks, and not itself: as it was described, and not as it may have become.
                is_fetched = is_remote(following)
                fetch = self.fetched(following, following.chunks) if is_fetched else None
                line.append((following, fetch))
        if start or stop is not None or not line or line[0][0] is not content:
            return content.chunks(start, stop)
        _, fetch = line.popleft()
        return content.chunks() if fetch is None else fetch

    def _is_skipped(self, expected: Any) -> bool:
        """Say whether an expected content is the next that is skipped, once for each."""
        if not self._skipped or self._skipped[0] is not expected:
            return False
        self._skipped.popleft()
        return True

    def wants(self, line: deque[Any], enough: int) -> bool:
        """Say whether one more member should be made, behind those in line.

        Making members may take its time: as soon as the first one can be given, only so many are
        made that the line grows.
        """
        if not line:
            return True
        last = line[-1]
        if len(line) >= self.number or isinstance(last, Exception) or not _is_fetch(last[4]):
            return False
        return len(line) < enough or not line[0][4].is_begun

    def begun(self, member: Any) -> MemberFile:
        """Give the member, its content being fetched if it is remote."""
        name, modified_at, mode, method, content = unpacked(member)
        if is_remote(content):
            content = self.fetched(content, partial(_itself, content))
        return name, modified_at, mode, method, content

    @abstractmethod
    def fetched(self, content: Any, opened: Callable[[], Any]) -> Any:
        """Have a content fetched; give what gives its chunks.

        Who fetches it has it `opened`: whatever that raises is an error of fetching it.
        """


def is_remote(content: object) -> bool:
    """Say whether a content may be fetched in another thread, and whether that pays."""
    return bool(getattr(content, "is_remote", False))


def _itself(content: Any) -> Any:
    return content


def _is_fetch(content: object) -> bool:
    return hasattr(content, "is_begun")


def read_ahead(
    members: Iterable[MemberFile], *, number: int = MEMBERS, max_bytes: int = MAX_BYTES
) -> Generator[MemberFile, None, None]:
    """Give the members, and meanwhile fetch the remote contents of those that come next.

    For the engine alone: `stream_zip(read_ahead(members))`. (`zip_response` does it by itself.) Up
    to `number` contents are fetched at a time, each by a thread, and about `max_bytes` wait for
    their turn. A member is asked for ahead only while the one before it is remote. Errors come when
    it is their turn. A content has to be read before the next member is asked for. Closing stops
    the threads, each after the chunk that it waits for. Raises ZipValueError for a wrong `number`.
    """
    return _read_ahead(members, Ahead(number, max_bytes))


def _read_ahead(members: Iterable[MemberFile], ahead: Ahead) -> Generator[MemberFile, None, None]:
    with closing(ahead):
        yield from ahead.members(members)


class Ahead(Expecting):
    """Fetches remote contents for one archive, by threads."""

    def __init__(self, number: int, max_bytes: int, carried: Carried = copied) -> None:
        super().__init__(number)
        self._carried = carried
        self._room = Room(max_bytes)

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
                if isinstance(member[4], Fetch):
                    member[4].close()  # who has not read it won't any more
        finally:
            close(iterator)

    def _pull(self, members: Iterator[MemberFile], line: deque[Any]) -> None:
        """Pull members until there are enough in line."""
        enough = len(line) + 2
        while self.wants(line, enough):
            try:
                line.append(self.begun(next(members)))
            except StopIteration:
                break
            except Exception as error:
                line.append(error)

    def fetched(self, content: Any, opened: Callable[[], Iterable[bytes]]) -> Fetch:
        """Have a content fetched by a thread of its own."""
        return fetched_by_thread(opened, self._room, self._carried)

    def close(self) -> None:
        """Have the threads close what they read from, each after the chunk that it waits for.

        Nobody waits for them: a store may have fallen silent.
        """
        self._room.close()


class Room:
    """How many bytes may wait for their turn, of all contents together.

    `lock` is to be held by who looks into it, or into what is held in it. Only those who can go on
    are woken.
    """

    def __init__(self, length: int) -> None:
        self.free = length
        # For the content whose turn it is: otherwise those behind it take all, and it gets on chunk
        # by chunk. Of a room for few chunks nothing is set aside, or nobody would be fetched ahead.
        self.share = length // 4 if length >= 4 * CHUNK_LENGTH else 0
        self.is_closed = False
        self.lock = RLock()
        self.waiting: list[Waiter] = []

    def change(self) -> None:
        """Wake those who can go on. To be called with the lock held, whenever something changed."""
        ready = [waiter for waiter in self.waiting if waiter.is_ready()]
        for waiter in ready:
            self.waiting.remove(waiter)
            waiter.wake()

    def when(self, is_ready: Callable[[], bool], act: Callable[[], T]) -> T:
        """Wait in a thread until somebody can go on; act with the lock held."""
        with self.lock:
            if not is_ready():
                woken = Condition(self.lock)
                waiter = Waiter(is_ready, woken.notify)
                while not is_ready():
                    self.waiting.append(waiter)
                    woken.wait()
            return act()

    def close(self) -> None:
        """Want no more of anything."""
        with self.lock:
            self.is_closed = True
            self.change()


class Waiter(NamedTuple):
    """Somebody who waits in a room, and how to wake them."""

    is_ready: Callable[[], bool]
    wake: Callable[[], object]


class Held:
    """The chunks of one content between the one who fetches them and the one who takes them.

    The content whose turn it is always has room for one chunk, and a share that is kept for it:
    whatever waits behind it, it gets on. To be called with `room.lock` held.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.is_due = False
        self._error: Exception | None = None
        self._chunks: deque[bytes] = deque()
        self._longest = CHUNK_LENGTH
        self._reserved = 0
        self._is_over = False
        self._is_closed = False

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be given at once."""
        return bool(self._chunks) or self._is_over

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody wants any more of it."""
        return self._is_closed or self.room.is_closed

    def can_be_fetched(self) -> bool:
        """Say whether there is room for one more chunk, or no more reason to wait for it."""
        if self.is_due:
            has_room = self.room.free >= self._longest or not self._chunks
        else:
            has_room = self.room.free - self.room.share >= self._longest
        return has_room or self.is_unwanted

    def can_be_taken(self) -> bool:
        """Say whether there is no more to wait for."""
        return self.is_begun or self.is_unwanted

    def reserve(self) -> bool:
        """Take the room for the next chunk, as long as the longest so far; say if it is wanted."""
        self._reserve(self._longest)
        return not self.is_unwanted

    def keep(self, chunk: bytes) -> None:
        """Take a chunk into the room that was reserved for it, if it is still wanted."""
        if self.is_unwanted:
            return
        self._chunks.append(chunk)
        self.room.free -= cost(chunk)
        self._longest = max(self._longest, cost(chunk))
        self._reserve(0)

    def end(self, error: BaseException | None) -> None:
        """Take note that nothing more comes, and of the error that is the reason, if one is."""
        self._error = closed_error() if self.is_unwanted else _ordinary(error)
        self._is_over = True
        self._reserve(0)

    def ask(self) -> None:
        """Take note that it is its turn."""
        self.is_due = True
        self.room.change()

    def taken(self) -> tuple[bytes, ...]:
        """Give the next chunk, and no chunk at the end. Raises what fetching it raised, once."""
        if self._chunks:
            chunk = self._chunks.popleft()
            self._give_back(cost(chunk))
            return (chunk,)
        if not self._is_over:
            raise closed_error()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return ()

    def want_no_more(self) -> None:
        """Drop what is held. Who takes it all the same is told."""
        self._is_closed = True
        if self._chunks:
            self._error = closed_error()
        length = sum(map(cost, self._chunks))
        self._chunks.clear()
        self._give_back(length)

    def _reserve(self, length: int) -> None:
        before, self._reserved = self._reserved, length
        self._give_back(before - length)

    def _give_back(self, length: int) -> None:
        self.room.free += length
        if length >= 0:  # nobody waits for less room
            self.room.change()


def fetched_by_thread(opened: Callable[[], Iterable[bytes]], room: Room, carried: Carried) -> Fetch:
    """Have a content fetched by a thread.

    It is no reason for a process to stay that a client has fallen silent.
    """
    fetch = Fetch(opened, room)
    Thread(target=carried(), args=(fetch.run,), name="zip_ahead", daemon=True).start()
    return fetch


class Fetch:
    """Iterates the chunks of a content that a thread fetches; it stops where there is no room."""

    def __init__(self, opened: Callable[[], Iterable[bytes]], room: Room) -> None:
        self._opened = opened
        self._held = Held(room)
        self._room = room

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be given at once."""
        return self._held.is_begun

    def run(self) -> None:
        """Fetch it. To be called once, in a thread."""
        ending: BaseException | None = None
        try:
            chunks = iter(self._opened())
            try:
                self._take_all(chunks)
            finally:
                close(chunks)
        except BaseException as error:
            ending = error
        with self._room.lock:
            self._held.end(ending)

    def _take_all(self, chunks: Iterator[bytes]) -> None:
        held, room = self._held, self._room
        while room.when(held.can_be_fetched, held.reserve):
            try:
                chunk = as_bytes(next(chunks))
            except StopIteration:
                return
            with room.lock:
                held.keep(chunk)
        raise closed_error()

    def __iter__(self) -> Fetch:
        return self

    def __next__(self) -> bytes:
        held, room = self._held, self._room
        if not held.is_due:
            with room.lock:
                held.ask()
        for chunk in room.when(held.can_be_taken, held.taken):
            return chunk
        raise StopIteration

    def close(self) -> None:
        """Want no more of it."""
        with self._room.lock:
            self._held.want_no_more()


def as_bytes(chunk: Any) -> bytes:
    """Give a chunk as bytes that nobody changes while they wait.

    What isn't bytes-like is given as it is: the engine says what is wrong.
    """
    try:
        return chunk if chunk.__class__ is bytes else bytes(memoryview(chunk))
    except TypeError:
        return chunk  # type: ignore[no-any-return]


def cost(chunk: bytes) -> int:
    """Give how much of the room a chunk takes."""
    return _OVERHEAD + (len(chunk) if isinstance(chunk, bytes) else 0)


def _ordinary(error: BaseException | None) -> Exception | None:
    """Return what to raise to the one who takes the chunks, if fetching them ended by an error.

    What somebody else was cancelled or closed by must not look as if the taker were, and what
    means the end of an iteration must not look like the end of the content.
    """
    if error is None:
        return None
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    ordinary = RuntimeError(f"fetching the content was ended by {type(error).__name__}")
    ordinary.__cause__ = error
    return ordinary


def closed_error() -> Exception:
    """Give what to raise to who reads too late."""
    return ValueError("the content is closed: read it before the next member is asked for")
