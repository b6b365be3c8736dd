"""Paths of fields, from a model across its relations: "file", "attachments__file", "pk"."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import FileField, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP

from django_stream_zip.members.misuse import no_field, no_file_field


def followed(model: type[Model], path: str) -> Any:
    """Return the last field of a path. Raise ValueError if there is none."""
    field: Any = None
    related: Any = model
    for part in path.split(LOOKUP_SEP):
        try:
            field = related._meta.pk if part == "pk" else related._meta.get_field(part)
        except (FieldDoesNotExist, AttributeError) as error:
            raise no_field(model, path, related, part) from error
        related = getattr(field, "related_model", None)
    return field


def selected(queryset: QuerySet[Any], path: str) -> Any:
    """Return the last field of a path; None for an annotation, which may be anything."""
    if path in queryset.query.annotations:
        return None
    return followed(queryset.model, path)


def file_field(model: type[Model], path: str) -> FileField:
    """Return the file field at the end of a path. Raise ValueError if it is another field."""
    field = followed(model, path)
    if not isinstance(field, FileField):
        raise no_file_field(model, path)
    return field


def file_field_paths(model: type[Model], file_fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return these file fields, or else the model's only one.

    Raises:
        ValueError: None is named, and the model has not just one.
    """
    if file_fields:
        return tuple(dict.fromkeys(file_fields))
    names = [field.name for field in model._meta.get_fields() if isinstance(field, FileField)]
    if len(names) != 1:
        raise ValueError(
            f"say which file fields of {model._meta.label} are wanted: it has "
            f"{', '.join(names) or 'none'}"
        )
    return (names[0],)


def check_file_fields(model: type[Model], file_fields: tuple[str, ...]) -> None:
    """Raise ValueError unless these are file fields of the model, or it has just one."""
    for path in file_field_paths(model, file_fields):
        file_field(model, path)


def relation(path: str) -> list[str]:
    """Return the parts of a path before its last one: how to get to the field's row."""
    return path.split(LOOKUP_SEP)[:-1]


def beside(path: str, name: str) -> str:
    """Return the path to another field of the row that a field belongs to."""
    return LOOKUP_SEP.join([*relation(path), name])


def is_to_many(model: type[Model], path: str) -> bool:
    """Return whether one row of the model may have many values at a path."""
    related: Any = model
    for part in relation(path):
        field: Any = related._meta.get_field(part)
        if field.one_to_many or field.many_to_many:
            return True
        related = field.related_model
    return False


def check_one_value(queryset: QuerySet[Any], path: str, file_fields: tuple[str, ...]) -> None:
    """Raise ValueError if a path has many values for one file: it would multiply the files."""
    if path in queryset.query.annotations or not is_to_many(queryset.model, path):
        return
    parts = relation(path)
    for field in file_fields:
        if field.split(LOOKUP_SEP)[: len(parts)] != parts:
            raise ValueError(f"{path!r} has many values for one file of {field!r}")
