"""The columns that hold a file's metadata: size, CRC-32, a time, the storage's validator.

Like the `width_field` of Django's ImageField, they are plain columns beside a file field. But it is
they that name the file field, so that it can be of any kind. A column's `pre_save` has the file
stored first, so the order of a model's fields doesn't matter. What needs the whole instance (which
fields are loaded, which are saved) is in `models.ZipMetadataMixin`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.core import checks
from django.db import models
from django.db.models.signals import class_prepared

from django_stream_zip.metadata.tracking import (
    columns_of,
    file_fields,
    own_file_field,
    own_file_fields,
    settle,
)
from django_stream_zip.metadata.uploads import recording

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
    _Integer = models.PositiveBigIntegerField[int | None, int | None]
    _DateTime = models.DateTimeField[datetime | None, datetime | None]
    _Char = models.CharField[str | None, str | None]
else:
    _Field = object
    _Integer = models.PositiveBigIntegerField
    _DateTime = models.DateTimeField
    _Char = models.CharField


class MetadataField(_Field):
    """A column with metadata of a file of the same row: the base of the columns below.

    `file_field` names the FileField; a model's only one needn't be named. The column is null where
    nothing is known. Migrations hold Django's own field instead, so they don't need this package.
    """

    #: Which metadata it holds.
    metadata_key: ClassVar[str]

    def __init__(self, file_field: str = "", **options: Any) -> None:
        self.file_field = file_field
        super().__init__(**{"null": True, "blank": True, "editable": False, **options})

    def deconstruct(self) -> Any:
        """Describe the column for migrations."""
        name, _, args, kwargs = super().deconstruct()
        return name, f"django.db.models.{self.get_internal_type()}", args, kwargs

    def clone(self) -> Any:
        """Return a copy that belongs to no model."""
        copy = super().clone()
        copy.file_field = self.file_field
        return copy

    def contribute_to_class(
        self, cls: Any, name: str, private_only: bool = False, **options: Any
    ) -> None:
        """Become a field of the model, and attach to the file field once that is there."""
        super().contribute_to_class(cls, name, private_only=private_only, **options)
        if not cls._meta.abstract:
            class_prepared.connect(self._attach, sender=cls)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Store the file first, then return its metadata."""
        for field in file_fields(type(model_instance)):
            if self.attname in columns_of(field).values():
                settle(model_instance, field, add)
        return super().pre_save(model_instance, add)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Check the file field, its storage and the model."""
        return [*super().check(**kwargs), *self._check_file_field(), *self._check_model()]

    def _check_file_field(self) -> Iterator[checks.CheckMessage]:
        file_field = own_file_field(self)
        if file_field is None:
            names = ", ".join(field.name for field in own_file_fields(self.model)) or "none"
            wanted = repr(self.file_field) if self.file_field else "just one file field"
            message = f"The model must have {wanted} of its own; it has {names}."
            hint = "Name the file field: ZipSizeField('file')."
            yield checks.Error(message, hint, obj=self, id="django_stream_zip.E005")
        elif self.metadata_key == "size" and (option := overwriting_option(file_field.storage)):
            message = (
                "The storage overwrites files: the metadata in a row would be of another row's file"
                " with the same name."
            )
            hint = f"Set the storage's option {option}."
            yield checks.Warning(message, hint, obj=self, id="django_stream_zip.W001")

    def _check_model(self) -> Iterator[checks.CheckMessage]:
        if not hasattr(self.model, "zip_metadata_at_upload"):
            message = "The model must inherit from ZipMetadataMixin, which keeps it up to date."
            yield checks.Error(message, obj=self, id="django_stream_zip.E006")

    def _attach(self, **kwargs: Any) -> None:
        file_field = own_file_field(self)
        if file_field is not None:  # else `check` reports it
            file_field.attr_class = recording(file_field.attr_class)


# What makes storages overwrite: an attribute, its value, and the option to set instead.
_OVERWRITING: Final = (
    ("file_overwrite", True, "file_overwrite to False"),  # S3, Google Cloud
    ("overwrite_files", True, "overwrite_files to False"),  # Azure
    ("_allow_overwrite", True, "allow_overwrite to False"),  # Django's own, since 5.1
    ("allow_overwrite", True, "allow_overwrite to False"),  # FTP
    ("write_mode", "overwrite", "write_mode to 'add'"),  # Dropbox
)


def overwriting_option(storage: Any) -> str | None:
    """Return what to set so that a storage doesn't overwrite files; None if it does not."""
    for attribute, value, option in _OVERWRITING:
        if getattr(storage, attribute, None) == value:
            return option
    return None


class ZipSizeField(MetadataField, _Integer):
    """Holds the number of bytes of a file."""

    metadata_key = "size"


class ZipCRC32Field(MetadataField, _Integer):
    """Holds the CRC-32 of a file's bytes."""

    metadata_key = "crc_32"


class ZipModifiedAtField(MetadataField, _DateTime):
    """Holds the time of a file's upload, which changes whenever its content does."""

    metadata_key = "modified_at"


class ZipValidatorField(MetadataField, _Char):
    """Holds what the storage itself tells states of a file apart by: an ETag, a generation.

    The storage is queried for it after an upload. Empty where it has none, null where it couldn't
    be queried.
    """

    metadata_key = "validator"

    def __init__(self, file_field: str = "", **options: Any) -> None:
        super().__init__(file_field, **{"max_length": 255, **options})
