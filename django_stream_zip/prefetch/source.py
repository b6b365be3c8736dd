"""What contents are read through: directly, or fetched in the order in which they are expected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from django_stream_zip.engine.errors import ZipValueError
from django_stream_zip.engine.members import MemberFile, unpacked

M = TypeVar("M")


class Source(Protocol):
    """Returns the chunks of contents, and may fetch those early that will be read as a whole."""

    def expect(self, contents: Iterator[Any]) -> None:
        """Expect contents: they will be read as a whole, in this order."""

    def skip(self, content: Any) -> None:
        """Record that an expected content won't be read. They come in their order, too."""

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Return a content's chunks."""


class Direct(Generic[M]):
    """Prefetches nothing: contents are asked when it is their turn."""

    def expect(self, contents: Iterator[Any]) -> None:
        """Do nothing."""

    def skip(self, content: Any) -> None:
        """Do nothing."""

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Ask the content."""
        return content.chunks(start, stop)

    def members(self, members: M) -> M:
        """Return the members as they are."""
        return members

    def close(self) -> None:
        """Do nothing."""


class PrefetchBase(ABC):
    """What fetching by threads and by tasks have in common: which content is fetched when.

    What comes behind a content that isn't fetched is left alone until that one was read: it may
    only be there until the next is asked for.
    """

    def __init__(self, number: int) -> None:
        if not (type(number) is int and number > 0):
            raise ZipValueError(f"number must be how many are fetched at a time, not {number!r}")
        self.number = number
        self._expected: Iterator[Any] = iter(())
        self._skipped: deque[Any] = deque()
        self._queue: deque[tuple[Any, Any]] = deque()

    def expect(self, contents: Iterator[Any]) -> None:
        """Expect contents: they will be read as a whole, in this order."""
        self._expected = contents

    def skip(self, content: Any) -> None:
        """Record that an expected content won't be read. They come in their order, too."""
        # Only recorded: another thread than the event loop's may call this.
        self._skipped.append(content)

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Return a content's chunks: those being fetched, if it is the next that was expected."""
        queue = self._queue
        while queue and self._is_skipped(queue[0][0]):
            _, fetch = queue.popleft()
            if fetch is not None:
                fetch.close()
        while len(queue) < self.number and (not queue or queue[-1][1] is not None):
            following = next(self._expected, None)
            if following is None:
                break
            if not self._is_skipped(following):
                # Its chunks, and not itself: as it was described, and not as it may have become.
                is_fetched = is_remote(following)
                fetch = self.fetched(following, following.chunks) if is_fetched else None
                queue.append((following, fetch))
        if start or stop is not None or not queue or queue[0][0] is not content:
            return content.chunks(start, stop)
        _, fetch = queue.popleft()
        return content.chunks() if fetch is None else fetch

    def _is_skipped(self, expected: Any) -> bool:
        """Return whether an expected content is the next that is skipped, once for each."""
        if not self._skipped or self._skipped[0] is not expected:
            return False
        self._skipped.popleft()
        return True

    def wants(self, queue: deque[Any], enough: int) -> bool:
        """Return whether one more member should be made, behind those in the queue.

        Making members may take its time: as soon as the first one can be yielded, only so many are
        made that the queue grows.
        """
        if not queue:
            return True
        last = queue[-1]
        if len(queue) >= self.number or isinstance(last, Exception) or not _is_fetch(last[4]):
            return False
        return len(queue) < enough or not queue[0][4].is_begun

    def begun(self, member: Any) -> MemberFile:
        """Return the member, its content being fetched if it is remote."""
        name, modified_at, mode, method, content = unpacked(member)
        if is_remote(content):
            content = self.fetched(content, partial(_itself, content))
        return name, modified_at, mode, method, content

    @abstractmethod
    def fetched(self, content: Any, opened: Callable[[], Any]) -> Any:
        """Have a content fetched, and return what iterates its chunks.

        The fetcher has it `opened`: whatever that raises is an error of fetching it.
        """


def is_remote(content: object) -> bool:
    """Return whether a content may be fetched in another thread, and whether that pays."""
    return bool(getattr(content, "is_remote", False))


def _itself(content: Any) -> Any:
    return content


def _is_fetch(content: object) -> bool:
    return hasattr(content, "is_begun")
