"""System checks: what is wrong with the settings, said before the first download."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.checks import CheckMessage, Error, Warning

from django_stream_zip import conf


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of DJANGO_STREAM_ZIP."""
    given = getattr(settings, conf.SETTING, {})
    if not isinstance(given, dict):
        return [
            Error(
                f"{conf.SETTING} must be a dict, not {type(given).__name__}.",
                id="django_stream_zip.E001",
            )
        ]
    return [*_unknown_keys(given), *_wrong_values(given), *_slow_cache()]


def _unknown_keys(given: dict[Any, Any]) -> Iterator[CheckMessage]:
    for key in sorted(given.keys() - conf.KEYS.keys(), key=str):
        matches = get_close_matches(str(key), conf.KEYS, n=1)
        hint = f"Did you mean {matches[0]!r}?" if matches else f"Known are {', '.join(conf.KEYS)}."
        yield Error(f"{conf.SETTING} has no key {key!r}.", hint=hint, id="django_stream_zip.E002")


def _wrong_values(given: dict[Any, Any]) -> Iterator[CheckMessage]:
    for name, key in conf.KEYS.items():
        if name in given and not key.is_valid(given[name]):
            yield Error(
                f"{conf.SETTING}[{name!r}] must be {key.must_be}, not {given[name]!r}.",
                id="django_stream_zip.E003",
            )


def _slow_cache() -> Iterator[CheckMessage]:
    """Find caches that take longer to keep a CRC-32 than reading most files again would."""
    alias = conf.get("CRC_32_CACHE")
    if not isinstance(alias, str) or alias not in settings.CACHES:
        return
    cache = caches[alias]
    if isinstance(cache, DatabaseCache | FileBasedCache):
        yield Warning(
            f"{type(cache).__name__} is too slow to keep CRC-32s: it writes them one by one.",
            hint=f"Name one in Redis or memcached by {conf.SETTING}['CRC_32_CACHE'], or set None.",
            id="django_stream_zip.W002",
        )
