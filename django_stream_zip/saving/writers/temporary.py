"""Uploads to where files can be renamed: parts in a temporary file, beside the file it will become.

A file beside it has a mark for each part that was written, with its CRC-32, so that whoever goes on
after a crash sees what is there. (Not in the same file: who makes a part once more may still write
its mark when others have published the archive.)
"""

from __future__ import annotations

import posixpath
import re
import secrets
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import ClassVar, Final, NamedTuple

from django_stream_zip.saving.errors import name_taken, upload_gone
from django_stream_zip.saving.writers.writer import (
    MIB,
    Data,
    Limits,
    Part,
    PartWriter,
    Published,
    Upload,
    UploadToken,
    part_sizes,
)

_SUFFIX: Final = ".zip_save"
_MARKS_SUFFIX: Final = f".parts{_SUFFIX}"
# A mark: that the part is there, and its CRC-32.
_MARK: Final = struct.Struct("<BI")
# File systems allow 255 bytes.
_MAX_STEM_BYTES: Final = 200
_RANDOM_BYTES: Final = 8


class Found(NamedTuple):
    """A file in a folder: its size, when it was modified, and what stays when it is renamed."""

    size: int
    modified_at: float
    identity: str = ""


class Folder(ABC):
    """A folder of files that can be written at any position, and be renamed.

    Raises what `os` does: FileNotFoundError, PermissionError, OSError.
    """

    @abstractmethod
    def create(self, name: str) -> None:
        """Create an empty file, and its folder if need be."""

    @abstractmethod
    def write(self, name: str, position: int, data: Data) -> None:
        """Write to a file that is there."""

    @abstractmethod
    def sync(self, name: str) -> None:
        """Have what was written outlast a crash of the machine, where that can be had."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes."""

    @abstractmethod
    def look(self, name: str) -> Found:
        """Look at a file."""

    @abstractmethod
    def replace(self, name: str, target: str) -> None:
        """Rename a file to one that may be there."""

    @abstractmethod
    def rename(self, name: str, target: str) -> None:
        """Rename a file. Raises FileExistsError where there is one of that name."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Yield the names of all files."""


class TemporaryUpload(Upload):
    """An upload into a temporary file of a folder."""

    def __init__(self, token: UploadToken, folder: Folder) -> None:
        super().__init__(token)
        self._folder = folder
        self._target = posixpath.basename(token.name)

    def write_part(self, number: int, data: Data, crc_32: int) -> None:
        """Write a part to its place, then that it is there."""
        token = self.token
        try:
            self._folder.write(token.upload_id, (number - 1) * token.part_size, data)
            if token.entity_tag is not None:
                self._folder.sync(token.upload_id)
                mark = _MARK.pack(1, crc_32)
                self._folder.write(_marks(token.upload_id), (number - 1) * _MARK.size, mark)
        except FileNotFoundError as error:
            raise upload_gone(token.name) from error
        self.written[number] = Part(len(data), crc_32)

    def parts(self) -> dict[int, Part]:
        """Read which parts are there."""
        length = self.token.length
        if length is None or self.token.entity_tag is None:  # nobody else goes on with it
            return self.written
        try:
            marks = self._folder.read(_marks(self.token.upload_id))
        except FileNotFoundError:
            return {}
        sizes = part_sizes(length, self.token.part_size)
        whole = marks[: len(marks) // _MARK.size * _MARK.size]  # one may be written just now
        return {
            number: Part(size, crc_32)
            for number, (size, (is_there, crc_32)) in enumerate(
                zip(sizes, _MARK.iter_unpack(whole), strict=False), 1
            )
            if is_there
        }

    def published(self) -> Published | None:
        """Look whether the file is what the temporary one was."""
        try:
            found = self._folder.look(self._target)
        except FileNotFoundError:
            return None
        is_ours = found.identity == self.token.mark and found.size == self.token.length
        # Where nothing but its size is known of a file, it isn't ours while the temporary one is.
        is_sure = found.identity or not self._is_there()
        return Published(found.size) if is_ours and is_sure else None

    def _is_there(self) -> bool:
        try:
            self._folder.look(self.token.upload_id)
        except FileNotFoundError:
            return False
        return True

    def _publish(self, parts: Sequence[Part]) -> Published:
        temporary, length = self.token.upload_id, sum(part.size for part in parts)
        try:
            self._folder.sync(temporary)
            if self.token.overwrite:
                self._folder.replace(temporary, self._target)
            else:
                self._folder.rename(temporary, self._target)
        except FileExistsError as error:
            raise name_taken(self.token.name) from error
        except FileNotFoundError as error:
            raise upload_gone(self.token.name) from error
        self._remove(_marks(temporary))
        return Published(length)

    def abort(self) -> None:
        """Remove the temporary file, and its marks."""
        for name in (self.token.upload_id, _marks(self.token.upload_id)):
            self._remove(name)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._folder.remove(name)


def _marks(temporary: str) -> str:
    """Return the name of the file with the marks of a temporary file's parts."""
    return temporary.removesuffix(_SUFFIX) + _MARKS_SUFFIX


class TemporaryWriter(PartWriter):
    """Writes archives into temporary files."""

    limits: ClassVar[Limits] = Limits(default=8 * MIB)

    @abstractmethod
    def _folder(self) -> Folder:
        """Return the folder in which the file is to be."""

    def _begin(self, token: UploadToken) -> Upload:
        folder, temporary = (
            self._folder(),
            f"{self._prefix}{secrets.token_hex(_RANDOM_BYTES)}{_SUFFIX}",
        )
        upload = TemporaryUpload(token._replace(upload_id=temporary), folder)
        folder.create(temporary)
        try:
            if token.entity_tag is not None:
                folder.create(_marks(temporary))
            mark = folder.look(temporary).identity
        except BaseException:
            upload.abort()
            raise
        return TemporaryUpload(upload.token._replace(mark=mark), folder)

    def reopen(self, token: UploadToken) -> Upload:
        """Return an upload that was begun."""
        if "/" in token.upload_id or not token.upload_id.endswith(_SUFFIX):
            raise upload_gone(self.name)
        return TemporaryUpload(token, self._folder())

    def sweep(self, older_than: timedelta) -> int:
        """Remove temporary files to which so long nothing was written."""
        folder, before = self._folder(), time.time() - older_than.total_seconds()
        with suppress(FileNotFoundError):  # the folder, or a file that somebody else removed
            old = [
                name
                for name in folder.names()
                if self._pattern.fullmatch(name) and folder.look(name).modified_at <= before
            ]
            for name in old:
                folder.remove(name)
            return sum(not name.endswith(_MARKS_SUFFIX) for name in old)
        return 0

    @property
    def _pattern(self) -> re.Pattern[str]:
        """What temporary files of this name are called, and none of a name that begins like it."""
        ending = f"[0-9a-f]{{{2 * _RANDOM_BYTES}}}({re.escape(_MARKS_SUFFIX)}|{re.escape(_SUFFIX)})"
        return re.compile(re.escape(self._prefix) + ending)

    @property
    def _prefix(self) -> str:
        """How the names of temporary files begin: with the name of the file they will become."""
        stem = posixpath.basename(self.name).encode()[:_MAX_STEM_BYTES].decode(errors="ignore")
        return f".{stem}."
