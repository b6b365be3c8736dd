"""Any storage, through what every one has: `open()`, `size()`, `get_modified_time()`.

And storages with `open_stream()`, which is proposed for django-storages (its issue 1568): a file
that can only be read forward, from a position, and isn't loaded whole first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from django_stream_zip.members.local import read_chunks
from django_stream_zip.members.readers.reader import Facts, Reader, derived_validator


class GenericReader(Reader):
    """Reads through `storage.open()`."""

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Facts:
        """Ask for size and modification time. Not every storage has the latter."""
        if size is None:
            size = self.storage.size(self.name)
        if modified_at is None:
            try:
                modified_at = self.storage.get_modified_time(self.name)
            except NotImplementedError:  # Dropbox, FTP
                return Facts(size, None, None)
        return Facts(size, modified_at, derived_validator(size, modified_at))

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Open the file, read it from `start` to `stop`, close it."""
        with self.storage.open(self.name, "rb") as file:
            yield from read_chunks(file, start, stop)


class StreamReader(GenericReader):
    """Reads through `storage.open_stream()`."""

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "open_stream")

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Open a stream that begins at `start`, read it up to `stop`, close it."""
        length = None if stop is None else stop - start
        if length == 0:
            return
        with self.storage.open_stream(self.name, start=start, length=length) as stream:
            yield from read_chunks(stream, 0, length)
