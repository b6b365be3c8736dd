"""What a reader is: one file of a storage, described by one question and read from any position.

Made where the member is made. What decides which file it is (a path, a bucket, a key), and whatever
belongs to the calling thread, such as a storage's connection, is taken then: a storage may answer
otherwise later, outside of the request. After that, any thread may use the reader of a remote
storage.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple, Self

from django_stream_zip.members.readers.places import configured_place
from django_stream_zip.storages.gzip_format import DeflateStream

#: Of those that rows keep.
MAX_VALIDATOR_LENGTH: Final = 255


class Metadata(NamedTuple):
    """What a storage or a row says about a file, each None where it doesn't know.

    `size` and `crc_32` are of the bytes that `chunks` yields. `validator` changes whenever one of
    them does.
    """

    size: int | None = None
    crc_32: int | None = None
    modified_at: datetime | None = None
    validator: str | None = None


class ArchivedError(PermissionError):
    """A store has put a file away: it has to be restored before it can be read."""


class Reader(ABC):
    """Reads one file of a storage.

    `decode` says whether a file that is stored gzipped, with a content encoding that says so, is
    decoded; None is as the storage's own `open()` does it.
    """

    #: What the reader does without. A storage whose class overrides any of it isn't read by it.
    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open")
    #: Whether it pays, and whether it is allowed, to prefetch in another thread.
    is_remote: ClassVar[bool] = False
    #: Whether it never waits where nothing may: see `prefetch.waiting`.
    defers: bool = False
    #: Of what was described: see `content.Description`.
    local_state: str | None = None
    is_settled: bool = True
    #: Whether its bytes are compared with a declared CRC-32, which shows a mixture of two states.
    is_verified: bool = False
    #: Whether what is stored gzipped, and is to be decoded, may be passed as the deflate stream
    #: that it is: `describe` looks for it then.
    may_pass: bool = False
    #: What `chunks` yields instead of what it inflates to, if it was found.
    deflate_stream: DeflateStream | None = None
    #: The arguments of `expect`, each None where any will do.
    expected_size: int | None = None
    expected_validator: str | None = None

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        self.storage = storage
        self.name = name
        self.decode = decode
        #: Where the storage keeps its files; None if that isn't known.
        self.place = self._place()
        self._forget()

    @property
    def is_always_asked(self) -> bool:
        """Whether the storage is to be asked even where size and time are known."""
        return False

    def _place(self) -> str | None:
        return configured_place(self.storage, self.name)

    def afresh(self) -> Self:
        """Return a reader of the same file, of which nothing has been seen yet.

        It reads what is there when it opens it, be it described or not. (Of a deflate stream both
        sizes are declared: that can only be the file which was described.)
        """
        if self.deflate_stream is not None:
            return self
        fresh = object.__new__(type(self))  # as `copy` does, in a fifth of its time
        fresh.__dict__.update(self.__dict__)
        fresh._forget()
        return fresh

    def _forget(self) -> None:
        """Forget what was seen of the file, from its description or its first byte."""
        self.expected_size = self.expected_validator = self.deflate_stream = None

    def expect(self, size: int | None = None, validator: str | None = None) -> None:
        """Have `chunks` read no other file than one of this size and state, as a row says it has.

        The validator is one that `describe` returned once. Nothing is asked for it: the comparison
        is made when the file is opened, whatever range is read. A size is compared where the
        storage says it by itself then. Raises ContentChangedError where no file can have this
        validator.
        """
        self.expected_size = size
        self.expected_validator = validator

    @abstractmethod
    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        """Ask the storage, but not for what is known; if that is all, whether the file is there.

        Raises FileNotFoundError, PermissionError, or what else the storage raises.
        """

    def prepare(self) -> None:  # noqa: B027  # most need nothing
        """Make ready to be opened where nothing may wait, if there is a way to."""

    def listed(self) -> Iterator[tuple[str, Metadata]]:
        """Yield the stored names of the files below the folder of this name, with what is told.

        What the listing says of a file is what `describe` would say, or nothing. Names come in the
        storage's order, or sorted. Raises what the storage raises.
        """
        for name in self._below(self.name):
            yield name, Metadata()

    def _below(self, folder: str) -> Iterator[str]:
        """Yield the names of the files below a folder of a storage that can only list one."""
        folders, files = self.storage.listdir(folder)
        for name in _sorted(folder, files):
            if self._is_inside(name):
                yield name
        for name in _sorted(folder, folders):
            if self._is_inside(name):
                yield from self._below(name)

    def _is_inside(self, name: str) -> bool:
        """Return whether what a folder has under this name is there, and no link to elsewhere."""
        return True

    @abstractmethod
    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`. Opens nothing before the first one is asked for.

        Raises what `describe` does, ContentChangedError where the file isn't what it was when it
        was described, isn't what is expected, or is changed while it is read, and OSError where a
        connection breaks too often.
        """

    def whole(self) -> bytes | None:
        """Return what `chunks` yields, at once; None where that is too much, or takes its time."""
        return None

    def whole_now(self, likely: int | None) -> bytes | None:
        """Return what an `afresh` reader's `chunks` yields, at once, if it has the likely size."""
        return None


def below(folder: str, name: str) -> str:
    """Return the name of something in a folder, of which "" is the whole storage."""
    return f"{folder}/{name}" if folder else name


def _sorted(folder: str, names: Iterable[str]) -> list[str]:
    return [below(folder, name) for name in sorted(filter(None, names))]


def kept_validator(metadata: Metadata) -> str:
    """Return the validator as rows keep it: "" where there is none, or one too long to be kept."""
    validator = metadata.validator or ""
    return validator if len(validator) <= MAX_VALIDATOR_LENGTH else ""


def archived_error(name: str, how: str) -> ArchivedError:
    """Return what to raise for a file that is archived in some way."""
    what = f"It is archived ({how}): restore it first"
    return ArchivedError(errno.EACCES, what, name)


def derived_validator(size: int, modified_at: datetime) -> str:
    """Return the validator of a file of which nothing else is known."""
    try:  # microseconds, which take a fourth of the time that a float's digits do
        return f"{size:x}-{round(modified_at.timestamp() * 1e6):x}"
    except (OverflowError, OSError, ValueError):  # next to the year 1 or 9999
        return f"{size:x}-{modified_at.isoformat()}"
