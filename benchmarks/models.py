"""The site's models: files with rows that know their metadata, and with rows that don't."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import default_storage
from django.db import models
from django.utils.module_loading import import_string

from benchmarks.package import named

ZipMetadataModel = named("django_stream_zip.models.ZipMetadataModel")


def _gzipping() -> Any:
    """Return the package's storage of gzipped files; an older package has none."""
    try:
        return import_string("django_stream_zip.storages.gzipped.GzippedFileSystemStorage")()
    except ImportError:
        return default_storage


class File(models.Model):
    """A file of an album, under a title that somebody typed."""

    album = models.CharField(max_length=20, db_index=True)
    number = models.IntegerField()
    title = models.CharField(max_length=100)
    file = models.FileField()

    class Meta:
        abstract = True
        app_label = "benchmarks"


class Known(File, ZipMetadataModel):  # type: ignore[misc, valid-type]
    """Its row holds size, CRC-32 and time."""


class Unknown(File):
    """Its row holds the name only."""


class Gzipped(File):
    """Its file is kept gzipped."""

    file = models.FileField(storage=_gzipping)
