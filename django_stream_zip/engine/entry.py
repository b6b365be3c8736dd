"""One member while it is written: its records, and whether it has the declared size and CRC-32.

Knows nothing of other members: it is passed its offset, and the central directory is not its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NoReturn

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import CompressObj, blocks_size_bound, crc32
from django_stream_zip.engine.aes import Encryption, EncryptionOverhead
from django_stream_zip.engine.encoders import (
    STORED,
    UNLIMITED,
    Deflated,
    Encoder,
    Precompressed,
    StoredBlocks,
    stored_blocks_size,
)
from django_stream_zip.engine.errors import (
    CompressedSizeOverflowError,
    CRC32IntegrityError,
    MisuseError,
    NameLengthOverflowError,
    OffsetOverflowError,
    UncompressedSizeIntegrityError,
    UncompressedSizeOverflowError,
    ZipOverflowError,
    ZipValueError,
    not_a_method,
    not_a_mode,
    not_a_name,
)
from django_stream_zip.engine.layout import Layout, layout_of, outgrown
from django_stream_zip.engine.methods import DEFLATE, ENCODED, NO_COMPRESSION_32, STORE, Method


@dataclass(frozen=True, slots=True)
class Options:
    """What holds for all members of an archive.

    `limiter` is entered for each piece of long work. An event loop gets late when more threads
    compress than there are CPUs for them and for it: a server that has one passes a semaphore.
    """

    get_compressobj: Callable[[], CompressObj]
    extended_timestamps: bool = True
    encryption: Encryption | EncryptionOverhead | None = None
    limiter: AbstractContextManager[Any] = UNLIMITED
    comment: bytes = b""


def archive_comment(comment: str) -> bytes:
    """Return a comment of an archive as it is written, in UTF-8. Raises ZipValueError."""
    if not isinstance(comment, str):
        raise TypeError(f"expected comment to be text, got {type(comment).__name__}")
    try:
        data = comment.encode()
    except UnicodeEncodeError as error:
        raise ZipValueError(f"comment can't be written as UTF-8 ({error.reason})") from None
    if len(data) > spec.MAX_16:
        raise ZipValueError(
            f"comment has {len(data):,} bytes in UTF-8, at most {spec.MAX_16:,} fit"
        )
    if spec.END_OF_CENTRAL_DIRECTORY_SIGNATURE in data:
        # Readers look for the last one (Python's zipfile does): they would find this one.
        raise ZipValueError("comment has the signature of an archive's end in it")
    return data


def encoder_for(name: str, method: Method, options: Options) -> Encoder:
    """Return what encodes a member, encryption included."""
    encryption = options.encryption
    if method.coding is DEFLATE:
        compressobj = (method.deflate or options.get_compressobj)()
        encoder: Encoder = Deflated(compressobj, options.limiter)
    elif method.coding is ENCODED:
        encoder = Precompressed(name, *_passed(name, method), options.limiter)
    elif _is_stored(method, encryption is not None):
        encoder = STORED
    else:
        encoder = StoredBlocks(method.uncompressed_size or 0)
    return encoder if encryption is None else encryption.encrypted(encoder)


def _is_stored(method: Method, encrypted: bool) -> bool:
    """Whether the content is stored, with nothing left for a data descriptor.

    Where the CRC-32 is not known in time (AE-2 needs none), content goes into blocks of deflate.
    """
    return method.coding is STORE and (encrypted or method.crc_32 is not None)


def _passed(name: str, method: Method) -> tuple[int, int, int]:
    """Return both sizes and the CRC-32 of a deflate stream."""
    compressed_size, size, crc_32 = method.compressed_size, method.uncompressed_size, method.crc_32
    if compressed_size is None or size is None or crc_32 is None:  # made by hand
        raise not_a_method(name, method)
    return compressed_size, size, crc_32


def _data_lengths(
    name: str, method: Method, stored: bool, encrypted: bool, in_segments: bool
) -> tuple[int | None, int]:
    """Return the length of the encoded data, None if it is not known before, and its maximum.

    The maximum is not less than the declared size.
    """
    size = method.uncompressed_size
    overhead = spec.AES_OVERHEAD if encrypted else 0
    if method.coding is DEFLATE:
        if method.deflate is None or size is None:
            return None, overhead
        bound = blocks_size_bound if in_segments else method.deflate.bound
        return None, bound(size) + overhead
    if method.coding is ENCODED:
        compressed_size, size, _ = _passed(name, method)
        length = compressed_size + overhead
        return length, max(length, size)
    if size is None:  # made by hand
        raise not_a_method(name, method)
    length = size + overhead if stored else stored_blocks_size(size)
    return length, length


def _layout(
    method: Method, stored: bool, length: int | None, bound: int, offset: int, encrypted: bool
) -> Layout:
    """Return what records a member has, whose data have this length, or at most the bound."""
    zip64_sizes = zip64_offset = method.zip64
    if zip64_sizes is None:
        # A large offset is no reason for 64-bit sizes: Java's ZipInputStream (17) refuses a
        # 64-bit data descriptor behind a small member, while bsdtar, unzip and 7-Zip read
        # either, also beyond 4 GiB.
        zip64_sizes, zip64_offset = bound > spec.MAX_32, offset > spec.MAX_32
    return layout_of(
        spec.METHOD_STORED if stored else spec.METHOD_DEFLATED,
        not (stored or method.coding is ENCODED),
        zip64_sizes,
        zip64_offset,
        encrypted,
        may_grow=length is None and method.zip64 is None,
    )


class Entry:
    """A member's records and encoded data, sizes and CRC-32.

    `modified` and `timestamp` are its time as MS-DOS's number and as an extra field; `encoder`
    replaces the one that follows from the method. `data_length` is the length of its data in the
    archive, None if that is not known before.

    Raises ZipValueError, or a subclass of it, where the member can't be written as its method says.
    """

    __slots__ = (
        "_compressed_size",
        "_declared_size",
        "_encoder",
        "_extra_field",
        "_file_name",
        "_layout",
        "_method",
        "_mode",
        "_modified",
        "_most",
        "_name",
        "_offset",
        "_uncompressed_size",
        "crc_32",
        "data_length",
    )

    def __init__(
        self,
        name: str,
        mode: int,
        method: Method,
        modified: int,
        timestamp: bytes,
        offset: int,
        options: Options,
        encoder: Encoder | None = None,
    ) -> None:
        encrypted = options.encryption is not None
        stored = _is_stored(method, encrypted)
        length, bound = _data_lengths(name, method, stored, encrypted, encoder is not None)
        layout = _layout(method, stored, length, bound, offset, encrypted)
        self._layout = layout
        self._name = name
        self._file_name = _file_name(name)
        self._mode = _mode(name, mode)
        self._method = method
        # ZIP_AUTO's size only chooses the records, as in the API's first implementation: the real
        # one comes after the data.
        self._declared_size = declared = None if length is None else method.uncompressed_size
        self._most = layout.limit if declared is None else declared
        self._modified = modified
        self._offset = offset
        self._encoder = encoder_for(name, method, options) if encoder is None else encoder
        self._extra_field = timestamp + layout.extra_field
        self._uncompressed_size = self._compressed_size = 0
        # None: not known. AE-2 has no use for it, so it is computed only to check a declared one.
        self.crc_32 = None if encrypted and method.crc_32 is None else 0
        self.data_length = length
        if bound > layout.limit or offset > spec.MAX_32:
            self._check_fits()

    def local_file_header(self) -> bytes:
        """Return the record that comes before the data."""
        layout = self._layout
        crc_32 = size = compressed_size = 0
        if not layout.has_data_descriptor:
            size, compressed_size = self._declared_size or 0, self.data_length or 0
            crc_32 = 0 if layout.encrypted else self._method.crc_32 or 0
        return layout.local_header(
            layout.start,
            self._modified,
            crc_32,
            compressed_size,
            size,
            self._file_name,
            self._extra_field,
        )

    def write(self, chunk: bytes, data: bytes | None = None) -> bytes:
        """Take content, and its encoded data if they were made elsewhere; return these.

        Content beyond the declared size is an error at once, unless a CRC-32 is declared too: then
        only the whole content shows which of the two is wrong, and nothing more is written.
        """
        self._uncompressed_size += len(chunk)
        if self.crc_32 is not None:
            self.crc_32 = crc32(chunk, self.crc_32)
        if self._uncompressed_size > self._most:
            _check_excess(self._name, self._method, self._uncompressed_size, self._layout.limit)
            return b""
        if data is None:
            data = self._encoder.write(chunk)
        self._compressed_size += len(data)
        if self._compressed_size > self._layout.limit:
            self._overflow()
        return data

    def skip(self, length: int, crc_32: int | None) -> int:
        """Count content without having it; return the length of its encoded data.

        `crc_32` is that of the content up to where the skip ends, if somebody knows it.
        """
        self.crc_32 = crc_32
        self._uncompressed_size += length
        data_length = self._encoder.skip(length)
        self._compressed_size += data_length
        return data_length

    @property
    def slow_from(self) -> int:
        """Length from which writing a chunk should not be done on an event loop, in bytes."""
        return self._encoder.slow_from

    def content_before(self, position: int) -> int:
        """Return how many bytes of content come before a position in the data."""
        return min(self._method.content_size or 0, self._encoder.content_before(position))

    def end(self, crc_32: int | None) -> bytes:
        """Check size and CRC-32; return what comes after the data.

        `crc_32` is the content's, for a member of which something was skipped.
        """
        if self.crc_32 is None:
            self.crc_32 = self._known_crc_32(crc_32)
        check_content(
            self._name, self._method, self._declared_size, self._uncompressed_size, self.crc_32
        )
        data, layout = self._encoder.end(), self._layout
        self._compressed_size += len(data)
        if self._compressed_size > layout.limit:
            self._overflow()
        most = layout.outgrown_above
        if self._uncompressed_size > most or self._compressed_size > most:
            layout = self._layout = outgrown(layout)
        if not layout.has_data_descriptor:
            return data
        return data + layout.data_descriptor(
            0 if layout.encrypted else self.crc_32,
            self._compressed_size,
            self._uncompressed_size,
        )

    def central_directory_header(self) -> bytes:
        """Return the record for the central directory. Final only after `end`, but never longer."""
        layout = self._layout
        return layout.central_header(
            layout.start,
            self._modified,
            0 if layout.encrypted else self.crc_32 or 0,
            self._compressed_size,
            self._uncompressed_size,
            _attributes(self._name, self._mode),
            self._offset,
            self._file_name,
            self._extra_field,
        )

    def _check_fits(self) -> None:
        """Raise where the declared size or the offset is too large for the method."""
        size, limit = self._method.uncompressed_size, self._layout.limit
        if size is not None and size > limit:
            raise _too_much_content(self._name, self._method, size, limit)
        if self.data_length is not None and self.data_length > limit:
            raise _too_much_data(self._name, self._method, self.data_length, limit)
        if self._offset > spec.MAX_32 and not self._layout.zip64_offset:
            raise OffsetOverflowError(
                f"member {self._name!r} with {self._method.name} starts at byte {self._offset:,} "
                f"of the archive, which must be at most {spec.MAX_32:,}: use a method with Zip64"
            )

    def _known_crc_32(self, crc_32: int | None) -> int:
        known = self._method.crc_32 if crc_32 is None else crc_32
        if known is not None:
            return known
        if self._layout.encrypted:
            return 0  # nobody will see it
        raise MisuseError(f"member {self._name!r} was skipped: end() must be passed its CRC-32")

    def _overflow(self) -> NoReturn:
        raise _too_much_data(self._name, self._method, self._compressed_size, self._layout.limit)


class PrecompressedEntry(Entry):
    """A member whose content is deflated already: its encoder verifies what was declared."""

    __slots__ = ()

    def __init__(self, name: str, mode: int, method: Method, *others: Any) -> None:
        super().__init__(name, mode, method, *others)
        _, self._uncompressed_size, self.crc_32 = _passed(name, method)

    def write(self, chunk: bytes, data: bytes | None = None) -> bytes:
        """Pass on a part of the stream. Its encoder counts: what is declared is inflated."""
        if data is None:
            data = self._encoder.write(chunk)
        self._compressed_size += len(data)
        return data

    def skip(self, length: int, crc_32: int | None) -> int:
        """Count content without having it, as `Entry.skip` does."""
        data_length = self._encoder.skip(length)
        self._compressed_size += data_length
        return data_length


class StoredEntry:
    """The short way for stored members, not encrypted, whose size and CRC-32 are declared.

    All is known before the content comes, so both headers are made at once; then there is only to
    count and to compare. For sizes and offsets below 0xFFFFFFFF only, where nothing can overflow.
    One of these serves many members, one after the other; before the first it is an empty one.

    With the layout of stored blocks, it only states members.
    """

    __slots__ = (
        "_attributes",
        "_central_directory_header",
        "_crc_32",
        "_file_name",
        "_layout",
        "_method",
        "_mode",
        "_name",
        "_uncompressed_size",
        "crc_32",
        "data_length",
        "others_are_longer",
    )

    slow_from = STORED.slow_from

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._mode = self._attributes = 0
        others = self.begin("", 0, NO_COMPRESSION_32(0, 0), 0, 0, 0, b"", 0)
        if layout.has_data_descriptor:
            others += layout.data_descriptor(0, 0, 0)
        #: By so many bytes than the record in the central directory, whatever is in them.
        self.others_are_longer = len(others) - len(self._central_directory_header)

    def begin(
        self,
        name: str,
        mode: int,
        method: Method,
        size: int,
        crc_32: int,
        modified: int,
        timestamp: bytes,
        offset: int,
    ) -> bytes:
        """Start a member, with the size and the CRC-32 of its method; return its local header."""
        self.state(name, mode, size, size, crc_32, modified, timestamp, offset)
        layout, file_name = self._layout, self._file_name
        self._name = name
        self._method = method
        self._crc_32 = crc_32
        self.data_length = size
        self._uncompressed_size = 0
        self.crc_32: int | None = 0
        return layout.local_header(layout.start, modified, crc_32, size, size, file_name, timestamp)

    def state(
        self,
        name: str,
        mode: int,
        data_length: int,
        size: int,
        crc_32: int,
        modified: int,
        timestamp: bytes,
        offset: int,
    ) -> bytes:
        """Make and return a member's record for the central directory, without starting it."""
        if mode is not self._mode:
            self._mode = _mode(name, mode)
            self._attributes = _attributes("", mode)
        self._file_name = file_name = _file_name(name)
        layout, attributes = self._layout, self._attributes
        if name[-1:] == "/":
            attributes = _attributes(name, mode)
        self._central_directory_header: bytes = layout.central_header(
            layout.start,
            modified,
            crc_32,
            data_length,
            size,
            attributes,
            offset,
            file_name,
            timestamp,
        )
        return self._central_directory_header

    def write(self, chunk: bytes) -> bytes:
        """Count content and return it as it is; nothing beyond the declared size."""
        self._uncompressed_size += len(chunk)
        if self.crc_32 is not None:
            self.crc_32 = crc32(chunk, self.crc_32)
        if self._uncompressed_size > self.data_length:
            _check_excess(self._name, self._method, self._uncompressed_size, self._layout.limit)
            return b""
        return chunk

    def skip(self, length: int, crc_32: int | None) -> int:
        """Count content without having it, as `Entry.skip` does."""
        self.crc_32 = crc_32
        self._uncompressed_size += length
        return length

    def content_before(self, position: int) -> int:
        """Return how many bytes of content come before a position in the data."""
        return min(self.data_length, position)

    def end(self, crc_32: int | None) -> bytes:
        """Check size and CRC-32; nothing comes after the data."""
        if self.crc_32 != self._crc_32 or self._uncompressed_size != self.data_length:
            self._check(crc_32)
        return b""

    def central_directory_header(self) -> bytes:
        """Return the record for the central directory."""
        return self._central_directory_header

    def _check(self, crc_32: int | None) -> None:
        if self.crc_32 is None:
            self.crc_32 = self._crc_32 if crc_32 is None else crc_32
        size = self.data_length
        check_content(self._name, self._method, size, self._uncompressed_size, self.crc_32)


