"""How an export ends: ready, with a file that may be another one's, or in any other way."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone, translation

from django_stream_zip import conf
from django_stream_zip.exports import signals
from django_stream_zip.exports.checksums import forget_parts
from django_stream_zip.exports.engine import enqueue
from django_stream_zip.exports.models import AbstractZipExport, exports
from django_stream_zip.exports.states import State
from django_stream_zip.exports.storing import discard, published, sweep_uploads
from django_stream_zip.saving import IncompleteError

__all__ = [
    "announce",
    "cancel",
    "clean",
    "end",
    "finish",
    "is_shared_by_others",
    "take_back",
    "take_ready_twin",
]

logger = logging.getLogger("django_stream_zip")


class WrongLengthError(Exception):
    """The storage has published something else than was planned."""


def finish(export: AbstractZipExport) -> None:
    """Publish an export whose parts are all there, and say that it is ready. May be done again.

    Raises:
        CRC32IntegrityError: A content isn't what its member declares.
        WrongLengthError: What was published isn't as long as was planned.
    """
    row = exports().filter(pk=export.pk, plans=export.plans)
    try:
        found = published(export)
    except IncompleteError as error:
        # The storage's list of parts was wrong, or it has lost some.
        logger.warning("export %s isn't complete: %s", export.pk, error)
        if row.move(State.FINISHING, State.BUILDING, heartbeat=None):
            enqueue("build_export", str(export.pk))
        return
    if export.length is not None and found.length != export.length:
        raise WrongLengthError(f"{export.file} has {found.length:,} bytes, not {export.length:,}")
    if row.move(State.FINISHING, State.READY, **_ready_now(found.length)):
        announce(export.pk)
        _adopt_waiting(export.pk)
        forget_parts(export)
        sweep_uploads(export)
    else:
        take_back(export, unless=(State.FINISHING, State.READY))


def take_back(export: AbstractZipExport, *, unless: Collection[State]) -> None:
    """Remove what was published of an export that was cancelled, deleted or planned anew meanwhile.

    Nobody else knows of the file.

    Args:
        export: The export, as it was when its archive was planned.
        unless: The states in which it stays.
    """
    same = exports().filter(pk=export.pk, plans=export.plans, state__in=unless)
    if not same.exists():
        discard(export, is_shared=is_shared_by_others(export))


def _ready_now(length: int | None) -> dict[str, Any]:
    now = timezone.now()
    return {
        "length": length,
        "bytes_done": length or 0,
        "ready": now,
        "expires": now + timedelta(seconds=conf.get("EXPORT_MAX_AGE")),
        "token": "",
        "heartbeat": None,
        "error": "",
    }


def take_ready_twin(export: AbstractZipExport) -> bool:
    """Have an export share the file of an equal one that is ready; return whether there is one."""
    if not export.tag:
        return False
    now = timezone.now()
    twin = (
        exports()
        .filter(tag=export.tag, storage=export.storage, state=State.READY, expires__gt=now)
        .exclude(pk=export.pk)
        .first()
    )
    return twin is not None and _share(twin, export.pk)


def _share(twin: AbstractZipExport, pk: Any) -> bool:
    """Have an export that is queued share the file of one that is ready."""
    ready = exports().filter(pk=twin.pk, state=State.READY)
    changes = {**_ready_now(twin.length), "file": twin.file}
    with transaction.atomic():
        # Locks the row, in any database: it can't expire until this is committed. Who expires it
        # then sees that its file is shared.
        is_taken = ready.update(file=twin.file) and exports().filter(pk=pk, tag=twin.tag).move(
            State.QUEUED, State.READY, **changes
        )
    if is_taken:
        announce(pk)
    return bool(is_taken)


def _adopt_waiting(pk: Any) -> None:
    """Make those ready that have waited for an equal archive."""
    export = exports().filter(pk=pk).first()
    if export is None or not export.tag:
        return
    waiting = exports().filter(tag=export.tag, storage=export.storage, state=State.QUEUED)
    for other in waiting.values_list("pk", flat=True):
        _share(export, other)


def is_shared_by_others(export: AbstractZipExport) -> bool:
    """Return whether another export that is ready has the same file."""
    others = exports().filter(file=export.file, storage=export.storage, state=State.READY)
    return others.exclude(pk=export.pk).exists()


def end(export: AbstractZipExport, target: State, **changes: Any) -> bool:
    """End an export that is being worked on, and remove what there is of it.

    Args:
        export: The export.
        target: The state to end in.
        changes: Columns to be set with it.

    Returns:
        Whether this did it: nobody else has ended it before.
    """
    if not exports().filter(pk=export.pk).end(target, **changes):
        return False
    if target == State.FAILED:
        logger.error("export %s has failed: %s", export.pk, changes.get("error"))
        announce(export.pk)
    if (row := exports().filter(pk=export.pk).first()) is not None:
        clean(row)
        _release_waiting(row)
    return True


def cancel(export: AbstractZipExport) -> bool:
    """Cancel an export that isn't ready; return whether it could be."""
    return end(export, State.CANCELLED)


def clean(export: AbstractZipExport) -> bool:
    """Remove what an export has left that is over; return whether all of it is gone."""
    forget_parts(export)
    return discard(export, is_shared=is_shared_by_others(export))


def _release_waiting(export: AbstractZipExport) -> None:
    """Have those built that have waited for this one."""
    if not export.tag:
        return
    waiting = exports().filter(tag=export.tag, storage=export.storage, state=State.QUEUED)
    for pk in waiting.values_list("pk", flat=True):
        enqueue("build_export", str(pk))


_SIGNALS = {State.READY: signals.zip_export_ready, State.FAILED: signals.zip_export_failed}


def announce(pk: Any) -> None:
    """Send the signal of how an export ended, if nobody has done it."""
    if not exports().filter(pk=pk, announced=False, state__in=_SIGNALS).update(announced=True):
        return
    export = exports().select_related("owner").get(pk=pk)
    with translation.override(export.language or None):
        # Django logs what receivers raise.
        _SIGNALS[State(export.state)].send_robust(type(export), export=export)
