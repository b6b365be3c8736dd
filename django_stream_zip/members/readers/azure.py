"""Azure Blob Storage: pieces of a blob, pinned by its ETag.

Its package reads 32 MiB into memory before it gives the first byte; asked for less, it gives that.
It repeats a piece by itself where it breaks off.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import __version__

from django_stream_zip.members.readers.remote import Body, Head, RemoteReader

# Before 12.28, what is stored gzipped comes unpacked, and a piece of it not at all.
_AS_STORED: Final[dict[str, Any]] = (
    {"decompress": False} if tuple(map(int, __version__.split(".")[:2])) >= (12, 28) else {}
)


class AzureReader(RemoteReader):
    """Reads a blob of an AzureStorage."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (HttpResponseError,)
    opens_decoded = True

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        self._blob = storage.client.get_blob_client(storage._get_valid_path(name))
        self._timeout = storage.timeout

    def _head(self) -> Head:
        found = self._blob.get_blob_properties(timeout=self._timeout)
        encoding = found.content_settings.content_encoding or ""
        return Head(found.size, found.last_modified, found.etag, encoding)

    def _body(self, start: int, stop: int | None, done: int) -> Body | None:
        end = self._piece_stop(start, stop, done)
        conditions: dict[str, Any] = {}
        if self._pin:
            conditions = {"etag": self._pin, "match_condition": MatchConditions.IfNotModified}
        try:
            stream = self._blob.download_blob(
                offset=start, length=end - start, timeout=self._timeout, **conditions, **_AS_STORED
            )
            data = stream.readall()
        except HttpResponseError as error:
            if self._status(error) == 416:
                return None
            raise
        found = stream.properties
        encoding = found.content_settings.content_encoding or ""
        return self._piece(data, start, end, found.etag, encoding)

    def _status(self, error: Any) -> int | None:
        status: int | None = error.status_code
        return status
