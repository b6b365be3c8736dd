"""Azure Blob Storage: pieces of a blob, pinned by its ETag.

Its package reads 32 MiB into memory before it gives the first byte; asked for less, it gives that.
It repeats a piece by itself where it breaks off.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import __version__

from django_stream_zip.members.readers import loop
from django_stream_zip.members.readers.reader import archived_error
from django_stream_zip.members.readers.remote import (
    Body,
    Head,
    PerProcess,
    RemoteReader,
    forget_after_fork,
    nothing,
)

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
        forget_after_fork(storage, _client=nothing, _service_client=nothing)
        _clients.get(storage, attrgetter("client"))
        self._blob = storage.client.get_blob_client(storage._get_valid_path(name))
        self._timeout = storage.timeout

    def _head(self) -> Head:
        found = self._blob.get_blob_properties(timeout=self._timeout)
        if found.blob_tier == "Archive":  # until it is rehydrated
            raise archived_error(self.name, found.archive_status or "Archive")
        encoding = found.content_settings.content_encoding or ""
        return Head(found.size, found.last_modified, found.etag, encoding)

    def object_store(self) -> tuple[Any, str, str] | None:
        """Give one, if the storage has an account's key or a token for it."""
        if self.storage.connection_string or not _credentials(self.storage):
            return None
        container = self._blob.container_name
        make = loop.attempted(partial(_object_store, container))
        store = _stores.get(self.storage, make, container)
        return None if store is None else (store, self._blob.blob_name, "if_match")

    def _body(self, start: int, stop: int | None, done: int) -> Body | None:
        end = self._piece_stop(start, stop, done)
        conditions: dict[str, Any] = {}
        if self.pin:
            conditions = {"etag": self.pin, "match_condition": MatchConditions.IfNotModified}
        told: list[int] = []
        try:
            stream = self._blob.download_blob(
                offset=start,
                length=end - start,
                timeout=self._timeout,
                raw_response_hook=lambda response: told.extend(_total(response)),
                **conditions,
                **_AS_STORED,
            )
            data = stream.readall()
        except HttpResponseError as error:
            if self._status(error) == 416:
                return None
            raise
        found = stream.properties
        encoding = found.content_settings.content_encoding or ""
        piece = self._piece(data, start, end, found.etag, encoding)
        return piece._replace(total=told[0]) if piece and told else piece

    def _status(self, error: Any) -> int | None:
        status: int | None = error.status_code
        return status

    def _is_archived(self, error: Any) -> bool:
        return bool(error.error_code == "BlobArchived")


def _total(response: Any) -> list[int]:
    """Return the blob's size, if a response with a piece tells it: its package keeps it back."""
    found = response.http_response.headers.get("Content-Range", "").rpartition("/")[2]
    return [int(found)] if found.isdecimal() else []


# Only to make one client where many threads are the first: the storage keeps it.
_clients: Final = PerProcess()
_stores: Final = PerProcess()


def _object_store(container: str, storage: Any) -> Any:
    """Make what obstore reads a storage with: the same place, the same credentials."""
    from obstore.store import AzureStore

    url = storage.service_client.primary_endpoint.partition("?")[0]  # a SAS token
    return AzureStore(
        container,
        account_name=storage.account_name,
        endpoint=url.rstrip("/"),
        **_credentials(storage),
        **loop.options(urlsplit(url).scheme),
    )


def _credentials(storage: Any) -> dict[str, Any]:
    """Give a storage's credentials as obstore wants them, in the order of the storage itself."""
    if storage.account_key:
        return {"account_key": storage.account_key}
    if storage.sas_token:
        return {"sas_key": storage.sas_token.lstrip("?")}
    if storage.token_credential:
        return {"credential_provider": partial(_token, storage.token_credential)}
    return {}


def _token(token_credential: Any) -> dict[str, Any]:
    found = token_credential.get_token("https://storage.azure.com/.default")
    return {"token": found.token, "expires_at": datetime.fromtimestamp(found.expires_on, UTC)}
