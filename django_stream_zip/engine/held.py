"""A member whose method is buffered: held in memory until its size and CRC-32 are known."""

from __future__ import annotations

from datetime import datetime

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.errors import UncompressedSizeOverflowError, not_a_method
from django_stream_zip.engine.methods import BufferedMethod, Method


class HeldMember:
    """Collects the content of such a member.

    Raises TypeError where the method isn't one that can be completed by size and CRC-32.
    """

    def __init__(self, name: str, modified_at: datetime, mode: int, method: Method) -> None:
        if not isinstance(method, BufferedMethod):
            raise not_a_method(name, method)
        self.name = name
        self.modified_at = modified_at
        self.mode = mode
        self.chunks: list[bytes] = []
        self._method = method
        self._size = 0
        self._crc_32 = 0

    def append(self, chunk: bytes) -> None:
        """Hold one more chunk of content."""
        self.chunks.append(chunk)
        self._size += len(chunk)
        self._crc_32 = crc32(chunk, self._crc_32)
        if self._size > spec.MAX_32 and not self._method.zip64:
            raise UncompressedSizeOverflowError(
                f"member {self.name!r}: its content has at least {self._size:,} bytes, "
                f"{self._method.name} holds at most {spec.MAX_32:,}"
            )

    def streamed_method(self) -> Method:
        """Return its method, completed by what is known by now."""
        return self._method(self._size, self._crc_32)
