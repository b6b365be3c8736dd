"""Google Cloud Storage: a resumable upload, whose object is there when its last byte has come.

Its package reads the archive by chunks. (Not through `blob.open("wb")`: when an error is on its
way, closing that file publishes what was written so far, and whatever collects it closes it.) What
an error leaves is a session that nobody sees and that Google forgets after a week.
"""

from __future__ import annotations

from typing import Any, Final, cast

from google.api_core.exceptions import GoogleAPIError

from django_stream_zip.members.readers.compat import GOOGLE_CONNECTIONS, object_key
from django_stream_zip.members.readers.processes import forget_after_fork
from django_stream_zip.saving.writers.remote import CONTENT_TYPE, translated
from django_stream_zip.saving.writers.writer import MIB, Published, Readable, StreamWriter

# Each chunk is a request and is kept until it is answered; the package's own are 100 MiB.
_CHUNK_LENGTH: Final = 8 * MIB


class GoogleCloudWriter(StreamWriter):
    """Writes into a GoogleCloudStorage."""

    def __init__(self, storage: Any, name: str, *, overwrite: bool = False) -> None:
        super().__init__(storage, name, overwrite=overwrite)
        forget_after_fork(storage, GOOGLE_CONNECTIONS)
        self._key = object_key(storage, self.name)

    def exists(self) -> bool:
        """Ask whether there is such an object."""
        with translated(self.name, (GoogleAPIError,), _status):
            return self.storage.bucket.get_blob(self._key) is not None

    def save(self, archive: Readable) -> Published:
        """Upload the archive."""
        parameters = self.storage.get_object_parameters(self.name)
        acl = parameters.pop("acl", self.storage.default_acl)
        content_type = parameters.pop("content_type", CONTENT_TYPE)
        blob = self.storage.bucket.blob(self._key, chunk_size=_CHUNK_LENGTH)
        for attribute, value in parameters.items():
            setattr(blob, attribute, value)
        with translated(self.name, (GoogleAPIError,), _status):
            blob.upload_from_file(
                cast(Any, archive),
                rewind=False,
                size=getattr(archive, "size", None),
                content_type=content_type,
                predefined_acl=acl,
                if_generation_match=None if self.overwrite else 0,
            )
        return Published(archive.reached)


def _status(error: Any) -> int | None:
    status: int | None = getattr(error, "code", None)
    return status
