"""Objects that S3 copies into an upload by itself, as parts of it.

The copy is of the version that was described, and of no other: each request says so. A store that
doesn't care is asked afterwards whether the object is still that version.
"""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from django_stream_zip.members.readers.compat import s3_place
from django_stream_zip.members.readers.s3 import S3PartsReader, S3Reader, decoded_crc_32
from django_stream_zip.members.storage import StorageContent
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.saving.errors import upload_gone
from django_stream_zip.saving.writers.copy_source import CopyRefusedError, CopySource
from django_stream_zip.saving.writers.writer import Part

# A reader of somebody's own may return other bytes than those that are stored: decrypted ones.
_AS_STORED: Final = (S3Reader, S3PartsReader)
# What a store answers that won't copy what it lets us read, or doesn't copy at all.
_REFUSALS: Final = frozenset({401, 403, 405, 501})
_NO_VERSION: Final = '"00000000000000000000000000000000"'

# By endpoint, whether it refuses to copy what isn't the version that was asked for.
_is_careful: dict[str, bool] = {}


class S3Source(CopySource):
    """An object that an upload's store can copy."""

    def __init__(self, reader: S3Reader) -> None:
        self.place = reader.request["Bucket"]
        self._reader = reader

    def is_copyable(self, size: int) -> bool:
        """Ask for the object's headers, unless somebody has. Returns whether it is as long as that.

        Raises what the reader does for one that is missing, archived or replaced.
        """
        reader, expected = self._reader, self._reader.version
        if reader.seen_size is None:
            reader.may_pass = False  # its member is made, of the decoded bytes
            reader.describe()
        if expected not in (None, reader.version):
            raise reader.changed()
        if reader.is_encoded:
            return False
        if reader.seen_size != size:
            raise reader.changed()
        return reader.version is not None

    def copy_part(self, upload: Any, number: int, start: int, stop: int) -> None:
        """Have a range become a part, with the CRC-32 that the store computes."""
        is_careful = self._is_store_careful(upload, number)
        found = self._copied(upload, number, start, stop, self._reader.version)
        if not is_careful:
            self._check_version()
        crc_32 = decoded_crc_32(found.get("ChecksumCRC32"))
        is_kept = crc_32 is not None
        upload.written[number] = Part(stop - start, crc_32, found["ETag"], is_kept)

    def _is_store_careful(self, upload: Any, number: int) -> bool:
        """Return whether the store refuses a version that it doesn't have. Each is asked once.

        One that doesn't refuse makes a part of it, which the right one replaces.
        """
        endpoint = self._reader.client.meta.endpoint_url
        if endpoint not in _is_careful:
            try:
                self._copied(upload, number, 0, 1, _NO_VERSION)
                _is_careful[endpoint] = False
            except ContentChangedError:
                _is_careful[endpoint] = True
            except ClientError:  # for another reason, so nobody knows
                _is_careful[endpoint] = False
        return _is_careful[endpoint]

    def _copied(
        self, upload: Any, number: int, start: int, stop: int, version: str | None
    ) -> dict[str, Any]:
        source = {key: self._reader.request[key] for key in ("Bucket", "Key")}
        with self._reader.translated():
            try:
                found = upload.client.upload_part_copy(
                    **upload.of("UploadPartCopy"),
                    PartNumber=number,
                    CopySource=source,
                    CopySourceIfMatch=version,
                    CopySourceRange=f"bytes={start}-{stop - 1}",
                )
            except ClientError as error:
                if error.response["Error"].get("Code") == "NoSuchUpload":
                    raise upload_gone(upload.token.name) from error
                if error.response["ResponseMetadata"].get("HTTPStatusCode") in _REFUSALS:
                    raise CopyRefusedError(self.place) from error
                raise
        result: dict[str, Any] = found["CopyPartResult"]
        return result

    def _check_version(self) -> None:
        """Raise ContentChangedError if the object is no longer the version that was described."""
        with self._reader.translated():
            found = self._reader.client.head_object(**self._reader.request)
        if found["ETag"] != self._reader.version:
            raise self._reader.changed()


def copy_source(client: Any, content: Any) -> S3Source | None:
    """Return what a client's store copies a content from; None where it can't.

    It can if the content is an object that the same client could read, with nothing more than its
    key: not one that is encrypted with a customer's own, for example.
    """
    reader: Any = content.reader if isinstance(content, StorageContent) else None
    if type(reader) not in _AS_STORED or reader.request.keys() != {"Bucket", "Key"}:
        return None
    is_here = reader.client is client or s3_place(reader.client) == s3_place(client)
    return S3Source(reader) if is_here else None
