"""Abstract models whose rows hold the facts of their files. What fills them is in `facts`."""

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
    remember,
    saved_with_metadata,
)

logger = logging.getLogger("django_stream_zip")


class ZipMetadataMixin(models.Model):
    """Keeps a model's `ZipSizeField`, `ZipCRC32Field` and so on up to date.

    For a model with several file fields, each with columns of its own. What no instance is saved
    for (`QuerySet.update()`, `bulk_update()`, a file that is written in the storage itself) it
    can't know: set the columns to None with it, or have `manage.py zip_metadata --all` fill them.
    """

    #: False where the storage gives back other bytes than it was given: `manage.py zip_metadata`
    #: reads these.
    zip_metadata_at_upload: ClassVar[bool] = True

    class Meta:
        """Django's options."""

        abstract = True

    def zip_validator_of(self, file: FieldFile) -> str | None:
        """Ask the storage for the validator of a file that was stored just now.

        One request for each upload. The file is stored, so a failure isn't the upload's.
        """
        try:
            told = reader_for(storage_of(file), str(file.name)).describe()
        except Exception:
            logger.warning("no validator is known of %r", file.name, exc_info=True)
            return None
        return kept_validator(told)

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Make an instance of a row, and take note of its files' names."""
        instance = super().from_db(db, field_names, values, **options)
        remember(instance)
        return instance

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        """Load fields anew, and take note of the files' names among them."""
        loaded = None if fields is None else list(fields)
        super().refresh_from_db(using, loaded, from_queryset)
        remember(self, loaded)

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save the row: with a file also its facts, if only some fields are to be saved."""
        if len(args) == 4:  # as Django 5.2 still takes them
            *args, update_fields = args  # type: ignore[assignment]
        names = saved_with_metadata(self, update_fields)
        super().save(*args, update_fields=names, **options)


class ZipMetadataModel(ZipMetadataMixin):
    """Adds the facts of the model's only file field."""

    zip_size = ZipSizeField()
    zip_crc_32 = ZipCRC32Field()
    zip_modified_at = ZipModifiedAtField()
    zip_validator = ZipValidatorField()

    class Meta:
        """Django's options."""

        abstract = True
