"""Files in memory: parts are kept beside the storage until all are there."""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.core.files.base import File

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.saving.errors import name_taken, upload_gone
from django_stream_zip.saving.writers.writer import (
    Data,
    Part,
    PartWriter,
    Published,
    Upload,
    UploadToken,
)

# By storage and id: an upload is there until it is completed or aborted, as in any other storage.
_uploads: Final[WeakKeyDictionary[Any, dict[str, dict[int, bytes]]]] = WeakKeyDictionary()


class MemoryWriter(PartWriter):
    """Writes into an InMemoryStorage."""

    def _begin(self, token: UploadToken) -> Upload:
        upload_id = secrets.token_hex(8)
        _uploads.setdefault(self.storage, {})[upload_id] = {}
        return MemoryUpload(token._replace(upload_id=upload_id), self.storage)

    def reopen(self, token: UploadToken) -> Upload:
        """Return an upload that was begun by this process."""
        return MemoryUpload(token, self.storage)

    def sweep(self, older_than: timedelta) -> int:
        """Leave all: who forgets an upload is this process, which ends."""
        return 0


class MemoryUpload(Upload):
    """Parts in memory."""

    def __init__(self, token: UploadToken, storage: Any) -> None:
        super().__init__(token)
        self._storage = storage
        self._uploads = _uploads.setdefault(storage, {})

    def write_part(self, number: int, data: Data, crc_32: int) -> None:
        """Keep a part."""
        try:
            self._uploads[self.token.upload_id][number] = bytes(data)
        except KeyError:
            raise upload_gone(self.token.name) from None
        self.written[number] = Part(len(data), crc_32)

    def parts(self) -> dict[int, Part]:
        """Return what is kept."""
        kept = self._uploads.get(self.token.upload_id, {})
        return {number: Part(len(data), crc32(data)) for number, data in kept.items()}

    def published(self) -> Published | None:
        """Return what is there, if it is as long: nobody else but this process has it."""
        name, length = self.token.name, self.token.length
        is_gone = self.token.upload_id not in self._uploads
        if is_gone and self._storage.exists(name) and self._storage.size(name) == length:
            return Published(self._storage.size(name))
        return None

    def _publish(self, parts: Sequence[Part]) -> Published:
        name = self.token.name
        if self.token.upload_id not in self._uploads:
            raise upload_gone(name)
        if not self.token.overwrite and self._storage.exists(name):
            raise name_taken(name)
        kept = self._uploads.pop(self.token.upload_id)
        data = b"".join(kept[number] for number in range(1, len(parts) + 1))
        # Not to be saved under another name: what is there is to be overwritten.
        if self._storage.exists(name):
            self._storage.delete(name)
        self._storage.save(name, File(io.BytesIO(data), name=name))
        return Published(len(data))

    def abort(self) -> None:
        """Forget all parts."""
        self._uploads.pop(self.token.upload_id, None)
