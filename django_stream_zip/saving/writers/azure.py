"""Azure Blob Storage: blocks that are staged, and become a blob when their list is committed.

Nobody sees staged blocks. They can't be removed: Azure does so after a week, or when somebody
commits others to the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, ClassVar

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings

from django_stream_zip.members.readers.compat import AZURE_CONNECTIONS, blob_name
from django_stream_zip.members.readers.processes import forget_after_fork
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
)


class AzureWriter(PartWriter):
    """Writes into an AzureStorage."""

    limits: ClassVar[Limits] = Limits(
        default=8 * MIB, maximum=4000 * MIB, number=50_000, doubled_after=5000
    )

    def __init__(self, storage: Any, name: str, *, overwrite: bool = False) -> None:
        super().__init__(storage, name, overwrite=overwrite)
        forget_after_fork(storage, AZURE_CONNECTIONS)
        self._blob = storage.client.get_blob_client(blob_name(storage, self.name))

    def exists(self) -> bool:
        """Ask whether there is such a blob."""
        with _translated(self.name):
            return bool(self._blob.exists(timeout=self.storage.timeout))

    def _begin(self, token: UploadToken) -> Upload:
        return self.reopen(token)

    def reopen(self, token: UploadToken) -> Upload:
        """Return an upload: nothing is to be done before its first block."""
        parameters = {
            "cache_control": self.storage.cache_control,
            "content_type": CONTENT_TYPE,
            **self.storage.get_object_parameters(self.name),
        }
        return AzureUpload(token, self._blob, ContentSettings(**parameters), self.storage.timeout)

    def sweep(self, older_than: timedelta) -> int:
        """Leave it to Azure."""
        return 0


class AzureUpload(Upload):
    """Blocks of a blob to be, named by the mark that no other upload has, number and CRC-32."""

    def __init__(
        self, token: UploadToken, blob: Any, settings: ContentSettings, timeout: int
    ) -> None:
        super().__init__(token)
        self._blob = blob
        self._settings = settings
        self._timeout = timeout

    def write_part(self, number: int, data: Data, crc_32: int) -> None:
        """Stage a block."""
        block = f"{self.token.mark}-{number:05}-{crc_32:08x}"
        with _translated(self.token.name):
            self._blob.stage_block(block, bytes(data), len(data), timeout=self._timeout)
        self.written[number] = Part(len(data), crc_32, block)

    def parts(self) -> dict[int, Part]:
        """List the blocks that are staged."""
        try:
            with _translated(self.token.name):
                _, staged = self._blob.get_block_list("uncommitted", timeout=self._timeout)
        except ResourceNotFoundError:
            return {}
        parts = {}
        for block in staged:
            mark, _, rest = block.id.partition("-")
            if mark == self.token.mark:
                number, _, crc_32 = rest.partition("-")
                parts[int(number)] = Part(block.size, int(crc_32, 16), block.id)
        return parts

    def published(self) -> Published | None:
        """Ask whether the blob is what this upload has become."""
        try:
            with _translated(self.token.name):
                found = self._blob.get_blob_properties(timeout=self._timeout)
        except ResourceNotFoundError:
            return None
        return Published(found.size) if found.metadata.get(_MARK) == self.token.mark else None

    def _publish(self, parts: Sequence[Part]) -> Published:
        condition = {} if self.token.overwrite else {"match_condition": MatchConditions.IfMissing}
        with _translated(self.token.name):
            self._blob.commit_block_list(
                [BlobBlock(part.tag) for part in parts],
                content_settings=self._settings,
                metadata={_MARK: self.token.mark},
                timeout=self._timeout,
                **condition,
            )
        return Published(sum(part.size for part in parts))

    def abort(self) -> None:
        """Leave the blocks to Azure."""


# Azure has identifiers as names.
_MARK = MARK.replace("-", "_")


def _status(error: Any) -> int | None:
    """Return the status, 404 only where it is the blocks that aren't there."""
    is_gone = error.error_code == "InvalidBlockList"
    status: int | None = 404 if is_gone else error.status_code
    return status if is_gone or status != 404 else None


def _translated(name: str) -> AbstractContextManager[None]:
    return translated(name, (HttpResponseError,), _status)
