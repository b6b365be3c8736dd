"""Which writer is for which storage: a table by class, and when it must not be used."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeAlias

from django.utils.module_loading import import_string

from django_stream_zip import conf
from django_stream_zip.members.readers.table import class_path, overrides, unwrapped
from django_stream_zip.saving.writers.generic import GenericWriter
from django_stream_zip.saving.writers.writer import PartWriter, StreamWriter

AnyWriter: TypeAlias = PartWriter | StreamWriter
WriterClass: TypeAlias = type[PartWriter] | type[StreamWriter]

_PACKAGE: Final = "django_stream_zip.saving.writers"

# Paths on both sides: nothing is imported that a project doesn't use.
_WRITERS: Final = {
    "django.core.files.storage.filesystem.FileSystemStorage": f"{_PACKAGE}.local.FileWriter",
    "django.core.files.storage.memory.InMemoryStorage": f"{_PACKAGE}.memory.MemoryWriter",
    "storages.backends.s3.S3Storage": f"{_PACKAGE}.s3.S3Writer",
    "storages.backends.gcloud.GoogleCloudStorage": f"{_PACKAGE}.gcloud.GoogleCloudWriter",
    "storages.backends.azure_storage.AzureStorage": f"{_PACKAGE}.azure.AzureWriter",
    "storages.backends.sftpstorage.SFTPStorage": f"{_PACKAGE}.sftp.SFTPWriter",
}


def writer_for(storage: Any, name: str, *, overwrite: bool = False) -> AnyWriter:
    """Make the writer of a file to be. Asks and opens nothing.

    Raises:
        NameRefusedError: No file can have this name there.
        TypeError: That is no storage, or no name.
    """
    storage = unwrapped(storage)
    if isinstance(storage, type) or not callable(getattr(storage, "save", None)):
        what = storage.__name__ if isinstance(storage, type) else type(storage).__name__
        raise TypeError(f'expected a storage, got {what}; use storages["default"], for example')
    return writer_class(storage)(storage, name, overwrite=overwrite)


def writer_class(storage: Any) -> WriterClass:
    """Return the class of writer for a storage: that of its nearest class which has one.

    A class that comes nearer and overrides how files are saved knows better than the writer: it may
    encrypt them, or keep a record. What is saved there goes through its own `save()`.
    """
    cls: Any = type(storage)
    known, writer = _nearest(cls, tuple(conf.get("WRITERS").items()))
    return GenericWriter if overrides(storage, known, writer.bypasses) else writer


@lru_cache
def _nearest(cls: type, configured: tuple[tuple[str, str], ...]) -> tuple[type, WriterClass]:
    """Return the nearest class that has a writer, and this."""
    writers = _WRITERS | {class_path(storage): writer for storage, writer in configured}
    for base in cls.__mro__:
        if (path := writers.get(class_path(base))) is not None:
            return base, import_string(path)
    return cls, GenericWriter
