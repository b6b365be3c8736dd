"""Which file the metadata in a row is of, and whether that file was replaced since.

An instance keeps a snapshot for each file field: the file's name and the metadata beside it, as
they were when loaded or saved. A name that differs from its snapshot's is another file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from django.core.files.base import File
from django.db import models

# A file's metadata by key: "size" (bytes), "crc_32", "modified_at" and "validator".
Metadata: TypeAlias = Mapping[str, Any]

# The attribute of an instance that holds its snapshots, by file field.
_SNAPSHOTS: Final = "_zip_metadata_snapshots"


class Snapshot(NamedTuple):
    """A file's name and metadata as an instance holds them; None for what is deferred."""

    name: str | None
    metadata: Metadata


def own_file_field(column: Any) -> models.FileField | None:
    """Return the file field whose metadata a column holds, None if there isn't exactly one.

    One of a parent's table doesn't count: it could be saved without this column.
    """
    named = [f for f in own_file_fields(column.model) if column.file_field in ("", f.name)]
    return named[0] if len(named) == 1 else None


def own_file_fields(model: type[models.Model]) -> list[models.FileField]:
    """Return the file fields of a model's own table."""
    return [field for field in model._meta.local_fields if isinstance(field, models.FileField)]


def columns_of(file_field: models.FileField) -> Mapping[str, str]:
    """Return the columns that hold the metadata of a field's files, by key; often none."""
    return _columns(file_field.model._meta).get(file_field.name, {})


@cache
def _columns(options: Any) -> dict[str, dict[str, str]]:
    """Return the columns of a model's own table: by file field's name, then by key."""
    found: dict[str, dict[str, str]] = {}
    for column in options.local_fields:
        key = getattr(column, "metadata_key", None)
        if key is not None and (file_field := own_file_field(column)) is not None:
            found.setdefault(file_field.name, {})[key] = column.attname
    return found


def file_fields(model: type[models.Model]) -> tuple[models.FileField, ...]:
    """Return the file fields whose metadata a model's rows hold, those of its parents too."""
    return _file_fields(model._meta)


@cache
def _file_fields(options: Any) -> tuple[models.FileField, ...]:
    fields = [field for field in options.concrete_fields if isinstance(field, models.FileField)]
    return tuple(field for field in fields if columns_of(field))


def set_metadata(instance: models.Model, field: models.FileField, metadata: Metadata) -> None:
    """Set all columns beside a file, to None where the metadata lacks a key."""
    for key, column in columns_of(field).items():
        setattr(instance, column, metadata.get(key))


def remember(instance: models.Model, fields: Collection[str] | None = None) -> None:
    """Take a snapshot of these fields, of all if None.

    Where the `fields` have only columns of a file, the file keeps the name it was seen with.
    """
    snapshots = dict(_snapshots(instance))
    for field in file_fields(type(instance)):
        name, now = field.attname, _snapshot(instance, field)
        if fields is None or name in fields:
            snapshots[name] = now
        elif name in snapshots and not set(fields).isdisjoint(columns_of(field).values()):
            snapshots[name] = snapshots[name]._replace(metadata=now.metadata)
    # A new dict: copies of an instance share the old one.
    instance.__dict__[_SNAPSHOTS] = snapshots


def is_replaced(instance: models.Model, field: models.FileField) -> bool:
    """Return whether the instance has another file than when it was loaded or saved."""
    if field.attname not in instance.__dict__:
        return False
    seen = _snapshots(instance).get(field.attname)
    return (
        seen is None
        or _is_upload(instance.__dict__[field.attname])
        or _name(instance, field) != seen.name
    )


def fields_to_save(instance: models.Model, update_fields: Iterable[str] | None) -> set[str] | None:
    """Return the fields to save: with each file its metadata, and never without that file.

    Metadata that was deferred isn't loaded for a new file, which has its own.
    """
    names = None if update_fields is None else set(update_fields)
    held = instance.__dict__
    for field in file_fields(type(instance)):
        columns = columns_of(field).values()
        if names is not None and field.name not in names:
            if is_replaced(instance, field):
                names.difference_update(columns)  # they are of the file that isn't saved yet
            continue
        if is_replaced(instance, field):
            for column in columns:
                held.setdefault(column, None)
        if names is not None:
            names.update(column for column in columns if column in held)
    return names


def settle(instance: models.Model, field: models.FileField, add: bool) -> None:
    """Have the file stored, and drop metadata that was left from another one."""
    if field.attname not in instance.__dict__:
        return
    field.pre_save(instance, add)
    now = _snapshot(instance, field)
    seen = _snapshots(instance).get(field.attname, now)
    is_another, validator = now.name != seen.name, now.metadata.get("validator")
    # Metadata that changed with the name is the new file's: whoever named it knows it.
    if not now.name or (is_another and now.metadata == seen.metadata):
        set_metadata(instance, field, {})
    elif is_another and validator and validator == seen.metadata.get("validator"):
        # Whoever names a file seldom knows its validator, and leaves the other file's.
        setattr(instance, columns_of(field)["validator"], None)
    remember(instance, [field.attname])


def _snapshots(instance: models.Model) -> Mapping[str, Snapshot]:
    snapshots: Mapping[str, Snapshot] = instance.__dict__.get(_SNAPSHOTS, {})
    return snapshots


def _snapshot(instance: models.Model, field: models.FileField) -> Snapshot:
    held = instance.__dict__
    metadata = {key: held.get(column) for key, column in columns_of(field).items()}
    return Snapshot(_name(instance, field), metadata)


def _name(instance: models.Model, field: models.FileField) -> str | None:
    held = instance.__dict__
    return str(held[field.attname] or "") if field.attname in held else None


def _is_upload(file: Any) -> bool:
    """Return whether a field's value has yet to be stored, as `FileField.pre_save` decides it."""
    return isinstance(file, File) and not getattr(file, "_committed", False)
