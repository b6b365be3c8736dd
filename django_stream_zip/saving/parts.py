"""An archive saved in parts, each made by any process, any number of times, in any order.

All that has to be passed on is a token. Everybody plans the same archive from the same members, and
makes parts of it: windows of the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Final

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.saving.archive import ZipSource
from django_stream_zip.saving.errors import ArchiveChangedError, NotDivisibleError
from django_stream_zip.saving.writers.table import AnyWriter, writer_for
from django_stream_zip.saving.writers.writer import (
    PartWriter,
    Published,
    Upload,
    UploadToken,
    part_sizes,
)

__all__ = ["SavedZip", "ZipParts", "abort_upload", "zip_parts"]

logger = logging.getLogger("django_stream_zip")

#: Nobody saves an archive for a day; if somebody does, the parts come more often than that.
ABANDONED_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SavedZip:
    """An archive that was saved.

    Attributes:
        name: Its name in the storage.
        length: Number of bytes.
        entity_tag: The one that a response with these members has; None where it has none.
        crc_32: The CRC-32 of the whole that the storage keeps; None if it keeps none.
        members: Number of members.
        bytes_sent: How many bytes this process sent to the storage. (A resumed one sends less than
            all.)
        bytes_copied: How many bytes were copied inside of the storage.
    """

    name: str
    length: int
    entity_tag: str | None = None
    crc_32: int | None = None
    members: int = 0
    bytes_sent: int = 0
    bytes_copied: int = 0


def saved(name: str, archive: ZipSource, published: Published, sent: int) -> SavedZip:
    """Return what is known of an archive that a storage has published."""
    return SavedZip(
        name,
        published.length,
        archive.entity_tag,
        published.crc_32,
        archive.member_count,
        bytes_sent=sent,
    )


def zip_parts(
    storage: Any,
    name: str,
    members: Any,
    *,
    token: str | None = None,
    compress: bool | None = None,
    extended_timestamps: bool = True,
    comment: str = "",
    overwrite: bool = False,
    part_size: int | None = None,
) -> ZipParts:
    """Begin to save the archive of `members` in parts, or with a token go on with that.

    Args:
        storage: A storage that takes parts: of files, S3, Azure or SFTP.
        name: The archive's name in it.
        members: A sequence. All their CRC-32s have to be known, and with a token they have to be
            the same as before, as does all that is said of the archive.
        token: That of parts which were begun, here or elsewhere.
        compress: As for `zip_response`; so are the next two.
        extended_timestamps: Whether times are also written in seconds since 1970.
        comment: The archive's comment.
        overwrite: Whether a file of that name is replaced. Without it, one is an error.
        part_size: Length of each part in bytes; None chooses one that the storage takes.

    Raises:
        NotDivisibleError: The archive can't be made in parts, or the storage takes none.
        ArchiveChangedError: The members, or the name, are others than those that the token is for.
        NameTakenError: There is a file of that name.
        NameRefusedError: The storage can't have a file of that name.
        PartSizeError: Parts of that size are too small, too large or too many.
    """
    writer = writer_for(storage, name, overwrite=overwrite)
    if token is None:
        writer.check()
        sweep_abandoned(writer)
    archive = ZipSource(
        members, compress=compress, extended_timestamps=extended_timestamps, comment=comment
    )
    return parts_of(writer, archive, token, part_size)


def sweep_abandoned(writer: AnyWriter) -> None:
    """Sweep, but only warn where that fails: it is no reason not to save."""
    try:
        if isinstance(writer, PartWriter):
            writer.sweep(ABANDONED_AFTER)
    except Exception:
        logger.warning("could not sweep old uploads of %r", writer.name, exc_info=True)


def parts_of(
    writer: AnyWriter, archive: ZipSource, token: str | None = None, part_size: int | None = None
) -> ZipParts:
    """Do what `zip_parts` does, with an archive that is planned already."""
    if not isinstance(writer, PartWriter):
        raise NotDivisibleError(f"{type(writer.storage).__name__} takes no parts")
    if not archive.is_divisible:
        raise NotDivisibleError(_why(archive))
    if token is None:
        return ZipParts(archive, writer.begin(archive.length, part_size, archive.entity_tag))
    parsed = UploadToken.loads(token)
    if parsed.name != writer.name:
        raise ArchiveChangedError(f"the token is of {parsed.name!r}, and not of {writer.name!r}")
    if parsed.entity_tag != archive.entity_tag:
        raise ArchiveChangedError(
            f"the members are not those that the upload of {parsed.name!r} was begun with"
        )
    return ZipParts(archive, writer.reopen(parsed))


def abort_upload(storage: Any, token: str) -> None:
    """Remove an upload that nobody is going to complete. What is published stays."""
    parsed = UploadToken.loads(token)
    writer = writer_for(storage, parsed.name)
    if isinstance(writer, PartWriter):
        writer.reopen(parsed).abort()


class ZipParts:
    """The parts of an archive, numbered from 1, and the upload that they go to."""

    def __init__(self, archive: ZipSource, upload: Upload) -> None:
        self._archive = archive
        self._upload = upload
        length = archive.length or 0
        self.sizes = part_sizes(length, upload.token.part_size)
        self._starts = [0, *accumulate(self.sizes)]

    @property
    def token(self) -> str:
        """What `zip_parts` needs to go on, in any process: a JSON text."""
        return self._upload.token.dumps()

    @property
    def name(self) -> str:
        """The archive's name in the storage."""
        return self._upload.token.name

    def __len__(self) -> int:
        """Return how many parts there are."""
        return len(self.sizes)

    def missing(self) -> list[int]:
        """Ask the storage, and return the numbers of the parts that it doesn't have."""
        found = self.found()
        return [number for number in range(1, len(self) + 1) if number not in found]

    def found(self) -> dict[int, int | None]:
        """Ask the storage, and return the CRC-32s of the parts that it has, by their numbers.

        Each is None if the storage keeps none: see `complete`.
        """
        there = self._upload.parts()
        return {
            number: there[number].crc_32
            for number, size in enumerate(self.sizes, 1)
            if number in there and there[number].size == size
        }

    def save(self, number: int) -> int:
        """Make a part and write it; return its CRC-32.

        Raises:
            UploadGoneError: The upload was aborted or completed.
        """
        if not 1 <= number <= len(self.sizes):
            raise ValueError(f"the parts are 1 to {len(self.sizes):,}, there is no {number!r}")
        start, stop = self._starts[number - 1 : number + 1]
        data = self._archive.window(start, stop)
        crc_32 = crc32(data)
        self._upload.write_part(number, data, crc_32)
        return crc_32

    def complete(self, crc_32s: Mapping[int, int] = MappingProxyType({})) -> SavedZip:
        """Publish the archive when all parts are there. Another time, say the same.

        Whoever makes a part can't tell whether the content that it cuts has the CRC-32 that its
        member declares. So that of the whole is compared here, where those of all parts are known:
        from this process, from the storage, or from the caller.

        Args:
            crc_32s: What `save` returned elsewhere, by numbers, for storages that keep none: some
                that speak S3's protocol don't.

        Raises:
            CRC32IntegrityError: A content has another CRC-32 than its member declares.
            IncompleteError: A part is missing.
            NameTakenError: There is a file of that name by now.
            UploadGoneError: The upload was aborted.
        """
        published = self._upload.complete(crc_32=self._archive.crc_32, crc_32s=crc_32s)
        sent = sum(part.size for part in self._upload.written.values())
        return saved(self.name, self._archive, published, sent)

    def is_published(self) -> bool:
        """Ask whether the archive is published already."""
        return self._upload.published() is not None

    def stop(self) -> None:
        """Have parts that are being made end with an error, in any thread."""
        self._archive.stop()

    def abort(self) -> None:
        """Remove the upload. What is published stays."""
        self._upload.abort()


def _why(archive: ZipSource) -> str:
    """Return why an archive can't be made in parts."""
    if archive.plan is None:
        return (
            "its members are no sequence, or some of them are compressed: nobody knows its length"
        )
    if archive.plan.entity_tag is None:
        return "it has a password, or a content whose state nobody knows"
    return f"the CRC-32 of member {archive.first_unknown!r} isn't known before it is read"
