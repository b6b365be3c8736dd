"""Many files to one list of members: names that don't collide, files that are missing, limits.

One policy, applied once over the whole list. Remote storages are asked about several files at a
time, which is what takes the time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from django_stream_zip import conf
from django_stream_zip.engine.errors import one_line
from django_stream_zip.engine.names import Names, safe_name
from django_stream_zip.engine.streams import close
from django_stream_zip.members.build import DEFAULT_MODE, ContentMember, build_member
from django_stream_zip.members.describe import Question, failing, prefetched
from django_stream_zip.members.errors import TooManyBytesError, TooManyMembersError
from django_stream_zip.members.files import bytes_member
from django_stream_zip.members.known import KnownContent, KnownFiles, SeenContent
from django_stream_zip.members.readers.reader import ArchivedError, Metadata, Reader
from django_stream_zip.members.readers.table import readers_of
from django_stream_zip.members.storage import asked, described, is_enough, reader_member
from django_stream_zip.planning.content import Content
from django_stream_zip.prefetch.ambient import carried

if TYPE_CHECKING:
    from django.core.files.storage import Storage

logger = logging.getLogger("django_stream_zip")

Missing = Literal["raise", "skip", "report"]

#: Name of the member that lists the files which are missing: the same in every language.
REPORT_NAME: Final = "MISSING.txt"


class Limit:
    """Stands for the limit in the settings, as None is no limit."""


FROM_SETTINGS: Final = Limit()


class StoredFile(NamedTuple):
    """A file in a storage, under the name that it is to have as a member."""

    storage: Storage
    stored_name: str
    name: str | None = None
    metadata: Metadata = Metadata()


def _is_limit(value: Any) -> bool:
    return value is None or isinstance(value, Limit) or (type(value) is int and value >= 0)


def is_choice(value: Any) -> bool:
    """Return whether this is True, False or None, as `compress` and `decode` are."""
    return value is None or isinstance(value, bool)


# Options: what each must be, as a test and in words.
_VALUES: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "compress": (is_choice, "True, False or None"),
    "decode": (is_choice, "True, False or None"),
    "limit": (_is_limit, "a number of files, 0 or more, or None"),
    "max_bytes": (_is_limit, "a number of bytes, 0 or more, or None"),
}


def check_values(options: Mapping[str, Any]) -> None:
    """Raise ValueError where one of these options has a value that it can't have."""
    for option, (is_valid, must_be) in _VALUES.items():
        if option in options and not is_valid(options[option]):
            raise ValueError(f"{option} must be {must_be}, not {options[option]!r}")


