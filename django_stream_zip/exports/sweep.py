"""The sweep: what time, dead workers and lost tasks leave undone. For cron, every few minutes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.db.models import Q
from django.utils import timezone

from django_stream_zip import conf
from django_stream_zip.exports.engine import enqueue
from django_stream_zip.exports.finishing import announce, clean
from django_stream_zip.exports.models import AbstractZipExport, ExportQuerySet, exports
from django_stream_zip.exports.states import ENDED, State

__all__ = ["Action", "revive", "sweep_exports"]


logger = logging.getLogger("django_stream_zip")


class Action(NamedTuple):
    """Something that the sweep does to an export: what, in a word, and to which."""

    what: str
    export: AbstractZipExport


def sweep_exports(*, dry_run: bool = False) -> Iterator[Action]:
    """Do what is to be done, and yield each thing that was done.

    Any number of sweeps may run at once, beside workers.

    Args:
        dry_run: Only yield what is to be done.
    """
    for what, find, do in _STEPS:
        for export in find().iterator():
            if dry_run or _is_done(do, export):
                yield Action(what, export)


def _is_done(do: Callable[[Any], bool], export: AbstractZipExport) -> bool:
    """Do something; what it raises is logged, and the other exports have their turn."""
    try:
        return do(export)
    except Exception:
        logger.exception("could not sweep export %s", export.pk)
        return False


def revive(export: AbstractZipExport) -> bool:
    """Hand an export to the engine again; return whether nobody else has done it."""
    same = exports().filter(pk=export.pk, state=export.state, enqueued=export.enqueued)
    if not same.update(enqueued=timezone.now()):
        return False
    enqueue("build_export", str(export.pk))
    return True


def _expire(export: AbstractZipExport) -> bool:
    return exports().filter(pk=export.pk).move(State.READY, State.EXPIRED)


def _clean(export: AbstractZipExport) -> bool:
    """Remove what is left. It isn't over yet: whoever still worked on it may leave more."""
    if not clean(export):
        return False
    if export.ended is None or export.ended > _ago("EXPORT_STALLED_AFTER"):
        return False
    return bool(exports().filter(pk=export.pk).update(file="", token=""))


def _announce(export: AbstractZipExport) -> bool:
    announce(export.pk)
    return True


def _forget(export: AbstractZipExport) -> bool:
    export.delete()
    return True


def _ago(key: str) -> Any:
    return timezone.now() - timedelta(seconds=conf.get(key))


def _stalled() -> ExportQuerySet:
    return exports().stalled()


def _expired() -> ExportQuerySet:
    return exports().filter(state=State.READY, expires__lte=timezone.now())


def _unclean() -> ExportQuerySet:
    return exports().filter(~Q(file=""), state__in=ENDED)


def _unannounced() -> ExportQuerySet:
    ended = Q(state=State.READY, ready__lt=_ago("EXPORT_STALLED_AFTER")) | Q(
        state=State.FAILED, ended__lt=_ago("EXPORT_STALLED_AFTER")
    )
    return exports().filter(ended, announced=False)


def _old() -> ExportQuerySet:
    return exports().filter(file="", state__in=ENDED, ended__lt=_ago("EXPORT_KEEP_ROWS"))


# What is done, which exports it is done to, and how: it returns whether it was done.
_STEPS: Final[tuple[tuple[str, Callable[[], Any], Callable[[Any], bool]], ...]] = (
    ("resumed", _stalled, revive),
    ("announced", _unannounced, _announce),
    ("expired", _expired, _expire),
    ("cleaned", _unclean, _clean),
    ("forgotten", _old, _forget),
)
