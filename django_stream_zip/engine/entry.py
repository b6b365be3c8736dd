"""One member while it is written: what its records say, and whether its promises are kept.

Knows nothing of other members: its offset is told, and the central directory is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NoReturn

from django_stream_zip.engine import records, spec
from django_stream_zip.engine.accelerators import CompressObj, blocks_size_bound, crc32
from django_stream_zip.engine.aes import Encryption, EncryptionOverhead
from django_stream_zip.engine.bodies import (
    STORED,
    UNLIMITED,
    Body,
    Deflated,
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
    not_a_mode,
    not_a_name,
)
from django_stream_zip.engine.methods import DEFLATE, Method


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


def body_of(method: Method, options: Options) -> Body:
    """Make what a member's bytes become, encryption included."""
    if method.coding is DEFLATE:
        compressobj = (method.deflate or options.get_compressobj)()
        body: Body = Deflated(compressobj, options.limiter)
    elif method.crc_32 is not None or options.encryption is not None:
        body = STORED
    else:
        body = StoredBlocks(method.uncompressed_size or 0)
    return body if options.encryption is None else options.encryption.encrypted(body)


# How a method's bytes lie in the archive: compression method, whether a data descriptor comes after
# them, their length (None: only writing tells), and the most it can be: not less than the size that
# is promised.
_Layout = tuple[int, bool, int | None, int]


def _layout(method: Method, encrypted: bool, in_blocks: bool) -> _Layout:
    """Decide where size and CRC-32 of a member are, and how long its bytes are or can be."""
    size = method.uncompressed_size
    overhead = spec.AES_OVERHEAD if encrypted else 0
    if method.coding is DEFLATE:
        if method.deflate is None or size is None:
            return spec.METHOD_DEFLATED, True, None, overhead
        bound = blocks_size_bound if in_blocks else method.deflate.bound
        return spec.METHOD_DEFLATED, True, None, bound(size) + overhead
    assert size is not None, "a buffered method is given its size before it gets here"
    if method.crc_32 is not None or encrypted:
        length = size + overhead
        return spec.METHOD_STORED, False, length, length
    length = stored_blocks_size(size)
    return spec.METHOD_DEFLATED, True, length, length


@dataclass(frozen=True, slots=True)
class _Form:
    """What the records of many members have in common.

    `limit` is what the sizes can be, `narrow_limit` from where on it takes another form,
    `wide_offset` says whether the offset has 64 bits. `start` is how both headers begin,
    `extra_field` belongs in both. What writes the records is of `records`.
    """

    has_data_descriptor: bool
    wide_offset: bool
    encrypted: bool
    limit: int
    narrow_limit: int
    start: bytes
    extra_field: bytes
    local_header: Callable[..., bytes]
    data_descriptor: Callable[..., bytes]
    central_header: Callable[..., bytes]


# What writes a central directory header, by whether sizes are wide and whether the offset is.
_CENTRAL_DIRECTORY_HEADERS: dict[tuple[bool, bool], Callable[..., bytes]] = {
    (False, False): records.central_directory_header,
    (True, True): records.zip64_central_directory_header,
    (True, False): partial(records.partly_zip64_central_directory_header, True),
    (False, True): partial(records.partly_zip64_central_directory_header, False),
}


@cache
def _form(
    compression_method: int,
    has_data_descriptor: bool,
    zip64: bool,
    wide: bool,
    encrypted: bool,
    may_grow: bool = False,
) -> _Form:
    """Decide what records say. Wide (of 64 bits) are sizes with `zip64`; the offset if `wide`.

    A member whose size is a guess begins with what the guess needs, and `may_grow` beyond.
    """
    flags = spec.FLAG_UTF8 | (spec.FLAG_DATA_DESCRIPTOR if has_data_descriptor else 0)
    version = spec.VERSION_ZIP64 if zip64 or wide else spec.VERSION_DEFAULT
    extra_field = b""
    if encrypted:
        flags |= spec.FLAG_ENCRYPTED
        version = spec.VERSION_AES
        extra_field = records.aes_extra_field(compression_method)
        compression_method = spec.METHOD_AES
    limit = spec.MAX_64 if zip64 or may_grow else spec.MAX_32
    start = records.start_of_header(version, flags, compression_method)
    return _Form(
        has_data_descriptor,
        wide,
        encrypted,
        limit,
        spec.MAX_64 if zip64 else spec.MAX_32,
        start,
        extra_field,
        records.zip64_local_file_header if zip64 else records.local_file_header,
        records.zip64_data_descriptor if zip64 else records.data_descriptor,
        _CENTRAL_DIRECTORY_HEADERS[zip64, wide],
    )


