"""Cuts the bytes of an archive into the blocks that are handed out. Knows nothing of the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from django_stream_zip.engine.errors import ZipValueError


class Pieces:
    """Gathers small pieces and gives large ones as they are: blocks of any length up to `length`,
    or that of a piece. Where nobody needs them all alike, this spares copying.
    """

    def __init__(self, length: int = 65536) -> None:
        self._length = length
        self._held: list[bytes] = []
        self._held_length = 0

    def push(self, piece: bytes) -> Iterable[bytes]:
        """Take the next bytes; give what won't get any larger."""
        if not piece:
            return ()
        total = self._held_length + len(piece)
        if total <= self._length:
            self._held.append(piece)
            self._held_length = total
            return () if total < self._length else self.flush()
        held = self.flush()
        self._held.append(piece)
        self._held_length = len(piece)
        return held if len(piece) < self._length else (*held, *self.flush())

    def flush(self) -> tuple[bytes, ...]:
        """Give what is held, if anything is."""
        if not self._held:
            return ()
        block = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        self._held_length = 0
        return (block,)


class Blocks:
    """Cuts what is pushed into blocks of exactly `length` bytes; `flush` gives a shorter last one.

    A piece that has just that length is given as it is, without a copy.
    """

    def __init__(self, length: int = 65536) -> None:
        if not (isinstance(length, int) and length > 0):
            raise ZipValueError(f"chunk_size must be a number of bytes, 1 or more, not {length!r}")
        self._length = length
        self._held: list[bytes] = []
        self._held_length = 0

    def push(self, piece: bytes) -> Iterable[bytes]:
        """Take the next bytes; give the blocks that are full."""
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

    def push_all(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Take several pieces; give the blocks that are full."""
        for piece in pieces:
            yield from self.push(piece)

    def push_last(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Take the last pieces; give all that is left."""
        yield from self.push_all(pieces)
        yield from self.flush()

    def flush(self, last: bytes = b"") -> Iterable[bytes]:
        """Take `last`; give all that is held, if anything is."""
        total = self._held_length + len(last)
        if total > self._length:
            return chain(self.push(last), _deferred(self.flush))
        if not total:
            return ()
        self._held.append(last)
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


def _deferred(blocks: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    yield from blocks()