def _check_excess(name: str, method: Method, size: int, limit: int) -> None:
    """Raise what is wrong with content that is longer than declared, if that is known yet."""
    if size > limit:
        raise _too_much_content(name, method, size, limit)
    if method.crc_32 is None:
        raise _wrong_size(name, method, f"at least {size:,}")


def check_content(
    name: str, method: Method, declared_size: int | None, size: int, crc_32: int
) -> None:
    """Raise where content is not what its method declares."""
    if method.crc_32 is not None and method.crc_32 != crc_32:
        raise CRC32IntegrityError(
            f"member {name!r}: its content's CRC-32 is {crc_32:#010x}, "
            f"declared was {method.crc_32:#010x}"
        )
    if declared_size is not None and declared_size != size:
        raise _wrong_size(name, method, f"{size:,}")


def _wrong_size(name: str, method: Method, size: str) -> UncompressedSizeIntegrityError:
    return UncompressedSizeIntegrityError(
        f"member {name!r}: its content has {size} bytes, declared were {method.uncompressed_size:,}"
    )


def _too_much_content(name: str, method: Method, size: int, limit: int) -> ZipOverflowError:
    return UncompressedSizeOverflowError(
        f"member {name!r}: its content has at least {size:,} bytes, "
        f"{method.name} holds at most {limit:,}"
    )


def _too_much_data(name: str, method: Method, size: int, limit: int) -> ZipOverflowError:
    return CompressedSizeOverflowError(
        f"member {name!r}: its compressed content has at least {size:,} bytes, "
        f"{method.name} holds at most {limit:,}"
    )


def _attributes(name: str, mode: int) -> int:
    """Return the external file attributes: UNIX's above MS-DOS's (4.4.15)."""
    return mode << 16 | (spec.MSDOS_DIRECTORY if name[-1:] == "/" else 0)


def _mode(name: str, mode: int) -> int:
    if not (isinstance(mode, int) and 0 <= mode <= spec.MAX_16):
        raise not_a_mode(name, mode)
    return mode


def _file_name(name: str) -> bytes:
    if not isinstance(name, str):
        raise not_a_name(name)
    try:
        file_name = name.encode()
    except UnicodeEncodeError as error:
        raise ZipValueError(
            f"member {name!r}: its name can't be written as UTF-8 ({error.reason})"
        ) from None
    if len(file_name) > spec.MAX_16:
        raise NameLengthOverflowError(
            f"member {name[:100]!r}…: its name has {len(file_name):,} bytes in UTF-8, "
            f"at most {spec.MAX_16:,} fit"
        )
    return file_name