def _outgrown(form: _Form) -> _Form:
    """Give the form with which such a member ends that has become too large for 32 bits.

    Its local file header is out and says nothing of Zip64. Whoever has the file goes by the central
    directory (tried: unzip, 7-Zip, bsdtar, zipfile); of those who read a pipe, Java and
    stream-unzip find the end of such a member, bsdtar and npm's unzipper don't.
    """
    version = spec.VERSION_AES if form.encrypted else spec.VERSION_ZIP64
    return replace(
        form,
        narrow_limit=spec.MAX_64,
        start=version.to_bytes(2, "little") + form.start[2:],
        data_descriptor=records.zip64_data_descriptor,
        central_header=_CENTRAL_DIRECTORY_HEADERS[True, form.wide_offset],
    )


class Entry:
    """A member's records and body, sizes and CRC-32.

    `modified` and `timestamp` are its time as MS-DOS's number and as an extra field; `body` is
    what its bytes become, if that is not made from the method. `data_length`
    is the length of its data in the archive, None if only writing it tells. Raises ZipValueError
    and its kin where the member can't be written as its method says.
    """

    __slots__ = (
        "_body",
        "_compressed_size",
        "_extra_field",
        "_file_name",
        "_form",
        "_method",
        "_mode",
        "_modified",
        "_most",
        "_name",
        "_offset",
        "_promised_size",
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
        body: Body | None = None,
    ) -> None:
        encrypted = options.encryption is not None
        compression_method, has_data_descriptor, length, bound = _layout(
            method, encrypted, body is not None
        )
        zip64 = wide_offset = method.zip64
        if zip64 is None:
            # A wide offset is no reason for wide sizes: Java's ZipInputStream (17) refuses a 64-bit
            # data descriptor behind a small member, while bsdtar, unzip and 7-Zip read either, also
            # beyond 4 GiB.
            zip64, wide_offset = bound > spec.MAX_32, offset > spec.MAX_32
        may_grow = length is None and method.zip64 is None
        self._form = form = _form(
            compression_method, has_data_descriptor, zip64, wide_offset, encrypted, may_grow
        )
        self._name = name
        self._file_name = _file_name(name)
        self._mode = _mode(name, mode)
        self._method = method
        # ZIP_AUTO's size only chooses the records, as in the API's first implementation: the real
        # one comes after the data.
        self._promised_size = promised = None if length is None else method.uncompressed_size
        self._most = form.limit if promised is None else promised
        self._modified = modified
        self._offset = offset
        self._body = body_of(method, options) if body is None else body
        self._extra_field = timestamp + form.extra_field
        self._uncompressed_size = self._compressed_size = 0
        # None: not known. AE-2 has no use for it, so it is computed only to check a promise.
        self.crc_32 = None if encrypted and method.crc_32 is None else 0
        self.data_length = length
        if bound > form.limit or offset > spec.MAX_32:
            self._check_promises_fit()

    def local_file_header(self) -> bytes:
        """Give the record that comes before the data."""
        form = self._form
        crc_32 = size = compressed_size = 0
        if not form.has_data_descriptor:
            size, compressed_size = self._promised_size or 0, self.data_length or 0
            crc_32 = 0 if form.encrypted else self._method.crc_32 or 0
        return form.local_header(
            form.start,
            self._modified,
            crc_32,
            compressed_size,
            size,
            self._file_name,
            self._extra_field,
        )

    def write(self, chunk: bytes) -> bytes:
        """Take content, give what it becomes.

        Content beyond the promised size is an error at once, unless a CRC-32 is promised too:
        then the whole content tells which of the two promises is broken, and nothing is given.
        """
        self._uncompressed_size += len(chunk)
        if self.crc_32 is not None:
            self.crc_32 = crc32(chunk, self.crc_32)
        if self._uncompressed_size > self._most:
            self._check_excess()
            return b""
        data = self._body.write(chunk)
        self._compressed_size += len(data)
        if self._compressed_size > self._form.limit:
            self._overflow_compressed()
        return data

    def skip(self, length: int, crc_32: int | None) -> int:
        """Count content without having it; give how long it is when written.

        `crc_32` is that of the content up to where the skip ends, if somebody knows it.
        """
        self.crc_32 = crc_32
        self._uncompressed_size += length
        data_length = self._body.skip(length)
        self._compressed_size += data_length
        return data_length

    @property
    def slow_from(self) -> int:
        """Length from which writing a chunk should not be done on an event loop, in bytes."""
        return self._body.slow_from

    def content_before(self, position: int) -> int:
        """Give how much content comes before a position in the data."""
        size = self._method.uncompressed_size or 0
        return min(size, self._body.content_before(position))

    def end(self, crc_32: int | None) -> bytes:
        """Check the promises; give what comes after the data.

        `crc_32` is the content's, for a member of which something was skipped.
        """
        if self.crc_32 is None:
            self.crc_32 = self._known_crc_32(crc_32)
        self._check_promises_kept()
        data, form = self._body.end(), self._form
        self._compressed_size += len(data)
        if self._compressed_size > form.limit:
            self._overflow_compressed()
        narrow = form.narrow_limit
        if self._uncompressed_size > narrow or self._compressed_size > narrow:
            form = self._form = _outgrown(form)
        if not form.has_data_descriptor:
            return data
        return data + form.data_descriptor(
            0 if form.encrypted else self.crc_32 or 0,
            self._compressed_size,
            self._uncompressed_size,
        )

    def central_directory_header(self) -> bytes:
        """Give the record for the central directory. Final after `end` only, but never longer."""
        form = self._form
        return form.central_header(
            form.start,
            self._modified,
            0 if form.encrypted else self.crc_32 or 0,
            self._compressed_size,
            self._uncompressed_size,
            _attributes(self._name, self._mode),
            self._offset,
            self._file_name,
            self._extra_field,
        )

    def _overflow_compressed(self) -> NoReturn:
        self._overflow(CompressedSizeOverflowError, "compressed content", self._compressed_size)

    def _check_excess(self) -> None:
        """See what is wrong with content that is longer than it may be, if that is known yet."""
        if self._uncompressed_size > self._form.limit:
            self._overflow(UncompressedSizeOverflowError, "content", self._uncompressed_size)
        if self._method.crc_32 is None:
            self._wrong_size("at least ")

    def _check_promises_fit(self) -> None:
        size, compressed_size = self._method.uncompressed_size, self.data_length
        if size is not None and size > self._form.limit:
            self._overflow(UncompressedSizeOverflowError, "content", size)
        if compressed_size is not None and compressed_size > self._form.limit:
            self._overflow(CompressedSizeOverflowError, "compressed content", compressed_size)
        if self._offset > spec.MAX_32 and not self._form.wide_offset:
            raise OffsetOverflowError(
                f"member {self._name!r} with {self._method.name} starts at byte {self._offset:,} "
                f"of the archive, which must be at most {spec.MAX_32:,}: use a method with Zip64"
            )

    def _check_promises_kept(self) -> None:
        method = self._method
        if method.crc_32 is not None and method.crc_32 != self.crc_32:
            raise CRC32IntegrityError(
                f"member {self._name!r}: its content's CRC-32 is {self.crc_32:#010x}, "
                f"promised was {method.crc_32:#010x}"
            )
        promised = self._promised_size
        if promised is not None and promised != self._uncompressed_size:
            self._wrong_size("")

    def _known_crc_32(self, crc_32: int | None) -> int:
        known = self._method.crc_32 if crc_32 is None else crc_32
        if known is not None:
            return known
        if self._form.encrypted:
            return 0  # nobody will see it
        raise MisuseError(f"member {self._name!r} was skipped: its CRC-32 must be given to end()")

    def _wrong_size(self, at_least: str) -> NoReturn:
        raise UncompressedSizeIntegrityError(
            f"member {self._name!r}: its content has {at_least}{self._uncompressed_size:,} bytes, "
            f"promised were {self._method.uncompressed_size:,}"
        )

    def _overflow(self, error: type[ZipOverflowError], what: str, size: int) -> NoReturn:
        raise error(
            f"member {self._name!r}: its {what} has at least {size:,} bytes, "
            f"{self._method.name} holds at most {self._form.limit:,}"
        )


