"""Building: what workers do, all of which may be done any number of times, at once, and be killed.

The row is the only thing that they share, and each of its states is left by one conditional UPDATE,
so of several who try it one goes on. `build_export` does whatever an export still needs; where the
archive is made in parts, it hands ranges of them to `build_parts`. Whoever finds that no part is
missing any more publishes the archive.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any, Final

from django.db import Error as AnyDatabaseError
from django.db.models import F
from django.utils import timezone, translation

from django_stream_zip import conf
from django_stream_zip.delivery.refusals import REFUSALS, explain
from django_stream_zip.engine.errors import ZipIntegrityError
from django_stream_zip.exports import problems, progress
from django_stream_zip.exports.checksums import known_parts, record_parts
from django_stream_zip.exports.engine import enqueue
from django_stream_zip.exports.finishing import (
    end,
    finish,
    is_shared_by_others,
    take_back,
    take_ready_twin,
)
from django_stream_zip.exports.models import AbstractZipExport, exports
from django_stream_zip.exports.states import LIVE, State
from django_stream_zip.exports.storing import (
    discard,
    file_name,
    is_whole_or_absent,
    storage_of,
    writer_of,
)
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.saving import ArchiveChangedError, NameTakenError, UploadGoneError, ZipParts
from django_stream_zip.saving.archive import StoppedError, ZipSource
from django_stream_zip.saving.copying import copy_sources
from django_stream_zip.saving.parts import parts_of
from django_stream_zip.saving.save import saved_as
from django_stream_zip.saving.writers.table import AnyWriter
from django_stream_zip.saving.writers.writer import PartWriter

__all__ = ["build_export", "build_parts"]

logger = logging.getLogger("django_stream_zip")

# What is raised where the files aren't any more what they were when they were planned.
_CHANGED: Final = (
    ArchiveChangedError,
    ContentChangedError,
    FileNotFoundError,
    ZipIntegrityError,
)
# An archive is spread over as many tasks, if it has so many parts: the fewer they are, the longer
# the last worker is alone with its task.
_MIN_TASKS: Final = 16


def build_export(pk: str) -> None:
    """Do what an export still needs, unless another worker is at it.

    Args:
        pk: That of its row.
    """
    export = _claimed(pk)
    if export is not None:
        with _reported(export):
            _STEPS[State(export.state)](export)


def build_parts(pk: str, first: int, last: int) -> None:
    """Make those parts of an export that are missing among these numbers, from 1.

    Args:
        pk: That of its row.
        first: The first number.
        last: The last one.
    """
    export = _found(pk)
    if export is None or not export.token:
        return
    if export.state == State.FINISHING:  # this task has failed at the end, and is tried again
        build_export(pk)
        return
    if export.state != State.BUILDING:
        return
    with _reported(export):
        parts = _parts(export)
        missing = _missing(export, parts, parts.found())
        _make(export, parts, [number for number in missing if first <= number <= last])


def _found(pk: str) -> AbstractZipExport | None:
    return exports().select_related("owner").filter(pk=pk).first()


def _claimed(pk: str) -> AbstractZipExport | None:
    """Return an export that is to be worked on, if nobody else is: one UPDATE decides."""
    export = _found(pk)
    if export is None or not export.is_working or progress.is_alive(export):
        return None
    same = exports().filter(pk=pk, state=export.state, heartbeat=export.heartbeat)
    if export.attempts >= conf.get("EXPORT_ATTEMPTS"):
        with translation.override(export.language or None):
            end(export, State.FAILED, error=export.error or problems.given_up())
        return None
    now = timezone.now()
    if not same.filter(attempts=export.attempts).update(heartbeat=now, attempts=F("attempts") + 1):
        return None
    export.heartbeat = now
    return export


@contextmanager
def _reported(export: AbstractZipExport) -> Iterator[None]:
    """Turn what is raised into what becomes of the export."""
    with translation.override(export.language or None):
        try:
            yield
        except (progress.OverError, StoppedError):
            logger.info("export %s is not to be built any more", export.pk)
        except UploadGoneError:
            _begin_again(export)
        except _CHANGED as error:
            _plan_anew(export, error)
        except BaseException:
            # The sweep tries again; the engine sees the error, and may do so before.
            with suppress(AnyDatabaseError):
                exports().filter(pk=export.pk, state=export.state).update(heartbeat=None)
            raise


# The steps, by the state in which they find the export.


def _plan(export: AbstractZipExport) -> None:
    """Find out what the archive will be, and begin it."""
    recipe = export.known_recipe
    if not export.is_allowed():
        end(export, State.FAILED, error=problems.not_allowed())
        return
    try:
        members = recipe.members(**export.arguments)
        missing = problems.missing_files(members)
        archive = ZipSource(members, compress=recipe.compress)
    except REFUSALS as error:
        end(export, State.FAILED, error=explain(error))
        return
    _update(
        export,
        tag=archive.entity_tag or "",
        length=archive.length,
        crc_32=archive.crc_32 if archive.is_divisible else None,
        members=archive.member_count,
        missing=missing,
        planned=timezone.now(),
    )
    if take_ready_twin(export) or _waits_for_twin(export):
        return
    writer = writer_of(export)
    in_parts = archive.is_divisible and isinstance(writer, PartWriter)
    if in_parts and not _is_copied(archive, writer):
        _begin_parts(export, parts_of(writer, archive, part_size=conf.get("EXPORT_PART_SIZE")))
    elif _moved(export, State.BUILDING):
        _make_whole(export, archive)


def _begin_parts(export: AbstractZipExport, parts: ZipParts) -> None:
    if _moved(export, State.BUILDING, token=parts.token):
        _spread(export, parts)
    else:
        parts.abort()


def _go_on(export: AbstractZipExport) -> None:
    """Make what of the archive isn't there."""
    if export.token:
        _spread(export, _parts(export))
    else:
        _make_whole(export, _same_archive(export))


