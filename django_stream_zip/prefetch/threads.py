"""Contents of remote storages, fetched before their turn by threads, and yielded in order.

Without it a hundred small objects cost a hundred round trips, one after the other. While one is
read, threads fetch those that come next, as far as the budget allows. A content that may be fetched
by another thread has a true `is_remote`. Knows no storage and no Django.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from contextvars import copy_context
from threading import Thread
from typing import Any, Final

from django_stream_zip.engine.members import MemberFile
from django_stream_zip.engine.streams import close
from django_stream_zip.prefetch.buffer import Budget, Buffer, as_bytes, closed_error
from django_stream_zip.prefetch.source import PrefetchBase

#: How many contents are fetched at a time, and how many bytes of them may wait, if nobody says.
MEMBERS: Final = 8
MAX_BYTES: Final = 4 << 20

#: Returns what a thread calls a function by, so that this finds the context of who starts it.
Carried = Callable[[], Callable[..., Any]]


def copied() -> Callable[..., Any]:
    """Return a callable that runs a function in a copy of this context."""
    return copy_context().run


def prefetched(
    members: Iterable[MemberFile], *, number: int = MEMBERS, max_bytes: int = MAX_BYTES
) -> Generator[MemberFile, None, None]:
    """Yield the members, and meanwhile fetch the remote contents of those that come next.

    For the engine alone: `stream_zip(prefetched(members))`. (`zip_response` does it by itself.) A
    member is pulled early only while the one before it is remote. Errors are raised in their turn.
    A content has to be read before the next member is asked for. Closing stops the threads, each
    after the chunk that it waits for.

    Args:
        members: The members, remote or not.
        number: How many contents are fetched at a time, each by a thread.
        max_bytes: About how many bytes may wait for their turn.

    Raises:
        ZipValueError: `number` is no positive integer.
    """
    return _prefetched(members, Prefetch(number, max_bytes))


def _prefetched(
    members: Iterable[MemberFile], prefetch: Prefetch
) -> Generator[MemberFile, None, None]:
    with closing(prefetch):
        yield from prefetch.members(members)


class Prefetch(PrefetchBase):
    """Fetches remote contents for one archive, by threads."""

    def __init__(self, number: int, max_bytes: int, carried: Carried = copied) -> None:
        super().__init__(number)
        self._carried = carried
        self._budget = Budget(max_bytes)

    def members(self, members: Iterable[MemberFile]) -> Generator[MemberFile, None, None]:
        """Yield the members, with the contents of the remote ones being fetched."""
        iterator = iter(members)
        try:
            for following in iterator:
                member = self.begun(following)
                if isinstance(member[4], Fetch):
                    yield from self._fetched_members(member, iterator)
                else:
                    yield member
        finally:
            close(iterator)

    def _fetched_members(
        self, first: MemberFile, members: Iterator[MemberFile]
    ) -> Iterator[MemberFile]:
        """Yield a remote member and those that were pulled while it was fetched."""
        queue: deque[Any] = deque([first])
        enough = 2
        while queue:
            self._pull(members, queue, enough)
            member = queue.popleft()
            if isinstance(member, Exception):
                raise member
            yield member
            if isinstance(member[4], Fetch):
                member[4].close()  # it won't be read any more
            enough = len(queue) + 2

    def _pull(self, members: Iterator[MemberFile], queue: deque[Any], enough: int) -> None:
        """Pull members until there are enough in the queue."""
        while self.wants(queue, enough):
            try:
                queue.append(self.begun(next(members)))
            except StopIteration:
                break
            except Exception as error:
                queue.append(error)

    def fetched(self, content: Any, opened: Callable[[], Iterable[bytes]]) -> Fetch:
        """Have a content fetched by a thread of its own."""
        return fetched_by_thread(opened, self._budget, self._carried)

    def close(self) -> None:
        """Have the threads close what they read from, each after the chunk that it waits for.

        Nobody waits for them: a store may have fallen silent.
        """
        self._budget.close()


def fetched_by_thread(
    opened: Callable[[], Iterable[bytes]], budget: Budget, carried: Carried
) -> Fetch:
    """Have a content fetched by a thread.

    A daemon thread: a stalled client must not keep the process from ending.
    """
    fetch = Fetch(opened, budget)
    Thread(target=carried(), args=(fetch.run,), name="zip_prefetch", daemon=True).start()
    return fetch


class Fetch:
    """Iterates the chunks of a content that a thread fetches; it stops where there is no budget."""

    def __init__(self, opened: Callable[[], Iterable[bytes]], budget: Budget) -> None:
        self._opened = opened
        self._buffer = Buffer(budget)
        self._budget = budget

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be taken at once."""
        return self._buffer.is_begun

    def run(self) -> None:
        """Fetch it. To be called once, in a thread."""
        raised: BaseException | None = None
        try:
            chunks = iter(self._opened())
            try:
                self._take_all(chunks)
            finally:
                close(chunks)
        except BaseException as error:
            raised = error
        with self._budget.lock:
            self._buffer.end(raised)

    def _take_all(self, chunks: Iterator[bytes]) -> None:
        buffer, budget = self._buffer, self._budget
        budget.wait(buffer.can_be_fetched, buffer.reserve)
        while not buffer.is_unwanted:
            try:
                chunk = as_bytes(next(chunks))
            except StopIteration:
                return
            with budget.lock:
                buffer.keep(chunk)
            budget.wait(buffer.can_be_fetched, buffer.reserve)
        raise closed_error()

    def __iter__(self) -> Fetch:
        return self

    def __next__(self) -> bytes:
        buffer, budget = self._buffer, self._budget
        if not buffer.is_due:
            with budget.lock:
                buffer.ask()
        budget.wait(buffer.can_be_taken)
        with budget.lock:
            chunks = buffer.taken()
        for chunk in chunks:
            return chunk
        raise StopIteration

    def close(self) -> None:
        """Want no more of it."""
        with self._budget.lock:
            self._buffer.want_no_more()
