"""Which file a row means: the storage and the name that `instance.file` has, not just the column.

A FileField's FieldFile may choose a storage by other columns (django-filer's does), or read other
bytes than the storage keeps; a model may make instances of its own kind (django-polymorphic), and a
manager may hide rows (django-safedelete). Where none of that is so, the column says it all, and no
instance is needed.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from inspect import getattr_static
from itertools import chain
from typing import Any, Final

from django.core.files.base import File
from django.core.files.storage import Storage
from django.db.models import FileField, Manager, Model, signals
from django.db.models.fields.files import FieldFile

# What these modules define leaves storage and name as the field and the column have them.
_KNOWN: Final = frozenset(
    {
        "django.core.files.base",
        "django.core.files.images",
        "django.core.files.utils",
        "django.db.models.base",
        "django.db.models.fields.files",
        "django.db.models.manager",
        "django.db.models.query_utils",
        "django_stream_zip.metadata.uploads",
        "django_stream_zip.models",
    }
)
_OF_FILE: Final = "__new__", "__init__", "__getattribute__", "__getattr__", "name", "storage"
_OF_CONTENT: Final = "open", "file", "read", "chunks"
_OF_DESCRIPTOR: Final = "__get__", "__set__"
_OF_MODEL: Final = "__new__", "__init__", "__getattribute__", "__setattr__", "from_db"
_OF_MANAGER: Final = ("get_queryset",)


def is_column_enough(model: type[Model], field: FileField) -> bool:
    """Return whether the field's storage and the column's name are what an instance would have."""
    descriptor = getattr_static(model, field.attname)
    return (
        _is_known(field.attr_class, _OF_FILE + _OF_CONTENT)
        and _is_known(type(descriptor), _OF_DESCRIPTOR)
        and _is_known(model, _OF_MODEL)
        and not _has_receivers(model)
    )


def _has_receivers(model: type[Model]) -> bool:
    """Return whether a signal tells somebody, who may change it, of each instance that is made."""
    post_init: Any = signals.post_init
    receivers = chain.from_iterable(post_init._live_receivers(model))
    return any(receiver.__module__ not in _KNOWN for receiver in receivers)


def storage_of(file: FieldFile) -> Any:
    """Return what a file is read through: its storage, or itself if it opens in its own way."""
    return file.storage if _is_known(type(file), _OF_CONTENT) else OpenedByItself(file)


class OpenedByItself(Storage):
    """Stands for the storage of a FieldFile that reads other bytes than the storage keeps.

    Their number isn't known before they are read.
    """

    def __init__(self, file: FieldFile) -> None:
        self._file = file

    def get_modified_time(self, name: str) -> datetime:
        """Ask the storage."""
        return self._file.storage.get_modified_time(name)

    def exists(self, name: str) -> bool:
        """Ask the storage."""
        return self._file.storage.exists(name)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        opened: File[Any] = self._file.open(mode)
        return opened


def is_plain(manager: Manager[Any]) -> bool:
    """Return whether a manager has all rows, as far as can be known."""
    return _is_known(type(manager), _OF_MANAGER)


def _is_known(cls: Any, names: tuple[str, ...]) -> bool:
    return _are_known(cls, names)


@lru_cache
def _are_known(cls: type, names: tuple[str, ...]) -> bool:
    definers = {_definer(cls, name) for name in names} - {object}
    return all(definer.__module__ in _KNOWN for definer in definers)


def _definer(cls: type, name: str) -> type:
    """Return the class that an attribute comes from; `object` if none has it."""
    return next((known for known in cls.__mro__ if name in vars(known)), object)
