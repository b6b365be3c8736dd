"""Files of which rows know enough, in a storage of this machine: nothing is asked for a member.

What the storage decides is decided once for all of its files, and a file's reader is made when it
is read: that of a file is large beside what a row knows of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django_stream_zip.members.misuse import check_known
from django_stream_zip.members.readers.reader import Metadata, Reader
from django_stream_zip.members.readers.table import reader_class, unwrapped
from django_stream_zip.members.storage import StorageContent, identity_around, row_validator


class KnownFiles:
    """The files of one storage."""

    def __init__(self, storage: Any, reader: type[Any], decode: bool | None) -> None:
        self.locate: Callable[[str], str] = reader.locator(storage)
        self.defers: bool = reader.defers
        self.whole_of: Callable[[str, int, str | None], bytes | None] = reader.whole_of
        self.identity = identity_around(storage, decode)
        #: Of no file: its `at` makes those of files.
        self.reader = reader(storage, "", decode=decode, path="")

    @classmethod
    def of(cls, storage: Any, decode: bool | None) -> KnownFiles | None:
        """Return those of a storage; None where a file's reader has to be made at once.

        A class whose readers can be made later has a `locator`, which settles by a path what file
        it is, `at`, which makes the reader of that, and `whole_of`, which needs none. To inherit
        them isn't enough: a subclass may have more to settle.
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
        "_modified_at",
        "_name",
        "_path",
        "_prepared",
        "crc_32",
        "size",
    )

    local_state = None
    is_settled = True
    is_deflated = False
    is_remote = False

    def __init__(self, files: KnownFiles, stored_name: str, metadata: Metadata) -> None:
        check_known(stored_name, metadata)
        size: Any
        modified_at: Any
        size, crc_32, modified_at, validator = metadata
        self._files = files
        self._name = stored_name
        self._path = files.locate(stored_name)
        self.size: int = size
        self.crc_32 = crc_32
        self._modified_at: datetime = modified_at
        self._kept_validator = validator
        self._prepared: Reader | None = None

    @property
    def identity(self) -> str:
        """The storage and the place in it."""
        before, behind = self._files.identity
        return f"{before}{self._path}:{self._name}{behind}"

    @property
    def validator(self) -> str:
        """What the row knows of the file's state."""
        return row_validator(self.size, self._modified_at, self._kept_validator)

    @property
    def reader(self) -> Reader:
        """A reader of the file. No two are the same, unless it was prepared."""
        if self._prepared is not None:
            return self._prepared
        reader: Reader = self._files.reader.at(self._name, self._path)
        reader.expect(self.size, self._kept_validator or None)
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
        return self._files.whole_of(self._path, self.size, self._kept_validator or None)

    def prepare(self) -> None:
        """Make ready to be opened where nothing may wait."""
        self._prepared = reader = self.reader
        reader.prepare()
