"""Which reader is for which storage: a table by class, and when it must not be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from django.utils.functional import LazyObject, empty
from django.utils.module_loading import import_string

from django_stream_zip import conf
from django_stream_zip.members.readers.generic import GenericReader, StreamReader
from django_stream_zip.members.readers.reader import Reader

ReaderClass: TypeAlias = type[Reader]
_Pairs: TypeAlias = tuple[tuple[str, str | ReaderClass], ...]

_PACKAGE: Final = "django_stream_zip.members.readers"

# Paths on both sides: nothing is imported that a project doesn't use.
_READERS: Final[dict[str, str | ReaderClass]] = {
    "django.core.files.storage.filesystem.FileSystemStorage": f"{_PACKAGE}.local.FileReader",
    "django_stream_zip.storages.gzipped.GzippedFileSystemStorage": (
        f"{_PACKAGE}.local.GzippedFileReader"
    ),
    "django.core.files.storage.memory.InMemoryStorage": f"{_PACKAGE}.local.MemoryReader",
    "storages.backends.s3.S3Storage": f"{_PACKAGE}.s3.S3Reader",
    "storages.backends.gcloud.GoogleCloudStorage": f"{_PACKAGE}.gcloud.GoogleCloudReader",
    "storages.backends.azure_storage.AzureStorage": f"{_PACKAGE}.azure.AzureReader",
    "storages.backends.sftpstorage.SFTPStorage": f"{_PACKAGE}.sftp.SFTPReader",
}


def register_reader(storage: type | str, reader: ReaderClass | str) -> None:
    """Have a reader read the files of a storage class, and of those subclasses that it fits.

    Both may be dotted paths. The setting READERS does the same.
    """
    _READERS[class_path(storage)] = reader


def reader_for(storage: Any, name: str, *, decode: bool | None = None) -> Reader:
    """Make the reader of a stored file. Asks and opens nothing."""
    return readers_of(storage, decode=decode)(name)


def readers_of(storage: Any, *, decode: bool | None = None) -> Callable[[str], Reader]:
    """Return what makes the readers of a storage's files, given their stored names."""
    storage = unwrapped(storage)
    return partial(reader_class(storage), storage, decode=decode)


def unwrapped(storage: Any) -> Any:
    """Return the storage itself. `default_storage`, for one, only stands for it."""
    while isinstance(storage, LazyObject):
        # Not by its own way, which takes four times as long.
        wrapped = object.__getattribute__(storage, "_wrapped")
        if wrapped is empty:
            bool(storage)  # sets it up
            wrapped = storage._wrapped
        storage = wrapped
    return storage


def reader_class(storage: Any) -> ReaderClass:
    """Return the class of reader for a storage: that of its nearest class which has one.

    A class that comes nearer and overrides how files are opened knows better than the reader: it
    may decrypt them, or count them. Its files are read through its own `open()`.
    """
    cls: Any = type(storage)
    configured = tuple(conf.get("READERS").items())
    known, reader = _nearest(cls, tuple(_READERS.items()), configured)
    return GenericReader if overrides(storage, known, reader.bypasses) else reader


@lru_cache
def _nearest(cls: type, known: _Pairs, configured: _Pairs) -> tuple[type, ReaderClass]:
    """Return the nearest class that has a reader, and this: of those known or configured."""
    # By the paths that the classes have themselves, which the setting may not know.
    readers = dict(known) | {class_path(storage): reader for storage, reader in configured}
    for base in cls.__mro__:
        reader = readers.get(class_path(base))
        if reader is None and "open_stream" in vars(base):
            return base, StreamReader
        if reader is not None:
            return base, import_string(reader) if isinstance(reader, str) else reader
    return cls, GenericReader


def overrides(storage: Any, known: type, names: Iterable[str]) -> bool:
    """Return whether a storage does something else under one of these names than a class of it."""
    for name in names:
        own = getattr(type(storage), name, None)
        if name in getattr(storage, "__dict__", ()) or own is not getattr(known, name, None):
            return True
    return False


def class_path(storage: type | str) -> str:
    """Return the path of a class where it is defined; it may be named by any path."""
    cls = import_string(storage) if isinstance(storage, str) else storage
    return f"{cls.__module__}.{cls.__qualname__}"
