"""What the owner of an export may read of a problem. What storages say is for the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _

from django_stream_zip.exports.models import AbstractZipExport

__all__ = ["changed", "given_up", "missing_files", "not_allowed"]

_MAX_NAMES: Final = 3


def given_up() -> str:
    """Return what to say when no attempt succeeded."""
    return _("The archive could not be prepared. Please try again later.")


def not_allowed() -> str:
    """Return what to say when the owner may not have the files by now."""
    return _("You may not have these files any more.")


def missing_files(members: Any) -> int:
    """Return how many files are reported as missing among the members."""
    if not isinstance(members, Sequence):
        return 0
    return sum(getattr(member[4], "missing_files", 0) for member in members)


def changed(export: AbstractZipExport) -> str:
    """Return what has changed since an export was planned, as far as that is to be seen."""
    try:
        names = _changed_names(export)
    except Exception:  # a file is gone
        names = []
    if names:
        text = _("Files were changed while the archive was being prepared: %(names)s")
        return text % {"names": ", ".join(names)}
    return _("Files were changed or removed while the archive was being prepared.")


def _changed_names(export: AbstractZipExport) -> list[str]:
    """Return the names of some members that are newer than the plan."""
    names: list[str] = []
    members = export.known_recipe.members(**export.arguments)
    if not isinstance(members, Sequence) or export.planned is None:
        return names
    planned = _seconds(export.planned)
    for name, modified_at, *_others in members:
        if _seconds(modified_at) >= planned and len(names) <= _MAX_NAMES:
            names.append("…" if len(names) == _MAX_NAMES else str(name))
    return names


def _seconds(moment: datetime) -> float:
    """Return when a moment was, with a time zone or, as where USE_TZ is off, without one."""
    return (timezone.make_aware(moment) if timezone.is_naive(moment) else moment).timestamp()
