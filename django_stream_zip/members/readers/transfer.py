"""One way through the bytes of an object, by as many responses as it takes. Knows no I/O.

Two drivers do what it says, one in a thread (`remote`) and one on an event loop (`async_reader`):

    while not transfer.is_complete:
        body = ...  # ask for bytes from `transfer.position` on, up to `transfer.stop`
        for chunk in body.chunks:
            transfer.advance(chunk, body)
        transfer.end(body)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from django_stream_zip.planning.content import ContentChangedError

_MAX_FAILURES: Final = 3
# Who takes an archive slowly has idle connections that are reset again and again, for hours. It is
# a new failure, and not the same one again, if so much came in between.
_PROGRESS: Final = 1 << 20


def nothing() -> None:
    """Do nothing."""


class ResponseBody(NamedTuple):
    """Bytes of an object up to `stop`, as one response declares them.

    `total` is the object's size, if the response has it; `version` and `encoding` likewise.
    """

    chunks: Iterator[bytes]
    stop: int
    total: int | None
    version: str | None
    encoding: str
    close: Callable[[], object] = nothing


class Transfer:
    """Where a transfer stands. A truncated body is resumed there, but not too often."""

    def __init__(self, name: str, start: int, stop: int | None) -> None:
        #: The next byte that is wanted, and the end; None until it is known.
        self.position = start
        self.stop = stop
        self._name = name
        self._start = start
        self._failures = 0
        self._failed_at = start
        self._ended_at = start

    @property
    def is_complete(self) -> bool:
        """Whether all bytes have come."""
        return self.stop is not None and self.position >= self.stop

    @property
    def length(self) -> int:
        """How many bytes have come."""
        return self.position - self._start

    def advance(self, chunk: bytes, body: ResponseBody) -> None:
        """Count a chunk.

        Raises:
            ContentChangedError: The body declares more than was asked for, or more has come than it
                declared.
        """
        if self.stop is not None and body.stop > self.stop:
            raise ContentChangedError(f"{self._name}: the store sends more than it was asked for")
        self.position += len(chunk)
        if self.position > body.stop:
            raise ContentChangedError(f"{self._name}: the store sent more bytes than it said")

    def end(self, body: ResponseBody | None, cause: Exception | None = None) -> bool:
        """Return whether a body was whole; None is one that didn't even begin.

        Raises:
            OSError: It wasn't, once too often. `cause` is the error behind it.
        """
        is_further = self.position > self._ended_at
        self._ended_at = self.position
        if body is None or self.position < body.stop:
            self._count_failure(cause)
            return False
        if body.total is not None:
            self.stop = body.total if self.stop is None else min(self.stop, body.total)
        if not (is_further or self.is_complete):  # its range ended where it began, or before
            self._count_failure(cause)
            return False
        return True

    def _count_failure(self, cause: Exception | None) -> None:
        """Count failures from one real progress to the next."""
        if self.position - self._failed_at >= _PROGRESS:
            self._failures = 0
        self._failed_at = self.position
        self._failures += 1
        if self._failures > _MAX_FAILURES:
            raise OSError(
                f"{self._name} was truncated {self._failures} times near byte {self.position:,}"
            ) from cause
