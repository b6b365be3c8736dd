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
_ELSEWHERE: Final = {
    **dict.fromkeys(["ZipInfo", "ZipResponse", "zip_info", "zip_response"], "response"),
    **dict.fromkeys(
        [
            "AsyncQuerySetZipDownloadView",
            "AsyncZipDownloadView",
            "QuerySetZipDownloadView",
            "SignedZipLinkMixin",
            "ZipDownloadView",
            "zip_link",
        ],
        "views",
    ),
    **dict.fromkeys(["ZipDownloadAdminMixin", "download_as_zip"], "admin"),
    **dict.fromkeys(
        [
            "ZipCRC32Field",
            "ZipMetadataMixin",
            "ZipMetadataModel",
            "ZipModifiedAtField",
            "ZipSizeField",
            "ZipValidatorField",
        ],
        "models",
    ),
    **dict.fromkeys(["zip_download_finished", "zip_download_started"], "signals"),
    "GzippedFileSystemStorage": "storages",
    **dict.fromkeys(
        [
            "DownloadTooLargeError",
            "TooManyBytesError",
            "TooManyMembersError",
            "aqueryset_members",
            "bytes_member",
            "field_member",
            "file_member",
            "folder_members",
            "lazy_queryset_members",
            "async_member",
            "queryset_members",
            "storage_member",
            "storage_members",
        ],
        "members",
    ),
}

if not TYPE_CHECKING:  # a type checker would believe that every name is here

    def __getattr__(name: str) -> Any:
        """Raise an error that says where a name is: an import would hide an AttributeError."""
        if name not in _ELSEWHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = f"{__name__}.{_ELSEWHERE[name]}"
        raise ImportError(f"{name} is not here; use 'from {module} import {name}'", name=__name__)
