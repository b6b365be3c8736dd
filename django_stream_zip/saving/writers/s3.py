"""S3 and what speaks its protocol: multipart uploads.

A part's CRC-32 is sent with it and compared with the store's. Where the store keeps CRC-32s of
whole objects, the archive's own is sent at the end: the store doesn't publish anything else. What
stores don't know of all that (conditions, checksums, sizes), most of them ignore.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError
from s3transfer.manager import TransferManager

from django_stream_zip.members.readers.compat import S3_CONNECTIONS, object_key
from django_stream_zip.members.readers.processes import forget_after_fork
from django_stream_zip.members.readers.s3 import decoded_crc_32, shared_client
from django_stream_zip.saving.errors import UploadGoneError
from django_stream_zip.saving.writers import s3_copies
from django_stream_zip.saving.writers.copy_source import CopySource
from django_stream_zip.saving.writers.remote import CONTENT_TYPE, MARK, translated
from django_stream_zip.saving.writers.writer import (
    MIB,
    Data,
    Limits,
    Part,
    PartWriter,
    Published,
    Upload,
    UploadToken,
    whole_crc_32,
)

_CHECKSUMS: Final = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
# What is asked of an upload.
_OPERATIONS: Final = (
    *("UploadPart", "UploadPartCopy", "ListParts"),
    *("CompleteMultipartUpload", "HeadObject"),
)
# A store answers so where it has no checksums or conditions at all, but says that it hasn't.
_UNKNOWN: Final = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest"})


class S3Writer(PartWriter):
    """Writes into an S3Storage."""

    limits: ClassVar[Limits] = Limits(
        default=8 * MIB, minimum=5 * MIB, maximum=5 << 30, number=10_000, doubled_after=1000
    )

    def __init__(self, storage: Any, name: str, *, overwrite: bool = False) -> None:
        super().__init__(storage, name, overwrite=overwrite)
        forget_after_fork(storage, S3_CONNECTIONS)
        self._client = shared_client(storage)
        self._target = {"Bucket": storage.bucket_name, "Key": object_key(storage, self.name)}

    def exists(self) -> bool:
        """Ask for the object's headers."""
        with _translated(self.name):
            return _head(self._client, self._parameters("HeadObject")) is not None

    def _begin(self, token: UploadToken) -> Upload:
        parameters = self._parameters("CreateMultipartUpload")
        parameters.setdefault("ContentType", CONTENT_TYPE)
        metadata = {**parameters.pop("Metadata", {}), MARK: token.mark}
        with _translated(self.name):
            found = _with_or_without(
                _CHECKSUMS, self._client.create_multipart_upload, **parameters, Metadata=metadata
            )
        return self.reopen(token._replace(upload_id=found["UploadId"]))

    def reopen(self, token: UploadToken) -> S3Upload:
        """Return an upload that was begun."""
        parameters = {operation: self._parameters(operation) for operation in _OPERATIONS}
        return S3Upload(token, self._client, self._target, parameters)

    def sweep(self, older_than: timedelta) -> int:
        """Abort uploads to this key that were begun so long ago."""
        before = datetime.now(UTC) - older_than
        old = [found for found in self._uploads() if found["Initiated"] <= before]
        for found in old:
            _abort(self._client, UploadId=found["UploadId"], **self._target)
        return len(old)

    def copy_source(self, content: Any) -> CopySource | None:
        """Return the object that a content is, if this store has it."""
        return s3_copies.copy_source(self._client, content)

    def _uploads(self) -> Iterator[Any]:
        key = self._target["Key"]
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._target["Bucket"], Prefix=key):
            for found in page.get("Uploads", ()):
                if found["Key"] == key:
                    yield found

    def _parameters(self, operation: str) -> dict[str, Any]:
        """Return what the storage has sent with an object, as far as an operation takes it."""
        own = self.storage.get_object_parameters(self.name)
        if self.storage.default_acl:
            own.setdefault("ACL", self.storage.default_acl)
        members = self._client.meta.service_model.operation_model(operation).input_shape.members
        # Checksums are the writer's own.
        allowed = ({*TransferManager.ALLOWED_UPLOAD_ARGS} - _CHECKSUMS.keys()) & members.keys()
        chosen = {name: value for name, value in own.items() if name in allowed}
        return {**chosen, **self._target}


