"""What a writer is: it puts one archive under one name of a storage, whole or not at all.

There are two kinds. A `PartWriter` begins an upload, to which parts are written in any order and by
any process, and which is published when all are there. A `StreamWriter` reads the archive from its
first byte to its last one.
"""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import repeat
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.utils import validate_file_name

from django_stream_zip.engine.errors import CRC32IntegrityError
from django_stream_zip.members.readers.combine import combined_parts
from django_stream_zip.saving.errors import (
    IncompleteError,
    NameRefusedError,
    PartSizeError,
    name_taken,
)
from django_stream_zip.saving.writers.copy_source import CopySource

MIB: Final = 1 << 20
#: What parts are made of.
Data: TypeAlias = bytes | bytearray


class Part(NamedTuple):
    """A part that is in the storage.

    `crc_32` is None if nobody here knows it; `is_kept` says whether the storage computes and keeps
    it, too. `tag` is what the storage knows the part by.
    """

    size: int
    crc_32: int | None = None
    tag: str = ""
    is_kept: bool = False


class Published(NamedTuple):
    """What a storage has published. `crc_32` is the one that it keeps, None if it keeps none."""

    length: int
    crc_32: int | None = None


class Limits(NamedTuple):
    """What a storage takes: how long parts may be, and how many.

    `default` is a size that is good for memory and speed. Parts of an archive of unknown length
    double each `doubled_after` numbers, None if they must all have the same size.
    """

    default: int = 8 * MIB
    minimum: int = 1
    maximum: int = 1 << 40
    number: int = 1 << 31
    doubled_after: int | None = None

    def part_size(self, length: int | None, wanted: int | None = None) -> int:
        """Return how long parts are, those of an archive of that length if it is known.

        Raises:
            PartSizeError: What is wanted can't be.
        """
        if wanted is None:
            # In whole MiB. An archive of unknown length begins with small ones.
            least = -(-(length or 0) // self.number)
            wanted = max(self.default, -(-least // MIB) * MIB)
        if not (type(wanted) is int and self.minimum <= wanted <= self.maximum):
            raise PartSizeError(
                f"part_size must be a number of bytes from {self.minimum:,} to {self.maximum:,} "
                f"here, not {wanted!r}"
            )
        if length is not None and part_count(length, wanted) > self.number:
            least = -(-length // self.number)
            raise PartSizeError(
                f"{length:,} bytes in parts of {wanted:,} are more than {self.number:,} parts: "
                f"part_size must be {least:,} or more, or None"
            )
        return wanted

    def size_of(
        self, number: int, part_size: int, *, is_fixed: bool, length: int | None = None
    ) -> int:
        """Return how long a part may be, of an archive that is written from first to last.

        Raises:
            PartSizeError: It is one part too many.
        """
        if number > self.number:
            raise PartSizeError(
                f"the archive has more than {self.number:,} parts of {part_size:,} bytes: "
                "part_size must be larger, or None"
            )
        if length is not None:
            return min(part_size, length)
        if is_fixed or self.doubled_after is None:
            return part_size
        return min(self.maximum, part_size << (number - 1) // self.doubled_after)


def part_count(length: int, part_size: int) -> int:
    """Return how many parts of that size so many bytes have: one, if there are none."""
    return max(1, -(-length // part_size))


def part_sizes(length: int, part_size: int) -> list[int]:
    """Return the sizes of all parts: equal ones, and what is left."""
    full, last = divmod(length, part_size)
    return [*repeat(part_size, full), *([last] if last or not full else [])]


class UploadToken(NamedTuple):
    """What another process needs to know of an upload, and what it was begun for.

    `mark` is known before the upload has an id, and stays on what is published: so whoever
    completes it a second time can see that it is done.
    """

    name: str
    upload_id: str
    mark: str
    part_size: int
    length: int | None = None
    entity_tag: str | None = None
    overwrite: bool = False

    def dumps(self) -> str:
        """Return it as JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def loads(cls, text: str) -> UploadToken:
        """Return what `dumps` returned as text.

        Raises:
            ValueError: It is something else.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
            raise ValueError(f"{str(text)[:80]!r} is not the token of an upload") from None


class Upload(ABC):
    """An archive on its way into a storage. Nobody sees it before it is complete."""

    def __init__(self, token: UploadToken) -> None:
        self.token = token
        #: The parts that were written through this object.
        self.written: dict[int, Part] = {}

    @abstractmethod
    def write_part(self, number: int, data: Data, crc_32: int) -> None:
        """Write a part, whose number counts from 1. A part that is there is replaced."""

    @abstractmethod
    def parts(self) -> dict[int, Part]:
        """Ask the storage which parts are there."""

    @abstractmethod
    def abort(self) -> None:
        """Remove the upload. What was published stays."""

    @abstractmethod
    def _publish(self, parts: Sequence[Part]) -> Published:
        """Have all parts become the file. Raises NameTakenError or UploadGoneError."""

    @abstractmethod
    def published(self) -> Published | None:
        """Return what this upload has become; None if it hasn't."""

    def complete(
        self,
        sizes: Sequence[int] | None = None,
        crc_32: int | None = None,
        crc_32s: Mapping[int, int] = MappingProxyType({}),
    ) -> Published:
        """Publish the archive, when all parts are there. May be called again.

        Args:
            sizes: Those of all parts in their order; None where they follow from the token, or are
                those that were written through this object.
            crc_32: That of the whole, to be compared with those of the parts if they are known.
            crc_32s: Those of parts that somebody else has written, by numbers.

        Raises:
            CRC32IntegrityError: The parts are not what was expected.
            IncompleteError: A part is missing, or has another size.
            NameTakenError: There is a file of that name by now, and it isn't to be overwritten.
            UploadGoneError: The upload was aborted.
        """
        if sizes is None:
            sizes = self._sizes()
        found = self.written if len(self.written) == len(sizes) else self.parts()
        if not found and (published := self.published()) is not None:
            return published
        wrong = [n for n, size in enumerate(sizes, 1) if n not in found or found[n].size != size]
        if wrong:
            raise IncompleteError(
                f"{len(wrong):,} of {len(sizes):,} parts of {self.token.name!r} are missing or "
                f"have another size: {', '.join(map(str, wrong[:10]))}{' …' * (len(wrong) > 10)}"
            )
        parts = [_known(found[n], crc_32s.get(n)) for n in range(1, len(sizes) + 1)]
        if crc_32 is not None and whole_crc_32(parts) not in (None, crc_32):
            raise CRC32IntegrityError(
                f"{self.token.name!r}: a content has another CRC-32 than its member declares, so "
                "the archive is not saved"
            )
        try:
            return self._publish(parts)
        except Exception:
            # Somebody else may have completed it just now, or the answer was lost.
            if (published := self._published_after_all()) is None:
                raise
            return published

    def _published_after_all(self) -> Published | None:
        with suppress(Exception):
            return self.published()
        return None

    def _sizes(self) -> list[int]:
        if self.token.length is not None:
            return part_sizes(self.token.length, self.token.part_size)
        return [self.written[number].size for number in sorted(self.written)]


def _known(part: Part, crc_32: int | None) -> Part:
    return part if part.crc_32 is not None else part._replace(crc_32=crc_32)


def whole_crc_32(parts: Sequence[Part]) -> int | None:
    """Return the CRC-32 of parts one after the other, if those of all are known."""
    known = [(part.crc_32, part.size) for part in parts if part.crc_32 is not None]
    return combined_parts(known) if len(known) == len(parts) else None


class Readable(Protocol):
    """The archive, as a `StreamWriter` has it: see `reader.ZipReader`."""

    @property
    def is_exhausted(self) -> bool:
        """Whether it was read to its end."""

    def read(self, length: int = -1, /) -> bytes | None:
        """Read up to so many bytes; none is the end."""

    @property
    def reached(self) -> int:
        """Up to which position it was read."""


class Writer:
    """Writes an archive under one name of a storage. Asks nothing before it is used."""

    #: What the writer does without. A storage whose class overrides any of it isn't written by it.
    bypasses: ClassVar[tuple[str, ...]] = ("save", "_save")

    def __init__(self, storage: Any, name: str, *, overwrite: bool = False) -> None:
        self.storage = storage
        self.name = _valid(name)
        self.overwrite = overwrite

    def check(self) -> None:
        """Raise NameTakenError if there is a file that is not to be overwritten."""
        if not self.overwrite and self.exists():
            raise name_taken(self.name)

    def exists(self) -> bool:
        """Ask the storage whether there is a file of that name."""
        return bool(self.storage.exists(self.name))


class StreamWriter(Writer, ABC):
    """Writes an archive from its first byte to its last one."""

    @abstractmethod
    def save(self, archive: Readable) -> Published:
        """Read the archive to its end and publish it; on any error, publish nothing."""


class PartWriter(Writer, ABC):
    """Begins uploads, opens them again, and removes those that nobody completed."""

    limits: ClassVar[Limits] = Limits()

    @abstractmethod
    def _begin(self, token: UploadToken) -> Upload:
        """Begin an upload; its id isn't in the token yet."""

    @abstractmethod
    def reopen(self, token: UploadToken) -> Upload:
        """Return an upload that was begun, in this process or another. Asks nothing."""

    @abstractmethod
    def sweep(self, older_than: timedelta) -> int:
        """Remove uploads to this name of which so long nothing was heard; return how many."""

    def copy_source(self, content: Any) -> CopySource | None:
        """Return what the storage copies a content from by itself; None where it can't."""
        return None

    def begin(
        self, length: int | None = None, part_size: int | None = None, entity_tag: str | None = None
    ) -> Upload:
        """Begin an upload.

        Args:
            length: That of the archive, None if it isn't known.
            part_size: Length of each part but the last one; None leaves it to the writer.
            entity_tag: The plan's, which whoever goes on with the upload compares.

        Raises:
            PartSizeError: The storage doesn't take parts of that size, or not so many.
            PermissionError: Nobody may write here.
        """
        size = self.limits.part_size(length, part_size)
        mark = secrets.token_hex(16)
        return self._begin(
            UploadToken(self.name, "", mark, size, length, entity_tag, self.overwrite)
        )


def _valid(given: Any) -> str:
    if not isinstance(given, str | PurePath):
        raise TypeError(f"the archive's name must be a str, not {type(given).__name__}")
    name = str(given).replace("\\", "/")
    try:
        validate_file_name(name, allow_relative_path=True)
    except SuspiciousFileOperation as error:
        raise NameRefusedError(f"{name!r} can't be a file's name in a storage: {error}") from error
    if "\0" in name or name.endswith("/"):
        raise NameRefusedError(f"{name!r} can't be a file's name in a storage")
    return name
