"""What a member's bytes become between its local file header and its data descriptor.

Four kinds, one alphabet: `write` gives the bytes for a chunk, `skip` only says how many they would
be, `end` gives what is left.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from struct import Struct
from typing import Any, Final, Protocol

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import CompressObj
from django_stream_zip.engine.errors import MisuseError

#: Limits nothing.
UNLIMITED: Final = nullcontext()


class Body(Protocol):
    """What a member's bytes become."""

    @property
    def slow_from(self) -> int:
        """Length from which a chunk takes longer than an event loop should wait, in bytes."""

    def write(self, chunk: bytes) -> bytes:
        """Give the compressed bytes for the next uncompressed ones."""

    def skip(self, length: int) -> int:
        """Pass over uncompressed bytes; give how many compressed ones they are."""

    def content_before(self, position: int) -> int:
        """Give how many uncompressed bytes come before a position among the compressed ones."""

    def end(self) -> bytes:
        """Give what is left."""


class Stored:
    """The bytes themselves, not even copied. Without state: one serves all members."""

    slow_from = 1 << 20  # the CRC-32 of 1 MiB takes 0.3 to 1 ms

    def write(self, chunk: bytes) -> bytes:
        return chunk

    def skip(self, length: int) -> int:
        return length

    def content_before(self, position: int) -> int:
        return position

    def end(self) -> bytes:
        return b""


class StoredBlocks:
    """Deflate without compression: stored blocks (RFC 1951 §3.2.4), the last one marked final.

    Blocks have a fixed length, so the bytes are the same whatever the chunks, and any position
    among them follows from a position in the content. A block's header comes with its first byte,
    or with an empty chunk before it.
    """

    slow_from = Stored.slow_from

    def __init__(self, uncompressed_size: int) -> None:
        self._size = uncompressed_size
        self._position = 0
        self._headers = 0

    def write(self, chunk: bytes) -> bytes:
        room = self._headers * spec.STORED_BLOCK_LENGTH - self._position
        if len(chunk) <= room and chunk:
            self._position += len(chunk)
            return chunk
        pieces = [chunk[:room]]
        for start in range(room, len(chunk) or 1, spec.STORED_BLOCK_LENGTH):
            pieces.append(self._next_block_header())
            pieces.append(chunk[start : start + spec.STORED_BLOCK_LENGTH])
        self._position += len(chunk)
        return b"".join(pieces)

    def skip(self, length: int) -> int:
        self._position += length
        headers = -(-self._position // spec.STORED_BLOCK_LENGTH)
        new_headers = max(0, headers - self._headers)
        self._headers += new_headers
        return length + new_headers * spec.STORED_BLOCK_HEADER_LENGTH

    def content_before(self, position: int) -> int:
        blocks, into_block = divmod(position, _BLOCK_LENGTH)
        into_content = max(0, into_block - spec.STORED_BLOCK_HEADER_LENGTH)
        return min(self._size, blocks * spec.STORED_BLOCK_LENGTH + into_content)

    def end(self) -> bytes:
        return b"" if self._size else _block_header(0)

    def _next_block_header(self) -> bytes:
        left = self._size - self._headers * spec.STORED_BLOCK_LENGTH
        if left <= 0:
            return b""  # an empty chunk behind the last byte
        self._headers += 1
        return _block_header(left)


class Deflated:
    """Whatever the compression object makes of them."""

    slow_from = 1 << 15  # zlib takes 1 ms for 32 KiB at level 9

    def __init__(
        self, compressobj: CompressObj, limiter: AbstractContextManager[Any] = UNLIMITED
    ) -> None:
        self._compress = compressobj.compress
        self._limiter = limiter
        self.end = compressobj.flush

    def write(self, chunk: bytes) -> bytes:
        if len(chunk) < self.slow_from:
            return self._compress(chunk)
        with self._limiter:
            return self._compress(chunk)

    def skip(self, length: int) -> int:
        raise MisuseError("a deflated member can't be skipped: only deflating tells its size")

    def content_before(self, position: int) -> int:
        raise MisuseError("no position of a deflated member is known")


class Made:
    """What was made elsewhere, encrypted if need be: `data` is what the next chunk became.

    Where it is None, `otherwise` makes it here.
    """

    slow_from = Stored.slow_from

    def __init__(self, otherwise: Body) -> None:
        self.data: bytes | None = None
        self._otherwise = otherwise

    def write(self, chunk: bytes) -> bytes:
        data, self.data = self.data, None
        return self._otherwise.write(chunk) if data is None else data

    def skip(self, length: int) -> int:
        raise MisuseError("what is made elsewhere isn't skipped here")

    def content_before(self, position: int) -> int:
        raise MisuseError("no position of what is made elsewhere is known")

    def end(self) -> bytes:
        return self._otherwise.end()


_BLOCK_HEADER = Struct("<BHH")
_BLOCK_LENGTH = spec.STORED_BLOCK_HEADER_LENGTH + spec.STORED_BLOCK_LENGTH

STORED = Stored()


def _block_header(left: int) -> bytes:
    """Give the header of a block when so many bytes are left."""
    length = min(left, spec.STORED_BLOCK_LENGTH)
    return _BLOCK_HEADER.pack(length == left, length, length ^ spec.MAX_16)


def stored_blocks_size(uncompressed_size: int) -> int:
    """Give the exact size of so many bytes in stored blocks."""
    body = StoredBlocks(uncompressed_size)
    return body.skip(uncompressed_size) + len(body.end())
