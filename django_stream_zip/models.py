"""Models whose rows hold the metadata of their files: abstract bases, and the columns."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models.fields.files import FieldFile

from django_stream_zip.members.field_files import storage_of
from django_stream_zip.members.readers import kept_validator, reader_for
from django_stream_zip.metadata.fields import (
    ZipCRC32Field,
    ZipModifiedAtField,
    ZipSizeField,
    ZipValidatorField,
)
from django_stream_zip.metadata.tracking import fields_to_save, remember

__all__ = [
    "ZipCRC32Field",
    "ZipMetadataMixin",
    "ZipMetadataModel",
    "ZipModifiedAtField",
    "ZipSizeField",
    "ZipValidatorField",
]


def __dir__() -> list[str]:
    return __all__


logger = logging.getLogger("django_stream_zip")


def _replaceable(meta: type) -> Any:
    """Return a `class Meta` as it is, and have type checkers allow any other in its place.

    A model's Meta needn't inherit from its base's. For pyright that overrides a class by one of
    another type (reportIncompatibleVariableOverride), in the code of whoever writes a model.
    """
    return meta


class ZipMetadataMixin(models.Model):
    """Keeps a model's `ZipSizeField`, `ZipCRC32Field` and so on up to date.

    For a model with several file fields, each with columns of its own. It doesn't notice changes
    that save no instance (`QuerySet.update()`, `bulk_update()`, a file written in the storage
    itself): set the columns to None there, or run `manage.py zip_metadata --all`.
    """

    #: False where the storage returns other bytes than it was given: `manage.py zip_metadata` reads
    #: these.
    zip_metadata_at_upload: ClassVar[bool] = True

    @_replaceable
    class Meta:
        """Django's options."""

        abstract = True

    def zip_validator_of(self, file: FieldFile) -> str | None:
        """Ask the storage for the validator of a file that was stored just now.

        One request for each upload. The file is stored, so a failure here doesn't fail the upload.
        """
        try:
            description = reader_for(storage_of(file), str(file.name)).describe()
        except Exception:
            logger.warning("no validator is known of %r", file.name, exc_info=True)
            return None
        return kept_validator(description)

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Make an instance of a row, and remember its files' names."""
        instance = super().from_db(db, field_names, values, **options)
        remember(instance)
        return instance

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        """Load fields anew, and remember the files' names among them."""
        loaded = None if fields is None else list(fields)
        super().refresh_from_db(using, loaded, from_queryset)
        remember(self, loaded)

    def save(
        self,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        """Save the row; where only some fields are saved, each file with its metadata."""
        super().save(
            force_insert=force_insert,
            force_update=force_update,
            using=using,
            update_fields=fields_to_save(self, update_fields),
            **options,
        )


class ZipMetadataModel(ZipMetadataMixin):
    """Adds the columns for the model's only file field."""

    zip_size = ZipSizeField()
    zip_crc_32 = ZipCRC32Field()
    zip_modified_at = ZipModifiedAtField()
    zip_validator = ZipValidatorField()

    @_replaceable
    class Meta:
        """Django's options."""

        abstract = True
