"""Archives into storages: whole or not at all, in one go or in parts that anybody makes."""

from __future__ import annotations

from django_stream_zip.saving.async_save import asave_zip
from django_stream_zip.saving.errors import (
    ArchiveChangedError,
    IncompleteError,
    NameRefusedError,
    NameTakenError,
    NotDivisibleError,
    PartSizeError,
    SaveError,
    UploadGoneError,
)
from django_stream_zip.saving.parts import SavedZip, ZipParts, abort_upload, zip_parts
from django_stream_zip.saving.reader import ZipReader, open_zip
from django_stream_zip.saving.save import save_zip, sweep

__all__ = [
    "ArchiveChangedError",
    "IncompleteError",
    "NameRefusedError",
    "NameTakenError",
    "NotDivisibleError",
    "PartSizeError",
    "SaveError",
    "SavedZip",
    "UploadGoneError",
    "ZipParts",
    "ZipReader",
    "abort_upload",
    "asave_zip",
    "open_zip",
    "save_zip",
    "sweep",
    "zip_parts",
]
