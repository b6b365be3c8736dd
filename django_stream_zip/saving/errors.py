"""Why an archive is not saved, where neither its members nor the storage's own errors say it."""

from __future__ import annotations

import errno

__all__ = [
    "ArchiveChangedError",
    "IncompleteError",
    "NameRefusedError",
    "NameTakenError",
    "NotDivisibleError",
    "PartSizeError",
    "SaveError",
    "UploadGoneError",
]


class SaveError(Exception):
    """Root of what saving raises by itself. Not raised itself."""


class NameTakenError(SaveError, FileExistsError):
    """The storage has a file of that name already, and it is not to be overwritten."""


class NameRefusedError(SaveError, ValueError):
    """The storage can't have a file of just that name."""


class NotDivisibleError(SaveError):
    """The archive can't be made in parts, or the storage takes none."""


class PartSizeError(SaveError, ValueError):
    """Parts of that size are too small or too large for the storage, or would be too many."""


class IncompleteError(SaveError):
    """Parts are missing, or are not as long as they have to be."""


class ArchiveChangedError(SaveError):
    """The members are not those that the upload was begun with."""


class UploadGoneError(SaveError):
    """The storage has no such upload, nor what it would have become."""


def name_taken(name: str) -> NameTakenError:
    """Return what to raise where there is a file of that name."""
    what = "The storage has a file of this name: choose another one, or pass overwrite=True"
    return NameTakenError(errno.EEXIST, what, name)


def upload_gone(name: str) -> UploadGoneError:
    """Return what to raise where an upload was aborted, or swept."""
    return UploadGoneError(f"the upload of {name!r} is no longer there: begin another one")
