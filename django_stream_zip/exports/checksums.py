"""CRC-32s of parts, kept in rows where the storage keeps none: some that speak S3's protocol."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connections, router

from django_stream_zip.exports.models import AbstractZipExport, ZipExportPart

__all__ = ["forget_parts", "known_parts", "record_parts"]

_UNIQUE = ("export", "plans", "number")


def known_parts(export: AbstractZipExport) -> dict[int, int]:
    """Return the CRC-32s that rows have of an export's parts, by their numbers."""
    rows = ZipExportPart.objects.filter(export=export.pk, plans=export.plans)
    return dict(rows.values_list("number", "crc_32"))


def record_parts(export: AbstractZipExport, crc_32s: Mapping[int, int]) -> None:
    """Keep the CRC-32s of parts, each once more if there is one."""
    rows = [
        ZipExportPart(export=export.pk, plans=export.plans, number=number, crc_32=crc_32)
        for number, crc_32 in crc_32s.items()
    ]
    features = connections[router.db_for_write(ZipExportPart)].features
    # MySQL finds by itself which constraint is meant.
    unique = _UNIQUE if features.supports_update_conflicts_with_target else None
    ZipExportPart.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=unique, update_fields=["crc_32"]
    )


def forget_parts(export: AbstractZipExport) -> None:
    """Delete the rows of an export's parts."""
    ZipExportPart.objects.filter(export=export.pk).delete()
