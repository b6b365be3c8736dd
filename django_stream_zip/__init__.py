"""Stream many files from a Django site as one ZIP, built on the fly.

These names belong to the engine, which knows no Django. Django's side is in the modules `response`,
`views`, `members` and `admin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django_stream_zip.engine.errors import (
    CentralDirectoryNumberOfEntriesOverflowError,
    CentralDirectorySizeOverflowError,
    CompressedSizeOverflowError,
    CRC32IntegrityError,
    DeflateIntegrityError,
    NameLengthOverflowError,
    OffsetOverflowError,
    UncompressedSizeIntegrityError,
    UncompressedSizeOverflowError,
    ZipError,
    ZipIntegrityError,
    ZipOverflowError,
    ZipValueError,
)
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile
from django_stream_zip.engine.methods import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    PRECOMPRESSED,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
    Method,
)
from django_stream_zip.engine.streams import async_stream_zip, stream_zip

__all__ = [
    "NO_COMPRESSION_32",
    "NO_COMPRESSION_64",
    "NO_COMPRESSION_AUTO",
    "PRECOMPRESSED",
    "ZIP_32",
    "ZIP_64",
    "ZIP_AUTO",
    "AsyncMemberFile",
    "CRC32IntegrityError",
    "CentralDirectoryNumberOfEntriesOverflowError",
    "CentralDirectorySizeOverflowError",
    "CompressedSizeOverflowError",
    "DeflateIntegrityError",
    "MemberFile",
    "Method",
    "NameLengthOverflowError",
    "OffsetOverflowError",
    "UncompressedSizeIntegrityError",
    "UncompressedSizeOverflowError",
    "ZipError",
    "ZipIntegrityError",
    "ZipOverflowError",
    "ZipValueError",
    "async_stream_zip",
    "stream_zip",
]

# Django's side isn't imported here: an error says where it is.
_DJANGOS_SIDE: Final = {
    "admin": ["ZipDownloadAdminMixin", "download_as_zip"],
    "exports": [
        "AbstractZipExport",
        "State",
        "ZipExport",
        "ZipExportView",
        "build_export",
        "build_parts",
        "request_zip",
        "run_task",
        "sweep_exports",
        "zip_export",
        "zip_export_failed",
        "zip_export_ready",
    ],
    "members": [
        "DownloadTooLargeError",
        "TooManyBytesError",
        "TooManyMembersError",
        "aqueryset_members",
        "async_member",
        "bytes_member",
        "field_member",
        "file_member",
        "folder_members",
        "lazy_queryset_members",
        "queryset_members",
        "storage_member",
        "storage_members",
    ],
    "models": [
        "ZipCRC32Field",
        "ZipMetadataMixin",
        "ZipMetadataModel",
        "ZipModifiedAtField",
        "ZipSizeField",
        "ZipValidatorField",
    ],
    "response": ["ZipInfo", "ZipResponse", "zip_info", "zip_response"],
    "rest_framework": ["DownloadTooLarge", "TooManyDownloads", "ZipDownloadMixin", "ZipRenderer"],
    "saving": [
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
    ],
    "signals": ["zip_download_finished", "zip_download_started"],
    "storages": ["GzippedFileSystemStorage"],
    "views": [
        "SELECTION_PARAM",
        "AsyncQuerySetZipDownloadView",
        "AsyncZipDownloadView",
        "QuerySetZipDownloadView",
        "SignedZipLinkMixin",
        "ZipDownloadView",
        "ZipViewMixin",
        "zip_link",
    ],
}
_ELSEWHERE: Final = {name: module for module, names in _DJANGOS_SIDE.items() for name in names}

if not TYPE_CHECKING:  # a type checker would believe that every name is here

    def __getattr__(name: str) -> Any:
        """Raise an error that says where a name is: an import would hide an AttributeError."""
        if name not in _ELSEWHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = f"{__name__}.{_ELSEWHERE[name]}"
        raise ImportError(f"{name} is not here; use 'from {module} import {name}'", name=__name__)
