"""Fills the facts of files in rows that are there already, by asking and reading their storage.

Knows models and readers, no command line. Any number of rows takes the same memory, and what is
filled is saved row by row: whoever stops can go on later.
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
from django_stream_zip.metadata.fields import Values, columns_of
from django_stream_zip.planning.content import ContentChangedError

_PAGE_LENGTH: Final = 1000

# Told how many bytes were read, as they are.
Progress = Callable[[int], object]


class Outcome(NamedTuple):
    """What became of a row: filled, or its file can't be read, or neither as it was changed."""

    pk: Any
    stored_name: str
    is_filled: bool = False
    error: Exception | None = None


class Backfill:
    """The rows of a model with a file in one field, whose facts are to be filled.

    With `refill` these are all, else those of which a fact is missing.
    """

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

    def run(self, progress: Progress = bool) -> Iterator[Outcome]:
        """Fill them, and give what became of each. What goes wrong with one doesn't stop it."""
        for file, (pk, stored_name, *held) in self._files():
            if file is None:
                yield Outcome(pk, stored_name)
                continue
            try:
                values = stored_facts(*file, self._columns, progress)
            except Exception as error:
                yield Outcome(pk, stored_name, error=error)
            else:
                yield Outcome(pk, stored_name, self._save(pk, stored_name, held, values))

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
        """Yield primary key, stored name and facts of rows, with a query for each page."""
        ordered = self._rows.order_by("pk")
        page = ordered
        while rows := list(
            page.values_list("pk", self._name, *self._columns.values())[:_PAGE_LENGTH]
        ):
            yield rows
            page = ordered.filter(pk__gt=rows[-1][0])

    def _save(self, pk: Any, stored_name: str, held: list[Any], values: Values) -> bool:
        """Write the facts, unless somebody replaced the file or filled them while it was read."""
        seen = dict(zip(self._columns.values(), held, strict=True))
        row = self._owner.filter(pk=pk, **{self._name: stored_name}, **seen)
        return bool(row.update(**{self._columns[fact]: values[fact] for fact in self._columns}))


def stored_facts(
    storage: Any, stored_name: str, wanted: Collection[str], progress: Progress = bool
) -> Values:
    """Give the facts of a stored file: those that the storage knows, and else by reading it.

    Raises what readers raise, ContentChangedError where the storage told another size.
    """
    reader = reader_for(storage, stored_name)
    told = reader.describe()
    validator = kept_validator(told)
    size, crc_32 = told.size, told.crc_32
    if size is None or (crc_32 is None and "crc_32" in wanted):
        size, crc_32 = _read(reader.chunks(), progress)
        if told.size not in (None, size):
            raise ContentChangedError(f"it has {size:,} bytes, where {told.size:,} were told")
        if "validator" in wanted and validator != kept_validator(reader.describe()):
            raise ContentChangedError("it was overwritten while it was read")
    at = told.modified_at or timezone.now()
    at = _as_in_models(at)
    return {"size": size, "crc_32": crc_32, "modified_at": at, "validator": validator}


def _read(chunks: Iterator[bytes], progress: Progress) -> tuple[int, int]:
    size = crc_32 = 0
    for chunk in chunks:
        size += len(chunk)
        crc_32 = crc32(chunk, crc_32)
        progress(len(chunk))
    return size, crc_32


def _as_in_models(at: datetime) -> datetime:
    """Give a time with a zone, or without one, as USE_TZ says."""
    if settings.USE_TZ and timezone.is_naive(at):
        return timezone.make_aware(at)
    if not settings.USE_TZ and timezone.is_aware(at):
        return timezone.make_naive(at)
    return at
