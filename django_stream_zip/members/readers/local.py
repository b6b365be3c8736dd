"""Django's own storages: files of this machine, and files in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from os import stat_result
from typing import Any, ClassVar

from django_stream_zip.members.build import unexpected
from django_stream_zip.members.files import BytesContent, FileContent, has_settled
from django_stream_zip.members.page_cache import look_at
from django_stream_zip.members.readers.places import known_place
from django_stream_zip.members.readers.reader import Metadata, Reader, derived_validator
from django_stream_zip.planning.content import ContentChangedError


class FileReader(Reader):
    """Reads a file of a FileSystemStorage: one `stat`, and no file that was modified since."""

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "size", "get_modified_time")
    defers = True

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        self._path = storage.path(name)
        super().__init__(storage, name, decode=decode)

    def _forget(self) -> None:
        super()._forget()
        self._status: stat_result | None = None
        self._is_prepared = False

    def _place(self) -> str:
        return known_place(self.storage, self._path)

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        """Look at the file."""
        content = FileContent.from_stat(self._path, size, None)
        self._status = content.status
        self.local_state, self.is_settled = content.local_state, content.is_settled
        return Metadata(content.size, None, content.modified_at, content.validator)

    def prepare(self) -> None:
        """Look at the file, so that it can be opened at once."""
        self._is_prepared = look_at(self._path)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read the file."""
        content = FileContent(
            self._path,
            size=self.expected_size,
            status=self._status,
            expected_state=self.expected_validator,
        )
        content.is_prepared = self._is_prepared
        return content.chunks(start, stop)


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
