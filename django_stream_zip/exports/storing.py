"""Where exports are stored: their files' names, and what is done to a file or an upload there."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.core.files.storage import storages

from django_stream_zip import conf
from django_stream_zip.exports.checksums import known_parts
from django_stream_zip.saving import abort_upload, sweep
from django_stream_zip.saving.writers.generic import GenericWriter
from django_stream_zip.saving.writers.table import AnyWriter, writer_for
from django_stream_zip.saving.writers.writer import PartWriter, Published, UploadToken

if TYPE_CHECKING:
    from django_stream_zip.exports.models import AbstractZipExport

__all__ = ["discard", "file_name", "published", "storage_of", "sweep_uploads", "writer_of"]

logger = logging.getLogger("django_stream_zip")

_NOW: Final = timedelta(0)


def file_name(export: AbstractZipExport, plans: int | None = None) -> str:
    """Return the name of the file that an export is to have: one for each time it is planned.

    So nobody who still makes the archive that was planned before can be taken for who makes this
    one.
    """
    number = export.plans if plans is None else plans
    folder = posixpath.dirname(export.file) or conf.get("EXPORT_FOLDER")
    return posixpath.join(folder, f"{export.pk}-{number}.zip")


def storage_of(export: AbstractZipExport) -> Any:
    """Return the storage of an export's file.

    Raises:
        InvalidStorageError: The settings have none of that alias any more.
    """
    return storages[export.storage]


def writer_of(export: AbstractZipExport) -> AnyWriter:
    """Return what writes an export's file."""
    return writer_for(storage_of(export), export.file)


def is_whole_or_absent(writer: AnyWriter) -> bool:
    """Return whether a file that is there is whole, whoever was killed while it was written."""
    return not isinstance(writer, GenericWriter)


def published(export: AbstractZipExport) -> Published:
    """Publish the upload of an export, all parts of which are there; or find its file.

    Another time, return the same.

    Raises:
        CRC32IntegrityError: A content isn't what its member declares.
        IncompleteError: A part is missing.
        UploadGoneError: The upload was aborted.
        FileNotFoundError: There is no upload, and no file.
    """
    if not export.token:
        return Published(storage_of(export).size(export.file))
    writer = writer_of(export)
    assert isinstance(writer, PartWriter)
    upload = writer.reopen(UploadToken.loads(export.token))
    # Whoever was killed may have published it.
    return upload.published() or upload.complete(crc_32=export.crc_32, crc_32s=known_parts(export))


def discard(export: AbstractZipExport, *, is_shared: bool) -> bool:
    """Remove what an export has left in its storage; return whether all of it is gone.

    Args:
        export: One that has ended, or is to be planned anew.
        is_shared: Whether another one has the same file, which then stays.
    """
    names = _names(export)
    doomed = names - {export.file} if is_shared else names | {export.file}
    steps: list[Callable[[], object]] = [partial(_delete, export, name) for name in doomed if name]
    if export.token:
        steps.append(lambda: abort_upload(storage_of(export), export.token))
    results = [_done(step, export) for step in steps]
    return sweep_uploads(export) and all(results)


def sweep_uploads(export: AbstractZipExport) -> bool:
    """Remove uploads of an export that nobody completes; return whether that was possible.

    A worker that was killed has left them, perhaps before its row said that they were begun.
    """
    results = [_done(partial(_sweep, export, name), export) for name in _names(export)]
    return all(results)


def _names(export: AbstractZipExport) -> set[str]:
    """Return all names that its file could have had."""
    return {file_name(export, number) for number in range(export.plans + 1)}


def _delete(export: AbstractZipExport, name: str) -> None:
    storage = storage_of(export)
    if storage.exists(name):
        storage.delete(name)


def _sweep(export: AbstractZipExport, name: str) -> None:
    sweep(storage_of(export), name, older_than=_NOW)


def _done(step: Callable[[], object], export: AbstractZipExport) -> bool:
    """Do a step; what it raises is logged. The sweep tries again."""
    try:
        step()
    except Exception:
        logger.warning("could not clean up after export %s", export.pk, exc_info=True)
        return False
    return True
