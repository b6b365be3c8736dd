"""Which columns of rows hold the metadata of their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from django.db.models import CharField, DateTimeField, Field, IntegerField, Model, QuerySet

from django_stream_zip.members.paths import beside, check_one_value, file_field, selected
from django_stream_zip.metadata.tracking import columns_of

# A field's name, or one for each file field.
Fields: TypeAlias = str | Mapping[str, str] | None

#: What rows may know of their files (see `readers.Metadata`), and in which kind of field.
KINDS: Final[dict[str, type[Field[Any, Any]]]] = {
    "size": IntegerField,
    "crc_32": IntegerField,
    "modified_at": DateTimeField,
    "validator": CharField,
}


def metadata_columns(
    queryset: QuerySet[Any], paths: tuple[str, ...], declared: Mapping[str, Fields], *, own: bool
) -> dict[str, dict[str, str]]:
    """Return by file field and by kind the columns that hold metadata.

    Args:
        queryset: The rows.
        paths: Their file fields.
        declared: Fields by kind. They win over those that models keep themselves.
        own: Whether the columns that models keep themselves count too.

    Raises:
        ValueError: A field doesn't exist or can't hold this kind.
    """
    by_kind = {kind: _declared(queryset, paths, declared.get(kind), kind) for kind in KINDS}
    return {
        path: {
            **(_own(queryset.model, path) if own else {}),
            **{kind: columns[path] for kind, columns in by_kind.items() if path in columns},
        }
        for path in paths
    }


def check_metadata(queryset: QuerySet[Any], columns: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ValueError unless each column has one value for a file."""
    for path, by_kind in columns.items():
        for column in by_kind.values():
            check_one_value(queryset, column, (path,))


def _declared(
    queryset: QuerySet[Any], paths: tuple[str, ...], fields: Fields, kind: str
) -> dict[str, str]:
    """Return by file field the field that the caller declares for a kind of metadata."""
    if fields is None:
        return {}
    by_path = dict(fields) if isinstance(fields, Mapping) else dict.fromkeys(paths, fields)
    if unknown := by_path.keys() - set(paths):
        raise ValueError(f"{', '.join(sorted(unknown))}: not among the file fields {paths}")
    wanted = KINDS[kind]
    for name in by_path.values():
        field = selected(queryset, name)
        if field is not None and not isinstance(field, wanted):
            label = queryset.model._meta.label
            raise ValueError(f"{name!r} of {label} must be a {wanted.__name__}")
    return by_path


def _own(model: type[Model], path: str) -> dict[str, str]:
    """Return the columns in which a model itself keeps the metadata of a field's files."""
    columns = columns_of(file_field(model, path)).items()
    return {kind: beside(path, column) for kind, column in columns}
