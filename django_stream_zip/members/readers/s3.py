"""S3 and what speaks its protocol: one streamed response for an object.

An object's CRC-32 comes with its description if it was uploaded with one. It is believed only where
it can't be anything else: servers also send the checksum of the parts' checksums, some of them
without saying so.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from s3transfer.manager import TransferManager
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from django_stream_zip.engine.errors import one_line
from django_stream_zip.members.readers import async_reader
from django_stream_zip.members.readers.combine import combined_parts
from django_stream_zip.members.readers.compat import (
    S3_CONNECTIONS,
    object_key,
    s3_config,
    s3_session,
    with_s3_config,
)
from django_stream_zip.members.readers.processes import (
    PerProcess,
    connections_at_once,
    forget_after_fork,
)
from django_stream_zip.members.readers.reader import Metadata, archived_error
from django_stream_zip.members.readers.remote import CHUNK_LENGTH, ObjectReader, ObstoreObject
from django_stream_zip.members.readers.transfer import ResponseBody

logger = logging.getLogger("django_stream_zip")

# obstore asks again five minutes before.
_CREDENTIALS_LIFE: Final = timedelta(minutes=10)
# GLACIER_IR, in spite of its name, is read at once.
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# A listing doesn't say of INTELLIGENT_TIERING whether it has put an object away.
_MAYBE_ARCHIVES: Final = _ARCHIVES | {"INTELLIGENT_TIERING"}
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


class S3Reader(ObjectReader):
    """Reads an object of an S3Storage."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (ClientError,)
    # botocore lets some of urllib3's errors through as they are.
    breaks: ClassVar[tuple[type[Exception], ...]] = (
        HTTPClientError,
        IncompleteReadError,
        HTTPError,
        OSError,
    )

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        forget_after_fork(storage, S3_CONNECTIONS)
        key = object_key(storage, name)
        self.opens_decoded = storage.gzip
        self.client = shared_client(storage)
        # What the storage sends along when it opens an object: keys of encryption, who pays.
        parameters = storage.get_object_parameters(key[len(storage.location) :].lstrip("/"))
        allowed = set(TransferManager.ALLOWED_DOWNLOAD_ARGS) & parameters.keys()
        self.request = {parameter: parameters[parameter] for parameter in allowed}
        self.request |= {"Bucket": storage.bucket_name, "Key": key}

    def _key(self, name: str) -> str:
        return object_key(self.storage, name)

    def _listing(self, prefix: str) -> Iterator[tuple[str, Metadata, None]]:
        payer = {key: self.request[key] for key in ("RequestPayer",) if key in self.request}
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.request["Bucket"],
            Prefix=prefix,
            PaginationConfig={"PageSize": self.page_length},
            **payer,
        )
        for found in chain.from_iterable(page.get("Contents", ()) for page in pages):
            known = Metadata(found["Size"], None, found["LastModified"], found["ETag"])
            # What was restored from an archive is listed as what was not.
            is_unsure = found.get("StorageClass") in _MAYBE_ARCHIVES
            yield found["Key"], Metadata() if is_unsure else known, None

    def _head(self) -> tuple[Metadata, str]:
        # Only GET asks for the checksum by itself.
        found = self.client.head_object(**{**self.request, "ChecksumMode": "ENABLED"})
        if (how := _archive(found)) is not None:
            raise archived_error(self.name, how)
        encoding = found.get("ContentEncoding") or ""
        crc_32 = None if self.decodes(encoding) else self._crc_32(found)
        size, modified_at = found["ContentLength"], found["LastModified"]
        return Metadata(size, crc_32, modified_at, found["ETag"]), encoding

    def _crc_32(self, found: Mapping[str, Any]) -> int | None:
        """Return the CRC-32 of all of the object's bytes, if it is among what was found."""
        if found.get("ChecksumType") != "FULL_OBJECT":
            return None
        return decoded_crc_32(found.get("ChecksumCRC32"))

    def obstore_object(self) -> ObstoreObject | None:
        """Return one, but not where a request has to say more, such as a customer's key."""
        if self.request.keys() != {"Bucket", "Key"} or not _is_shared(self.storage):
            return None
        store = async_reader.shared_store(self.storage, _s3_store, self.request["Bucket"])
        return None if store is None else ObstoreObject(store, self.request["Key"])

    def _body(self, start: int, stop: int | None, done: int) -> ResponseBody | None:
        conditions = {"IfMatch": self.version} if self.version else {}
        is_ranged = bool(start) or stop is not None
        if is_ranged:
            conditions["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            found = self.client.get_object(**self.request, **conditions)
        except ClientError as error:
            if self._status(error) == 416:
                return None
            raise
        stream = found["Body"]
        try:
            end, total = _extent(found, start, is_ranged=is_ranged)
        except OSError:
            stream.close()
            raise
        return ResponseBody(
            stream.iter_chunks(CHUNK_LENGTH),
            end,
            total,
            found["ETag"],
            found.get("ContentEncoding") or "",
            stream.close,
        )

    def _status(self, error: Any) -> int | None:
        status: int | None = error.response["ResponseMetadata"].get("HTTPStatusCode")
        return status

    def _is_archived(self, error: Any) -> bool:
        return bool(error.response.get("Error", {}).get("Code") == "InvalidObjectState")


class S3PartsReader(S3Reader):
    """Reads an object of an S3Storage; knows the CRC-32 of more of them than S3Reader.

    What was uploaded in parts, as django-storages does from 8 MB on, often has a checksum for each
    part only. This asks for them too: another request for each such object, for which AWS wants the
    permission `s3:GetObjectAttributes`. Not used unless the setting READERS says so.
    """

    def _crc_32(self, found: Mapping[str, Any]) -> int | None:
        value = found.get("ChecksumCRC32") or ""
        if found.get("ChecksumType") != "COMPOSITE" and "-" not in value:
            return super()._crc_32(found)
        try:
            parts = list(self._parts(found["ETag"], found["ContentLength"]))
        except (ClientError, ValueError) as error:
            logger.warning("the checksums of the parts of %r: %s", self.name, one_line(str(error)))
            return None
        # The object's own checksum is that of the parts' checksums.
        binary = b"".join(crc_32.to_bytes(4, "big") for crc_32, _ in parts)
        if decoded_crc_32(value.partition("-")[0]) != zlib.crc32(binary):
            return None
        return combined_parts(parts)

    def _parts(self, etag: str, size: int) -> Iterator[tuple[int, int]]:
        """Yield each part's CRC-32 and size. Raise ValueError if they don't make this object."""
        request = self.request | {"ObjectAttributes": ["ETag", "ObjectParts", "ObjectSize"]}
        left, marker = size, 0
        while True:
            found = self.client.get_object_attributes(**request, PartNumberMarker=marker)
            parts = found.get("ObjectParts", {})
            if found.get("ETag", "").strip('"') != etag.strip('"') or found["ObjectSize"] != size:
                raise ValueError("it was replaced")
            for part in parts.get("Parts", ()):
                crc_32 = decoded_crc_32(part.get("ChecksumCRC32"))
                if crc_32 is None:
                    raise ValueError("a part has none")
                left -= part["Size"]
                yield crc_32, part["Size"]
            if not parts.get("IsTruncated"):
                break
            marker = parts["NextPartNumberMarker"]
        if left:
            raise ValueError("there are not all parts")


_clients: Final = PerProcess()


def shared_client(storage: Any) -> Any:
    """Return the one client with which this process reads from a storage.

    The storage makes one for each thread, which costs 0.2 s and 14 MB, and under ASGI each request
    has a thread of its own. Clients, unlike what else boto3 has, may be shared by threads. A
    storage with another `connection` may mean another one each time.
    """
    if not _is_shared(storage):
        return storage.connection.meta.client
    return _clients.get(storage, _pooled_client)


def _pooled_client(storage: Any) -> Any:
    """Make a client that keeps as many connections as are used at a time."""
    number = connections_at_once()
    config = s3_config(storage)
    if config.max_pool_connections < number:
        wider = config.merge(Config(max_pool_connections=number))
        storage = with_s3_config(storage, wider)
    return storage.connection.meta.client


def _is_shared(storage: Any) -> bool:
    return type(storage).connection is S3Storage.connection


def _s3_store(storage: Any, bucket: str) -> Any:
    """Make what obstore reads a bucket with: the same place, the same credentials.

    None where boto3 does more than that: follows a bucket to a region that nobody named, resolves
    an access point, leaves requests unsigned.
    """
    from obstore.store import S3Store

    client = shared_client(storage)
    config, url = client.meta.config, urlsplit(client.meta.endpoint_url)
    session = s3_session(storage)
    is_placed = storage.region_name or session.region_name or storage.endpoint_url
    if not is_placed or ":" in bucket or config.signature_version is UNSIGNED:
        return None
    is_virtual = (config.s3 or {}).get("addressing_style") == "virtual"
    host = f"{bucket}.{url.netloc}" if is_virtual else url.netloc
    credentials = session.get_credentials()
    return S3Store(
        bucket,
        endpoint=f"{url.scheme}://{host}",
        region=client.meta.region_name,
        virtual_hosted_style_request=is_virtual,
        skip_signature=credentials is None,
        credential_provider=None if credentials is None else partial(_frozen, credentials),
        **async_reader.options(url.scheme, _verify(storage), config.proxies),
    )


def _verify(storage: Any) -> bool | str | None:
    """Return which certificates are trusted, as boto3 finds it out."""
    return os.environ.get("AWS_CA_BUNDLE") if storage.verify is None else storage.verify


def _frozen(credentials: Any) -> dict[str, Any]:
    """Return boto3's credentials as obstore wants them; boto3 renews them ten minutes before."""
    frozen = credentials.get_frozen_credentials()
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token,
        "expires_at": datetime.now(UTC) + _CREDENTIALS_LIFE,
    }


def _archive(found: Mapping[str, Any]) -> str | None:
    """Return which archive an object is in; None if it is in none, or was restored from it."""
    how: str | None = found.get("ArchiveStatus")  # of INTELLIGENT_TIERING
    if how is None and found.get("StorageClass") in _ARCHIVES:
        how = found["StorageClass"]
    is_restored = 'ongoing-request="false"' in found.get("Restore", "")
    return None if is_restored else how


def decoded_crc_32(value: str | None) -> int | None:
    """Return the CRC-32 in a header's value: Base64 of four bytes, and nothing more."""
    try:
        binary = base64.b64decode(value or "", validate=True)
    except binascii.Error:
        return None
    return int.from_bytes(binary, "big") if len(binary) == 4 else None


def _extent(found: Mapping[str, Any], start: int, *, is_ranged: bool) -> tuple[int, int]:
    """Return where a response ends in the object, and the object's size."""
    if not is_ranged:
        return found["ContentLength"], found["ContentLength"]
    match = _CONTENT_RANGE.match(found.get("ContentRange", ""))
    if match is None or int(match[1]) != start:
        raise OSError(f"a range from {start} was answered with {found.get('ContentRange')!r}")
    return int(match[2]) + 1, int(match[3])
