"""Members from files of this machine and from bytes in memory."""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import time
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from functools import cached_property, partial, reduce
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from django.core.files.base import File

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.members.build import (
    DEFAULT_MODE,
    ContentMember,
    build_member,
    may_grow,
    seconds_of,
    time_of,
    unexpected,
)
from django_stream_zip.members.misuse import check_path, is_a_directory, not_bytes
from django_stream_zip.members.page_cache import is_quick, look_at, read_cached
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.prefetch.waiting import may_wait

# With the header of a stored block 64 KiB: of more, Django's ASGI handler makes two messages.
CHUNK_LENGTH: Final = 65531

#: The earliest time a ZIP can hold, where none is known. "Now" would make other bytes of the same
#: members each time.
NO_TIME: Final = datetime(1980, 1, 1)

# Seconds.
_SETTLES_AFTER: Final = 2

# Of a file that was at rest when it was opened, so much is compared if it grew while it was read:
# of so many bytes one, and the first ones of each chunk.
_SAMPLING: Final = 64
_HEADER_LENGTH: Final = 1024

_READABLE: Final = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH

# On Windows, bytes as they are.
_READING: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# Without a wait for who writes to it, if it is a pipe.
_READING_NOW: Final = _READING | getattr(os, "O_NONBLOCK", 0)


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
    """Make a member of a file of this machine.

    One `stat`, none if `size` and `modified_at` are given; opens nothing, except what seems to be
    empty: files in /proc say so, and are of unknown size.

    Args:
        path: The file.
        name: The member's name; the default is the file's own, without directories.
        compress: Whether to deflate; None leaves it to the kind of file and the setting.
        modified_at: The member's time.
        mode: The member's Unix mode.
        size: Number of bytes.
        crc_32: CRC-32 of the bytes.

    Raises:
        FileNotFoundError: The file is missing.
        OSError: It can't be read.
    """
    check_path(path)
    path = os.path.abspath(path)
    if size is None or modified_at is None:
        content = FileContent.from_stat(path, size, crc_32)
        modified_at = modified_at or content.modified_at
    else:
        validator = f"{size}-{seconds_of(modified_at)}"
        content = FileContent(path, size=size, crc_32=crc_32, validator=validator)
    own_name = os.path.basename(path)
    return build_member(name or own_name, modified_at, mode, compress, content, own_name)


