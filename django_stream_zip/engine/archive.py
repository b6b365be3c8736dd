"""The archive while it is written: where the next byte goes, and the central directory.

Push, not pull: for each member `begin`, then `write` (or `skip`) until its content is over, then
`release` and `end`; after the last one `finish`. Each verb gives the bytes that come next and keeps
none, so the central directory is all that grows. (Only a member whose method is buffered is held,
until `release`.)

    for name, modified_at, mode, method, chunks in members:
        yield archive.begin(name, modified_at, mode, method)
        for chunk in chunks:
            yield archive.write(chunk)
        yield from archive.release()
        yield archive.end()
    yield from archive.finish()

A verb that raises has written nothing, and the archive is over. Out of turn it raises MisuseError,
after an error as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import NoReturn, Protocol

from django_stream_zip.engine import records, spec
from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.bodies import Body
from django_stream_zip.engine.entry import Entry, Options, Promised
from django_stream_zip.engine.errors import (
    CentralDirectoryNumberOfEntriesOverflowError,
    CentralDirectorySizeOverflowError,
    MisuseError,
    OffsetOverflowError,
    UncompressedSizeOverflowError,
    not_a_method,
    not_a_time,
)
from django_stream_zip.engine.methods import DEFLATE, BufferedMethod, Method

_DIRECTORY_BLOCK_LENGTH = 65536
# A central directory of this size has room for any header: each of its parts is counted in 16 bits.
_SURE_TO_FIT = spec.MAX_32 - 3 * spec.MAX_16


class Directory(Protocol):
    """Where central directory headers go until the end."""

    size: int
    entries: int

    def append(self, header: bytes) -> None:
        """Take one more header."""

    def blocks(self) -> Iterator[bytes]:
        """Give all of them, in blocks of any length."""


class HeldDirectory:
    """The central directory in memory: nothing beside the bytes that will be written."""

    def __init__(self) -> None:
        self.size = 0
        self.entries = 0
        self._blocks: list[bytes] = []
        self._last = bytearray()

    def append(self, header: bytes) -> None:
        """Take one more header."""
        self.entries += 1
        self.size += len(header)
        self._last += header
        if len(self._last) >= _DIRECTORY_BLOCK_LENGTH:
            self._blocks.append(bytes(self._last))
            self._last.clear()

    def blocks(self) -> Iterator[bytes]:
        """Give all of them, in blocks of about 64 KiB."""
        yield from self._blocks
        yield bytes(self._last)


class CountedDirectory:
    """Counts the headers and forgets them, where an archive is only measured."""

    def __init__(self) -> None:
        self.size = 0
        self.entries = 0

    def append(self, header: bytes) -> None:
        """Take one more header."""
        self.entries += 1
        self.size += len(header)

    def blocks(self) -> Iterator[bytes]:
        """Give nothing."""
        yield from ()


class NoDirectory(CountedDirectory):
    """Forgets even their number: for a part of an archive that has no directory in it."""

    def append(self, header: bytes) -> None:
        """Take no note."""


class Archive:
    """An archive that is being written. `offset` is the position of its next byte.

    Raises what `errors` has where a member can't be written, before any of its bytes are given.
    """

    def __init__(
        self, options: Options, *, offset: int = 0, directory: Directory | None = None
    ) -> None:
        self.offset = offset
        self._options = options
        self._directory: Directory = HeldDirectory() if directory is None else directory
        # What is the case: a member is being written if there is an entry, or held; another one may
        # begin if the last has ended; otherwise it is over.
        self._entry: Entry | None = None
        self._held: HeldMember | None = None
        self._may_begin = True
        self._is_finished = False
        self._promised = (Promised(zip64=False), Promised(zip64=True))
        self._name = ""
        # Whether the end records are to be, or may become, those of Zip64.
        self._is_zip64 = False
        self._may_be_zip64 = False
        # A compression object has 256 KiB. Where one is freed at the top of the heap, glibc
        # gives them back to the kernel, and the next one has to get them again page by page: 10 µs
        # a member. This one is made behind the first and stays there, so the top stays too.
        self._pin: object = None
        # Members often share a time: encode it once.
        self._modified_at: object = object()
        self._modified = 0
        self._timestamp = b""

    def begin(
        self, name: str, modified_at: datetime, mode: int, method: Method, body: Body | None = None
    ) -> bytes:
        """Start a member; give its local file header (nothing yet, if its method is buffered).

        `body` is what its bytes become, encryption included, if that is not done here.
        """
        if not self._may_begin:
            self._misused(f"begin() of {name!r}")
        self._may_begin = False  # until it has ended: not after an error
        if not isinstance(method, Method):
            raise not_a_method(name, method)
        self._name = name
        if method.buffered:
            self._held = HeldMember(name, modified_at, mode, method)
            return b""
        try:
            if modified_at is not self._modified_at:
                self._set_time(name, modified_at)
            header = self._begin_entry(name, mode, method, body)
            zip64 = method.zip64
            if zip64 is not False:
                self._is_zip64 = self._is_zip64 or zip64 is True
                self._may_be_zip64 = True
            elif not self._may_be_zip64:
                self._check_directory_fits(name)
        except BaseException:
            self._entry = None
            raise
        self.offset += len(header)
        return header

    def checked(self, chunk: bytes) -> bytes:
        """Give a chunk of the member as bytes that nobody can change any more.

        Raises TypeError where it isn't bytes-like.
        """
        return chunk if chunk.__class__ is bytes else as_bytes(self._name, chunk)

    def write(self, chunk: bytes) -> bytes:
        """Take content of the member, any bytes-like object; give what it becomes."""
        try:
            if chunk.__class__ is not bytes:
                chunk = as_bytes(self._name, chunk)
            if self._entry is None:
                return self._hold(chunk)
            data = self._entry.write(chunk)
        except BaseException:
            self._entry = self._held = None
            raise
        self.offset += len(data)
        return data

    def _hold(self, chunk: bytes) -> bytes:
        if self._held is None:
            self._misused("write()")
        self._held.append(chunk)
        return b""

    def skip(self, length: int, crc_32: int | None = None) -> int:
        """Pass over so many bytes of content; give how many bytes of the archive they are.

        `crc_32` is that of the member's content up to there: with it, what is written afterwards
        goes on from it; without, `end` has to be told that of the whole.
        """
        entry = self._current("skip()")
        self._entry = None  # after an error
        data_length = entry.skip(length, crc_32)
        self._entry = entry
        self.offset += data_length
        return data_length

    @property
    def slow_from(self) -> int:
        """Length from which writing a chunk should not be done on an event loop, in bytes."""
        return spec.MAX_64 if self._entry is None else self._entry.slow_from

    def content_before(self, position: int) -> int:
        """Give how many bytes of the member's content come before a position in its data."""
        return self._current("content_before()").content_before(position)

    def release(self) -> Iterator[bytes]:
        """Give what was held of a member whose method is buffered, piece by piece; else nothing."""
        if self._held is None:
            self._current("release()")
            return
        held, self._held = self._held, None
        self._may_begin = True  # it begins now, by another method
        yield self.begin(held.name, held.modified_at, held.mode, held.streamed_method())
        for chunk in held.chunks:
            yield self.write(chunk)

    def end(self, crc_32: int | None = None) -> bytes:
        """End the member; give the rest of it.

        `crc_32` is that of the content, for a member of which something was skipped and whose
        method doesn't promise one.
        """
        entry = self._entry
        if entry is None:
            self._misused("end()")
        self._entry = None  # after an error
        data = entry.end(crc_32)
        self.offset += len(data)
        self._directory.append(entry.central_directory_header())
        self._may_begin = True
        return data

    @property
    def data_length(self) -> int:
        """Length in the archive of the current member's data, known before it is written."""
        length = self._current("data_length").data_length
        if length is None:
            raise MisuseError(f"data_length of {self._name!r}: only writing it tells")
        return length

    @property
    def crc_32(self) -> int | None:
        """CRC-32 of what the current member's content was so far, None if that isn't known."""
        return self._current("crc_32").crc_32

    def finish(self) -> Iterator[bytes]:
        """Give the central directory and the end records, piece by piece."""
        if not self._may_begin:
            self._misused("finish()")
        self._may_begin = False
        directory, offset = self._directory, self.offset
        fits = (
            directory.entries <= spec.MAX_16
            and directory.size <= spec.MAX_32
            and offset <= spec.MAX_32
        )
        if not fits and not self._may_be_zip64:
            # The other two were checked as members came.
            raise OffsetOverflowError(
                f"the central directory starts at byte {offset:,} of an archive without Zip64, "
                f"which must be at most {spec.MAX_32:,}: use methods with Zip64"
            )
        is_zip64 = self._is_zip64 or not fits
        end = (
            records.zip64_end_of_central_directory if is_zip64 else records.end_of_central_directory
        )
        record = end(entries=directory.entries, size=directory.size, offset=offset)
        self.offset += directory.size + len(record)
        self._is_finished = True
        return _chained(directory.blocks(), record)

    def _current(self, verb: str) -> Entry:
        """Give the current member; raise MisuseError where there is none or it is held."""
        if self._entry is None:
            self._misused(verb)
        return self._entry

    def _misused(self, verb: str) -> NoReturn:
        """Say what came before a verb that isn't to come now. It is over then."""
        if self._is_finished:
            before = "after finish()"
        elif self._may_begin:
            before = "before begin()" + (f", after end() of {self._name!r}" if self._name else "")
        elif self._held is not None:
            before = f"before release() of {self._name!r}, whose method is buffered"
        elif self._entry is not None:
            before = f"before end() of {self._name!r}"
        else:
            before = f"after an error in {self._name!r}"
        self._entry = self._held = None
        self._may_begin = False
        raise MisuseError(f"{verb} {before}")

    def _begin_entry(self, name: str, mode: int, method: Method, body: Body | None) -> bytes:
        size, offset = method.uncompressed_size or 0, self.offset
        modified, timestamp = self._modified, self._timestamp
        if (
            method.crc_32 is not None
            and body is None
            and self._options.encryption is None
            and size < spec.MAX_32
            and offset < spec.MAX_32
        ):
            self._entry = promised = self._promised[method.zip64 is True]
            return promised.begin(name, mode, method, modified, timestamp, offset)
        self._entry = Entry(name, mode, method, modified, timestamp, offset, self._options, body)
        if self._pin is None and method.coding is DEFLATE and body is None:
            self._pin = zlib.compressobj()
        return self._entry.local_file_header()

    def _set_time(self, name: str, modified_at: datetime) -> None:
        if not isinstance(modified_at, datetime):
            raise not_a_time(name, modified_at)
        self._modified = records.msdos_time(modified_at)
        if self._options.extended_timestamps:
            self._timestamp = records.extended_timestamp(modified_at)
        self._modified_at = modified_at

    def _check_directory_fits(self, name: str) -> None:
        """See that end records without Zip64 can count one more member."""
        entries = self._directory.entries + 1
        if entries > spec.MAX_16:
            raise CentralDirectoryNumberOfEntriesOverflowError(
                f"member {name!r} is number {entries:,} of an archive without Zip64, "
                f"which holds at most {spec.MAX_16:,}: use methods with Zip64"
            )
        if self._directory.size <= _SURE_TO_FIT:
            return
        size = self._directory.size + len(self._current("begin()").central_directory_header())
        if size > spec.MAX_32:
            raise CentralDirectorySizeOverflowError(
                f"with member {name!r} the central directory has {size:,} bytes, without Zip64 "
                f"at most {spec.MAX_32:,} are possible: use methods with Zip64"
            )


