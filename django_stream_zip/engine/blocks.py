"""Cuts the bytes of an archive into blocks. Knows nothing of the format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from django_stream_zip.engine.errors import ZipValueError


class AnyBlocks(ABC):
    """Holds pieces until they are a block of about `length` bytes."""

    def __init__(self, length: int = 65536) -> None:
        self._length = length
        self._held: list[bytes] = []
        self._held_length = 0

    @abstractmethod
    def push(self, piece: bytes) -> Iterable[bytes]:
        """Add a piece; return the blocks that are full."""

    def flush(self) -> tuple[bytes, ...]:
        """Return what is held as one block, if anything is."""
        if not self._held:
            return ()
        block = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        self._held_length = 0
        return (block,)

    def flush_with(self, piece: bytes) -> Iterable[bytes]:
        """Add a piece, which is not to wait for those that come after it, if that is possible."""
        return self.push(piece)

    def push_all(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Add several pieces; yield the blocks that are full."""
        for piece in pieces:
            yield from self.push(piece)

    def push_last(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Add the last pieces; yield all that is left."""
        yield from self.push_all(pieces)
        yield from self.flush()


class LooseBlocks(AnyBlocks):
    """Joins small pieces into blocks of up to `length` bytes; large ones stay as they are.

    Where blocks need not have the same length, this saves copying.
    """

    def push(self, piece: bytes) -> Iterable[bytes]:
        """Add a piece; return the blocks that won't get any larger."""
        if not piece:
            return ()
        total = self._held_length + len(piece)
        held = self.flush() if total > self._length else ()
        self._held.append(piece)
        self._held_length += len(piece)
        return held if self._held_length < self._length else (*held, *self.flush())

    def push_few(self, pieces: tuple[bytes, ...]) -> Iterable[bytes]:
        """Do so with several pieces, in less time."""
        total = self._held_length + sum(map(len, pieces))
        if total < self._length:
            self._held += pieces
            self._held_length = total
            return ()
        return [block for piece in pieces for block in self.push(piece)]


class Blocks(AnyBlocks):
    """Cuts pieces into blocks of exactly `length` bytes; `flush` returns a shorter last one.

    A piece that has just that length is a block as it is, without a copy.
    """

    def __init__(self, length: int = 65536) -> None:
        if not (isinstance(length, int) and length > 0):
            raise ZipValueError(f"chunk_size must be a number of bytes, 1 or more, not {length!r}")
        super().__init__(length)

    def push(self, piece: bytes) -> Iterable[bytes]:
        """Add a piece; return the blocks that are full."""
        if not piece:
            return ()
        total = self._held_length + len(piece)
        if total < self._length:
            self._held.append(piece)
            self._held_length = total
            return ()
        if not self._held_length and total == self._length:
            return (piece,)
        return self._cut(piece)

    def flush_with(self, piece: bytes) -> Iterable[bytes]:
        """Add a piece; return all that is held, if anything is."""
        total = self._held_length + len(piece)
        if total > self._length:
            return chain(self.push(piece), _deferred(self.flush))
        if not total:
            return ()
        self._held.append(piece)
        block = b"".join(self._held)
        self._held.clear()
        self._held_length = 0
        return (block,)

    def _cut(self, piece: bytes) -> Iterator[bytes]:
        self._held.append(piece)
        whole = b"".join(self._held)
        self._held.clear()
        full = len(whole) - len(whole) % self._length
        self._held_length = len(whole) - full
        if self._held_length:
            self._held.append(whole[full:])
        for start in range(0, full, self._length):
            yield whole[start : start + self._length]


def _deferred(flush: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    yield from flush()
