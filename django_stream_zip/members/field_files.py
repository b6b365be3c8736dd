"""Which file a row means: the storage and the name that `instance.file` has, not just the column.

A FileField's FieldFile may choose a storage by other columns (django-filer's does), a model may
make instances of its own kind (django-polymorphic), a manager may hide rows (django-safedelete).
Where none of that is so, the column says it all, and no instance is needed.
"""

from __future__ import annotations

from inspect import getattr_static
from typing import Any, Final

from django.db.models import FileField, Manager, Model

# What these modules define leaves storage and name as the field and the column have them.
_KNOWN: Final = frozenset(
    {
        "builtins",
        "django.core.files.base",
        "django.core.files.images",
        "django.core.files.utils",
        "django.db.models.base",
        "django.db.models.fields.files",
        "django.db.models.manager",
        "django.db.models.query_utils",
        "django_stream_zip.facts",
        "django_stream_zip.models",
    }
)
_OF_FILE: Final = "__new__ __init__ __getattribute__ __getattr__ name storage".split()
_OF_DESCRIPTOR: Final = "__get__ __set__".split()
_OF_MODEL: Final = "__new__ __init__ __getattribute__ __setattr__ from_db".split()


def is_column_enough(model: type[Model], field: FileField) -> bool:
    """Return whether the field's storage and the column's name are what an instance would have."""
    descriptor = getattr_static(model, field.attname)
    return (
        _is_known(field.attr_class, _OF_FILE)
        and _is_known(type(descriptor), _OF_DESCRIPTOR)
        and _is_known(model, _OF_MODEL)
    )


def is_plain(manager: Manager[Any]) -> bool:
    """Return whether a manager has all rows, as far as can be told."""
    return _is_known(type(manager), ["get_queryset"])


def _is_known(cls: type, names: list[str]) -> bool:
    return all(_definer(cls, name).__module__ in _KNOWN for name in names)


def _definer(cls: type, name: str) -> type:
    """Return the class that an attribute comes from; `object` if none has it."""
    return next((known for known in cls.__mro__ if name in vars(known)), object)