class Collector:
    """Makes members of stored files.

    Args:
        compress: Whether to deflate; None leaves it to the kind of file and the setting.
        decode: As for `storage_member`.
        missing: What to do with a file that can't be described: "raise" what the storage raises,
            "skip" it, or skip it and "report" it in a text member at the end. Unless it is "raise",
            the storage is asked whether a file is there also where a row knows the rest. (Where no
            file can be described and not all are just missing, an error is raised in any case.)
        limit: How many members there may be; None is no limit. The default is the setting's.
        max_bytes: How many bytes all contents may have, likewise. Contents of unknown size are
            counted while they are read.
        names: What makes names unique.
    """

    def __init__(
        self,
        *,
        compress: bool | None = None,
        decode: bool | None = None,
        missing: Missing = "raise",
        limit: int | Limit | None = FROM_SETTINGS,
        max_bytes: int | Limit | None = FROM_SETTINGS,
        names: Names | None = None,
    ) -> None:
        if missing not in _POLICIES:
            raise ValueError(f"missing must be one of {', '.join(_POLICIES)}, not {missing!r}")
        check_values(
            {"compress": compress, "decode": decode, "limit": limit, "max_bytes": max_bytes}
        )
        self._policy = _POLICIES[missing]
        # To find out what is missing, the storage is asked of each file.
        self._trusts_rows = missing == "raise"
        self._describe = described if self._trusts_rows else asked
        self._compress = compress
        self._decode = decode
        self.limit = conf.get("MAX_MEMBERS") if isinstance(limit, Limit) else limit
        self._max_bytes = conf.get("MAX_BYTES") if isinstance(max_bytes, Limit) else max_bytes
        self._names = names or Names()
        # Of the last file. What its storage decides holds for all rows that have the same one.
        self._storage: Storage | None = None
        self._reader: Callable[[str], Reader]
        self._known: KnownFiles | None = None
        self._missing: _Missed = []
        self._failure: Exception | None = None
        self._members = 0
        self._bytes = 0
        self._lock = Lock()

    def members(self, files: Iterable[StoredFile]) -> Generator[ContentMember, None, None]:
        """Yield the members one by one.

        Raises:
            TooManyMembersError: With the first member that is too much; so is the next.
            TooManyBytesError: There are more bytes than `max_bytes`.
        """
        with closing(prefetched(map(self._question, files))) as questions:
            for question in questions:
                is_known = question.__class__ is StoredFile
                name = _name_of(question if is_known else question.subject)
                try:
                    if is_known:
                        member = self._known_member(question, name)
                    else:
                        member = self._asked_member(question, name)
                except Exception as error:
                    if not isinstance(error, FileNotFoundError):
                        self._failure = error
                    self._policy(self._missing, name, error)
                else:
                    safe, modified_at, mode, method, content = member
                    self._count(method.uncompressed_size or 0)
                    own = self._names.of_safe(safe)
                    if content.size is None:
                        content = self._bounded(content)
                    yield own, modified_at, mode, method, content
        yield from self._rest()

    def _rest(self) -> Iterator[ContentMember]:
        """Yield what comes behind the files' members."""
        if self._failure is not None and not self._members:
            raise self._failure  # it isn't files that are missing, but the storage
        if self._missing:
            yield self._report()

    def _question(self, file: StoredFile) -> Question | StoredFile:
        """Return what to ask about a file for its reader and its metadata; the file, if nothing."""
        storage = file[0]
        try:
            if storage is not self._storage:
                self._reader = readers_of(storage, decode=self._decode)
                self._known = KnownFiles.of(storage, self._decode)
                self._storage = storage
            if self._known is not None:
                return file
            reader = self._reader(file.stored_name)
            reader.may_pass = self._compress is not False
        except Exception as error:
            return failing(file, error)
        is_remote = reader.is_remote and (self._describe is asked or not is_enough(file.metadata))
        ask = partial(self._asked, reader, file)
        return Question(file, partial(carried(), ask) if is_remote else ask, is_remote)

    def _known_member(self, file: StoredFile, name: str) -> ContentMember:
        _, stored_name, _, metadata = file
        assert self._known is not None
        size, _, modified_at, _ = metadata
        is_enough = self._trusts_rows and size is not None and modified_at is not None
        kind = KnownContent if is_enough else SeenContent
        content = kind(self._known, stored_name, metadata)
        at = content.modified_at
        return build_member(name, at, DEFAULT_MODE, self._compress, content, stored_name)

    def _asked_member(self, question: Question, name: str) -> ContentMember:
        reader, metadata = question.answer()
        return reader_member(reader, metadata, name, compress=self._compress)

    def _asked(self, reader: Reader, file: StoredFile) -> tuple[Reader, Metadata]:
        return reader, self._describe(reader, file.metadata)

    def _count(self, size: int) -> None:
        self._members += 1
        if self.limit is not None and self._members > self.limit:
            raise TooManyMembersError(self.limit)
        if self._max_bytes is not None:
            self._count_bytes(size)

    def _count_bytes(self, length: int) -> None:
        if self._max_bytes is None:
            return
        with self._lock:  # contents are read in several threads
            self._bytes += length
        if self._bytes > self._max_bytes:
            raise TooManyBytesError(self._max_bytes)

    def _bounded(self, content: Content) -> Content:
        """Return a content that is counted while it is read, if its size isn't known before."""
        is_counted = content.size is None and self._max_bytes is not None
        return _CountedContent(content, self._count_bytes) if is_counted else content

    def _report(self) -> ContentMember:
        lines = [_("These files could not be included:"), ""]
        lines += [f"{safe_name(name)}: {_reason(error)}" for name, error in self._missing]
        data = "\r\n".join([*lines, ""]).encode(errors="replace")
        report = bytes_member(data, self._names.of(REPORT_NAME), compress=False)
        # For who wants to say how many they are.
        report[4].missing_files = len(self._missing)  # type: ignore[attr-defined]
        return report


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
        return self._counting(self._content.chunks(start, stop))

    def __iter__(self) -> Iterator[bytes]:
        """Yield all bytes of the content as it is when it is opened."""
        return self._counting(iter(self._content))

    def _counting(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        self._count(-self._counted)  # reading it again sends no more of it
        self._counted = 0
        try:
            for chunk in chunks:
                self._counted += len(chunk)
                self._count(len(chunk))
                yield chunk
        finally:
            close(chunks)


def _name_of(file: StoredFile) -> str:
    """Return a member's name. What ends in "/" is a directory: unzip would drop its content."""
    _, stored_name, name, _ = file
    return (name or "").rstrip("/") or stored_name[stored_name.rfind("/") + 1 :]


# The files that are missing, by the names that they were to have.
_Missed: TypeAlias = list[tuple[str, Exception]]


def _raise(missing: _Missed, name: str, error: Exception) -> None:
    raise error


def _skip(missing: _Missed, name: str, error: Exception) -> None:
    logger.warning(
        "left %r out of a download: %s: %s", name, type(error).__name__, one_line(str(error))
    )


def _record(missing: _Missed, name: str, error: Exception) -> None:
    _skip(missing, name, error)
    missing.append((name, error))


_POLICIES: Final[dict[Missing, Callable[[_Missed, str, Exception], None]]] = {
    "raise": _raise,
    "skip": _skip,
    "report": _record,
}


def _reason(error: Exception) -> str:
    """Return why, in the client's language and without what the error knows of the server."""
    if isinstance(error, ArchivedError):
        return pgettext("why a file is left out", "archived")
    if isinstance(error, FileNotFoundError):
        return pgettext("why a file is left out", "not found")
    return pgettext("why a file is left out", "could not be read")
