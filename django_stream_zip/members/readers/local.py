"""Django's own storages: files of this machine, and files in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from django_stream_zip.members.local import BytesContent, FileContent, has_settled
from django_stream_zip.members.member import unexpected
from django_stream_zip.members.readers.places import known_place
from django_stream_zip.members.readers.reader import Facts, Reader, derived_validator
from django_stream_zip.planning.content import ContentChangedError


class FileReader(Reader):
    """Reads a FileSystemStorage: one `stat`, and no file that was modified since."""

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "size", "get_modified_time")

    def _place(self) -> str:
        self._path = self.storage.path(self.name)
        return known_place(self.storage, self._path)

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Facts:
        """Look at the file."""
        content = FileContent.from_stat(self._path, size, None)
        self._seen = {"status": content.status}
        self.local_state, self.is_settled = content.local_state, content.is_settled
        return Facts(content.size, content.modified_at, content.validator)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Read the file."""
        status, state = self._seen.get("status"), self.expected_validator
        content = FileContent(self._path, self.expected_size, None, "", status, state)
        return content.chunks(start, stop)


class MemoryReader(Reader):
    """Reads an InMemoryStorage.

    What its `open()` gives is one object for all who open the file, with one position: two of them
    would get each other's bytes.
    """

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "size", "get_modified_time")

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Facts:
        """Look at the file."""
        node, data = self._snapshot()
        self._seen = {"state": (node.modified_time, len(data))}
        self.is_settled = has_settled(node.modified_time.timestamp())
        size = len(data) if size is None else size
        return Facts(size, node.modified_time, derived_validator(size, node.modified_time))

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give slices of what the file is when the first one is asked for."""
        node, data = self._snapshot()
        state = derived_validator(len(data), node.modified_time)
        is_other = self.expected_size not in (None, len(data))
        if is_other or self.expected_validator not in (None, state):
            raise unexpected(self.name)
        if self._seen.get("state") not in (None, (node.modified_time, len(data))):
            raise ContentChangedError(f"{self.name} was modified after it was described")
        yield from BytesContent(data).chunks(start, stop)

    def _snapshot(self) -> tuple[Any, bytes]:
        node = self.storage._resolve(self.name)
        if not hasattr(node, "file"):
            raise IsADirectoryError(self.name)
        data = node.file.getvalue()
        return node, data.encode() if isinstance(data, str) else data