class HeldMember:
    """A member whose method is buffered: held until its size and CRC-32 are known."""

    def __init__(self, name: str, modified_at: datetime, mode: int, method: Method) -> None:
        assert isinstance(method, BufferedMethod)
        self.name = name
        self.modified_at = modified_at
        self.mode = mode
        self.chunks: list[bytes] = []
        self._method = method
        self._size = 0
        self._crc_32 = 0

    def append(self, chunk: bytes) -> None:
        """Take one more chunk of content."""
        self.chunks.append(chunk)
        self._size += len(chunk)
        self._crc_32 = crc32(chunk, self._crc_32)
        if self._size > spec.MAX_32 and not self._method.zip64:
            raise UncompressedSizeOverflowError(
                f"member {self.name!r}: its content has at least {self._size:,} bytes, "
                f"{self._method.name} holds at most {spec.MAX_32:,}"
            )

    def streamed_method(self) -> Method:
        """Give its method with what is known by now."""
        return self._method(self._size, self._crc_32)


def as_bytes(name: str, chunk: object) -> bytes:
    """Give a chunk of a member as bytes; raise TypeError where it isn't bytes-like."""
    try:
        return bytes(memoryview(chunk))  # type: ignore[arg-type]  # anything may come from callers
    except TypeError:
        hint = " (was the content itself given where chunks of it are expected?)"
        raise TypeError(
            f"member {name!r}: its chunks must be bytes-like, not {type(chunk).__name__}"
            f"{hint if isinstance(chunk, int) else ''}"
        ) from None


def _chained(blocks: Iterator[bytes], last: bytes) -> Iterator[bytes]:
    yield from blocks
    yield last
