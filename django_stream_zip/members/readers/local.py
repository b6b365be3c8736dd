"""Django's own storages: files of this machine, and files in memory."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Final, Self

from django.core.files.storage import FileSystemStorage

from django_stream_zip.engine.streams import close
from django_stream_zip.members.build import unexpected
from django_stream_zip.members.files import (
    BytesContent,
    ExpectedFile,
    FileContent,
    has_settled,
    look,
    read_short,
    read_short_now,
)
from django_stream_zip.members.page_cache import look_at
from django_stream_zip.members.readers.gzipped import cut, decoded
from django_stream_zip.members.readers.reader import (
    Metadata,
    Reader,
    derived_validator,
)
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.storages.gzip_format import deflate_stream_in

# A name of which `FileSystemStorage.path()` changes nothing: it only joins.
_JOINED: Final = re.compile(r"(?:[^/.\0][^/\0]*/)*[^/.\0][^/\0]*\Z")


def _locator(storage: Any) -> Callable[[str], str]:
    """Return what does the same as `storage.path`, in a tenth of the time where that only joins."""
    path: Callable[[str], str] = storage.path
    if type(storage).path is not FileSystemStorage.path or "path" in storage.__dict__:
        return path

    def joined(name: str) -> str:
        # Asked each time: whose folder it is may depend on who asks.
        folder = _folder(storage.location)
        return folder + name if folder is not None and _JOINED.match(name) else path(name)

    return joined


@lru_cache
def _folder(location: str | os.PathLike[str]) -> str | None:
    """Return what comes before a name; None where that isn't all, or depends on more than this."""
    if os.sep != "/" or not os.path.isabs(location):
        return None
    return os.path.join(os.path.normpath(location), "")


class FileReader(Reader):
    """Reads a file of a FileSystemStorage: one `stat`, and no file that was modified since."""

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "size", "get_modified_time")
    defers = True
    #: How it is settled which file it is, where a reader is made later (see `known`), and how it is
    #: seen and read without one.
    locator = staticmethod(_locator)
    look = staticmethod(look)
    whole_of = staticmethod(read_short)

    def __init__(
        self, storage: Any, name: str, *, decode: bool | None = None, path: str | None = None
    ) -> None:
        self._path = _locator(storage)(name) if path is None else path
        super().__init__(storage, name, decode=decode)

    def at(self, name: str, path: str, modified: int | None) -> Self:
        """Return a reader of another file of the storage, as it is made; in half the time.

        It has seen when the file was modified, if that is known.
        """
        reader = object.__new__(type(self))
        reader.__dict__.update(self.__dict__)
        reader.name, reader.place, reader._path, reader._modified = name, path, path, modified
        return reader

    def _forget(self) -> None:
        super()._forget()
        self._size: int | None = None
        self._modified: int | None = None
        self._is_prepared = False

    def _is_inside(self, name: str) -> bool:
        try:
            mode = os.lstat(self.storage.path(name)).st_mode
        except FileNotFoundError:
            return False
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

    def _place(self) -> str:
        return self._path

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        """Look at the file."""
        content = FileContent.from_stat(self._path, size, None)
        self._size, self._modified = content.size, content.modified
        self.local_state, self.is_settled = content.local_state, content.is_settled
        return Metadata(content.size, None, content.modified_at, content.validator)

    def prepare(self) -> None:
        """Look at the file, so that it can be opened at once."""
        self._is_prepared = look_at(self._path)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read the file."""
        size, state = self.expected_size, self.expected_validator
        file = ExpectedFile(self._path, size, self._modified, state, self._is_prepared)
        return file.chunks(start, stop)

    def whole(self) -> bytes | None:
        """Read the file, if it is short."""
        size = self.expected_size or self._size
        return read_short(self._path, size, self._modified, self.expected_validator)

    def whole_now(self, likely: int | None) -> bytes | None:
        """Read the file as it is now, if it is short."""
        return read_short_now(self._path, likely)


class GzippedFileReader(FileReader):
    """Reads a file of a GzippedFileSystemStorage: decoded, or the deflate stream in it."""

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        self._is_encoded = decode is not False and storage.is_gzipped(name)
        self.defers = not self._is_encoded

    @property
    def is_always_asked(self) -> bool:
        """Whether to look at it pays even where a row knows all: nothing has to be inflated."""
        return self.may_pass and self._is_encoded

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        """Look at the file, and at its header and trailer if it is gzipped."""
        if not self._is_encoded:
            return super().describe(size, modified_at)
        found = super().describe()
        with open(self._path, "rb") as file:
            stream = deflate_stream_in(file)
        if stream is None or not stream.is_likely(size):
            return found._replace(size=size)
        if self.may_pass:
            self.deflate_stream = stream
        return found._replace(size=size or stream.remainder, crc_32=stream.crc_32)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read the file."""
        if not self._is_encoded:
            return super().chunks(start, stop)
        state = self.expected_validator
        content = ExpectedFile(self._path, modified=self._modified, state=state)
        if self.deflate_stream is not None:
            return content.chunks(*self.deflate_stream.part(start, stop))
        return _decoded(content.chunks(), start, stop)

    def whole(self) -> bytes | None:
        """Read the file, if it is short and not gzipped."""
        return None if self._is_encoded else super().whole()

    def whole_now(self, likely: int | None) -> bytes | None:
        """Read the file as it is now, if it is short and not gzipped."""
        return None if self._is_encoded else super().whole_now(likely)


def _decoded(chunks: Iterator[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    try:
        yield from cut(decoded(chunks), start, stop)
    finally:
        close(chunks)


class MemoryReader(Reader):
    """Reads a file of an InMemoryStorage.

    Its `open()` returns one object for all who open the file, with one position: two of them would
    get each other's bytes.
    """

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "size", "get_modified_time")

    def _forget(self) -> None:
        super()._forget()
        self._described: tuple[datetime, int] | None = None

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        """Look at the file."""
        node, data = self._snapshot()
        self._described = node.modified_time, len(data)
        self.is_settled = has_settled(node.modified_time.timestamp())
        size = len(data) if size is None else size
        state = derived_validator(size, node.modified_time)
        return Metadata(size, None, node.modified_time, state)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield slices of what the file is when the first one is asked for."""
        node, data = self._snapshot()
        state = derived_validator(len(data), node.modified_time)
        is_other = self.expected_size not in (None, len(data))
        if is_other or self.expected_validator not in (None, state):
            raise unexpected(self.name)
        if self._described not in (None, (node.modified_time, len(data))):
            raise ContentChangedError(f"{self.name} was modified after it was described")
        yield from BytesContent(data).chunks(start, stop)

    def _snapshot(self) -> tuple[Any, bytes]:
        node = self.storage._resolve(self.name)
        if not hasattr(node, "file"):
            raise IsADirectoryError(self.name)
        data = node.file.getvalue()
        return node, data.encode() if isinstance(data, str) else data
