"""Files in a storage of this machine: those of which rows know enough, and those that are seen.

What the storage decides is decided once for all of its files, and a file's reader is made when it
is read: that of a file is large beside what is known of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone

from django_stream_zip.members.build import time_of, unexpected
from django_stream_zip.members.files import has_settled, local_state, state, state_of
from django_stream_zip.members.misuse import check_known
from django_stream_zip.members.readers.reader import Metadata, Reader
from django_stream_zip.members.readers.table import reader_class, unwrapped
from django_stream_zip.members.storage import StorageContent, identity_around, row_validator


class KnownFiles:
    """The files of one storage."""

    def __init__(self, storage: Any, reader: type[Any], decode: bool | None) -> None:
        self.locate: Callable[[str], str] = reader.locator(storage)
        self.defers: bool = reader.defers
        self.look: Callable[[str], tuple[os.stat_result, int | None]] = reader.look
        self.whole_of: Callable[..., bytes | None] = reader.whole_of
        self.identity = identity_around(storage, decode)
        #: Of no file: its `at` makes those of files.
        self.reader = reader(storage, "", decode=decode, path="")

    @classmethod
    def of(cls, storage: Any, decode: bool | None) -> KnownFiles | None:
        """Return those of a storage; None where a file's reader has to be made at once.

        A class whose readers can be made later has a `locator`, which settles by a path what file
        it is, `at`, which makes the reader of that, and `look` and `whole_of`, which need none. To
        inherit them isn't enough: a subclass may have more to settle.
        """
        storage = unwrapped(storage)
        reader = reader_class(storage)
        return cls(storage, reader, decode) if "locator" in vars(reader) else None


class KnownContent(StorageContent):
    """A file of which a row knows size and time: the one that is there when its member is made.

    Its reader is made when it is read.
    """

    __slots__ = (
        "_files",
        "_kept_validator",
        "_modified",
        "_name",
        "_path",
        "_prepared",
        "crc_32",
        "modified_at",
        "size",
    )

    is_deflated = False
    is_remote = False

    modified_at: datetime
    _modified: int | None

    def __init__(self, files: KnownFiles, stored_name: str, metadata: Metadata) -> None:
        check_known(stored_name, metadata)
        self.size, self.crc_32, modified_at, validator = metadata
        self._files = files
        self._name = stored_name
        self._path = files.locate(stored_name)
        self._kept_validator = validator or None  # "" is of a storage that has none
        self._prepared: Reader | None = None
        self._see(modified_at)

    def _see(self, modified_at: Any) -> None:
        """Settle what the row leaves open: nothing."""
        self._modified, self.modified_at = None, modified_at

    @property
    def identity(self) -> str:
        """The storage and the place in it."""
        before, behind = self._files.identity
        return f"{before}{self._path}:{self._name}{behind}"

    @property
    def validator(self) -> str:
        """What the row knows of the file's state."""
        size: Any = self.size
        return row_validator(size, self.modified_at, self._kept_validator)

    @property
    def local_state(self) -> str | None:
        """What only this host knows of the file's state."""
        return None

    @property
    def is_settled(self) -> bool:
        """Whether no other bytes will have this state."""
        return True

    @property
    def reader(self) -> Reader:
        """A reader of the file. No two are the same, unless it was prepared."""
        if self._prepared is not None:
            return self._prepared
        reader: Reader = self._files.reader.at(self._name, self._path, self._modified)
        reader.expect(self.size, self._kept_validator)
        return reader

    @property
    def stored_name(self) -> str:
        """The file's name in its storage."""
        return self._name

    @property
    def defers(self) -> bool:
        """Whether its chunks never wait where nothing may."""
        return self._files.defers

    def whole(self) -> bytes | None:
        """Return all bytes of the file, if they are few."""
        return self._files.whole_of(self._path, self.size, self._modified, self._kept_validator)

    def prepare(self) -> None:
        """Make ready to be opened where nothing may wait."""
        self._prepared = reader = self.reader
        reader.prepare()


class SeenContent(KnownContent):
    """A file that was looked at when its member was made; a row may know some of it."""

    __slots__ = ("_changed", "_inode", "_is_settled")

    _modified: int

    def _see(self, modified_at: datetime | None) -> None:
        """Look at the file. Raises what `asked` does."""
        status, size = self._files.look(self._path)
        if self._kept_validator not in (None, state_of(status)):
            raise unexpected(self._name)
        self.size = size if self.size is None else self.size
        self._inode, self._changed = status.st_ino, status.st_ctime_ns
        self._modified = modified = status.st_mtime_ns
        self._is_settled = has_settled(status.st_mtime)
        self.modified_at = modified_at or time_of(modified / 1e9, timezone.get_default_timezone())

    @property
    def validator(self) -> str:
        """The state that was seen, with the size that the row has."""
        return self._kept_validator or state(self.size or 0, self._modified)

    @property
    def local_state(self) -> str:
        """The inode, and when that was changed."""
        return local_state(self._inode, self._changed)

    @property
    def is_settled(self) -> bool:
        """Whether the file was at rest."""
        return self._is_settled
