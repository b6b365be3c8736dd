"""The archive while it is written: where the next byte goes, and the central directory.

Push, not pull: for each member `begin`, then `write` (or `skip`) until its content is over, then
`release` and `end`; after the last one `finish`. Each of these returns the bytes that come next and
keeps none, so the central directory is all that grows. (Only a member whose method is buffered is
held, until `release`.)

    for name, modified_at, mode, method, chunks in members:
        yield archive.begin(name, modified_at, mode, method)
        for chunk in chunks:
            yield archive.write(chunk)
        yield from archive.release()
        yield archive.end()
    yield from archive.finish()

A method that raises has written nothing, and the archive is over. One that is called out of order
raises MisuseError, and so does each one after an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Final, NoReturn

from django_stream_zip.engine import records, spec
from django_stream_zip.engine.accelerators import HeapGuard
from django_stream_zip.engine.directory import Directory, HeldDirectory
from django_stream_zip.engine.encoders import Encoder, stored_blocks_size
from django_stream_zip.engine.entry import Entry, Options, PrecompressedEntry, StoredEntry
from django_stream_zip.engine.errors import (
    CentralDirectoryNumberOfEntriesOverflowError,
    CentralDirectorySizeOverflowError,
    MisuseError,
    OffsetOverflowError,
    not_a_method,
    not_a_time,
)
from django_stream_zip.engine.held import HeldMember
from django_stream_zip.engine.layout import layout_of
from django_stream_zip.engine.members import as_bytes
from django_stream_zip.engine.methods import DEFLATE, ENCODED, STORE, Method

# Of stored members without Zip64 and with it, and of those in stored blocks.
_STORED: Final = [
    layout_of(spec.METHOD_STORED, False, zip64, zip64, False) for zip64 in (False, True)
]
_BLOCKS: Final = layout_of(spec.METHOD_DEFLATED, True, False, False, False)
# A member that is shorter has no Zip64 in stored blocks either.
_SHORT: Final = 1 << 31

# A central directory of this size has room for any header: each of its parts is counted in 16 bits.
_SURE_TO_FIT: Final = spec.MAX_32 - 3 * spec.MAX_16


def _is_same(modified_at: datetime, other: object) -> bool:
    """Return whether two times have the same digits and zone: their instants alone don't do."""
    return (
        isinstance(other, datetime)
        and modified_at.tzinfo is other.tzinfo
        and modified_at.fold == other.fold
        and modified_at == other
    )