def bytes_member(
    data: bytes,
    name: str,
    *,
    compress: bool | None = None,
    modified_at: datetime = NO_TIME,
    mode: int = DEFAULT_MODE,
) -> ContentMember:
    """Make a member of bytes in memory; the options are those of `file_member`.

    Without `modified_at` it has ZIP's earliest time, 1 January 1980, so that the archive's bytes,
    and with them its entity tag, are the same each time.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise not_bytes(data, name)
    return build_member(name, modified_at, mode, compress, BytesContent(data))


class Readable(Protocol):
    """What `open()` and `Storage.open()` return, as far as it is used here."""

    def read(self, length: int, /) -> bytes:
        """Read up to so many bytes; none is the end."""

    def seek(self, position: int, /) -> object:
        """Go to a position."""


class FileContent:
    """A file of this machine. It is opened when its chunks are asked for.

    It is looked at twice: when it is opened, and after its last chunk, before the iteration ends.
    What was written to in between is an error, unless it only grew, as a log does: then it is as
    long as it was when it was opened.
    """

    defers = True
    #: Whether it can be opened on an event loop.
    is_prepared = False

    def __init__(
        self,
        path: str,
        *,
        size: int | None = None,
        crc_32: int | None = None,
        validator: str | None = None,
    ) -> None:
        self.identity = f"file:{path}"
        self.size = size
        self.crc_32 = crc_32
        self.validator = validator
        self.local_state: str | None = None
        self.is_settled = True
        self.may_grow = may_grow(path)
        #: When it was modified, in nanoseconds; None if it wasn't described.
        self.modified: int | None = None
        self._path = path

    @classmethod
    def from_stat(cls, path: str, size: int | None, crc_32: int | None) -> FileContent:
        """Describe the file as it is now, or of the `size` that the caller knows of.

        Raises OSError where it can't be read.
        """
        status, own_size = look(path)
        size = own_size if size is None else size
        modified = status.st_mtime_ns
        content = cls(path, size=size, crc_32=crc_32, validator=state(size or 0, modified))
        content.modified = modified
        content.local_state = local_state(status.st_ino, status.st_ctime_ns)
        content.is_settled = has_settled(status.st_mtime)
        return content

    @property
    def modified_at(self) -> datetime:
        """When the file was modified last."""
        return time_of((self.modified or 0) / 1e9)

    def prepare(self) -> None:
        """Look at the file, so that it can be opened at once."""
        self.is_prepared = look_at(self._path)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop` of the file that was described."""
        return self._described().chunks(start, stop)

    def whole(self) -> bytes | None:
        """Return all bytes of the file that was described, if they are few."""
        return read_short(self._path, self.size, self.modified)

    def whole_now(self) -> bytes | None:
        """Return all bytes of the file as it is now, if they are few."""
        return read_short_now(self._path, self.size)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes of the file as it is when it is opened."""
        return ExpectedFile(self._path).chunks()

    def _described(self) -> ExpectedFile:
        return ExpectedFile(self._path, self.size, self.modified, is_prepared=self.is_prepared)


def look(path: str) -> tuple[os.stat_result, int | None]:
    """Return what a file is, and its size, None if that isn't known before it is read.

    Raises OSError where it can't be read.
    """
    status = os.stat(path)
    _check_regular(path, status)
    # Whose mode lets everybody read it is read, but for rare lists of who may not: asking takes
    # half as long as the rest. Those are found out when it is opened.
    if status.st_mode & _READABLE != _READABLE and not os.access(path, os.R_OK):
        # Not the last word, as it is about the real user. This raises what is wrong.
        os.close(_opened(path))
    return status, status.st_size or _size_of_empty(path)


class ExpectedFile(NamedTuple):
    """A file of this machine, and what it has to be when it is opened: None where anything will do.

    That is a size, a time of modification (in nanoseconds) and a state: see `state_of`.
    `is_prepared`: whether it can be opened on an event loop.
    """

    path: str
    size: int | None = None
    modified: int | None = None
    state: str | None = None
    is_prepared: bool = False

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield its bytes from `start` to `stop`, and an empty chunk where nothing may wait."""
        if not (may_wait() or self.is_prepared):
            yield b""
        file = _opened(self.path)
        try:
            opened = _expected(file, self.path, self.size, self.modified, self.state)
            if start == 0 and stop is None and 0 < opened.st_size <= CHUNK_LENGTH:
                yield _read_at_once(self.path, file, opened)
                return
            chunks = _read(file, start, _end(stop, opened.st_size))
            yield from _watched(self.path, file, opened, start, chunks)
        finally:
            os.close(file)


def read_short(
    path: str,
    size: int | None = None,
    modified: int | None = None,
    state: str | None = None,
) -> bytes | None:
    """Return what the chunks of an `ExpectedFile` are, if that is one; None where it may not be."""
    if not size or size > CHUNK_LENGTH or not may_wait():
        return None
    return _read_if_short(path, size, modified, state)


def read_short_now(path: str, likely: int | None) -> bytes | None:
    """Do the same with a file that may be any when it is opened, but has a likely size."""
    if not likely or likely > CHUNK_LENGTH or not may_wait():
        return None
    return _read_if_short(path)


def _read_if_short(
    path: str,
    size: int | None = None,
    modified: int | None = None,
    state: str | None = None,
) -> bytes | None:
    file = _opened(path)
    try:
        opened = _expected(file, path, size, modified, state)
        is_short = 0 < opened.st_size <= CHUNK_LENGTH
        return _read_at_once(path, file, opened) if is_short else None
    finally:
        os.close(file)


def _expected(
    file: int, path: str, size: int | None, modified: int | None, state: str | None
) -> os.stat_result:
    """Return what the opened file is; raise ContentChangedError if that isn't expected."""
    opened = os.fstat(file)
    if not stat.S_ISREG(opened.st_mode):
        _check_regular(path, opened)
    if modified is not None and opened.st_mtime_ns != modified:
        raise ContentChangedError(f"{path} was modified after it was described")
    # What says that it has no bytes may have some: reading them shows how many.
    is_other = size is not None and opened.st_size not in (0, size)
    if is_other or (state is not None and state != state_of(opened)):
        raise unexpected(path)
    return opened


