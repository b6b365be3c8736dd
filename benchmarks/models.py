"""The site's models: files with rows that know their metadata, and with rows that don't."""

from __future__ import annotations

from django.db import models

from benchmarks.package import named

ZipMetadataModel = named("django_stream_zip.models.ZipMetadataModel")


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
