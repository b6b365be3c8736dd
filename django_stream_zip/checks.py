"""System checks: what is wrong with the settings, said before the first download."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db.models import Manager, Model, QuerySet

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
    return [*_unknown_keys(given), *_wrong_values(given)]


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


def rows_to_check(model: type[Model]) -> QuerySet[Any] | None:
    """Return a queryset whose fields are those of the model's own, to check options against.

    None if the default manager may add others, or want to know of a request.
    """
    manager = type(model._default_manager)
    # Managers made of a queryset's methods inherit Django's, too.
    if getattr(manager.get_queryset, "__module__", "") != Manager.__module__:
        return None
    return QuerySet(model)
