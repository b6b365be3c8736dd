"""Members of all files in a folder: of this machine, or of a storage.

Object stores list a thousand files at a time, and say of each all that a member takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage

from django_stream_zip.members.build import ContentMember
from django_stream_zip.members.collect import (
    FROM_SETTINGS,
    Collector,
    Limit,
    Missing,
    StoredFile,
)
from django_stream_zip.members.misuse import check_path, check_stored
from django_stream_zip.members.readers.table import reader_for

if TYPE_CHECKING:
    from django.core.files.storage import Storage


def folder_members(
    path: str | os.PathLike[str],
    pattern: str = "**/*",
    *,
    name: Callable[[str], str] | None = None,
    compress: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = FROM_SETTINGS,
    max_bytes: int | Limit | None = FROM_SETTINGS,
) -> list[ContentMember]:
    """Make a member of every file in a directory of this machine and in those below it, sorted.

    Links are not followed, neither to files nor to directories. Names that begin with a dot are
    left out unless the pattern has such a part. Directories have no members of their own.

    Args:
        path: The directory.
        pattern: Which files, as for `Path.glob`: `*.pdf` are those in the directory itself,
            `**/*.pdf` are those below it too.
        name: What names a member, given the file's path in the directory, with slashes; that path
            is the default.
        compress: Whether to deflate; None leaves it to the kind of file and the setting.
        missing: What to do with a file that can't be read: see `queryset_members`.
        limit: How many members there may be; None is no limit. The default is the setting's.
        max_bytes: How many bytes all contents may have, likewise.

    Raises:
        FileNotFoundError: There is no such directory.
        NotADirectoryError: It is a file.
        ValueError: The pattern leads out of the directory.
        TooManyMembersError: There are more members than the limit.
        TooManyBytesError: There are more bytes than the limit.
    """
    check_path(path)
    root = Path(path).absolute()
    os.scandir(root).close()  # what is none has no files, says `glob`
    storage = FileSystemStorage(root)
    files = (
        StoredFile(storage, found, found if name is None else name(found))
        for found in _matching(root, pattern)
    )
    collector = Collector(compress=compress, missing=missing, limit=limit, max_bytes=max_bytes)
    return list(collector.members(files))


def storage_members(
    storage: Storage,
    prefix: str = "",
    *,
    name: Callable[[str], str] | None = None,
    compress: bool | None = None,
    decode: bool | None = None,
    missing: Missing = "raise",
    limit: int | Limit | None = FROM_SETTINGS,
    max_bytes: int | Limit | None = FROM_SETTINGS,
) -> list[ContentMember]:
    """Make a member of every file in a folder of a storage and in those below it.

    S3, Google Cloud and Azure are asked once for each thousand files: the listing has size, time
    and version. (Of an object that may be archived, or of unknown size as it is decoded, the
    storage is asked too.) Other storages are asked by `listdir()` for each folder, and about each
    file. Links are not followed.

    Keys that end in "/" are folders that some programs make: they are left out, and folders have no
    members of their own.

    Args:
        storage: Any storage of Django's kind.
        prefix: The folder, "" for the whole storage. It ends where a part of a name ends:
            "user/1" has nothing of "user/10".
        name: What names a member, given the file's name in the folder; that is the default.
        compress: Whether to deflate; None leaves it to the kind of file and the setting.
        decode: Whether what is stored gzipped is decoded: see `storage_member`.
        missing: What to do with a file that can't be read: see `queryset_members`.
        limit: How many members there may be; None is no limit. The default is the setting's. No
            more are listed.
        max_bytes: How many bytes all contents may have, likewise.

    Raises:
        SuspiciousFileOperation: The prefix leads out of the storage.
        TooManyMembersError: There are more members than the limit.
        TooManyBytesError: There are more bytes than the limit.
        FileNotFoundError: There is no such folder, in a storage that has folders. Other errors of
            the storage are raised as they are.
    """
    check_stored(storage, prefix)
    folder = prefix.replace("\\", "/").strip("/")
    if any(part in {"", ".", ".."} for part in folder.split("/")) and folder:
        raise SuspiciousFileOperation(f"{prefix!r} is no folder of a storage")
    collector = Collector(
        compress=compress, decode=decode, missing=missing, limit=limit, max_bytes=max_bytes
    )
    return list(collector.members(_listed(storage, folder, name, decode)))


def _listed(
    storage: Any, folder: str, name: Callable[[str], str] | None, decode: bool | None
) -> Iterator[StoredFile]:
    for stored_name, metadata in reader_for(storage, folder, decode=decode).listed():
        own = stored_name[len(folder) :].lstrip("/")
        yield StoredFile(storage, stored_name, own if name is None else name(own), metadata)


def _matching(root: Path, pattern: str) -> list[str]:
    """Return the files below a directory that match, as sorted paths relative to it."""
    parts = PurePosixPath(pattern).parts
    if ".." in parts or PurePosixPath(pattern).is_absolute():
        raise ValueError(f"the pattern {pattern!r} leads out of the directory")
    may_be_hidden = any(part.startswith(".") for part in parts)
    target = root.resolve()

    @cache
    def is_reached_without_links(directory: Path) -> bool:
        return directory.resolve() == target / directory.relative_to(root)

    return sorted(
        path.as_posix()
        for found in root.glob(pattern)
        for path in (found.relative_to(root),)
        if (may_be_hidden or not any(part.startswith(".") for part in path.parts))
        and not found.is_symlink()
        and found.is_file()
        and is_reached_without_links(found.parent)
    )
