"""The recipe of the benchmarks: an album whose rows know all of its files."""

from __future__ import annotations

from typing import Any

from benchmarks.models import Known
from django_stream_zip.exports import zip_export
from django_stream_zip.members import queryset_members


@zip_export("album", allowed=lambda user, **arguments: True)
def album(*, name: str) -> Any:
    """Return the files of an album."""
    rows = Known.objects.filter(album=name).order_by("number")
    return queryset_members(rows, "file", name="{title}{ext}")