def state_of(status: os.stat_result) -> str:
    """Return the validator of a file that is described like this."""
    return state(status.st_size, status.st_mtime_ns)


def state(size: int, modified_at: int) -> str:
    """Return the validator of a file of this size and time of modification, in nanoseconds."""
    return f"{size:x}-{modified_at:x}"


def local_state(inode: int, changed: int) -> str:
    """Return what tells apart states of a file on this host only: when its inode was changed."""
    return f"{inode:x}-{changed:x}"


def _opened(path: str) -> int:
    try:
        return os.open(path, _READING_NOW)
    except BlockingIOError:  # somebody holds a lease, as Samba does, and is asked to release it
        return os.open(path, _READING)


def _size_of_empty(path: str) -> int | None:
    """Return 0, or None where a file has bytes though its size says otherwise, as in /proc."""
    file = _opened(path)
    try:
        return None if os.read(file, 1) else 0
    finally:
        os.close(file)


def _end(stop: int | None, size: int) -> float:
    """Return where to stop. What says that it has no bytes, as in /proc, may have some."""
    end = size or math.inf
    return end if stop is None else min(stop, end)


def _read(file: int, start: int, end: float) -> Iterator[bytes]:
    """Yield the bytes of an open file from `start` to `end`, or as far as there are any."""
    position, place = start, 0
    while position < end:
        length = int(min(CHUNK_LENGTH, end - position))
        chunk = None if may_wait() else read_cached(file, length, position)
        if chunk is None:
            if not may_wait():
                yield b""
            if position != place:
                os.lseek(file, position, os.SEEK_SET)
            chunk = os.read(file, length)
            place = position + len(chunk)
        if not chunk:
            return
        yield chunk
        position += len(chunk)


def _read_at_once(name: str, file: int, opened: os.stat_result) -> bytes:
    """Return all bytes of an open file that is short; raise as `_watched` does."""
    is_settled = _is_settled(opened)
    content = os.read(file, opened.st_size)
    if len(content) < opened.st_size:  # as file systems of a network may do
        content += b"".join(_read(file, len(content), opened.st_size))
    _look_again(name, file, opened, is_settled, partial(_is_still, file, content))
    return content


def _watched(
    name: str, file: int, opened: os.stat_result, start: int, chunks: Iterator[bytes]
) -> Iterator[bytes]:
    """Yield the chunks of an open file, then raise ContentChangedError if it was written to."""
    is_settled = _is_settled(opened)
    add = _sampled if is_settled else crc32
    stop, digest = start, 0
    for chunk in chunks:
        stop += len(chunk)
        digest = add(chunk, digest)
        yield chunk
    if not opened.st_size:
        return  # what was read, if anything, grew meanwhile
    if not (may_wait() or _ends_at_once(file, opened)):
        yield b""
    is_same = partial(_has_digest, file, start, stop, add, digest)
    _look_again(name, file, opened, is_settled, is_same)


def _ends_at_once(file: int, opened: os.stat_result) -> bool:
    """Return whether to look at a file again and to close it waits for nothing.

    It does where it is read again, and where nobody else has it, so that it is removed.
    """
    if not (_is_settled(opened) and is_quick(file, opened.st_dev)):
        return False
    now = os.fstat(file)
    return now.st_size <= opened.st_size and now.st_nlink > 0


def _is_settled(opened: os.stat_result) -> bool:
    return has_settled(max(opened.st_mtime, opened.st_ctime))


def _look_again(
    name: str,
    file: int,
    opened: os.stat_result,
    is_settled: bool,
    is_same: Callable[[], bool],
) -> None:
    """Raise ContentChangedError if a file was written to since it was opened.

    The times of a file show when a write begins, but not that it still goes on, nor what is
    written where somebody has it mapped. So what was written to just before is read again, which
    `is_same` does.
    """
    after = os.fstat(file)
    is_touched = after.st_mtime_ns != opened.st_mtime_ns or after.st_ctime_ns != opened.st_ctime_ns
    if is_settled and not is_touched and after.st_size == opened.st_size:
        return  # as most are
    has_grown = after.st_size > opened.st_size
    # What had settled gets a later time by an append, unless somebody puts it back. What hadn't
    # may get the same one, or an earlier one than of a clock that is ahead.
    is_put_back = has_grown and is_settled and after.st_mtime_ns <= opened.st_mtime_ns
    is_changed = is_put_back or (not has_grown and _was_written_to(opened, after))
    is_unsure = has_grown or not is_settled  # no time says whether it only grew
    if is_changed or (is_unsure and not is_same()):
        raise ContentChangedError(f"{name} was modified while it was read")


