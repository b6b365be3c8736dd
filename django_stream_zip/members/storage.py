"""Members from Django's storages and from file fields of models."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django_stream_zip.engine.names import safe_name
from django_stream_zip.members.describe import PendingMember
from django_stream_zip.members.field_files import storage_of
from django_stream_zip.members.member import (
    DEFAULT_MODE,
    ContentMember,
    may_grow,
    member,
    text,
    unexpected,
)
from django_stream_zip.members.misuse import check_field_file, check_known, check_stored, check_time
from django_stream_zip.members.readers.reader import Facts, Reader, derived_validator
from django_stream_zip.members.readers.table import reader_for

if TYPE_CHECKING:
    from django.core.files.storage import Storage
    from django.db.models.fields.files import FieldFile

# The earliest time a ZIP can hold, for storages that know none. "Now" would make other bytes of the
# same members each time.
_NO_TIME: Final = datetime(1980, 1, 1)


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
    """Make a member of a file in a storage, named like it (without its folders) or `name`.

    The storage is asked, once if it can tell all at once, unless both `size` (bytes) and
    `modified_at` are given; nothing is opened. A remote storage (S3, Google Cloud, Azure) is asked
    when the member's values are first looked at; `zip_response` does so for several members at a
    time. `validator` is the storage's own that was kept of the file (see
    `models.ZipValidatorField`): nothing but this state of it is read. `decode` says whether a file
    that an object store keeps gzipped, with a content encoding that says so, is unpacked; by
    default as the storage's `open()` does. Of what is unpacked the size isn't known, so such a
    member is deflated.

    Raises FileNotFoundError where the file is missing, PermissionError where it may not be read,
    and what else the storage raises. If it is remote, that is raised when it is asked: by
    `zip_response` for members in a list.
    """
    check_stored(storage, stored_name)
    reader = reader_for(storage, stored_name, decode=decode)
    given = size, modified_at, crc_32, validator
    if reader.is_remote and (size is None or modified_at is None):
        # What is wrong or changes with the language is to be seen now.
        name = safe_name(text(name or posixpath.basename(reader.name)))
        check_time(name, _NO_TIME if modified_at is None else modified_at)
        make = _described_member
        return PendingMember(partial(make, reader, given, name, compress=compress, mode=mode))
    return _described_member(reader, given, name, compress=compress, mode=mode)


def _described_member(
    reader: Reader, given: tuple[Any, ...], name: str | None, **options: Any
) -> ContentMember:
    return reader_member(reader, described(reader, *given), name, **options)


def described(
    reader: Reader,
    size: int | None,
    modified_at: datetime | None,
    crc_32: int | None,
    validator: str | None = None,
) -> Facts:
    """Give what the caller knows of a file, and else what the storage does.

    The storage is asked unless both size and time are given. Raises what it raises, and
    ContentChangedError where the caller knows another validator than the storage.
    """
    validator = validator or None  # "" is of a storage that has none
    if size is not None and modified_at is not None:
        _check(reader, size, modified_at, crc_32, validator)
        reader.expect(size, validator)
        # The caller's time may change where the storage's validator doesn't, and the reverse.
        state = " ".join(filter(None, (derived_validator(size, modified_at), validator)))
        return Facts(size, modified_at, state, crc_32)
    return asked(reader, size, modified_at, crc_32, validator)


def asked(
    reader: Reader,
    size: int | None,
    modified_at: datetime | None,
    crc_32: int | None,
    validator: str | None = None,
) -> Facts:
    """Do the same, but ask the storage in any case, if only whether the file is there."""
    validator = validator or None
    _check(reader, size, modified_at, crc_32, validator)
    # The validator is of what the storage knows, and of nothing that the caller does.
    facts = reader.describe(size, modified_at) if validator is None else reader.describe()
    if validator not in (None, facts.validator):
        raise unexpected(reader.name)
    reader.expect(size, validator)
    return Facts(
        facts.size if size is None else size,
        modified_at or facts.modified_at,
        facts.validator,
        facts.crc_32 if crc_32 is None else crc_32,
    )


def _check(reader: Reader, size: Any, modified_at: Any, crc_32: Any, validator: Any) -> None:
    known = {"size": size, "modified_at": modified_at, "crc_32": crc_32, "validator": validator}
    check_known(reader.name, **known)


def reader_member(
    reader: Reader,
    facts: Facts,
    name: str | None = None,
    *,
    compress: bool | None = None,
    mode: int = DEFAULT_MODE,
) -> ContentMember:
    """Make a member of a reader's file, of which this is known."""
    at = facts.modified_at or _NO_TIME
    own_name = posixpath.basename(reader.name)
    return member(name or own_name, at, mode, compress, StorageContent(reader, facts), own_name)


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

    What the row holds of its file (see `facts`) needn't be given. Raises ValueError where the field
    is empty.
    """
    check_field_file(field_file)
    if not field_file.name:
        raise ValueError(f"{field_file.field.name} of {field_file.instance!r} has no file")
    # The row's facts are of what `open()` gives.
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
    """A file in a storage. It is opened when its chunks are asked for."""

    def __init__(self, reader: Reader, facts: Facts) -> None:
        self.identity = _identity(reader)
        self.size = facts.size
        self.crc_32 = facts.crc_32
        # Two storages that can't be told apart may hold two files of one state.
        self.validator = None if reader.place is None else facts.validator
        self.local_state = reader.local_state
        self.is_settled = reader.is_settled
        self.may_grow = not reader.is_remote and may_grow(reader.name)
        reader.is_verified = facts.crc_32 is not None
        self.reader = reader

    @property
    def is_remote(self) -> bool:
        """Whether it pays, and whether it is allowed, to read it ahead in another thread."""
        return self.reader.is_remote

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop` of the file that was described."""
        return self.reader.chunks(start, stop)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes of the file as it is when it is opened."""
        return self.reader.afresh().chunks()


def _identity(reader: Reader) -> str:
    cls = type(reader.storage)
    # Packed and unpacked, it isn't the same content.
    kind = "" if reader.decode is None else f" decode={reader.decode}"
    return f"storage:{cls.__module__}.{cls.__qualname__}:{reader.place}:{reader.name}{kind}"
