"""What of the package the benchmarks use beside its public API, by its names here and before.

`python -m benchmarks --against CHECKOUT` runs the same cells with the package of an older checkout,
where some things had other names. This table knows them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.utils.module_loading import import_string

#: By the name now, that at ade8688.
_BEFORE = {
    "django_stream_zip.members.async_member": "django_stream_zip.members.on_loop",
    "django_stream_zip.members.build.build_member": "django_stream_zip.members.member.member",
    "django_stream_zip.models.ZipMetadataModel": "django_stream_zip.models.ZipFactsModel",
    "django_stream_zip.planning.plan.Plan": "django_stream_zip.plan.Plan",
    "django_stream_zip.prefetch.threads.prefetched": "django_stream_zip.ahead.read_ahead",
}


def named(path: str) -> Any:
    """Return what has this dotted path, or had another one before."""
    with suppress(ImportError):
        return import_string(path)
    return import_string(_BEFORE[path])
