"""Members that are in a window as a whole, and whose records follow from the central directory.

Most are: they are written by a short path, in one step each.
"""

from __future__ import annotations

from typing import cast

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.directory import KnownDirectory
from django_stream_zip.engine.encoders import STORED, Encoder, stored_blocks
from django_stream_zip.engine.entry import check_content
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile, as_bytes
from django_stream_zip.planning.content import Content
from django_stream_zip.planning.steps import Reading


class WholeMember(Reading):
    """A member that is written as a whole, with what is around its content.

    The source was told to expect its content. One of these serves all members of a window, one
    after the other.
    """

    __slots__ = ("_directory", "_encoder", "_method", "_number", "crc_32")

    _encoder: Encoder

    def __init__(self, directory: KnownDirectory) -> None:
        self._directory = directory
        self.start, self.stop, self.slow_from = 0, None, STORED.slow_from

    def begin(self, number: int, member: MemberFile | AsyncMemberFile) -> None:
        """Begin the member of this number in the directory."""
        self.name, _, _, method, content = member
        self.content = cast(Content, content)
        self.header = self._directory.local_file_header(number)
        self._left = size = method.uncompressed_size or 0
        self._number, self._method, self._encoder, self.crc_32 = number, method, STORED, 0
        if method.crc_32 is None:
            start_of_data, self._encoder = stored_blocks(size)
            self.header += start_of_data

    def take(self, chunk: bytes) -> bytes:
        """Take content and return what is to be sent for it. Raises ContentChangedError."""
        if chunk.__class__ is not bytes:
            chunk = as_bytes(self.name, chunk)
        if not chunk:
            return b""
        self._left -= len(chunk)
        if self._left < 0:
            self._changed("more")
        self.crc_32 = crc32(chunk, self.crc_32)
        return self._encoder.write(chunk)

    def end(self) -> None:
        """Raise what is wrong with the content: ContentChangedError or CRC32IntegrityError."""
        if self._left:
            self._changed("fewer")
        if self.crc_32 != self._method.crc_32:
            check_content(self.name, self._method, None, 0, self.crc_32)

    def tail(self) -> bytes:
        """Return what comes after the content."""
        is_declared = self._method.crc_32 is not None
        return b"" if is_declared else self._directory.data_descriptor(self._number, self.crc_32)

    def at_once(self) -> tuple[bytes, ...] | None:
        """Read it if it comes at once; return its bytes, or None if it has to be iterated."""
        whole = getattr(self.content, "whole", None)
        if whole is None or (content := whole()) is None:
            return None
        data = self.take(content)
        self.end()
        return self.header, data, self.tail()
