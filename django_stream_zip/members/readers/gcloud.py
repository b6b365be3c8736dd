"""Google Cloud Storage: pieces of an object, pinned to its generation.

Its package can give a whole object at once or a range of it, but has no stream. It resumes by
itself, and knows CRC-32C only, which is another polynomial than ZIP's.
"""

from __future__ import annotations

from datetime import UTC
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request
from google.cloud.storage.retry import DEFAULT_RETRY
from storages.utils import clean_name

from django_stream_zip.members.member import unexpected
from django_stream_zip.members.readers import loop
from django_stream_zip.members.readers.remote import (
    Body,
    Head,
    PerProcess,
    RemoteReader,
    forget_after_fork,
    nothing,
)

# Two minutes is Google's own; by then nobody waits for the archive any more.
_RETRY: Final = DEFAULT_RETRY.with_timeout(20)


class GoogleCloudReader(RemoteReader):
    """Reads an object of a GoogleCloudStorage."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (GoogleAPIError,)
    opens_decoded = True

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        forget_after_fork(storage, _client=nothing, _bucket=nothing)
        _clients.get(storage, attrgetter("client"))
        self._bucket = storage.bucket
        self._key = storage._normalize_name(clean_name(name))

    def expect(self, size: int | None = None, validator: str | None = None) -> None:
        """Pin a generation, which is a number."""
        if validator is not None and not (validator.isascii() and validator.isdecimal()):
            raise unexpected(self.name)
        super().expect(size, validator)

    def _head(self) -> Head:
        blob = self._bucket.get_blob(self._key, retry=_RETRY)
        if blob is None:
            raise FileNotFoundError(self.name)
        pin, encoding = str(blob.generation), blob.content_encoding or ""
        return Head(blob.size, blob.updated, pin, encoding)

    def object_store(self) -> tuple[Any, str, str] | None:
        """Give one for the storage's bucket."""
        make = loop.attempted(partial(_object_store, self._bucket.name))
        store = _stores.get(self.storage, make, self._bucket.name)
        return None if store is None else (store, self._key, "version")

    def _body(self, start: int, stop: int | None, done: int) -> Body | None:
        end = self._piece_stop(start, stop, done)
        blob = self._bucket.blob(self._key)
        try:
            data = blob.download_as_bytes(
                start=start,
                end=end - 1,
                raw_download=True,
                if_generation_match=int(self.pin) if self.pin else None,
                checksum=None,
                retry=_RETRY,
            )
        except GoogleAPIError as error:
            if self._status(error) == 416:
                return None
            raise
        pin = None if blob.generation is None else str(blob.generation)
        return self._piece(data, start, end, pin, blob.content_encoding or "")

    def _status(self, error: Any) -> int | None:
        status: int | None = getattr(error, "code", None)  # a RetryError has none
        return status


# Only to make one client where many threads are the first: the storage keeps it.
_clients: Final = PerProcess()
_stores: Final = PerProcess()


def _object_store(bucket: str, storage: Any) -> Any:
    """Make what obstore reads a storage with: the same place, the same credentials."""
    from obstore.store import GCSStore

    client, credentials = storage.client, storage.client._credentials
    url = client._connection.API_BASE_URL
    is_public = isinstance(credentials, AnonymousCredentials)
    return GCSStore(
        bucket,
        base_url=url,
        skip_signature=is_public,
        credential_provider=None if is_public else partial(_token, credentials),
        **loop.options(urlsplit(url).scheme),
    )


def _token(credentials: Any) -> dict[str, Any]:
    credentials.refresh(Request())
    # Google's are naive, and in UTC.
    return {"token": credentials.token, "expires_at": credentials.expiry.replace(tzinfo=UTC)}
