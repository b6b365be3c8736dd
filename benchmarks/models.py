"""The site's models: files with rows that know their metadata, and with rows that don't."""

from __future__ import annotations

from django.db import models

try:
    from django_stream_zip.models import ZipMetadataModel
except ImportError:  # what it was called in an older checkout, see `python -m benchmarks --against`
    from django_stream_zip.models import ZipFactsModel as ZipMetadataModel


class File(models.Model):
    """A file of an album, under a title that somebody typed."""

    album = models.CharField(max_length=20, db_index=True)
    title = models.CharField(max_length=100)
    file = models.FileField()

    class Meta:
        abstract = True
        app_label = "benchmarks"


class Known(File, ZipMetadataModel):
    """Its row holds size, CRC-32 and time."""


class Unknown(File):
    """Its row holds the name only."""
