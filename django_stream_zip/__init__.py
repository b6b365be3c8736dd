"""Hand out many files of a Django site as one ZIP, made while it is sent.

These names are the engine's, which knows no Django. Django's side is in the modules `response`,
`views`, `members` and `admin`.
"""

from __future__ import annotations

from django_stream_zip.engine.errors import (
    CentralDirectoryNumberOfEntriesOverflowError,
    CentralDirectorySizeOverflowError,
    CompressedSizeOverflowError,
    CRC32IntegrityError,
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
    "ZIP_32",
    "ZIP_64",
    "ZIP_AUTO",
    "AsyncMemberFile",
    "CRC32IntegrityError",
    "CentralDirectoryNumberOfEntriesOverflowError",
    "CentralDirectorySizeOverflowError",
    "CompressedSizeOverflowError",
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
