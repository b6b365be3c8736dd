"""Members from Django's storages and from file fields of models."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django_stream_zip.engine.methods import PRECOMPRESSED, Method
from django_stream_zip.engine.names import safe_name
from django_stream_zip.members.build import (
    DEFAULT_MODE,
    ContentMember,
    build_member,
    may_grow,
    text,
    unexpected,
)
from django_stream_zip.members.describe import PendingMember
from django_stream_zip.members.field_files import storage_of
from django_stream_zip.members.files import NO_TIME
from django_stream_zip.members.misuse import check_field_file, check_known, check_stored, check_time
from django_stream_zip.members.readers.reader import Metadata, Reader, derived_validator
from django_stream_zip.members.readers.table import reader_class, unwrapped

if TYPE_CHECKING:
    from django.core.files.storage import Storage
    from django.db.models.fields.files import FieldFile


def storage_member(
    storage: Storage,
    stored_name: str,
    /,
    name: str | None = None,
    *,
    compress: bool | None = None,
    modified_at: datetime | None = None,
    mode: int = DEFAULT_MODE,
    size: int | None = None,
    crc_32: int | None = None,
    validator: str | None = None,
    decode: bool | None = None,
) -> ContentMember:
    """Make a member of a file in a storage, named like it (without its directories) or `name`.

    The storage is asked, once if it can answer all at once, unless both `size` and `modified_at`
    are given; nothing is opened. A remote storage (S3, Google Cloud, Azure) is asked when the
    member's values are first looked at; `zip_response` does so for several members at a time. What
    is wrong with the file is raised then.

    Args:
        storage: Any storage of Django's kind.
        stored_name: The file's name in it.
        name: The member's name.
        compress: Whether to deflate; None leaves it to the kind of file and the setting.
        modified_at: The member's time.
        mode: The member's Unix mode.
        size: Number of bytes.
        crc_32: CRC-32 of the bytes.
        validator: The storage's own that was kept of the file (see `models.ZipValidatorField`):
            nothing but this state of it is read.
        decode: Whether a file that an object store keeps gzipped, with a content encoding that says
            so, is decoded. The default is what the storage's `open()` does. What is to be decoded
            is passed as it is, being deflated already, unless `compress` is False, or size and time
            are given, so that nothing is asked. Else it is deflated, as its size isn't known.

    Raises:
        FileNotFoundError: The file is missing.
        PermissionError: It may not be read. Other errors of the storage are raised as they are.
    """
    storage = unwrapped(storage)
    check_stored(storage, stored_name)
    reader = reader_class(storage)(storage, stored_name, decode=decode)
    reader.may_pass = compress is not False
    known = Metadata(size, crc_32, modified_at, validator)
    if reader.is_remote and not is_enough(known):
        # What is wrong or changes with the language is to be seen now.
        name = safe_name(text(name or posixpath.basename(reader.name)))
        check_time(name, NO_TIME if modified_at is None else modified_at)
        make = _described_member
        return PendingMember(partial(make, reader, known, name, compress=compress, mode=mode))
    return _described_member(reader, known, name, compress=compress, mode=mode)


def _described_member(
    reader: Reader, known: Metadata, name: str | None, **options: Any
) -> ContentMember:
    return reader_member(reader, described(reader, known), name, **options)


def is_enough(known: Metadata) -> bool:
    """Return whether the storage needn't be asked of a file."""
    return known.size is not None and known.modified_at is not None


def described(reader: Reader, known: Metadata) -> Metadata:
    """Return what the caller knows of a file, and else what the storage does.

    The storage is asked unless both size and time are known, or where that costs next to nothing.
    Raises what it raises, and ContentChangedError where the caller knows another validator than the
    storage.
    """
    size, crc_32, modified_at, validator = known
    if size is None or modified_at is None or reader.is_always_asked:
        return asked(reader, known)
    check_known(reader.name, known)
    reader.expect(size, validator or None)  # "" is of a storage that has none
    return Metadata(size, crc_32, modified_at, row_validator(size, modified_at, validator))


def row_validator(size: int, modified_at: datetime, validator: str | None) -> str:
    """Return the validator of a file of which a caller knows this: "" is none of the storage's."""
    # The caller's time may change where the storage's validator doesn't, and the reverse.
    derived = derived_validator(size, modified_at)
    return f"{derived} {validator}" if validator else derived


def asked(reader: Reader, known: Metadata) -> Metadata:
    """Do the same, but ask the storage in any case, if only whether the file is there."""
    check_known(reader.name, known)
    validator = known.validator or None
    # The validator is of what the storage knows, and of nothing that the caller does.
    own = reader.describe(known.size, known.modified_at) if validator is None else reader.describe()
    if validator not in (None, own.validator):
        raise unexpected(reader.name)
    reader.expect(known.size, validator)
    return Metadata(
        own.size if known.size is None else known.size,
        own.crc_32 if known.crc_32 is None else known.crc_32,
        known.modified_at or own.modified_at,
        own.validator,
    )