class Archive:
    """An archive that is being written. `offset` is the position of its next byte.

    Raises what `errors` has where a member can't be written, before any of its bytes are returned.
    """

    def __init__(
        self, options: Options, *, offset: int = 0, directory: Directory | None = None
    ) -> None:
        self.offset = offset
        self._options = options
        self._directory: Directory = HeldDirectory() if directory is None else directory
        # The state: a member is being written if there is an entry, or held; another one may begin
        # if the last has ended; otherwise the archive is over.
        self._entry: Entry | StoredEntry | None = None
        self._held: HeldMember | None = None
        self._may_begin = True
        self._is_finished = False
        self._stored = tuple(map(StoredEntry, _STORED))
        self._blocks = StoredEntry(_BLOCKS)
        self._name = ""
        # Whether the end records are to be, or may become, those of Zip64.
        self._is_zip64 = False
        self._may_be_zip64 = False
        self._heap_guard = HeapGuard()
        # Members often share a time: encode it once. At first it is nobody's.
        self._modified_at: object = object()
        self._modified = 0
        self._timestamp = b""

    def begin(
        self,
        name: str,
        modified_at: datetime,
        mode: int,
        method: Method,
        encoder: Encoder | None = None,
    ) -> bytes:
        """Start a member; return its local file header (nothing yet, if its method is buffered).

        `encoder` is what encodes its content, encryption included, if that is decided elsewhere.
        """
        if not self._may_begin:
            self._misused(f"begin() of {name!r}")
        self._may_begin = False  # until it has ended: not after an error
        self._name = name
        if not isinstance(method, Method):
            raise not_a_method(name, method)
        if method.buffered:
            self._held = HeldMember(name, modified_at, mode, method)
            return b""
        if modified_at is not self._modified_at:
            self._set_time(name, modified_at)
        entry, header = self._begun(name, mode, method, encoder)
        zip64 = method.zip64
        if zip64 is not None or not self._may_be_zip64:
            self._choose_end(zip64, entry)
        self._entry = entry
        self.offset += len(header)
        return header

    def pass_over(self, name: str, modified_at: datetime, mode: int, method: Method) -> bool:
        """Begin, skip and end a member, for nothing but its record and where the next one is.

        Returns False, and does nothing, where its length isn't known before it is written.
        """
        stored = self._stored_entry(method) if self._may_begin else None
        if stored is None:
            size = method.content_size if isinstance(method, Method) else 0  # as begin() says
            if size is not None:
                self.begin(name, modified_at, mode, method)
                self.skip(size, method.crc_32)
                self.end(0)
            return size is not None
        self._may_begin = False  # until it has ended: not after an error
        self._name = name
        if modified_at is not self._modified_at:
            self._set_time(name, modified_at)
        _, _, zip64, size, crc_32, _, _, _ = method
        modified, timestamp, offset = self._modified, self._timestamp, self.offset
        size = length = size or 0
        if crc_32 is None:
            crc_32, length = 0, stored_blocks_size(size)
        header = stored.state(name, mode, length, size, crc_32, modified, timestamp, offset)
        if zip64 is not None or not self._may_be_zip64:
            self._choose_end(zip64, stored)
        self.offset = offset + len(header) + stored.others_are_longer + length
        self._directory.append(header)
        self._may_begin = True
        return True

    def checked(self, chunk: bytes) -> bytes:
        """Return a chunk of the member as bytes that nobody can change any more.

        Raises TypeError where it isn't bytes-like.
        """
        return chunk if chunk.__class__ is bytes else as_bytes(self._name, chunk)

    def write(self, chunk: bytes) -> bytes:
        """Take content of the member, any bytes-like object; return its encoded data."""
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

    def write_encoded(self, chunk: bytes, data: bytes) -> bytes:
        """Take content of the member that was encoded elsewhere; return its encoded data."""
        entry = self._entry
        if not isinstance(entry, Entry):
            self._misused("write_encoded()")
        self._entry = None  # after an error
        data = entry.write(chunk, data)
        self._entry = entry
        self.offset += len(data)
        return data

    def _hold(self, chunk: bytes) -> bytes:
        if self._held is None:
            self._misused("write()")
        self._held.append(chunk)
        return b""

    def skip(self, length: int, crc_32: int | None = None) -> int:
        """Pass over so many bytes of content; return how many bytes of the archive they are.

        `crc_32` is that of the member's content up to there: with it, what is written afterwards
        goes on from it; without, `end` has to be passed that of the whole.
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
        """Return how many bytes of the member's content come before a position in its data."""
        return self._current("content_before()").content_before(position)

    def release(self) -> Iterator[bytes]:
        """Yield the bytes of a member that was held, piece by piece; nothing of any other."""
        if self._held is None:
            self._current("release()")
            return
        held, self._held = self._held, None
        self._may_begin = True  # it begins now, by another method
        yield self.begin(held.name, held.modified_at, held.mode, held.streamed_method())
        for chunk in held.chunks:
            yield self.write(chunk)

    def end(self, crc_32: int | None = None) -> bytes:
        """End the member; return the rest of it.

        `crc_32` is that of the content, for a member of which something was skipped and whose
        method doesn't declare one.
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
            raise MisuseError(f"data_length of {self._name!r} is known only when it is written")
        return length

    @property
    def crc_32(self) -> int | None:
        """CRC-32 of the current member's content so far, None if that isn't known."""
        return self._current("crc_32").crc_32

    def finish(self) -> Iterator[bytes]:
        """Return the central directory and the end records, piece by piece."""
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
        record = end(
            entries=directory.entries,
            size=directory.size,
            offset=offset,
            comment=self._options.comment,
        )
        self.offset += directory.size + len(record)
        self._is_finished = True
        return chain(directory.blocks(), (record,))

    def _current(self, call: str) -> Entry | StoredEntry:
        """Return the current member; raise MisuseError where there is none or it is held."""
        if self._entry is None:
            self._misused(call)
        return self._entry

    def _misused(self, call: str) -> NoReturn:
        """Raise MisuseError: a call came out of order, and the archive is over."""
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
        raise MisuseError(f"{call} {before}")

    def _begun(
        self, name: str, mode: int, method: Method, encoder: Encoder | None
    ) -> tuple[Entry | StoredEntry, bytes]:
        """Return a member's entry and its local file header."""
        coding = method.coding
        modified, timestamp, offset = self._modified, self._timestamp, self.offset
        crc_32 = method.crc_32
        stored = self._stored_entry(method) if encoder is None and crc_32 is not None else None
        if stored is not None:
            size, crc_32 = method.uncompressed_size or 0, crc_32 or 0
            header = stored.begin(name, mode, method, size, crc_32, modified, timestamp, offset)
            return stored, header
        kind = PrecompressedEntry if coding is ENCODED else Entry
        entry = kind(name, mode, method, modified, timestamp, offset, self._options, encoder)
        if coding is DEFLATE and encoder is None:
            self._heap_guard.renew()
        return entry, entry.local_file_header()

    def _stored_entry(self, method: Method) -> StoredEntry | None:
        """Return what serves a member in the short way; None where it takes the long one.

        One whose CRC-32 isn't declared can only be stated.
        """
        if method.__class__ is not Method:
            return None
        _, coding, zip64, size, crc_32, _, _, _ = method
        if (
            size is None
            or coding is not STORE
            or self._options.encryption is not None
            or self.offset >= spec.MAX_32
        ):
            return None
        if crc_32 is None:
            return self._blocks if zip64 is None and size < _SHORT else None
        return self._stored[zip64 is True] if size < spec.MAX_32 else None

    def _set_time(self, name: str, modified_at: datetime) -> None:
        if not isinstance(modified_at, datetime):
            raise not_a_time(name, modified_at)
        if _is_same(modified_at, self._modified_at):
            return
        self._modified = records.msdos_time(modified_at)
        if self._options.extended_timestamps:
            self._timestamp = records.extended_timestamp(modified_at)
        self._modified_at = modified_at

    def _choose_end(self, zip64: bool | None, entry: Entry | StoredEntry) -> None:
        """Note what end records a member allows; raise where they can't count it."""
        if zip64 is not False:
            self._is_zip64 = self._is_zip64 or zip64 is True
            self._may_be_zip64 = True
        elif not self._may_be_zip64:
            self._check_directory_fits(entry)

    def _check_directory_fits(self, entry: Entry | StoredEntry) -> None:
        """Raise where end records without Zip64 can't count one more member."""
        entries = self._directory.entries + 1
        if entries > spec.MAX_16:
            raise CentralDirectoryNumberOfEntriesOverflowError(
                f"member {self._name!r} is number {entries:,} of an archive without Zip64, "
                f"which holds at most {spec.MAX_16:,}: use methods with Zip64"
            )
        if self._directory.size <= _SURE_TO_FIT:
            return
        size = self._directory.size + len(entry.central_directory_header())
        if size > spec.MAX_32:
            raise CentralDirectorySizeOverflowError(
                f"with member {self._name!r} the central directory has {size:,} bytes, "
                f"without Zip64 at most {spec.MAX_32:,} are possible: use methods with Zip64"
            )
