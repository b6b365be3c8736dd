"""What all object stores have in common: an object has versions, and a response may break off.

A reader stays with the version of the object that it saw first, be it when it was described or in
the first response. A body that breaks off is resumed where it stopped, with the same version, so
that nobody gets a mixture of two. Each store says only how to ask.
"""

from __future__ import annotations

import errno
import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple
from weakref import WeakKeyDictionary

from django_stream_zip.members.member import unexpected
from django_stream_zip.members.readers.gzipped import cut, unpacked
from django_stream_zip.members.readers.places import known_place
from django_stream_zip.members.readers.reader import Facts, Reader, archived_error
from django_stream_zip.planning.content import ContentChangedError

# Crossing threads and protocols costs per chunk; waiting for a chunk to be full costs the first
# byte.
CHUNK_LENGTH: Final = 256 << 10

# A store that can't stream is asked for pieces, each as long as all before it.
_MAX_PIECE_LENGTH: Final = 4 << 20

# What a store's answer means for a file.
_ERRNO: Final = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT}

_MAX_FAILURES: Final = 3
# Who takes an archive slowly has idle connections that are reset again and again, for hours. It is
# a new failure, and not the same one again, if so much came in between.
_PROGRESS: Final = 1 << 20


class Head(NamedTuple):
    """What one question tells of an object as it is stored. The `pin` names its version."""

    size: int
    modified_at: datetime
    pin: str
    encoding: str
    crc_32: int | None = None


class Body(NamedTuple):
    """Bytes of an object up to `stop`, as one response promises them.

    `total` is the object's size, if the response tells; `pin` and `encoding` likewise.
    """

    chunks: Iterator[bytes]
    stop: int
    total: int | None
    pin: str | None
    encoding: str
    close: Callable[[], object] = bool


class RemoteReader(Reader):
    """Reads an object of a store."""

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "size", "get_modified_time")
    is_remote: ClassVar[bool] = True

    #: What the store's package raises where the store says no, or after it has tried often enough.
    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    #: What comes out of a body that breaks off.
    breaks: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    #: Whether the storage's own `open()` unpacks what is stored gzipped.
    opens_decoded = False

    # What is seen is of the version that was seen first. Whichever thread sees it first,
    # `setdefault` makes it the one for all.

    def _place(self) -> str | None:
        return known_place(self.storage)

    def expect(self, size: int | None = None, validator: str | None = None) -> None:
        """Pin the version that a row knows, and ask nothing: each request has it as a condition."""
        super().expect(size, validator)
        if validator is not None:
            self._seen["pin"] = validator

    @property
    def pin(self) -> str | None:
        """The version that is expected or was seen first; None if none was yet."""
        return self._seen.get("pin")

    @property
    def seen_size(self) -> int | None:
        """Its size, as it is stored."""
        return self._seen.get("size")

    @abstractmethod
    def _head(self) -> Head:
        """Ask for what the store knows of the object. Raises ArchivedError where it is away."""

    @abstractmethod
    def _body(self, start: int, stop: int | None, done: int) -> Body | None:
        """Ask for bytes of the pinned version from `start` on, up to `stop` or not so far.

        None says that there is nothing at that position. `done` is how many came before.
        """

    @abstractmethod
    def _status(self, error: Any) -> int | None:
        """Give the HTTP status in a refusal; None if there was no answer."""

    def _is_archived(self, error: Any) -> bool:
        """Say whether a refusal is because the object is archived."""
        return False

    def object_store(self) -> tuple[Any, str, str] | None:
        """Give a store of obstore, the object's key in it, and the option that asks for a version.

        None where obstore can't read it as this reader does.
        """
        return None

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Facts:
        """Ask once. From now on this version is read and no other."""
        with self._refusals():
            head = self._head()
        self._seen = {"pin": head.pin, "size": head.size, "encoding": head.encoding}
        if self.is_packed:
            return Facts(None, head.modified_at, head.pin)
        return Facts(head.size, head.modified_at, head.pin, head.crc_32)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes from `start` to `stop`, unpacked if they are to be."""
        if not self.is_packed:
            with closing(self._stored(start, stop)) as chunks:
                first = next(chunks, b"")  # and now it is known how they are stored
                if not self.is_packed:
                    if first:
                        yield first
                    yield from chunks
                    return
        with closing(self._stored(0, None)) as packed:
            yield from cut(unpacked(packed), start, stop)

    def decodes(self, encoding: str | None) -> bool:
        """Tell whether what is stored with this content encoding is given unpacked."""
        decode = self.opens_decoded if self.decode is None else self.decode
        return decode and encoding == "gzip"

    @property
    def is_packed(self) -> bool:
        """Whether what was seen is to be unpacked."""
        return self.decodes(self._seen.get("encoding"))

    def _stored(self, start: int, stop: int | None) -> Generator[bytes, None, None]:
        """Give the bytes as they are stored, by as many requests as it takes."""
        position, patience = start, Patience(self.name, start)
        while stop is None or position < stop:
            with self._refusals():
                body = self._body(position, stop, position - start)
            if body is None:
                self._check_end(position)
                return
            begun, cause = position, None
            with closing(body):
                self.check(body)
                if stop is not None and body.stop > stop:
                    raise OSError(f"{self.name}: the store answers with more than it was asked for")
                try:
                    for chunk in body.chunks:
                        position += len(chunk)
                        self.check_position(position, body)
                        yield chunk
                except self.breaks as error:
                    cause = error
            if body.total is not None:
                stop = body.total if stop is None else min(stop, body.total)
            if position < body.stop or position == begun:
                patience.lose(position, cause)

    def check(self, body: Body) -> None:
        """Take note of the version; raise ContentChangedError if another one was seen before."""
        for what, value in (("pin", body.pin), ("size", body.total)):
            if value is not None and self._seen.setdefault(what, value) != value:
                raise self.changed()
        self._seen.setdefault("encoding", body.encoding)
        # What is stored packed has another size than what is given.
        sizes = {self.expected_size, body.total} - {None}
        if len(sizes) > 1 and not self.is_packed:
            raise self.changed()

    def _check_end(self, position: int) -> None:
        if self.seen_size is not None and position < self.seen_size:
            raise self.changed()

    def check_position(self, position: int, body: Body) -> None:
        """Raise ContentChangedError where more has come than the body promised."""
        if position > body.stop:
            raise ContentChangedError(f"{self.name}: the store sent more bytes than it said")

    def _piece_stop(self, start: int, stop: int | None, done: int) -> int:
        """Give the end of the piece to ask for at `start`, if a store must be asked for pieces."""
        end = start + min(max(done, CHUNK_LENGTH), _MAX_PIECE_LENGTH)
        end = min(bound for bound in (end, stop, self.seen_size) if bound is not None)
        return max(end, start + 1)  # there is no range without bytes

    def _piece(
        self, data: bytes, start: int, stop: int, pin: str | None, encoding: str
    ) -> Body | None:
        """Give the body that a piece is; one that is short is the last if nobody knows the size."""
        total = self.seen_size
        if not data and (total is None or start >= total):
            return None  # some say so, instead of refusing a range beyond the end
        if total is None and len(data) < stop - start:
            stop = total = start + len(data)
        return Body(iter([data]), stop, total, pin, encoding)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Raise for a store's refusals what Python has for them, with the store's as the cause."""
        try:
            yield
        except self.refusals as error:
            status = self._status(error)
            if status is None:
                raise OSError(f"{self.name} broke off, again and again") from error
            if status == 412:
                raise self.changed() from error
            if self._is_archived(error):
                raise archived_error(self.name, "the store says") from error
            if status not in _ERRNO:
                raise
            # OSError gives the subclass for the number.
            number = _ERRNO[status]
            raise OSError(number, os.strerror(number), self.name) from error

    def changed(self) -> ContentChangedError:
        """Give what to raise where there is another version than was seen first."""
        if self.expected_validator is not None or self.expected_size is not None:
            return unexpected(self.name)
        return ContentChangedError(f"{self.name} was replaced after it was seen first")


