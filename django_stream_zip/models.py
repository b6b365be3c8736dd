"""Abstract models whose rows hold the facts of their files. What fills them is in `facts`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Self

from django.db import models

from django_stream_zip import facts


class ZipFactsMixin(models.Model):
    """Keeps a model's `ZipSizeField`, `ZipCRC32Field` and `ZipModifiedAtField` up to date.

    For a model with several file fields, each with columns of its own. What no instance is saved
    for (`QuerySet.update()`, `bulk_update()`, a file that is written in the storage itself) it
    can't know: set the columns to None with it, or have `manage.py zip_facts --all` fill them.
    """

    #: False where the storage gives back other bytes than it was given: `manage.py zip_facts` reads
    #: these.
    zip_facts_at_upload: ClassVar[bool] = True

    class Meta:
        """Django's options."""

        abstract = True

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Make an instance of a row, and take note of its files' names."""
        instance = super().from_db(db, field_names, values, **options)
        facts.remember(instance)
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
        facts.remember(self, loaded)

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save the row: with a file also its facts, if only some fields are to be saved."""
        if len(args) == 4:  # as Django 5.2 still takes them
            *args, update_fields = args  # type: ignore[assignment]
        names = facts.saved_with_facts(self, update_fields)
        super().save(*args, update_fields=names, **options)


class ZipFactsModel(ZipFactsMixin):
    """Adds the facts of the model's only file field."""

    zip_size = facts.ZipSizeField()
    zip_crc_32 = facts.ZipCRC32Field()
    zip_modified_at = facts.ZipModifiedAtField()

    class Meta:
        """Django's options."""

        abstract = True