class Promised(Entry):
    """Entry's short way for stored members, not encrypted, whose size and CRC-32 are promised.

    All is known before the content comes, so both headers are made at once; then there is only to
    count and to compare. Where a promise isn't kept, Entry says how. For sizes and offsets below
    0xFFFFFFFF only, where nothing can overflow. One of these serves members one after the other.
    """

    __slots__ = ("_header",)

    def __init__(self, *, zip64: bool) -> None:
        self._form = _form(spec.METHOD_STORED, False, zip64, zip64, False)
        self._body = STORED
        self._mode = 0

    def begin(
        self, name: str, mode: int, method: Method, modified: int, timestamp: bytes, offset: int
    ) -> bytes:
        """Start a member; give its local file header."""
        size, crc_32 = method.uncompressed_size or 0, method.crc_32
        if mode is not self._mode:
            self._mode = _mode(name, mode)
        self._name = name
        self._method = method
        self._promised_size = self._most = self.data_length = size
        self._uncompressed_size = self._compressed_size = self.crc_32 = 0
        form, file_name, attributes = self._form, _file_name(name), _attributes(name, mode)
        start = form.start
        self._header = form.central_header(
            start, modified, crc_32, size, size, attributes, offset, file_name, timestamp
        )
        return form.local_header(start, modified, crc_32, size, size, file_name, timestamp)

    def write(self, chunk: bytes) -> bytes:
        """Count some content and give it as it is."""
        self._uncompressed_size += len(chunk)
        if self.crc_32 is not None:
            self.crc_32 = crc32(chunk, self.crc_32)
        if self._uncompressed_size > self._most:
            self._check_excess()
            return b""
        return chunk

    def end(self, crc_32: int | None) -> bytes:
        """Check the promises; give nothing."""
        if self.crc_32 == self._method.crc_32 and self._uncompressed_size == self._most:
            return b""
        return super().end(crc_32)

    def central_directory_header(self) -> bytes:
        """Give the record for the central directory."""
        return self._header


def _attributes(name: str, mode: int) -> int:
    """Give the external file attributes: UNIX's above MS-DOS's (4.4.15)."""
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