def _same_archive(export: AbstractZipExport) -> ZipSource:
    """Plan an archive again.

    Raises:
        ArchiveChangedError: It has become another one.
    """
    recipe = export.known_recipe
    archive = ZipSource(recipe.members(**export.arguments), compress=recipe.compress)
    if (archive.entity_tag or "", archive.length) != (export.tag, export.length):
        raise ArchiveChangedError(f"export {export.pk} would become another archive by now")
    return archive


_STEPS: Final = {State.QUEUED: _plan, State.BUILDING: _go_on, State.FINISHING: finish}


# An archive from its beginning to its end.


def _make_whole(export: AbstractZipExport, archive: ZipSource) -> None:
    writer = writer_of(export)
    is_there = writer.exists()
    if is_there and not is_whole_or_absent(writer):
        storage_of(export).delete(export.file)
        is_there = False
    if not is_there:  # else a worker that was killed just now has published it
        _save(export, archive)
    if _moved(export, State.FINISHING):
        finish(export)
    else:
        take_back(export, unless=LIVE)


def _is_copied(archive: ZipSource, writer: AnyWriter) -> bool:
    """Return whether the store can copy most of an archive itself: then one worker is enough."""
    if archive.plan is None or not isinstance(writer, PartWriter):
        return False
    members = archive.plan.members
    sizes = (members[n][3].uncompressed_size or 0 for n in copy_sources(archive, writer))
    return 2 * sum(sizes) > archive.plan.length


def _save(export: AbstractZipExport, archive: ZipSource) -> None:
    try:
        saved_as(
            storage_of(export),
            export.file,
            lambda: archive,
            overwrite=False,
            progress=progress.Reports(export).at,
            workers=1,
            part_size=conf.get("EXPORT_PART_SIZE"),
            begun=None,
            resume=None,
            # Where CRC-32s aren't known, copies would make another archive than is streamed.
            copy=archive.is_divisible,
        )
    except NameTakenError:
        logger.info("export %s was saved by another worker", export.pk)


# An archive in parts.


def _parts(export: AbstractZipExport) -> ZipParts:
    """Plan the archive again; return its parts. Raises ArchiveChangedError."""
    return parts_of(writer_of(export), _same_archive(export), export.token)


