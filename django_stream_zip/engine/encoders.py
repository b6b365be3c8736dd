"""How a member's content is encoded: what lies between its local file header and its descriptor.

All encoders have the same methods: `write` returns the encoded data of a chunk, `skip` only their
length, `end` what is left.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from struct import Struct
from typing import Any, Final, Protocol

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import INFLATE_ERRORS, CompressObj, crc32, inflater
from django_stream_zip.engine.errors import (
    CRC32IntegrityError,
    DeflateIntegrityError,
    MisuseError,
    UncompressedSizeIntegrityError,
)

#: Limits nothing.
UNLIMITED: Final = nullcontext()


class Encoder(Protocol):
    """Encodes the content of one member."""

    @property
    def slow_from(self) -> int:
        """Length from which a chunk takes longer than an event loop should wait, in bytes."""

    def write(self, chunk: bytes) -> bytes:
        """Return the encoded data of the next content."""

    def skip(self, length: int) -> int:
        """Pass over so many bytes of content; return the length of their encoded data."""

    def content_before(self, position: int) -> int:
        """Return how many bytes of content come before a position in the encoded data."""

    def end(self) -> bytes:
        """Return what is left."""


class Stored:
    """The content itself, not even copied. Without state: one serves all members."""

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

    Blocks have a fixed length, so the encoded data doesn't depend on how the content is cut into
    chunks, and positions in one follow from positions in the other. A block's header comes with
    its first byte, or with an empty chunk before it.
    """

    slow_from = Stored.slow_from

    def __init__(self, uncompressed_size: int) -> None:
        self._size = uncompressed_size
        self._position = 0
        self._headers = 0

    def write(self, chunk: bytes) -> bytes:
        left_in_block = self._headers * spec.STORED_BLOCK_LENGTH - self._position
        if len(chunk) <= left_in_block and chunk:
            self._position += len(chunk)
            return chunk
        if not left_in_block and len(chunk) <= spec.STORED_BLOCK_LENGTH:
            self._position += len(chunk)
            return self._next_block_header() + chunk
        pieces = [chunk[:left_in_block]]
        for start in range(left_in_block, len(chunk) or 1, spec.STORED_BLOCK_LENGTH):
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
            return b""  # an empty chunk after the last byte
        self._headers += 1
        return _block_header(left)


class Deflated:
    """Whatever the compression object makes of the content."""

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
        raise MisuseError("a deflated member can't be skipped: only deflating shows its size")

    def content_before(self, position: int) -> int:
        raise MisuseError("no position in a deflated member is known")


class Precompressed:
    """A deflate stream, passed on as it is, and inflated beside to verify it.

    `compressed_size` is the stream's, the other two are of what it inflates to. Where something of
    it is skipped, only its length can be verified.
    """

    slow_from = 1 << 15  # as text, it inflates to 256 KiB, which takes 0.2 (ISA-L) to 0.5 ms

    def __init__(
        self,
        name: str,
        compressed_size: int,
        uncompressed_size: int,
        crc_32: int,
        limiter: AbstractContextManager[Any] = UNLIMITED,
    ) -> None:
        self._name = name
        self._declared = uncompressed_size, crc_32
        self._left = compressed_size
        self._size = self._crc_32 = 0
        self._inflater: Any = inflater()
        self._limiter = limiter

    def write(self, chunk: bytes) -> bytes:
        self._count(len(chunk))
        if self._inflater is None or not chunk:
            return chunk
        if len(chunk) < self.slow_from:
            self._inflate(chunk)
            return chunk
        with self._limiter:
            self._inflate(chunk)
        return chunk

    def skip(self, length: int) -> int:
        if length:
            self._inflater = None
        self._count(length)
        return length

    def content_before(self, position: int) -> int:
        return position

    def end(self) -> bytes:
        if self._left:
            raise self._wrong(f"ends {self._left:,} bytes before its declared size")
        if self._inflater is not None:
            self._check()
        return b""

    def _count(self, length: int) -> None:
        """Count bytes of the stream; raise where they are more than was declared."""
        self._left -= length
        if self._left < 0:
            raise self._wrong("has more bytes than were declared")

    def _inflate(self, chunk: bytes) -> None:
        """Inflate a chunk piece by piece: it can be a thousand times as long."""
        inflater, declared = self._inflater, self._declared[0]
        try:
            while True:
                if inflater.eof:
                    raise self._wrong("is over before its declared size")
                piece = inflater.decompress(chunk, _PIECE_LENGTH)
                self._size += len(piece)
                self._crc_32 = crc32(piece, self._crc_32)
                if self._size > declared:
                    raise self._wrong_size(f"at least {self._size:,}")
                chunk = inflater.unconsumed_tail or inflater.unused_data
                # What the inflater holds back comes only when it is asked again.
                if not chunk and (inflater.eof or len(piece) < _PIECE_LENGTH):
                    return
        except INFLATE_ERRORS as error:
            raise self._wrong(f"isn't deflate: {error}") from error

    def _check(self) -> None:
        if not self._inflater.eof:
            raise self._wrong("isn't over at its declared size")
        size, crc_32 = self._declared
        if self._crc_32 != crc_32:
            raise CRC32IntegrityError(
                f"member {self._name!r}: its content inflates to the CRC-32 {self._crc_32:#010x}, "
                f"declared was {crc_32:#010x}"
            )
        if self._size != size:
            raise self._wrong_size(f"{self._size:,}")

    def _wrong(self, how: str) -> DeflateIntegrityError:
        return DeflateIntegrityError(f"member {self._name!r}: its deflate stream {how}")

    def _wrong_size(self, size: str) -> UncompressedSizeIntegrityError:
        return UncompressedSizeIntegrityError(
            f"member {self._name!r}: its content inflates to {size} bytes, "
            f"declared were {self._declared[0]:,}"
        )


# Of what is inflated.
_PIECE_LENGTH: Final = 1 << 18

_BLOCK_HEADER = Struct("<BHH")
_BLOCK_LENGTH = spec.STORED_BLOCK_HEADER_LENGTH + spec.STORED_BLOCK_LENGTH

STORED: Final = Stored()


def _block_header(left: int) -> bytes:
    """Return the header of a block when so many bytes are left."""
    length = min(left, spec.STORED_BLOCK_LENGTH)
    return _BLOCK_HEADER.pack(length == left, length, length ^ spec.MAX_16)


def stored_blocks_size(uncompressed_size: int) -> int:
    """Return the exact size of so many bytes in stored blocks."""
    encoder = StoredBlocks(uncompressed_size)
    return encoder.skip(uncompressed_size) + len(encoder.end())
