"""Storages that keep files in a form which an archive can have them in."""

from __future__ import annotations

from django_stream_zip.storages.gzipped import GzippedFileSystemStorage

__all__ = ["GzippedFileSystemStorage"]
