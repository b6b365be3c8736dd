"""System checks of what exports need: an engine that works apart, and a place that isn't public."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, storages

from django_stream_zip import conf
from django_stream_zip.exports.engine import enqueue_function
from django_stream_zip.members.readers.table import unwrapped
from django_stream_zip.saving.writers.table import writer_class
from django_stream_zip.saving.writers.writer import PartWriter

__all__ = ["check_exports"]


def check_exports(**kwargs: Any) -> list[CheckMessage]:
    """Check the settings of exports. Wrong values are reported by the package's own checks."""
    try:
        return [*_engine(), *_place(), *_parts()]
    except ImproperlyConfigured:
        return []


def _engine() -> Iterator[CheckMessage]:
    """Find an engine that isn't there, or that runs tasks in the request or not at all."""
    hint = (
        "Install a backend that has workers (django-tasks-db, for one) and set TASKS, or name "
        f"a function of your own engine in {conf.NAME}['ENQUEUE']."
    )
    conf.get("ENQUEUE")  # what is wrong with it is reported elsewhere
    try:
        function = enqueue_function()
    except Exception as error:
        what = f"No task engine builds exports: {type(error).__name__}: {error}"
        yield Error(what, hint=hint, id="django_stream_zip.E007")
        return
    backend = getattr(getattr(function, "__self__", None), "get_backend", lambda: None)()
    name = type(backend).__name__
    if name in {"ImmediateBackend", "DummyBackend"} and not settings.DEBUG:
        how = "builds exports within the request" if name[0] == "I" else "builds no exports"
        yield Warning(f"{name} {how}.", hint=hint, id="django_stream_zip.W003")


def _place() -> Iterator[CheckMessage]:
    """Find a folder from which a web server sends whatever is in it."""
    storage = unwrapped(storages[conf.get("EXPORT_STORAGE")])
    if not (isinstance(storage, FileSystemStorage) and settings.MEDIA_ROOT and settings.MEDIA_URL):
        return
    media = Path(settings.MEDIA_ROOT).resolve()
    if Path(storage.path(conf.get("EXPORT_FOLDER"))).resolve().is_relative_to(media):
        yield Warning(
            "Exports are stored in MEDIA_ROOT, which web servers usually serve to everybody.",
            hint=f"Name a storage elsewhere in {conf.NAME}['EXPORT_STORAGE'], or keep the web "
            f"server from serving the folder {conf.get('EXPORT_FOLDER')!r}.",
            id="django_stream_zip.W004",
        )


def _parts() -> Iterator[CheckMessage]:
    """Find parts that the storage doesn't take, or too few of them for what is allowed."""
    writer = writer_class(unwrapped(storages[conf.get("EXPORT_STORAGE")]))
    size, most = conf.get("EXPORT_PART_SIZE"), conf.get("MAX_BYTES")
    if size is None or not issubclass(writer, PartWriter):
        return
    try:
        writer.limits.part_size(most, size)
    except ValueError as error:
        what = f"{conf.NAME}['EXPORT_PART_SIZE'] doesn't fit the storage or MAX_BYTES: {error}."
        yield Error(what, id="django_stream_zip.E008")
