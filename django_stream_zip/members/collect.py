"""Many files to one list of members: names that don't collide, files that are missing, limits.

One policy, applied once over the whole list. Remote storages are asked about several files at a
time, which is what takes the time.
"""

from __future__ import annotations

import logging
import posixpath
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn

from django_stream_zip import conf
from django_stream_zip.ambient import carried
from django_stream_zip.content import Content
from django_stream_zip.engine.names import Names, safe_name
from django_stream_zip.engine.streams import close
from django_stream_zip.members.local import bytes_member
from django_stream_zip.members.member import ContentMember
from django_stream_zip.members.readers.reader import ArchivedError, Facts, Reader
from django_stream_zip.members.readers.table import reader_for
from django_stream_zip.members.storage import described, reader_member

if TYPE_CHECKING:
    from django.core.files.storage import Storage

logger = logging.getLogger("django_stream_zip")

Missing = Literal["raise", "skip", "report"]

#: Name of the member that lists the files which are missing.
REPORT_NAME: Final = "MISSING.txt"


class Limit:
    """Stands for the limit in the settings, where None would be no limit."""


SETTING: Final = Limit()


class DownloadTooLargeError(Exception):
    """A download is over a limit. Not raised itself."""


class TooManyMembersError(DownloadTooLargeError):
    """There are more members than the limit allows."""


class TooManyBytesError(DownloadTooLargeError):
    """The members have more bytes in total than the limit allows."""


class StoredFile(NamedTuple):
    """A file in a storage, under the name that it is to have as a member."""

    storage: Storage
    stored_name: str
    name: str | None = None
    size: int | None = None
    crc_32: int | None = None
    modified_at: datetime | None = None
    validator: str | None = None


class _Question(NamedTuple):
    """A file, and what gives its reader and facts or raises. Pending is what is asked meanwhile."""

    file: StoredFile
    answer: Callable[[], tuple[Reader, Facts]]
    is_pending: bool = False