def _spread(export: AbstractZipExport, parts: ZipParts) -> None:
    """Hand the missing parts to the engine in ranges, but for the first range."""
    own, *others = [*_tasks(_missing(export, parts, parts.found()), parts.sizes)] or [[]]
    for numbers in others:
        enqueue("build_parts", str(export.pk), numbers[0], numbers[-1])
    _make(export, parts, own)


def _tasks(numbers: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield those of these numbers that one task is for."""
    task_bytes = min(conf.get("EXPORT_TASK_BYTES"), sum(sizes) // _MIN_TASKS)
    per_task = max(1, task_bytes // max(1, sizes[0]))
    for _task, group in groupby(numbers, lambda number: (number - 1) // per_task):
        yield list(group)


def _make(export: AbstractZipExport, parts: ZipParts, numbers: Iterable[int]) -> None:
    """Make these parts; if none is missing then, publish the archive."""
    reports, saved = progress.Reports(export), dict[int, int]()
    for number in numbers:
        saved[number] = parts.save(number)
        reports.add(parts.sizes[number - 1])
    found = parts.found()
    if unkept := {number: saved[number] for number in saved if found.get(number, 0) is None}:
        record_parts(export, unkept)
    missing = _missing(export, parts, found)
    reports.end(sum(parts.sizes) - sum(parts.sizes[number - 1] for number in missing))
    if not missing and _moved(export, State.FINISHING):
        finish(export)


def _missing(
    export: AbstractZipExport, parts: ZipParts, found: Mapping[int, int | None]
) -> list[int]:
    """Return the numbers of the parts that aren't there, or whose CRC-32 nobody has kept."""
    known = known_parts(export) if None in found.values() else {}
    return [
        number
        for number in range(1, len(parts) + 1)
        if number not in found or (found[number] is None and number not in known)
    ]


# What else may become of an export.


def _waits_for_twin(export: AbstractZipExport) -> bool:
    """Return whether an equal archive is being built: then this export is ready when that is."""
    twins = exports().filter(tag=export.tag, storage=export.storage).exclude(pk=export.pk)
    working = twins.filter(state__in=[State.BUILDING, State.FINISHING])
    if not export.tag or not working.exists():
        return False
    _update(export, heartbeat=None, attempts=0)
    # Between the two looks it may have become ready, and have adopted those that it saw.
    take_ready_twin(export)
    return True


def _begin_again(export: AbstractZipExport) -> None:
    """Have an archive built from its beginning whose upload is gone, unless it is published."""
    changes = {"token": "", "bytes_done": 0, "heartbeat": None}
    mine = exports().filter(pk=export.pk, token=export.token)
    if mine.move(State.BUILDING, State.QUEUED, **changes):
        enqueue("build_export", str(export.pk))


def _plan_anew(export: AbstractZipExport, error: Exception) -> None:
    """Plan an export once more whose files have changed; the second time, it has failed."""
    logger.warning("files of export %s have changed: %s", export.pk, error)
    if export.plans or export.state == State.QUEUED:
        end(export, State.FAILED, error=problems.changed(export))
        return
    changes = {
        "plans": export.plans + 1,
        "file": file_name(export, export.plans + 1),
        "token": "",
        "bytes_done": 0,
        "heartbeat": None,
    }
    mine = exports().filter(pk=export.pk, plans=export.plans)
    if mine.move(State(export.state), State.QUEUED, **changes):
        discard(export, is_shared=is_shared_by_others(export))
        enqueue("build_export", str(export.pk))


def _moved(export: AbstractZipExport, target: State, **changes: Any) -> bool:
    """Move the export on; return whether it was this worker who did it."""
    source = State(export.state)
    changes = {"heartbeat": timezone.now(), **changes}
    mine = exports().filter(pk=export.pk, plans=export.plans, token=export.token)
    if not mine.move(source, target, **changes):
        return False
    for name, value in {"state": target, **changes}.items():
        setattr(export, name, value)
    return True


def _update(export: AbstractZipExport, **changes: Any) -> None:
    """Set columns of an export that is still in its state. Raises OverError if it isn't."""
    if not exports().filter(pk=export.pk, state=export.state).update(**changes):
        raise progress.OverError
    for name, value in changes.items():
        setattr(export, name, value)