_IMPORTED_IN: Final = os.getpid()
_processes: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
# For moments only, and for all storages.
_lock = threading.Lock()


def _renew_lock() -> None:
    """Make a lock for a forked process: somebody may have had it in the parent."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def forget_after_fork(storage: Any, **fresh: Callable[[], Any]) -> None:
    """Have a storage forget, once in a forked process, the connections that its parent may have.

    Both would write to them, and each read the other's answers.
    """
    with _lock:
        if _processes.setdefault(storage, _IMPORTED_IN) != os.getpid():
            for attribute, make in fresh.items():
                setattr(storage, attribute, make())
            _processes[storage] = os.getpid()


def nothing() -> None:
    """Give None, for what a storage makes when it is asked for."""


class PerProcess:
    """One thing of a kind for each storage and process: what speaks to servers survives no fork.

    Made once, however many threads ask for it first: a hundred clients of boto3 are 1.4 GB.
    """

    def __init__(self) -> None:
        self._slots: WeakKeyDictionary[Any, dict[Hashable, _Slot]] = WeakKeyDictionary()

    def get(self, storage: Any, make: Callable[[Any], Any], *which: Hashable) -> Any:
        """Return the one for a storage, and for which of its places; make it if there is none yet.

        Who makes one for another storage needn't wait.
        """
        with _lock:
            slots = self._slots.setdefault(storage, {})
            slot = slots.setdefault((os.getpid(), *which), _Slot())
        with slot.lock:
            if not slot.made:
                slot.made.append(make(storage))
        return slot.made[0]


class _Slot:
    """Where there is one thing, or none yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: list[Any] = []


class Patience:
    """Counts how often bodies broke off, from one real progress to the next."""

    def __init__(self, name: str, position: int) -> None:
        self._name = name
        self._position = position
        self._failures = 0

    def lose(self, position: int, cause: Exception | None) -> None:
        """Take note of a body that broke off here; raise OSError if it was once too often."""
        if position - self._position >= _PROGRESS:
            self._failures = 0
        self._position = position
        self._failures += 1
        if self._failures > _MAX_FAILURES:
            raise OSError(
                f"{self._name} broke off {self._failures} times near byte {position:,}"
            ) from cause
