"""What can be wrong with what the caller gave. Exceptions from the caller's iterables pass through.

One root that is never raised itself; the leaves say which fact was broken.
"""

from __future__ import annotations


class ZipError(Exception):
    """Root of all errors of the engine. Not raised itself."""


class ZipValueError(ZipError, ValueError):
    """A value that was given can't be written to a ZIP archive."""


class MisuseError(RuntimeError):
    """A verb of the core came when it wasn't its turn: a mistake of who drives it.

    None of `ZipError`'s kin, as no value of a member is wrong.
    """


class ZipIntegrityError(ZipValueError):
    """A member's content is not what was promised of it. Not raised itself."""


class CRC32IntegrityError(ZipIntegrityError):
    """A member's content has another CRC-32 than was promised."""


class UncompressedSizeIntegrityError(ZipIntegrityError):
    """A member's content has another size than was promised."""


class ZipOverflowError(ZipValueError, OverflowError):
    """A value is too large for its field. Not raised itself."""


class UncompressedSizeOverflowError(ZipOverflowError):
    """A member's uncompressed size is too large for its method."""


class CompressedSizeOverflowError(ZipOverflowError):
    """A member's compressed size is too large for its method."""


class CentralDirectorySizeOverflowError(ZipOverflowError):
    """The central directory is too large for an archive without Zip64."""


class CentralDirectoryNumberOfEntriesOverflowError(ZipOverflowError):
    """There are too many members for an archive without Zip64."""


class OffsetOverflowError(ZipOverflowError):
    """A member or the central directory starts too late for an archive without Zip64."""


class NameLengthOverflowError(ZipOverflowError):
    """A member's name has more than 65,535 bytes in UTF-8."""
