"""Azure Blob Storage: pieces of a blob, its ETag being their precondition.

Its package reads 32 MiB into memory before it returns the first byte; asked for less, it returns
that. It repeats a piece by itself where it is truncated.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import __version__

from django_stream_zip.members.readers import async_reader
from django_stream_zip.members.readers.compat import (
    AZURE_CONNECTIONS,
    azure_session,
    blob_name,
    widen_pools,
)
from django_stream_zip.members.readers.processes import (
    PerProcess,
    connections_at_once,
    forget_after_fork,
)
from django_stream_zip.members.readers.reader import Metadata, archived_error
from django_stream_zip.members.readers.remote import ObjectReader, ObstoreObject
from django_stream_zip.members.readers.transfer import ResponseBody

# Before 12.28, what is stored gzipped comes decoded, and a piece of it not at all.
_AS_STORED: Final[dict[str, Any]] = (
    {"decompress": False} if tuple(map(int, __version__.split(".")[:2])) >= (12, 28) else {}
)


class AzureReader(ObjectReader):
    """Reads a blob of an AzureStorage."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (HttpResponseError,)
    opens_decoded = True

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        forget_after_fork(storage, AZURE_CONNECTIONS)
        _clients.get(storage, _pooled_client)
        # To list a whole container, there is no blob.
        self._blob: Any = storage.client.get_blob_client(self._key(name)) if name else None
        self._timeout = storage.timeout

    def _key(self, name: str) -> str:
        return blob_name(self.storage, name) if name else self.storage.location.strip("/")

    def _listing(self, prefix: str) -> Iterator[tuple[str, Metadata, str]]:
        blobs = self.storage.client.list_blobs(
            name_starts_with=prefix, results_per_page=self.page_length, timeout=self._timeout
        )
        for found in blobs:
            # A listing has it without the quotes of the header.
            etag = found.etag if found.etag.startswith('"') else f'"{found.etag}"'
            known = Metadata(found.size, None, found.last_modified, etag)
            is_archived = found.blob_tier == "Archive"
            encoding = found.content_settings.content_encoding or ""
            yield found.name, Metadata() if is_archived else known, encoding

    def _head(self) -> tuple[Metadata, str]:
        found = self._blob.get_blob_properties(timeout=self._timeout)
        if found.blob_tier == "Archive":  # until it is rehydrated
            raise archived_error(self.name, found.archive_status or "Archive")
        encoding = found.content_settings.content_encoding or ""
        return Metadata(found.size, None, found.last_modified, found.etag), encoding

    def obstore_object(self) -> ObstoreObject | None:
        """Return one, if the storage has an account's key or a token for it."""
        if self.storage.connection_string or not _credentials(self.storage):
            return None
        store = async_reader.shared_store(self.storage, _azure_store, self._blob.container_name)
        return None if store is None else ObstoreObject(store, self._blob.blob_name)

    def _body(self, start: int, stop: int | None, done: int) -> ResponseBody | None:
        end = self._piece_stop(start, stop, done)
        conditions: dict[str, Any] = {}
        if self.version:
            conditions = {"etag": self.version, "match_condition": MatchConditions.IfNotModified}
        totals: list[int] = []
        try:
            stream = self._blob.download_blob(
                offset=start,
                length=end - start,
                timeout=self._timeout,
                raw_response_hook=lambda response: totals.extend(_total(response)),
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
        return piece._replace(total=totals[0]) if piece and totals else piece

    def _status(self, error: Any) -> int | None:
        status: int | None = error.status_code
        return status

    def _is_archived(self, error: Any) -> bool:
        return bool(error.error_code == "BlobArchived")


def _total(response: Any) -> list[int]:
    """Return the blob's size, if a response with a piece has it: its package doesn't pass it on."""
    found = response.http_response.headers.get("Content-Range", "").rpartition("/")[2]
    return [int(found)] if found.isdecimal() else []


# Only to make one client where many threads are the first: the storage keeps it.
_clients: Final = PerProcess()


def _pooled_client(storage: Any) -> Any:
    """Return the storage's client, which keeps as many connections as are used at a time."""
    widen_pools(azure_session(storage), connections_at_once())
    return storage.client


def _azure_store(storage: Any, container: str) -> Any:
    """Make what obstore reads a container with: the same place, the same credentials."""
    from obstore.store import AzureStore

    url = storage.service_client.primary_endpoint.partition("?")[0]  # a SAS token
    return AzureStore(
        container,
        account_name=storage.account_name,
        endpoint=url.rstrip("/"),
        **_credentials(storage),
        **async_reader.options(urlsplit(url).scheme),
    )


def _credentials(storage: Any) -> dict[str, Any]:
    """Return a storage's credentials as obstore wants them, in the order of the storage itself."""
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
