"""Metadata of what is stored, read on its way into the storage.

Each content that a FileField stores goes through its `FieldFile.save()`, be it by `save()`,
`asave()`, `bulk_create()` or `instance.file.save()`. That is where it is read, for any kind of
FileField. (A `pre_save` alone misses what `instance.file.save()` stores, a signal what
`bulk_create()` does.)
"""

from __future__ import annotations

from typing import Any

from django.core.files.base import File
from django.db import models
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.metadata.tracking import (
    Metadata,
    columns_of,
    is_replaced,
    remember,
    set_metadata,
)


class MetadataFieldFile(FieldFile):
    """A FieldFile that records the metadata of what it stores."""

    def save(self, name: str, content: File[Any], save: bool = True) -> None:
        """Store a content as the field's file, and set its metadata on the instance."""
        is_read = getattr(self.instance, "zip_metadata_at_upload", True)
        metadata = metadata_of(content) if is_read else {}
        super().save(name, content, save=False)
        ask = getattr(self.instance, "zip_validator_of", None)
        if metadata and ask is not None and "validator" in columns_of(self.field):
            metadata = {**metadata, "validator": ask(self)}
        set_metadata(self.instance, self.field, metadata)
        remember(self.instance, [self.field.attname])
        if save:
            self.instance.save()

    def delete(self, save: bool = True) -> None:
        """Delete the file, and drop its metadata."""
        if self:
            set_metadata(self.instance, self.field, {})
        super().delete(save)

    @property
    def zip_metadata(self) -> Metadata:
        """What the row holds: options of `field_member`, such as `size` and `crc_32`.

        Empty where the instance was given another file since.
        """
        if is_replaced(self.instance, self.field):
            return {}
        columns = columns_of(self.field).items()
        return {key: getattr(self.instance, column) for key, column in columns}

    def __reduce__(self) -> Any:
        # `recording` may have made the class, where pickle wouldn't find it.
        return _blank, (self.field,), self.__getstate__()


def recording(attr_class: type[FieldFile]) -> type[FieldFile]:
    """Return a field's class of files with `MetadataFieldFile` among its bases.

    Last among them: where the class makes something else of a content before it is stored, the
    metadata is of that.
    """
    if issubclass(attr_class, MetadataFieldFile):
        return attr_class
    if issubclass(MetadataFieldFile, attr_class):
        return MetadataFieldFile
    return type(f"Metadata{attr_class.__name__}", (attr_class, MetadataFieldFile), {})


def _blank(field: models.FileField) -> FieldFile:
    return field.attr_class.__new__(field.attr_class)


def metadata_of(content: Any) -> Metadata:
    """Read a content from its beginning, wherever it stands, and rewind it.

    Returns:
        Size, CRC-32 and the time of the upload. Nothing for what can't be read twice, and for text,
        which the storage encodes.
    """
    file = content if hasattr(content, "chunks") else File(content)
    try:
        file.seek(0)
    except (AttributeError, OSError, ValueError):
        return {}
    size = crc_32 = 0
    for chunk in file.chunks():
        if isinstance(chunk, str):
            return {}
        size += len(chunk)
        crc_32 = crc32(chunk, crc_32)
    # To the beginning, not to where it was: some storages don't rewind it.
    file.seek(0)
    return {"size": size, "crc_32": crc_32, "modified_at": timezone.now()}
