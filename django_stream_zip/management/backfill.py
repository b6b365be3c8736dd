"""Fill the metadata of files into existing rows, from what their storage knows or by reading them.

Knows models and readers, no command line. Memory doesn't grow with the number of rows. Each row is
saved as it is filled, so a run that was stopped can be continued.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db.models import FileField, Model, Q, QuerySet
from django.utils import timezone

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.members.field_files import is_column_enough, storage_of
from django_stream_zip.members.readers import kept_validator, reader_for
from django_stream_zip.metadata.tracking import Metadata, columns_of
from django_stream_zip.planning.content import ContentChangedError

_PAGE_LENGTH: Final = 1000

# Called with the length of each chunk that was read.
OnChunk = Callable[[int], object]


class Outcome(NamedTuple):
    """What became of a row: filled, or its file couldn't be read, or neither: it was changed."""

    pk: Any
    stored_name: str
    is_filled: bool = False
    error: Exception | None = None


class Backfill:
    """The rows of a model with a file in one field: all to `refill`, else those to be filled."""

    def __init__(
        self, model: type[Model], file_field: FileField, database: str, *, refill: bool = False
    ) -> None:
        # Rows of a child are those of the parent whose table has the columns.
        self._owner = file_field.model._base_manager.using(database)
        self._name = file_field.name
        self._storage = file_field.storage
        self._columns = columns_of(file_field)
        self._key = file_field.model._meta.pk.name
        self._instances = (
            None
            if is_column_enough(model, file_field)
            else model._base_manager.using(database).order_by()
        )
        self.label = f"{model._meta.label}.{file_field.name}"
        rows = self._owner.filter(**{f"{file_field.name}__gt": ""})
        if model._meta.concrete_model is not file_field.model:
            rows = rows.filter(pk__in=model._base_manager.using(database).values(self._key))
        self._rows: QuerySet[Any] = rows if refill else rows.filter(self._is_missing())

    def __len__(self) -> int:
        """Count the rows."""
        return self._rows.count()

    def run(self, on_chunk: OnChunk) -> Iterator[Outcome]:
        """Fill the rows, and yield what became of each. An error with one doesn't stop the rest."""
        for file, (pk, stored_name, *held) in self._files():
            if file is None:
                yield Outcome(pk, stored_name)
                continue
            try:
                metadata = stored_metadata(*file, self._columns, on_chunk)
            except Exception as error:
                yield Outcome(pk, stored_name, error=error)
            else:
                yield Outcome(pk, stored_name, self._save(pk, stored_name, held, metadata))

    def _is_missing(self) -> Q:
        missing = Q()
        for column in self._columns.values():
            missing |= Q(**{column: None})
        return missing

    def _files(self) -> Iterator[tuple[tuple[Any, str] | None, tuple[Any, ...]]]:
        """Yield the storage and name of each row's file, None if it is gone by now, and the row."""
        for rows in self._pages():
            if self._instances is None:
                yield from (((self._storage, row[1]), row) for row in rows)
                continue
            found = self._instances.in_bulk([row[0] for row in rows], field_name=self._key)
            for row in rows:
                file = getattr(found.get(row[0]), self._name, None)
                yield (storage_of(file), str(file.name)) if file else None, row

    def _pages(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield primary key, stored name and metadata of rows, with a query for each page."""
        ordered = self._rows.order_by("pk")
        page = ordered
        while rows := list(
            page.values_list("pk", self._name, *self._columns.values())[:_PAGE_LENGTH]
        ):
            yield rows
            page = ordered.filter(pk__gt=rows[-1][0])

    def _save(self, pk: Any, stored_name: str, held: list[Any], metadata: Metadata) -> bool:
        """Write the metadata, unless the file was replaced or the row filled while it was read."""
        seen = dict(zip(self._columns.values(), held, strict=True))
        row = self._owner.filter(pk=pk, **{self._name: stored_name}, **seen)
        return bool(row.update(**{column: metadata[key] for key, column in self._columns.items()}))


def stored_metadata(
    storage: Any, stored_name: str, wanted: Collection[str], on_chunk: OnChunk
) -> Metadata:
    """Return the metadata of a stored file: what the storage knows, and the rest by reading it.

    Args:
        storage: Where the file is.
        stored_name: Its name there.
        wanted: Keys of metadata. The file isn't read for a CRC-32 that isn't wanted.
        on_chunk: Called with the length of each chunk that is read.

    Raises:
        ContentChangedError: The file has another size than its storage declared, or was overwritten
            while it was read. What the storage's reader raises is raised as well.
    """
    reader = reader_for(storage, stored_name)
    described = reader.describe()
    validator = kept_validator(described)
    size, crc_32 = described.size, described.crc_32
    if size is None or (crc_32 is None and "crc_32" in wanted):
        size, crc_32 = _read(reader.chunks(), on_chunk)
        if described.size not in (None, size):
            declared = f"{described.size:,}"
            raise ContentChangedError(f"it has {size:,} bytes, where {declared} were declared")
        if "validator" in wanted and validator != kept_validator(reader.describe()):
            raise ContentChangedError("it was overwritten while it was read")
    at = _as_in_models(described.modified_at or timezone.now())
    return {"size": size, "crc_32": crc_32, "modified_at": at, "validator": validator}


def _read(chunks: Iterator[bytes], on_chunk: OnChunk) -> tuple[int, int]:
    size = crc_32 = 0
    for chunk in chunks:
        size += len(chunk)
        crc_32 = crc32(chunk, crc_32)
        on_chunk(len(chunk))
    return size, crc_32


def _as_in_models(at: datetime) -> datetime:
    """Return a time with a zone, or without one, as USE_TZ says."""
    if settings.USE_TZ and timezone.is_naive(at):
        return timezone.make_aware(at)
    if not settings.USE_TZ and timezone.is_aware(at):
        return timezone.make_naive(at)
    return at
