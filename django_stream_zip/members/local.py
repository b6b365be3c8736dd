"""Members from files of this machine and from bytes in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import BinaryIO, Final, Protocol

from django_stream_zip.content import ContentChangedError
from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.members.member import DEFAULT_MODE, ContentMember, member
from django_stream_zip.misuse import check_path, is_a_directory, not_bytes

# With the header of a stored block 64 KiB: of more, Django's ASGI handler makes two messages.
CHUNK_LENGTH: Final = 65531

# The earliest time a ZIP can hold. "Now" would make other bytes of the same members each time.
_NO_TIME: Final = datetime(1980, 1, 1)


def file_member(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    compress: bool | None = None,
    modified_at: datetime | None = None,
    mode: int = DEFAULT_MODE,
    size: int | None = None,
    crc_32: int | None = None,
) -> ContentMember:
    """Make a member of a file, named like it or `name`.

    One `stat`, none if `size` (bytes) and `modified_at` are given; opens nothing. Raises
    FileNotFoundError and other OSErrors that `stat` raises.
    """
    check_path(path)
    path = os.path.abspath(path)
    if size is None or modified_at is None:
        content = FileContent.from_stat(path, size, crc_32)
        modified_at = modified_at or content.modified_at
    else:
        content = FileContent(path, size, crc_32, f"{size}-{modified_at.timestamp()}")
    own_name = os.path.basename(path)
    return member(name or own_name, modified_at, mode, compress, content, own_name)


def bytes_member(
    data: bytes,
    name: str,
    *,
    compress: bool | None = None,
    modified_at: datetime = _NO_TIME,
    mode: int = DEFAULT_MODE,
) -> ContentMember:
    """Make a member of bytes in memory.

    Without `modified_at` it has ZIP's earliest time, 1 January 1980, so that the archive's bytes,
    and with them its entity tag, are the same each time.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise not_bytes(data, name)
    return member(name, modified_at, mode, compress, BytesContent(data))


class Readable(Protocol):
    """What `open()` and `Storage.open()` return, as far as it is used here."""

    def read(self, length: int, /) -> bytes:
        """Read up to so many bytes; none is the end."""

    def seek(self, position: int, /) -> object:
        """Go to a position."""


class FileContent:
    """A file of this machine. It is opened when its chunks are asked for."""

    def __init__(
        self, path: str, size: int, crc_32: int | None, validator: str, mtime_ns: int | None = None
    ) -> None:
        self.identity = f"file:{path}"
        self.size = size
        self.crc_32 = crc_32
        self.validator = validator
        self._path = path
        self._mtime_ns = mtime_ns

    @classmethod
    def from_stat(cls, path: str, size: int | None, crc_32: int | None) -> FileContent:
        """Describe the file as it is now, or of the `size` that the caller knows of."""
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise is_a_directory(path)
        size = status.st_size if size is None else size
        validator = f"{size:x}-{status.st_mtime_ns:x}"
        return cls(path, size, crc_32, validator, status.st_mtime_ns)

    @property
    def modified_at(self) -> datetime:
        """When the file was modified last."""
        return datetime.fromtimestamp((self._mtime_ns or 0) / 1e9, UTC)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes of the file from `start` to `stop`."""
        with open(self._path, "rb", buffering=0) as file:
            self._check_unchanged(file)
            yield from read_chunks(file, start, stop)

    def __iter__(self) -> Iterator[bytes]:
        """Give all bytes of the file."""
        return self.chunks()

    def _check_unchanged(self, file: BinaryIO) -> None:
        if self._mtime_ns is not None and os.fstat(file.fileno()).st_mtime_ns != self._mtime_ns:
            raise ContentChangedError(f"{self._path} was modified after the download was planned")


class BytesContent:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self.size = len(self._data)

    @cached_property
    def crc_32(self) -> int:
        """CRC-32 of the bytes."""
        return crc32(self._data)

    @cached_property
    def validator(self) -> str:
        """The bytes' own digest."""
        return sha256(self._data).hexdigest()

    @property
    def identity(self) -> str:
        """The digest again: equal bytes are the same content."""
        return f"bytes:{self.validator}"

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes from `start` to `stop`."""
        stop = self.size if stop is None else stop
        for position in range(start, stop, CHUNK_LENGTH):
            yield self._data[position : min(position + CHUNK_LENGTH, stop)]

    def __iter__(self) -> Iterator[bytes]:
        """Give all bytes."""
        return self.chunks()


def read_chunks(file: Readable, start: int, stop: int | None) -> Iterator[bytes]:
    """Give the bytes of an open file from `start` to `stop`, or as far as there are any."""
    if start:
        file.seek(start)
    left = float("inf") if stop is None else stop - start
    while left > 0 and (chunk := file.read(int(min(CHUNK_LENGTH, left)))):
        yield chunk
        left -= len(chunk)
