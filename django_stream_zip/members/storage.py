"""Members from Django's storages and from file fields of models."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from django_stream_zip.members.local import read_chunks
from django_stream_zip.members.member import DEFAULT_MODE, ContentMember, member

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
) -> ContentMember:
    """Make a member of a file in a storage, named like it (without its folders) or `name`.

    The storage is asked for size and modification time where `size` (bytes) and `modified_at`
    aren't given; nothing is opened. Raises what the storage raises, FileNotFoundError from Django's
    own when the file is missing.
    """
    if size is None:
        size = storage.size(stored_name)
    if modified_at is None:
        modified_at = storage.get_modified_time(stored_name)
    content = StorageContent(storage, stored_name, size, crc_32, modified_at)
    return member(name or posixpath.basename(stored_name), modified_at, mode, compress, content)


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
) -> ContentMember:
    """Make a member of the file of a model's FileField, as `storage_member` does.

    Raises ValueError where the field is empty.
    """
    if not field_file.name:
        raise ValueError(f"{field_file.field.name} of {field_file.instance!r} has no file")
    return storage_member(
        field_file.storage,
        field_file.name,
        name,
        compress=compress,
        modified_at=modified_at,
        mode=mode,
        size=size,
        crc_32=crc_32,
    )


class StorageContent:
    """A file in a storage, read through `Storage.open()`."""

    def __init__(
        self, storage: Storage, name: str, size: int, crc_32: int | None, modified_at: datetime
    ) -> None:
        self.identity = f"{_storage_identity(storage)}:{name}"
        self.size = size
        self.crc_32 = crc_32
        self.validator = f"{size:x}-{modified_at.timestamp()}"
        self._storage = storage
        self._name = name

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes of the file from `start` to `stop`."""
        with self._storage.open(self._name, "rb") as file:
            yield from read_chunks(file, start, stop)

    def __iter__(self) -> Iterator[bytes]:
        """Give all bytes of the file."""
        return self.chunks()


# What tells two storages of one class apart. Not their constructors' arguments, which may be secret
# or have another repr in each process.
_PLACES = ("endpoint_url", "account_name", "bucket_name", "azure_container", "location", "base_url")


def _storage_identity(storage: Storage) -> str:
    places = [str(getattr(storage, place, "")) for place in _PLACES]
    return f"storage:{type(storage).__module__}.{type(storage).__qualname__}:{':'.join(places)}"
