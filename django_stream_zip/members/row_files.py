"""The files of a queryset's rows: which columns they take, and how each is described."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import CharField, FileField, QuerySet, TextField
from django.db.models.constants import LOOKUP_SEP

from django_stream_zip.members import field_files
from django_stream_zip.members.collect import StoredFile
from django_stream_zip.members.misuse import check_rows, check_stored
from django_stream_zip.members.paths import (
    beside,
    check_one_value,
    file_field,
    file_field_paths,
    followed,
    is_to_many,
    relation,
    selected,
)
from django_stream_zip.members.readers.places import whereabouts
from django_stream_zip.members.readers.reader import Metadata
from django_stream_zip.members.readers.table import unwrapped
from django_stream_zip.members.row_metadata import Fields, check_metadata, metadata_columns
from django_stream_zip.members.row_names import Name, naming
from django_stream_zip.members.rows import Row, Rows


class _Field(NamedTuple):
    """Where a row has what is said of its file: places among its values and a None behind them."""

    path: str
    storage: Any
    stored_name: int
    #: Returns the values of a `Metadata`.
    metadata: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    is_column_enough: bool


class RowFiles:
    """The files in some fields of a queryset's rows.

    Args:
        queryset: The rows. (Pages of it may come later.)
        file_fields: Paths of file fields; none is the model's only one.
        name: What names the files.
        declared: Fields by kind of metadata.
        own_metadata: Whether the metadata that models keep themselves is used too.
        limit: Of more rows than that, only one more is likely to be wanted.
        storage: Where the files are, if the fields are columns that hold stored names.

    Raises:
        ValueError: A field or a format isn't what it should be.
    """

    def __init__(
        self,
        queryset: QuerySet[Any],
        file_fields: tuple[str, ...],
        name: Name,
        declared: Mapping[str, Fields],
        *,
        own_metadata: bool,
        limit: int | None = None,
        storage: Any = None,
    ) -> None:
        check_rows(queryset, file_fields, name)
        model = queryset.model
        self._paths = paths = file_field_paths(model, file_fields)
        places = _of_fields(queryset, paths) if storage is None else _in(storage, queryset, paths)
        self._storages, self._managers, self._on_instance = places
        own_metadata = own_metadata and storage is None
        self._metadata = metadata_columns(queryset, paths, declared, own=own_metadata)
        self._naming = naming(queryset, name)
        self._owners = {path: beside(path, "pk") for path in paths}
        self._joins_many = any(is_to_many(model, path) for path in paths)
        self._rows = self._selection(limit)
        self._check(queryset)
        self._naming.expect(self._rows.columns)
        self._fields = [self._field(path) for path in paths]

    def of(self, queryset: QuerySet[Any]) -> Iterator[StoredFile]:
        """Yield the files of all rows, each once, by one query if that can be."""
        fields, name_of, new = self._fields, self._naming.of, tuple.__new__
        seen: set[tuple[Any, ...]] | None = set() if self._joins_many else None
        for row in self._rows.of(queryset):
            values, instance, _ = row
            for path, storage, place, metadata, is_column_enough in fields:
                if seen is not None and not self._is_first(seen, values, path):
                    continue
                if is_column_enough:
                    stored_name = str(values[place] or "")
                else:
                    storage, stored_name = self._file(row, path)
                if stored_name:
                    name = name_of(values, instance, path, stored_name)
                    known = new(Metadata, metadata((*values, None)))  # in half the time
                    name = None if name is None else str(name)
                    yield new(StoredFile, (storage, stored_name, name, known))

    def whereabouts(self, queryset: QuerySet[Any]) -> list[Any]:
        """Return where rows and files are looked for now, if that depends on who asks."""
        schema = getattr(connections[queryset.db], "schema_name", None)  # of django-tenants
        return [schema, *(whereabouts(unwrapped(s), "x") for s in self._storages.values())]

    def _selection(self, limit: int | None) -> Rows:
        """Return what to select of rows."""
        has_owners = self._joins_many or self._managers or limit is not None
        owners = ["pk", *self._owners.values()] if has_owners else ()
        metadata = [column for own in self._metadata.values() for column in own.values()]
        columns = [*self._paths, *owners, *metadata, *self._naming.columns]
        return Rows(
            tuple(dict.fromkeys(columns)),
            owners=self._owners,
            managers=self._managers,
            joins_many=self._joins_many,
            needs_instance=self._naming.needs_instance or bool(self._on_instance),
            # Which columns decide about a storage isn't known.
            needs_all_columns=bool(self._on_instance),
            limit=limit,
        )

    def _check(self, queryset: QuerySet[Any]) -> None:
        """Raise ValueError if a column can't be selected, or not in this way."""
        self._naming.check({path: selected(queryset, path) for path in self._rows.columns})
        if self._rows.needs_instance and queryset.query.combinator:
            raise ValueError(
                f"the files of {queryset.model._meta.label} are named or stored by its instances, "
                "which a union doesn't have: filter instead"
            )
        check_metadata(queryset, self._metadata)
        for path in self._naming.columns:
            check_one_value(queryset, path, self._paths)

    def _field(self, path: str) -> _Field:
        columns, by_kind = self._rows.columns, self._metadata[path]
        # Where there is no column for a kind, the value is None.
        kinds = [columns.index(by_kind[k]) if k in by_kind else -1 for k in Metadata._fields]
        is_column_enough = path not in self._managers and path not in self._on_instance
        place = columns.index(path)
        return _Field(path, self._storages[path], place, itemgetter(*kinds), is_column_enough)

    def _is_first(self, seen: set[tuple[Any, ...]], values: tuple[Any, ...], path: str) -> bool:
        """Return whether a file that may be joined several times comes for the first time."""
        columns = self._rows.columns
        owner = path, values[columns.index("pk")], values[columns.index(self._owners[path])]
        is_first = owner not in seen
        seen.add(owner)
        return is_first

    def _file(self, row: Row, path: str) -> tuple[Any, str]:
        """Return the storage and the stored name of an instance's file; "" if it has none."""
        _, instance, owners = row
        holder = owners[path] if path in self._managers else instance
        file = getattr(holder, path.rpartition(LOOKUP_SEP)[2], None)
        return (field_files.storage_of(file), str(file.name)) if file else (None, "")