class S3Upload(Upload):
    """A multipart upload."""

    def __init__(
        self,
        token: UploadToken,
        client: Any,
        target: dict[str, str],
        parameters: dict[str, dict[str, Any]],
    ) -> None:
        super().__init__(token)
        self.client = client
        self.target = target
        self._parameters = parameters

    def write_part(self, number: int, data: Data, crc_32: int) -> None:
        """Upload a part with its CRC-32."""
        with _translated(self.token.name):
            found = self.client.upload_part(
                **self.of("UploadPart"),
                PartNumber=number,
                Body=data,
                ChecksumCRC32=encoded_crc_32(crc_32),
            )
        kept = decoded_crc_32(found.get("ChecksumCRC32"))
        if kept not in (None, crc_32):
            raise OSError(f"{self.token.name}: the store got another part than was sent to it")
        self.written[number] = Part(len(data), crc_32, found["ETag"], kept is not None)

    def parts(self) -> dict[int, Part]:
        """List the parts that the store has."""
        pages = self.client.get_paginator("list_parts").paginate(**self.of("ListParts"))
        try:
            with _translated(self.token.name):
                return {
                    part["PartNumber"]: _part(part)
                    for page in pages
                    for part in page.get("Parts", ())
                }
        except UploadGoneError:
            return {}

    def published(self) -> Published | None:
        """Ask whether the object is what this upload has become."""
        request = {**self._parameters["HeadObject"], "ChecksumMode": "ENABLED"}
        with _translated(self.token.name):
            found = _head(self.client, request)
        if found is None or found["Metadata"].get(MARK) != self.token.mark:
            return None
        return Published(found["ContentLength"], decoded_crc_32(found.get("ChecksumCRC32")))

    def _publish(self, parts: Sequence[Part]) -> Published:
        length = sum(part.size for part in parts)
        listed = [_listed(number, part) for number, part in enumerate(parts, 1)]
        request = {**self.of("CompleteMultipartUpload"), "MultipartUpload": {"Parts": listed}}
        crc_32 = whole_crc_32(parts) if all(part.is_kept for part in parts) else None
        if crc_32 is not None:
            request |= {
                "ChecksumCRC32": encoded_crc_32(crc_32),
                "ChecksumType": "FULL_OBJECT",
                "MpuObjectSize": length,
            }
        condition = {} if self.token.overwrite else {"IfNoneMatch": "*"}
        with _translated(self.token.name):
            found = _with_or_without(condition, self.client.complete_multipart_upload, **request)
        kept = decoded_crc_32(found.get("ChecksumCRC32"))
        return Published(length, crc_32 if kept is None else kept)

    def abort(self) -> None:
        """Abort the upload."""
        _abort(self.client, **self.target, UploadId=self.token.upload_id)

    def of(self, operation: str) -> dict[str, Any]:
        """Return what every request of this kind says."""
        return {**self._parameters[operation], "UploadId": self.token.upload_id}


def encoded_crc_32(crc_32: int) -> str:
    """Return a CRC-32 as S3 has it in headers."""
    return base64.b64encode(crc_32.to_bytes(4, "big")).decode()


def _listed(number: int, part: Part) -> dict[str, Any]:
    """Return a part as it is listed when an upload is completed."""
    listed: dict[str, Any] = {"PartNumber": number, "ETag": part.tag}
    if part.is_kept and part.crc_32 is not None:
        listed["ChecksumCRC32"] = encoded_crc_32(part.crc_32)
    return listed


def _part(found: dict[str, Any]) -> Part:
    """Return a part as it is listed."""
    crc_32 = decoded_crc_32(found.get("ChecksumCRC32"))
    return Part(found["Size"], crc_32, found["ETag"], crc_32 is not None)


def _with_or_without(options: dict[str, Any], call: Any, **request: Any) -> Any:
    """Make a request with options; without them where the store says that it doesn't know them."""
    try:
        return call(**request, **options)
    except ClientError as error:
        if not options or error.response["Error"]["Code"] not in _UNKNOWN:
            raise
        return call(**request)


def _head(client: Any, request: dict[str, Any]) -> Any:
    """Return an object's headers, None if it isn't there."""
    try:
        return client.head_object(**request)
    except ClientError as error:
        if _status(error) == 404:
            return None
        raise


def _abort(client: Any, **request: Any) -> None:
    try:
        client.abort_multipart_upload(**request)
    except ClientError as error:
        if _status(error) != 404:
            raise


def _status(error: Any) -> int | None:
    status: int | None = error.response["ResponseMetadata"].get("HTTPStatusCode")
    return status


def _status_of_upload(error: Any) -> int | None:
    """Return the status, 404 only where it is the upload that isn't there, and not the bucket."""
    status = _status(error)
    is_gone = error.response["Error"].get("Code") == "NoSuchUpload"
    return status if status != 404 or is_gone else None


def _translated(name: str) -> AbstractContextManager[None]:
    return translated(name, (ClientError,), _status_of_upload)
