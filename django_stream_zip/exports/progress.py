"""Signs of life: how far an export is, written at most once a second, and whether to go on."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connections, router
from django.db.models import F
from django.db.models.functions import Least
from django.utils import timezone

from django_stream_zip.exports.models import AbstractZipExport, exports, moments_around_now

__all__ = ["OverError", "Reports", "is_alive"]

logger = logging.getLogger("django_stream_zip")

_SECONDS: Final = 1.0


class OverError(Exception):
    """Nobody wants this export any more: it was cancelled, or is planned anew."""


def is_alive(export: AbstractZipExport) -> bool:
    """Return whether a worker has shown a sign of life lately."""
    first, last = moments_around_now()
    return export.heartbeat is not None and first < export.heartbeat < last


class Reports:
    """Writes how far an export is, on behalf of one of the workers that may be at it."""

    def __init__(self, export: AbstractZipExport) -> None:
        self._export = export
        self._added = 0
        self._written_at = time.monotonic()

    def at(self, done: int, total: int | None = None) -> None:
        """Report that so many bytes are there. Raises OverError if the export isn't to go on."""
        if self._is_time():
            self._write(done)

    def add(self, size: int) -> None:
        """Report that a part is there, too. Raises OverError if the export isn't to go on."""
        self._added += size
        # Others add theirs. What two of them have made is counted twice, until the end.
        done = Least(F("bytes_done") + self._added, F("length"))
        # It has got further: parts that are there stay there.
        if self._is_time() and self._write(done, attempts=0):
            self._added = 0

    def end(self, done: int) -> None:
        """Report that so many bytes are there, at last. Raises OverError likewise."""
        self._write(done, **({"attempts": 0} if self._added else {}))

    def _is_time(self) -> bool:
        return time.monotonic() - self._written_at >= _SECONDS

    def _write(self, done: Any, **changes: Any) -> bool:
        """Set the columns, if the export is still what this worker works on.

        Returns:
            Whether that was possible: work of hours isn't lost with a database that is away for a
            moment.
        """
        export = self._export
        self._written_at = time.monotonic()
        changes |= {"bytes_done": done, "heartbeat": timezone.now()}
        same = exports().filter(pk=export.pk, state=export.state, token=export.token)
        try:
            is_same = same.filter(plans=export.plans).update(**changes)
        except (InterfaceError, OperationalError):
            logger.warning("could not write how far export %s is", export.pk, exc_info=True)
            connections[router.db_for_write(type(export))].close_if_unusable_or_obsolete()
            return False
        if not is_same:
            raise OverError
        return True