class Collector:
    """Makes members of stored files.

    `decode` is as for `storage_member`. `missing` says what to do with a file that can't be
    described: "raise" what the storage raises, "skip" it, or skip it and "report" it in a text
    member at the end. (Where no file can be described and not all are just missing, an error is
    raised in any case.) `limit` (members) and `max_bytes` (of all contents) are those of the
    settings, unless given; None is no limit. Contents of unknown size are counted
    while they are read.
    """

    def __init__(
        self,
        *,
        compress: bool | None = None,
        decode: bool | None = None,
        missing: Missing = "raise",
        limit: int | Limit | None = SETTING,
        max_bytes: int | Limit | None = SETTING,
        names: Names | None = None,
    ) -> None:
        if missing not in _POLICIES:
            raise ValueError(f"missing must be one of {', '.join(_POLICIES)}, not {missing!r}")
        self._policy = _POLICIES[missing]
        self._compress = compress
        self._decode = decode
        self.limit = conf.get("MAX_MEMBERS") if isinstance(limit, Limit) else limit
        self._max_bytes = conf.get("MAX_BYTES") if isinstance(max_bytes, Limit) else max_bytes
        self._names = names or Names()
        self._missing: list[tuple[str, Exception]] = []
        self._failure: Exception | None = None
        self._members = 0
        self._bytes = 0
        self._lock = Lock()

    def members(self, files: Iterable[StoredFile]) -> Generator[ContentMember, None, None]:
        """Give the members one by one.

        Raises TooManyMembersError or TooManyBytesError with the first member that is too much.
        """
        with closing(self._looked_ahead(files)) as questions:
            for file, answer, _ in questions:
                # What ends in "/" is a folder, and a reader would drop its content.
                name = (file.name or "").rstrip("/") or posixpath.basename(file.stored_name)
                try:
                    member = reader_member(*answer(), name, compress=self._compress)
                except Exception as error:
                    if not isinstance(error, FileNotFoundError):
                        self._failure = error
                    self._policy(self._missing, name, error)
                else:
                    self._count(member[4].size or 0)
                    yield self._names.of(member[0]), *member[1:4], self._bounded(member[4])
        if self._failure is not None and not self._members:
            raise self._failure  # it isn't files that are missing, but the storage
        if self._missing:
            yield self._report()

    def _looked_ahead(self, files: Iterable[StoredFile]) -> Generator[_Question, None, None]:
        """Give the files in their order, each with what gives its facts.

        What is behind a remote file is looked at while it is asked for, up to the setting's number.
        """
        number = conf.get("READ_AHEAD_MEMBERS")
        pool = ThreadPoolExecutor(number, thread_name_prefix="zip_describe") if number else None
        line: deque[_Question] = deque()
        try:
            for file in files:
                line.append(self._question(file, pool))
                while line and (len(line) >= number or not line[-1].is_pending):
                    yield line.popleft()
            yield from line
        finally:
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def _question(self, file: StoredFile, pool: ThreadPoolExecutor | None) -> _Question:
        try:
            reader = reader_for(file.storage, file.stored_name, decode=self._decode)
        except Exception as error:
            return _Question(file, partial(_raise_it, error))
        ask = partial(_described, reader, file)
        # Where all is known, nothing is asked.
        if pool is None or not reader.is_remote or None not in (file.size, file.modified_at):
            return _Question(file, ask)
        return _Question(file, pool.submit(carried(), ask).result, is_pending=True)

    def _count(self, size: int) -> None:
        self._members += 1
        if self.limit is not None and self._members > self.limit:
            raise TooManyMembersError(f"more than {self.limit:,} files are too many to download")
        self._count_bytes(size)

    def _count_bytes(self, length: int) -> None:
        with self._lock:  # contents are read in several threads
            self._bytes += length
        if self._max_bytes is not None and self._bytes > self._max_bytes:
            raise TooManyBytesError(f"more than {self._max_bytes:,} bytes are too many to download")

    def _bounded(self, content: Content) -> Content:
        """Return a content that is counted while it is read, if its size isn't known before."""
        is_counted = content.size is None and self._max_bytes is not None
        return _CountedContent(content, self._count_bytes) if is_counted else content

    def _report(self) -> ContentMember:
        lines = ["These files could not be included:", ""]
        lines += [f"{safe_name(name)}: {_reason(error)}" for name, error in self._missing]
        data = "\r\n".join([*lines, ""]).encode(errors="replace")
        return bytes_member(data, self._names.of(REPORT_NAME), compress=False)


class _CountedContent:
    """A content of unknown size, whose bytes count towards a limit as they are read."""

    size = None

    def __init__(self, content: Content, count: Callable[[int], None]) -> None:
        self.identity = content.identity
        self.crc_32 = content.crc_32
        self.validator = content.validator
        self.is_remote: bool = getattr(content, "is_remote", False)
        self._content = content
        self._count = count
        self._counted = 0

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`. Raises TooManyBytesError over the limit."""
        self._count(-self._counted)  # who reads it again gets no more of it
        self._counted = 0
        chunks = self._content.chunks(start, stop)
        try:
            for chunk in chunks:
                self._counted += len(chunk)
                self._count(len(chunk))
                yield chunk
        finally:
            close(chunks)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes."""
        return self.chunks()


def _described(reader: Reader, file: StoredFile) -> tuple[Reader, Facts]:
    facts = described(reader, file.size, file.modified_at, file.crc_32, file.validator)
    return reader, facts


def _raise_it(error: Exception) -> NoReturn:
    raise error


def _raise(missing: list[tuple[str, Exception]], name: str, error: Exception) -> None:
    raise error


def _skip(missing: list[tuple[str, Exception]], name: str, error: Exception) -> None:
    logger.warning("left %r out of a download: %s: %s", name, type(error).__name__, error)


def _note(missing: list[tuple[str, Exception]], name: str, error: Exception) -> None:
    _skip(missing, name, error)
    missing.append((name, error))


_POLICIES: Final[dict[Missing, Any]] = {"raise": _raise, "skip": _skip, "report": _note}


def _reason(error: Exception) -> str:
    """Tell a visitor why, without what the error knows of the server."""
    if isinstance(error, ArchivedError):
        return "archived"
    return "not found" if isinstance(error, FileNotFoundError) else "could not be read"
