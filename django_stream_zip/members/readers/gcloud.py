"""Google Cloud Storage: pieces of an object, its generation being their precondition.

Its package returns a whole object at once or a range of it, but has no stream. It resumes by
itself, and knows CRC-32C only, which is another polynomial than ZIP's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request
from google.cloud.storage.retry import DEFAULT_RETRY

from django_stream_zip.members.build import unexpected
from django_stream_zip.members.readers import async_reader
from django_stream_zip.members.readers.compat import (
    GOOGLE_CONNECTIONS,
    google_credentials,
    google_session,
    google_url,
    object_key,
    widen_pools,
)
from django_stream_zip.members.readers.processes import (
    PerProcess,
    connections_at_once,
    forget_after_fork,
)
from django_stream_zip.members.readers.reader import Metadata
from django_stream_zip.members.readers.remote import ObjectReader, ObstoreObject
from django_stream_zip.members.readers.transfer import ResponseBody

# Two minutes is Google's own; by then nobody waits for the archive any more.
_RETRY: Final = DEFAULT_RETRY.with_timeout(20)


class GoogleCloudReader(ObjectReader):
    """Reads an object of a GoogleCloudStorage."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (GoogleAPIError,)
    opens_decoded = True
    serves_decoded: ClassVar[bool] = True

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        forget_after_fork(storage, GOOGLE_CONNECTIONS)
        _clients.get(storage, _pooled_client)
        self._bucket = storage.bucket
        self._object_key = object_key(storage, name)

    def expect(self, size: int | None = None, validator: str | None = None) -> None:
        """Expect a generation, which is a number."""
        if validator is not None and not (validator.isascii() and validator.isdecimal()):
            raise unexpected(self.name)
        super().expect(size, validator)

    def _key(self, name: str) -> str:
        return object_key(self.storage, name)

    def _listing(self, prefix: str) -> Iterator[tuple[str, Metadata, str]]:
        blobs = self._bucket.list_blobs(prefix=prefix, page_size=self.page_length, retry=_RETRY)
        for blob in blobs:
            yield blob.name, *_told(blob)

    def _head(self) -> tuple[Metadata, str]:
        blob = self._bucket.get_blob(self._object_key, retry=_RETRY)
        if blob is None:
            raise FileNotFoundError(self.name)
        return _told(blob)

    def obstore_object(self) -> ObstoreObject | None:
        """Return one of the storage's bucket."""
        store = async_reader.shared_store(self.storage, _google_store, self._bucket.name)
        return None if store is None else ObstoreObject(store, self._object_key, "version")

    def _body(self, start: int, stop: int | None, done: int) -> ResponseBody | None:
        end = self._piece_stop(start, stop, done)
        blob = self._bucket.blob(self._object_key)
        try:
            data = blob.download_as_bytes(
                start=start,
                end=end - 1,
                raw_download=True,
                if_generation_match=int(self.version) if self.version else None,
                checksum=None,
                retry=_RETRY,
            )
        except GoogleAPIError as error:
            if self._status(error) == 416:
                return None
            raise
        version = None if blob.generation is None else str(blob.generation)
        return self._piece(data, start, end, version, blob.content_encoding or "")

    def _status(self, error: Any) -> int | None:
        status: int | None = getattr(error, "code", None)  # a RetryError has none
        return status


def _told(blob: Any) -> tuple[Metadata, str]:
    """Return what a blob says of itself, and its content encoding."""
    metadata = Metadata(blob.size, None, blob.updated, str(blob.generation))
    return metadata, blob.content_encoding or ""


# Only to make one client where many threads are the first: the storage keeps it.
_clients: Final = PerProcess()


def _pooled_client(storage: Any) -> Any:
    """Return the storage's client, which keeps as many connections as are used at a time."""
    widen_pools(google_session(storage), connections_at_once())
    return storage.client


def _google_store(storage: Any, bucket: str) -> Any:
    """Make what obstore reads a bucket with: the same place, the same credentials."""
    from obstore.store import GCSStore

    credentials, url = google_credentials(storage), google_url(storage)
    is_public = isinstance(credentials, AnonymousCredentials)
    return GCSStore(
        bucket,
        base_url=url,
        skip_signature=is_public,
        credential_provider=None if is_public else partial(_token, credentials),
        **async_reader.options(urlsplit(url).scheme),
    )


def _token(credentials: Any) -> dict[str, Any]:
    credentials.refresh(Request())
    # Google's are naive, and in UTC.
    return {"token": credentials.token, "expires_at": credentials.expiry.replace(tzinfo=UTC)}
