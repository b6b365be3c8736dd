"""The files of a queryset's rows: which columns they take, and how each is described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

    def of(self, queryset: QuerySet[Any]) -> Iterator[StoredFile]:
        """Yield the files of all rows, each once, by one query if that can be."""
        # Where there is no column for a kind, the value is None.
        columns: dict[str, list[Any]] = {
            path: [by_kind.get(kind) for kind in Metadata._fields]
            for path, by_kind in self._metadata.items()
        }
        for row, path in self._once(self._rows.of(queryset)):
            storage, stored_name = self._file(row, path)
            if stored_name:
                name = self._naming.of(row, path, stored_name)
                metadata = Metadata(*map(row.values.get, columns[path]))
                yield StoredFile(
                    storage, stored_name, None if name is None else str(name), metadata
                )

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

    def _once(self, rows: Iterator[Row]) -> Iterator[tuple[Row, str]]:
        """Yield each row with each file field, but a file that is joined several times once."""
        seen = set()
        for row in rows:
            for path in self._paths:
                if self._joins_many:
                    owner = path, row.values["pk"], row.values[self._owners[path]]
                    if owner in seen:
                        continue
                    seen.add(owner)
                yield row, path

    def _file(self, row: Row, path: str) -> tuple[Any, str]:
        """Return the storage and the stored name of a row's file; "" if it has none."""
        if path in self._managers:
            holder = row.owners[path]
        elif path in self._on_instance:
            holder = row.instance
        else:
            return self._storages[path], str(row.values[path] or "")
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
