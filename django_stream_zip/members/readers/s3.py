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
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from s3transfer.manager import TransferManager
from storages.backends.s3 import S3Storage
from storages.utils import clean_name
from urllib3.exceptions import HTTPError

from django_stream_zip.members.readers.combine import folded
from django_stream_zip.members.readers.remote import CHUNK_LENGTH, Body, Head, RemoteReader

logger = logging.getLogger("django_stream_zip")

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


class S3Reader(RemoteReader):
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
        key = storage._normalize_name(clean_name(name))
        self.opens_decoded = storage.gzip
        self.client = shared_client(storage)
        # What the storage sends along when it opens an object: keys of encryption, who pays.
        parameters = storage.get_object_parameters(key[len(storage.location) :].lstrip("/"))
        allowed = set(TransferManager.ALLOWED_DOWNLOAD_ARGS) & parameters.keys()
        self.request = {parameter: parameters[parameter] for parameter in allowed}
        self.request |= {"Bucket": storage.bucket_name, "Key": key}

    def _head(self) -> Head:
        # Only GET asks for the checksum by itself.
        found = self.client.head_object(**{**self.request, "ChecksumMode": "ENABLED"})
        encoding = found.get("ContentEncoding") or ""
        head = Head(found["ContentLength"], found["LastModified"], found["ETag"], encoding)
        if self.decodes(encoding):
            return head
        return head._replace(crc_32=self._crc_32(found))

    def _crc_32(self, found: Mapping[str, Any]) -> int | None:
        """Give the CRC-32 of all of the object's bytes, if what was found tells."""
        if found.get("ChecksumType") != "FULL_OBJECT":
            return None
        return decoded_crc_32(found.get("ChecksumCRC32"))

    def _body(self, start: int, stop: int | None, done: int) -> Body | None:
        conditions = {"IfMatch": self._pin} if self._pin else {}
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
        return Body(
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
            logger.warning("the checksums of the parts of %r: %s", self.name, error)
            return None
        # The object's own checksum is that of the parts' checksums.
        binary = b"".join(crc_32.to_bytes(4, "big") for crc_32, _ in parts)
        if decoded_crc_32(value.partition("-")[0]) != zlib.crc32(binary):
            return None
        return folded(parts)

    def _parts(self, etag: str, size: int) -> Iterator[tuple[int, int]]:
        """Give each part's CRC-32 and size. Raises ValueError if they don't make this object."""
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


_clients: WeakKeyDictionary[S3Storage, tuple[int, Any]] = WeakKeyDictionary()


def shared_client(storage: Any) -> Any:
    """Give the one client with which this process reads from a storage.

    The storage makes one for each thread, which costs 0.2 s and 14 MB, and under ASGI each request
    has a thread of its own. Clients, unlike what else boto3 has, may be shared by threads. They
    don't survive a fork. A storage with another `connection` may mean another one each time.
    """
    if type(storage).connection is not S3Storage.connection:
        return storage.connection.meta.client
    process, client = _clients.get(storage, (None, None))
    if process != os.getpid():
        client = storage.connection.meta.client
        _clients[storage] = os.getpid(), client
    return client


def decoded_crc_32(value: str | None) -> int | None:
    """Give the CRC-32 in a header's value: Base64 of four bytes, and nothing more."""
    try:
        binary = base64.b64decode(value or "", validate=True)
    except binascii.Error:
        return None
    return int.from_bytes(binary, "big") if len(binary) == 4 else None


def _extent(found: Mapping[str, Any], start: int, *, is_ranged: bool) -> tuple[int, int]:
    """Give where a response ends in the object, and the object's size."""
    if not is_ranged:
        return found["ContentLength"], found["ContentLength"]
    match = _CONTENT_RANGE.match(found.get("ContentRange", ""))
    if match is None or int(match[1]) != start:
        raise OSError(f"a range from {start} was answered with {found.get('ContentRange')!r}")
    return int(match[2]) + 1, int(match[3])