class _Places(NamedTuple):
    """Where files are: the storage of each path, and the paths of which a row has to say it."""

    storages: dict[str, Any]
    managers: dict[str, QuerySet[Any]]
    on_instance: set[str]


def _of_fields(queryset: QuerySet[Any], paths: tuple[str, ...]) -> _Places:
    """Return where file fields have their files."""
    model = queryset.model
    fields = {path: file_field(model, path) for path in paths}
    on_instance = {
        path
        for path, field in fields.items()
        if not relation(path) and not field_files.is_column_enough(model, field)
    }
    storages = {path: field.storage for path, field in fields.items()}
    return _Places(storages, _managers(queryset, paths), on_instance)


def _in(storage: Any, queryset: QuerySet[Any], paths: tuple[str, ...]) -> _Places:
    """Return that the files are in one storage, and the columns hold their names."""
    check_stored(storage, "")
    for path in paths:
        if not isinstance(followed(queryset.model, path), CharField | TextField | FileField):
            label = queryset.model._meta.label
            raise ValueError(f"{path!r} of {label} holds no stored names: it is no text")
    return _Places(dict.fromkeys(paths, storage), {}, set())


def _managers(queryset: QuerySet[Any], paths: tuple[str, ...]) -> dict[str, QuerySet[Any]]:
    """Return what loads the owners of related files, where the joined columns aren't enough.

    These are the managers that the relations' own attributes use.
    """
    found = {}
    for path in filter(relation, paths):
        owner = followed(queryset.model, LOOKUP_SEP.join(relation(path))).related_model
        is_many = is_to_many(queryset.model, path)
        manager = owner._default_manager if is_many else owner._base_manager
        field = file_field(queryset.model, path)
        if not (field_files.is_plain(manager) and field_files.is_column_enough(owner, field)):
            found[path] = manager.using(queryset.db)
    return found