def reader_member(
    reader: Reader,
    metadata: Metadata,
    name: str | None = None,
    *,
    compress: bool | None = None,
    mode: int = DEFAULT_MODE,
) -> ContentMember:
    """Make a member of a reader's file, of which this is known."""
    at = metadata.modified_at or NO_TIME
    name = name or posixpath.basename(reader.name)
    passed = _passed(reader, metadata)
    if passed is not None:
        metadata = metadata._replace(size=passed.compressed_size, crc_32=None)
    content = ReaderContent(reader, metadata)
    made = build_member(name, at, mode, compress, content, reader.name)
    if passed is not None:
        made = *made[:3], passed, content
    # What is deflated is compared with no CRC-32 that somebody knows.
    reader.is_verified = made[3].crc_32 is not None
    return made


def _passed(reader: Reader, metadata: Metadata) -> Method | None:
    """Return the method of a deflate stream that is passed; None where the reader decodes it."""
    stream = reader.deflate_stream
    if stream is None:
        return None
    if not stream.is_likely(metadata.size, metadata.crc_32):
        reader.deflate_stream = None
        return None
    size = stream.remainder if metadata.size is None else metadata.size
    return PRECOMPRESSED(stream.compressed_size, size, stream.crc_32)


def field_member(
    field_file: FieldFile,
    /,
    name: str | None = None,
    *,
    compress: bool | None = None,
    modified_at: datetime | None = None,
    mode: int = DEFAULT_MODE,
    size: int | None = None,
    crc_32: int | None = None,
    validator: str | None = None,
    decode: bool | None = None,
) -> ContentMember:
    """Make a member of the file of a model's FileField, as `storage_member` does: errors too.

    What the row holds of its file (see `ZipMetadataModel`) needn't be given.

    Raises:
        ValueError: The field is empty.
    """
    check_field_file(field_file)
    if not field_file.name:
        raise ValueError(f"{field_file.field.name} of {field_file.instance!r} has no file")
    # The row's metadata is of what `open()` returns.
    held = getattr(field_file, "zip_metadata", {}) if decode is None else {}
    return storage_member(
        storage_of(field_file),
        field_file.name,
        name,
        compress=compress,
        modified_at=held.get("modified_at") if modified_at is None else modified_at,
        mode=mode,
        size=held.get("size") if size is None else size,
        crc_32=held.get("crc_32") if crc_32 is None else crc_32,
        validator=held.get("validator") if validator is None else validator,
        decode=decode,
    )


class StorageContent:
    """A file in a storage. It is opened when its chunks are asked for.

    What is known of it is decided by the subclasses.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # it would be in the way of attributes
        size: int | None
        crc_32: int | None
        is_deflated: bool

        @property
        def identity(self) -> str:
            """Name of the content."""

        @property
        def validator(self) -> str | None:
            """What tells its states apart."""

        @property
        def local_state(self) -> str | None:
            """What tells its states apart on this host only."""

        @property
        def is_settled(self) -> bool:
            """Whether no other bytes will have its state."""

        @property
        def reader(self) -> Reader:
            """What reads it."""

    @property
    def stored_name(self) -> str:
        """The file's name in its storage."""
        return self.reader.name

    @property
    def may_grow(self) -> bool:
        """Whether it has other sizes from one moment to the next."""
        return not self.is_remote and may_grow(self.stored_name)

    @property
    def is_remote(self) -> bool:
        """Whether it pays, and whether it is allowed, to prefetch it in another thread."""
        return self.reader.is_remote

    @property
    def defers(self) -> bool:
        """Whether its chunks never wait where nothing may."""
        return self.reader.defers

    def prepare(self) -> None:
        """Make ready to be opened where nothing may wait."""
        self.reader.prepare()

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop` of the file that was described."""
        return self.reader.chunks(start, stop)

    def whole(self) -> bytes | None:
        """Return all bytes of the file that was described, if they are few and of this machine."""
        return self.reader.whole()

    def whole_now(self) -> bytes | None:
        """Return all bytes of the file as it is now, if they are few and of this machine."""
        return self.reader.whole_now(self.size)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes of the file as it is when it is opened."""
        return self.reader.afresh().chunks()


class ReaderContent(StorageContent):
    """A file whose reader was made with its member, and may have described it."""

    identity: str
    validator: str | None
    local_state: str | None
    is_settled: bool
    reader: Reader

    def __init__(self, reader: Reader, metadata: Metadata) -> None:
        self.identity = _identity(reader)
        self.size = metadata.size
        self.crc_32 = metadata.crc_32
        # Two storages that can't be told apart may hold two files of one state.
        self.validator = None if reader.place is None else metadata.validator
        self.local_state = reader.local_state
        self.is_settled = reader.is_settled
        self.is_deflated = reader.deflate_stream is not None
        self.reader = reader


def _identity(reader: Reader) -> str:
    before, behind = identity_around(reader.storage, reader.decode)
    return f"{before}{reader.place}:{reader.name}{behind}"


def identity_around(storage: Any, decode: bool | None) -> tuple[str, str]:
    """Return what is before the place and the name of a file in its identity, and behind them."""
    cls = type(storage)
    # Encoded and decoded, it isn't the same content.
    kind = "" if decode is None else f" decode={decode}"
    return f"storage:{cls.__module__}.{cls.__qualname__}:", kind
