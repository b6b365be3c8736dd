"""`save_zip`: an archive into a storage, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.members.connections import borrowed_connections
from django_stream_zip.prefetch.ambient import carried
from django_stream_zip.saving.archive import ZipSource, in_parts
from django_stream_zip.saving.copying import (
    Copies,
    CopyingArchive,
    NotCopiedError,
    copy_sources,
    planned,
)
from django_stream_zip.saving.parts import SavedZip, ZipParts, parts_of, saved
from django_stream_zip.saving.reader import Progress, ZipReader
from django_stream_zip.saving.writers.table import AnyWriter, writer_for
from django_stream_zip.saving.writers.writer import PartWriter, StreamWriter

__all__ = ["save_zip", "sweep"]

logger = logging.getLogger("django_stream_zip")

# Nobody saves an archive for a day; if somebody does, the parts come more often than that.
_ABANDONED_AFTER: Final = timedelta(days=1)


def save_zip(
    storage: Any,
    name: str,
    members: Any,
    *,
    password: str | None = None,
    compress: bool | None = None,
    extended_timestamps: bool = True,
    comment: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
    workers: int = 1,
    part_size: int | None = None,
    begun: Callable[[str], object] | None = None,
    resume: str | None = None,
    copy: bool = True,
) -> SavedZip:
    """Save the ZIP archive of `members` in a storage, whole or not at all.

    Nobody sees it before it is whole. On any error, KeyboardInterrupt included, nothing is
    published, nothing is left behind, and a file that was to be overwritten is as it was. (What a
    killed process leaves, the next one that saves under the same name removes a day later.)

    Args:
        storage: A storage. Those of django-storages and Django's own have writers of their own; any
            other saves as well as its `save()` does it.
        name: The archive's name in the storage.
        members: As for `zip_response`, but not asynchronous: see `asave_zip`.
        password: Encrypts all members.
        compress: As for `zip_response`; so are the next two.
        extended_timestamps: Whether times are also written in seconds since 1970.
        comment: The archive's comment.
        overwrite: Whether a file of that name is replaced. Without it, one is an error.
        progress: Called with how many bytes are saved, and of how many if that is known.
        workers: How many threads make and write parts, where all CRC-32s are known and the storage
            takes parts; else the archive is made from its beginning to its end by one.
        part_size: Length of each part in bytes; None chooses one that the storage takes.
        begun: Called with a token as soon as an archive is begun that can be resumed: where all
            CRC-32s are known and the storage takes parts. An error then leaves the parts that are
            there, for `resume` or `abort_upload`.
        resume: Such a token. Parts that are there are not made again.
        copy: Whether members that the storage has itself are copied inside of it, where it can do
            so: objects of S3 from 10 MiB on, between buckets of the same endpoint. Such an archive
            can't be resumed.

    Returns:
        What was saved.

    Raises:
        NameTakenError: There is a file of that name.
        NameRefusedError: The storage can't have a file of that name.
        PartSizeError: Parts of that size are too small, too large or too many.
        NotDivisibleError: What is to be resumed can't be.
        ArchiveChangedError: The members are others than those that the token is for.
        PermissionError: Nobody may write there. What else the storage raises passes through, as
            does what reading the members raises.
    """
    return saved_as(
        storage,
        name,
        partial(
            ZipSource,
            members,
            password=password,
            compress=compress,
            extended_timestamps=extended_timestamps,
            comment=comment,
        ),
        overwrite=overwrite,
        progress=progress,
        workers=workers,
        part_size=part_size,
        begun=begun,
        resume=resume,
        copy=copy,
    )


def saved_as(
    storage: Any,
    name: str,
    make: Callable[[], ZipSource],
    *,
    overwrite: bool,
    progress: Progress | None,
    workers: int,
    part_size: int | None,
    begun: Callable[[str], object] | None,
    resume: str | None,
    copy: bool,
) -> SavedZip:
    """Do what `save_zip` does with the archive that is made when the name is known to be free."""
    writer = writer_for(storage, name, overwrite=overwrite)
    if resume is None:
        writer.check()
        _sweep(writer)
    archive = make()
    done = _Done(progress, archive.length)
    if resume is not None:
        return _resumed(parts_of(writer, archive, resume), workers, done)
    if isinstance(writer, StreamWriter):
        return _streamed(writer, archive, progress)
    if copy and (copied := _copied(writer, archive, part_size, workers, done)) is not None:
        return copied
    if archive.is_divisible and (workers > 1 or begun is not None):
        return _divided(parts_of(writer, archive, part_size=part_size), workers, done, begun)
    return _in_turn(writer, archive, part_size, done)


def sweep(storage: Any, name: str, *, older_than: timedelta = _ABANDONED_AFTER) -> int:
    """Remove what was begun to be saved under a name and never completed; return how many.

    `save_zip` does so by itself, under its own name.

    Args:
        storage: The storage.
        name: The name under which archives were to be saved.
        older_than: How long nothing must have been heard of them.
    """
    writer = writer_for(storage, name)
    return writer.sweep(older_than) if isinstance(writer, PartWriter) else 0


def _sweep(writer: AnyWriter) -> None:
    """Sweep, but only warn where that fails: it is no reason not to save."""
    try:
        if isinstance(writer, PartWriter):
            writer.sweep(_ABANDONED_AFTER)
    except Exception:
        logger.warning("could not sweep old uploads of %r", writer.name, exc_info=True)


class _Done:
    """Counts the bytes that are saved, and reports them."""

    def __init__(self, progress: Progress | None, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._bytes = 0

    def restart(self, total: int | None) -> None:
        self._total = total
        self._bytes = 0

    def add(self, length: int) -> None:
        self._bytes += length
        if self._progress is not None:
            self._progress(self._bytes, self._total)


@contextmanager
def _aborted_on_error(abort: Callable[[], None], name: str) -> Iterator[None]:
    """Abort an upload whatever the error is; what that raises itself is only logged."""
    try:
        yield
    except BaseException:
        try:
            abort()
        except Exception:
            logger.warning("could not abort the upload of %r", name, exc_info=True)
        raise


def _streamed(writer: StreamWriter, archive: ZipSource, progress: Progress | None) -> SavedZip:
    with closing(ZipReader(archive, progress)) as reader:
        published = writer.save(reader)
    return saved(writer.name, archive, published, published.length)


def _in_turn(
    writer: PartWriter, archive: ZipSource, part_size: int | None, done: _Done
) -> SavedZip:
    """Save an archive from its first part to its last one."""
    upload = writer.begin(archive.length, part_size)
    is_fixed = part_size is not None or archive.length is not None
    size_of = partial(writer.limits.size_of, part_size=upload.token.part_size, is_fixed=is_fixed)
    with _aborted_on_error(upload.abort, writer.name):
        with closing(archive.blocks()) as blocks:
            for number, data in in_parts(blocks, size_of):
                upload.write_part(number, data, crc32(data))
                done.add(len(data))
        published = upload.complete()
    return saved(writer.name, archive, published, published.length)


def _copied(
    writer: PartWriter, archive: ZipSource, part_size: int | None, workers: int, done: _Done
) -> SavedZip | None:
    """Save an archive of what the storage has itself. Returns None if it copies nothing of it."""
    sources = copy_sources(archive, writer)
    if not sources:
        return None
    assert archive.plan is not None
    limits = writer.limits._replace(default=writer.limits.part_size(archive.length, part_size))

    def made(length: int) -> None:
        archive.check_stopped()
        done.add(length)

    while (copies := planned(archive.plan, sources, limits)) is not None:
        done.restart(copies.plan.length)
        upload = writer.begin(copies.plan.length, limits.default)
        try:
            with _aborted_on_error(upload.abort, writer.name):
                CopyingArchive(copies, upload, made, workers).make()
                published = upload.complete(copies.sizes)
        except NotCopiedError as error:
            sources = {n: source for n, source in sources.items() if n not in error.members}
        else:
            return _with_copies(saved(writer.name, archive, published, copies.bytes_sent), copies)
    done.restart(archive.length)
    return None


def _with_copies(result: SavedZip, copies: Copies) -> SavedZip:
    """Return a result with what was copied; a response has other bytes of what was unknown."""
    return replace(
        result,
        entity_tag=None if copies.unknown else result.entity_tag,
        bytes_copied=result.length - copies.bytes_sent,
    )


def _divided(
    parts: ZipParts, workers: int, done: _Done, begun: Callable[[str], object] | None
) -> SavedZip:
    """Save an archive in parts that threads make."""
    if begun is not None:
        begun(parts.token)
        return _resumed(parts, workers, done)
    with _aborted_on_error(parts.abort, parts.name):
        return _completed(parts, range(1, len(parts) + 1), workers, done)


def _resumed(parts: ZipParts, workers: int, done: _Done) -> SavedZip:
    missing = parts.missing()
    if len(missing) == len(parts) and parts.is_published():
        return parts.complete()
    done.add(sum(parts.sizes) - sum(parts.sizes[number - 1] for number in missing))
    return _completed(parts, missing, workers, done)


def _completed(parts: ZipParts, numbers: Iterable[int], workers: int, done: _Done) -> SavedZip:
    """Have threads save these parts, and complete the archive."""
    with ThreadPoolExecutor(workers, thread_name_prefix="zip_save") as pool:
        try:
            futures = [pool.submit(carried(), _save_part, parts, number) for number in numbers]
            for future in as_completed(futures):
                done.add(future.result())
        except BaseException:
            parts.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return parts.complete()


def _save_part(parts: ZipParts, number: int) -> int:
    """Save a part, and return its size."""
    with borrowed_connections():
        parts.save(number)
    return parts.sizes[number - 1]
