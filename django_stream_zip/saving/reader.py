"""An archive as a file object to read from, for whatever uploads one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator
from typing import Any

from django_stream_zip.saving.archive import ZipSource

__all__ = ["ZipReader", "open_zip"]

#: Called with how many bytes are done, and of how many if that is known.
Progress = Callable[[int, int | None], object]


def open_zip(
    members: Any,
    *,
    password: str | None = None,
    compress: bool | None = None,
    extended_timestamps: bool = True,
    comment: str = "",
) -> ZipReader:
    """Return the archive of `members` as a file object, to read from.

    For what uploads file objects: boto3's `upload_fileobj`, `requests`, `ftplib`, smart_open. Its
    bytes are made while they are read, and it has to be closed. Each read returns as many bytes as
    are asked for, unless the archive ends.

    Where the archive would have an entity tag (see `zip_response`) it can be sought in: reading
    goes on from there. Any other has only its current position. It has a `size` if that is known.

    Args:
        members: As for `zip_response`, but not asynchronous.
        password: Encrypts all members.
        compress: As for `zip_response`; so are the next two.
        extended_timestamps: Whether times are also written in seconds since 1970.
        comment: The archive's comment.
    """
    archive = ZipSource(
        members,
        password=password,
        compress=compress,
        extended_timestamps=extended_timestamps,
        comment=comment,
    )
    return ZipReader(archive)


class ZipReader(io.RawIOBase):
    """Reads the blocks of an archive."""

    def __init__(self, archive: ZipSource, progress: Progress | None = None) -> None:
        super().__init__()
        self._archive = archive
        self._progress = progress
        self._position = 0
        self._blocks: Generator[bytes, None, None] | None = None
        self._made_to = 0  # the position of the next byte that is made
        self._left = memoryview(b"")
        #: Whether it was read to its end, and up to which position; also after it was closed.
        self.is_exhausted = False
        self.reached = 0
        if archive.length is not None:
            self.size = archive.length

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether it can be read from any position."""
        return self._archive.entity_tag is not None

    def tell(self) -> int:
        """Return the current position."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position.

        Raises:
            io.UnsupportedOperation: It is another one than the current one, in an archive that is
                only made from its beginning to its end.
        """
        self._check_open()
        position = offset + self._base(whence)
        if position < 0:
            raise ValueError(f"there is no position {position}")
        if position != self._position and not self.seekable():
            raise io.UnsupportedOperation(
                "this archive can only be read from its beginning to its end"
            )
        self._position = position
        return position

    def readinto(self, buffer: Any, /) -> int:
        """Read until a buffer is full or the archive ends; return how many bytes it were."""
        self._check_open()
        if self._position != self._made_to - len(self._left):
            self._restart()
        view, filled = memoryview(buffer).cast("B"), 0
        while filled < len(view) and (self._left or self._pull()):
            length = min(len(self._left), len(view) - filled)
            view[filled : filled + length] = self._left[:length]
            self._left = self._left[length:]
            filled += length
        self._position += filled
        self.reached = max(self.reached, self._position)
        # Who knows the length may never ask for more.
        self.is_exhausted = self.is_exhausted or self.reached == self._archive.length
        if self._progress is not None and filled:
            self._progress(self._position, self._archive.length)
        return filled

    def close(self) -> None:
        """Close what is open."""
        if not self.closed:
            self._release()
        super().close()

    def _base(self, whence: int) -> int:
        if whence == os.SEEK_SET:
            return 0
        if whence == os.SEEK_CUR:
            return self._position
        if whence == os.SEEK_END and self._archive.length is not None:
            return self._archive.length
        raise io.UnsupportedOperation("the end of this archive is only known when it is reached")

    def _pull(self) -> bool:
        """Have the next block made; return whether there is one."""
        if self._blocks is None:
            self._blocks = self._archive.blocks(self._position)
            self._made_to = self._position
        for block in self._blocks:
            if block:
                self._left = memoryview(block)
                self._made_to += len(block)
                return True
        self.is_exhausted = True
        return False

    def _restart(self) -> None:
        """Have the bytes made from the current position on."""
        self._release()
        length = self._archive.length or 0
        self._made_to = self._position
        if self._position >= length:
            self._blocks = _none()

    def _release(self) -> None:
        blocks, self._blocks, self._left = self._blocks, None, memoryview(b"")
        if blocks is not None:
            blocks.close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed archive")


def _none() -> Generator[bytes, None, None]:
    """Yield no block."""
    yield from ()