def _check_regular(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise is_a_directory(path)
    raise PermissionError(errno.EACCES, "Neither a file nor a link to one", path)


def _sampled(chunk: bytes, sample: int) -> int:
    """Return what hardly any other bytes have, for a fraction of what their CRC-32 costs.

    What has a header, as databases do, changes that with each change.
    """
    return crc32(chunk[::_SAMPLING], crc32(chunk[:_HEADER_LENGTH], sample))


def _has_digest(
    file: int, start: int, stop: int, add: Callable[[bytes, int], int], digest: int
) -> bool:
    os.lseek(file, 0, os.SEEK_SET)
    return reduce(lambda value, chunk: add(chunk, value), _read(file, start, stop), 0) == digest


def _is_still(file: int, content: bytes) -> bool:
    os.lseek(file, 0, os.SEEK_SET)
    return b"".join(_read(file, 0, len(content))) == content


def _was_written_to(before: os.stat_result, after: os.stat_result) -> bool:
    """Return whether a file that didn't grow isn't what it was `before`.

    Where the time of modification was put back, the inode's own time shows it. That one also
    changes with the file's mode or name: an error too many, but nobody gets a mixture. (Where
    links were removed or added it means nothing: to replace a file by renaming removes one.)
    """
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        return True
    return after.st_ctime_ns != before.st_ctime_ns and after.st_nlink == before.st_nlink


def has_settled(modified_at: float) -> bool:
    """Return whether a time of modification is old enough to tell apart what was and what comes.

    Who writes again soon may get the same time: clocks of file systems tick each two seconds, at
    worst.
    """
    return time.time() - modified_at > _SETTLES_AFTER


class BytesContent:
    """Bytes in memory."""

    defers = True

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
        """Yield the bytes from `start` to `stop`."""
        stop = self.size if stop is None else stop
        for position in range(start, stop, CHUNK_LENGTH):
            yield self._data[position : min(position + CHUNK_LENGTH, stop)]

    def whole(self) -> bytes | None:
        """Return all bytes, if they are few."""
        return self._data if self.size <= CHUNK_LENGTH else None

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes."""
        return self.chunks()


def one_state(
    name: str, file: Readable, start: int, stop: int | None, *, position: int = 0
) -> Generator[bytes, None, bool]:
    """Yield the bytes of what a storage opened from `start` to `stop`, as `read_chunks` does.

    What is a file of this machine is looked at as FileContent does: only its inode shows where the
    time of modification was put back. `position` is where it stands already. Returns whether it is
    such a file.
    """
    descriptor = _descriptor(file)
    opened = None if descriptor is None else os.fstat(descriptor)
    if descriptor is None or opened is None or not stat.S_ISREG(opened.st_mode):
        yield from read_chunks(file, start, stop)
        return False
    end = _end(stop, max(0, opened.st_size - position))
    chunks = read_chunks(file, start, end)
    yield from _watched(name, descriptor, opened, position + start, chunks)
    return True


def _descriptor(file: object) -> int | None:
    """Return the descriptor of a plain file; None for what may be made of its bytes, or of others.

    To ask for `fileno()` is no way to find out: what is held in memory is written to a disk then.
    """
    while type(file) is File:
        file = file.file
    if isinstance(file, io.BufferedReader) and type(file.raw) is io.FileIO:
        return file.fileno()
    return None


def read_chunks(file: Readable, start: int, stop: float | None) -> Iterator[bytes]:
    """Yield the bytes of an open file from `start` to `stop`, or as far as there are any.

    What can't be sought in, as many storages' files can't, is read up to `start`.
    """
    try:
        if start:
            file.seek(start)
    except (AttributeError, NotImplementedError, io.UnsupportedOperation):
        for _ in read_chunks(file, 0, start):
            pass
    left = math.inf if stop is None else stop - start
    while left > 0 and (chunk := file.read(int(min(CHUNK_LENGTH, left)))):
        yield chunk
        left -= len(chunk)
