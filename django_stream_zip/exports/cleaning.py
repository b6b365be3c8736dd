"""What happens when a row is deleted: its file goes with it, also with its owner's account."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete

from django_stream_zip.exports.finishing import clean
from django_stream_zip.exports.models import AbstractZipExport

__all__ = ["connect"]


def connect() -> None:
    """Have deleted rows take their files with them."""
    post_delete.connect(_deleted, dispatch_uid="django_stream_zip.exports")


def _deleted(sender: Any, instance: Any, **kwargs: Any) -> None:
    if isinstance(instance, AbstractZipExport) and instance.file:
        transaction.on_commit(lambda: clean(instance), using=kwargs["using"])
