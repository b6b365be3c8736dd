"""System checks of the settings, and what checks of views and the admin have in common."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.checks import CheckMessage, Error, Warning
from django.db.models import Manager, Model, QuerySet

from django_stream_zip import conf

__all__ = ["check_settings", "rows_to_check"]


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of DJANGO_STREAM_ZIP."""
    given = getattr(settings, conf.NAME, {})
    if wrong := conf.wrong_type(given):
        return [Error(wrong, id="django_stream_zip.E001")]
    return [*_unknown_keys(given), *_wrong_values(given), *_slow_cache(given)]


def _unknown_keys(given: dict[Any, Any]) -> Iterator[CheckMessage]:
    for key in sorted(given.keys() - conf.KEYS.keys(), key=str):
        matches = get_close_matches(str(key), conf.KEYS, n=1)
        hint = f"Did you mean {matches[0]!r}?" if matches else f"Known are {', '.join(conf.KEYS)}."
        yield Error(f"{conf.NAME} has no key {key!r}.", hint=hint, id="django_stream_zip.E002")


def _wrong_values(given: dict[Any, Any]) -> Iterator[CheckMessage]:
    for key in conf.KEYS:
        if key in given and (wrong := conf.wrong_value(key, given[key])):
            yield Error(wrong, id="django_stream_zip.E003")


def _slow_cache(given: dict[Any, Any]) -> Iterator[CheckMessage]:
    """Warn of caches that take longer to keep a CRC-32 than reading most files again does."""
    alias = given.get("CRC_32_CACHE", conf.KEYS["CRC_32_CACHE"].default)
    if not isinstance(alias, str) or alias not in settings.CACHES:
        return
    cache = caches[alias]
    if isinstance(cache, DatabaseCache | FileBasedCache):
        yield Warning(
            f"{type(cache).__name__} is too slow for CRC-32s: it writes them one by one.",
            hint=f"Set {conf.NAME}['CRC_32_CACHE'] to one in Redis or memcached, or to None.",
            id="django_stream_zip.W002",
        )


def rows_to_check(model: type[Model]) -> QuerySet[Any] | None:
    """Return a queryset with the model's own fields, to check options against.

    None if the default manager has a `get_queryset` of its own, which may add fields, or need a
    request.
    """
    manager = type(model._default_manager)
    # Managers made by `from_queryset()` inherit Django's method.
    if getattr(manager.get_queryset, "__module__", "") != Manager.__module__:
        return None
    return QuerySet(model)
