"""What tells two storages of one class apart: the place where each keeps its files.

It goes into the entity tags of archives and into the keys of what is learned, so it has to be the
same in every process and on every host that has the same configuration.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from inspect import signature
from typing import Any, Final

from django.utils.functional import LazyObject

# Attributes of storages, the same ones in many packages. None of them is secret.
_PLACES: Final = (
    "endpoint_url",
    "account_name",
    "bucket_name",
    "azure_container",
    "host",
    "root_path",
    "location",
)


def known_place(storage: Any, *more: object) -> str:
    """Return the place of a storage whose class is known: these attributes tell it apart."""
    return ":".join(map(str, (*_attributes(storage, _PLACES).values(), *more)))


def configured_place(storage: Any, name: str) -> str | None:
    """Return one for any other storage: a hash of all that it was made with, some of it secret.

    None where that isn't known, because the class isn't deconstructible though it takes arguments,
    or has some that look otherwise in another process.
    """
    try:
        made_with = json.dumps(_made_with(storage), sort_keys=True, default=_plain)
    except (TypeError, ValueError):
        return None
    asked = whereabouts(storage, name)
    return sha256(f"{made_with} {asked}".encode(errors="surrogatepass")).hexdigest()


def whereabouts(storage: Any, name: str) -> list[Any]:
    """Return where a storage looks for a file now, which may depend on who asks."""
    return [*_attributes(storage, _PLACES).values(), _path(storage, name)]


def _made_with(storage: Any) -> list[Any]:
    """Return constructor arguments and settings. Raises TypeError if there are none to be found."""
    deconstruct = getattr(storage, "deconstruct", None)
    defaults = getattr(storage, "get_default_settings", None)  # those of django-storages
    if deconstruct is None and defaults is None and _takes_arguments(storage.__class__):
        raise TypeError(f"{type(storage)} is not deconstructible")
    made = None if deconstruct is None else deconstruct()
    return [made, None if defaults is None else _attributes(storage, defaults())]


@cache
def _takes_arguments(cls: type) -> bool:
    return bool(signature(cls).parameters)


def _plain(value: Any) -> Any:
    """Return what JSON can hold, the same in each process; raise TypeError if there is no such."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, LazyObject):
        bool(value)  # sets it up
        value = value._wrapped
    if not hasattr(value, "deconstruct"):
        raise TypeError(f"{value!r} may look otherwise in another process")
    return _made_with(value)


def _attributes(storage: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(storage, name, "") for name in names}


def _path(storage: Any, name: str) -> str:
    try:
        return str(storage.path(name))
    except (AttributeError, NotImplementedError):  # it is none of this machine
        return ""
