"""What all object stores have in common: an object has versions, and a response may be truncated.

A reader stays with the version of the object that it saw first, be it when it was described or in
the first response. A truncated body is resumed where it stopped, with the same version, so
that nobody gets a mixture of two. Each store says only how to ask.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from abc import abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from django_stream_zip.members.build import unexpected
from django_stream_zip.members.readers.gzipped import cut, decoded
from django_stream_zip.members.readers.places import known_place
from django_stream_zip.members.readers.reader import Metadata, Reader, archived_error, below
from django_stream_zip.members.readers.transfer import ResponseBody, Transfer
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.storages.gzip_format import (
    MAX_HEADER_LENGTH,
    TRAILER_LENGTH,
    DeflateStream,
    deflate_stream,
)

logger = logging.getLogger("django_stream_zip")

# Crossing threads and protocols costs per chunk; waiting for a chunk to be full costs the first
# byte.
CHUNK_LENGTH: Final = 256 << 10

# A store that can't stream is asked for pieces, each as long as all before it.
_MAX_PIECE_LENGTH: Final = 4 << 20

# What is shorter is asked for at once, where only its beginning and its end are wanted.
_MAX_WHOLE_LENGTH: Final = 64 << 10

# What a store's answer means for a file.
_ERRNO: Final = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT}


class Seen(NamedTuple):
    """What is known of the one version of an object that is read, each None if not yet."""

    version: str | None = None
    size: int | None = None
    encoding: str | None = None

    def differs(self, other: Seen) -> bool:
        """Return whether another version, or another size of it, was found now."""
        known = zip(self[:2], other[:2], strict=True)
        return any(None not in pair and pair[0] != pair[1] for pair in known)

    def filled(self, other: Seen) -> Seen:
        """Return this with what it lacks from another one."""
        lacking = [field for field in self._fields if getattr(self, field) is None]
        return self._replace(**{field: getattr(other, field) for field in lacking})


class ObstoreObject(NamedTuple):
    """How obstore reads an object: from a store, by a key, and by which option of one version."""

    store: Any
    key: str
    version_option: str = "if_match"


class RemoteReader(Reader):
    """Reads an object of a store."""

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "size", "get_modified_time")
    is_remote: ClassVar[bool] = True

    #: What the store's package raises where the store says no, or after it has tried often enough.
    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    #: What comes out of a body whose connection breaks.
    breaks: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    #: Whether the storage's own `open()` decodes what is stored gzipped.
    opens_decoded = False
    #: Whether the store decodes by itself what is stored gzipped, unless it is asked not to.
    serves_decoded: ClassVar[bool] = False

    def _place(self) -> str | None:
        return known_place(self.storage)

    def _forget(self) -> None:
        super()._forget()
        # Of the version that was seen first, by whichever thread.
        self._seen = Seen()
        self._lock = threading.Lock()

    def expect(self, size: int | None = None, validator: str | None = None) -> None:
        """Have the version that a row knows as each request's precondition, and ask nothing."""
        super().expect(size, validator)
        if validator is not None:
            self._seen = self._seen._replace(version=validator)

    @property
    def version(self) -> str | None:
        """The version that is expected or was seen first; None if none was yet."""
        return self._seen.version

    @property
    def seen_size(self) -> int | None:
        """Its size, as it is stored."""
        return self._seen.size

    @abstractmethod
    def _head(self) -> tuple[Metadata, str]:
        """Ask for the metadata of the object as it is stored, and its content encoding.

        The validator names its version. Raises ArchivedError where it is archived.
        """

    @abstractmethod
    def _body(self, start: int, stop: int | None, done: int) -> ResponseBody | None:
        """Ask for bytes of this version from `start` on, up to `stop` or not so far.

        None says that there is nothing at that position. `done` is how many came before.
        """

    @abstractmethod
    def _status(self, error: Any) -> int | None:
        """Return the HTTP status in a refusal; None if there was no answer."""

    def _is_archived(self, error: Any) -> bool:
        """Return whether a refusal is because the object is archived."""
        return False

    def obstore_object(self) -> ObstoreObject | None:
        """Return how obstore reads it; None where it can't do so as this reader does."""
        return None

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        """Ask once. From now on this version is read and no other.

        Where a deflate stream may be passed, ask once or twice more, for header and trailer.
        """
        with self.translated():
            metadata, encoding = self._head()
        self._seen = Seen(metadata.validator, metadata.size, encoding)
        if not self.is_encoded:
            return metadata
        if self.may_pass and metadata.size is not None:
            self.deflate_stream = self._deflate_stream(metadata.size)
        return metadata._replace(size=None, crc_32=None)

    def _deflate_stream(self, length: int) -> DeflateStream | None:
        if length <= _MAX_WHOLE_LENGTH:
            beginning = ending = b"".join(self._stored(0, length))
        else:
            beginning = b"".join(self._stored(0, MAX_HEADER_LENGTH))
            ending = b"".join(self._stored(length - TRAILER_LENGTH, length))
        return deflate_stream(beginning, ending, length)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`, decoded if they are to be."""
        if self.deflate_stream is not None:
            with closing(self._stored(*self.deflate_stream.part(start, stop))) as chunks:
                yield from chunks
            return
        if not self.is_encoded:
            with closing(self._stored(start, stop)) as chunks:
                first = next(chunks, b"")  # and now it is known how they are stored
                if not self.is_encoded:
                    if first:
                        yield first
                    yield from chunks
                    return
        with closing(self._stored(0, None)) as encoded:
            yield from cut(decoded(encoded), start, stop)

    def decodes(self, encoding: str | None) -> bool:
        """Return whether what is stored with this content encoding is to be decoded."""
        decode = self.opens_decoded if self.decode is None else self.decode
        return decode and encoding == "gzip"

    @property
    def is_encoded(self) -> bool:
        """Whether what was seen is to be decoded."""
        return self.decodes(self._seen.encoding)

    def _stored(self, start: int, stop: int | None) -> Generator[bytes, None, None]:
        """Yield the bytes as they are stored."""
        transfer = Transfer(self.name, start, stop)
        while not transfer.is_complete:
            with self.translated():
                body = self._body(transfer.position, transfer.stop, transfer.length)
            if body is None:
                self._check_end(transfer.position)
                return
            cause = None
            with closing(body):
                self.check(body)
                try:
                    for chunk in body.chunks:
                        transfer.advance(chunk, body)
                        yield chunk
                except self.breaks as error:
                    cause = error
            transfer.end(body, cause)

    def check(self, body: ResponseBody) -> None:
        """Keep what a response says; raise ContentChangedError if another version was seen before.

        Or if it has another size than is expected.
        """
        found = Seen(body.version, body.total, body.encoding)
        with self._lock:
            if self._seen.differs(found):
                raise self.changed()
            self._seen = self._seen.filled(found)
        # What is stored encoded has another size than what is decoded.
        sizes = {self.expected_size, body.total} - {None}
        if len(sizes) > 1 and not self.is_encoded:
            raise self.changed()

    def _check_end(self, position: int) -> None:
        if self.seen_size is not None and position < self.seen_size:
            raise self.changed()

    def _piece_stop(self, start: int, stop: int | None, done: int) -> int:
        """Return the end of the piece to ask for at `start`, where a store has no streams."""
        end = start + min(max(done, CHUNK_LENGTH), _MAX_PIECE_LENGTH)
        end = min(bound for bound in (end, stop, self.seen_size) if bound is not None)
        return max(end, start + 1)  # there is no range without bytes

    def _piece(
        self, data: bytes, start: int, stop: int, version: str | None, encoding: str
    ) -> ResponseBody | None:
        """Return a piece as a body; a short one is the last if nobody knows the size."""
        total = self.seen_size
        if not data and (total is None or start >= total):
            return None  # some say so, instead of refusing a range beyond the end
        if total is None and len(data) < stop - start:
            stop = total = start + len(data)
        return ResponseBody(iter([data]), stop, total, version, encoding)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise for a store's refusals what Python has for them, with the store's as the cause."""
        try:
            yield
        except self.refusals as error:
            status = self._status(error)
            if status is None:
                raise OSError(f"{self.name}: the connection broke, again and again") from error
            if status == 412:
                raise self.changed() from error
            if self._is_archived(error):
                raise archived_error(self.name, "the store says") from error
            if status not in _ERRNO:
                raise
            # OSError makes the subclass for the number.
            number = _ERRNO[status]
            raise OSError(number, os.strerror(number), self.name) from error

    def changed(self) -> ContentChangedError:
        """Return what to raise where there is another version than was seen first."""
        if self.expected_validator is not None or self.expected_size is not None:
            return unexpected(self.name)
        return ContentChangedError(f"{self.name} was replaced after it was seen first")


class ObjectReader(RemoteReader):
    """Reads an object of a store that lists its objects by their keys, and not folder by folder."""

    #: How many keys are asked for at a time.
    page_length: ClassVar[int] = 1000

    @abstractmethod
    def _key(self, name: str) -> str:
        """Return the key of the file of this name."""

    @abstractmethod
    def _listing(self, prefix: str) -> Iterator[tuple[str, Metadata, str | None]]:
        """Yield keys with this prefix, page by page, each with metadata and content encoding.

        Both are what `_head` returns. The encoding is None where the listing doesn't tell it; the
        metadata is empty where an object is, or may be, archived.
        """

    def listed(self) -> Iterator[tuple[str, Metadata]]:
        """Yield the objects whose keys begin with this name and a slash.

        A key that ends in a slash is a folder that some program made, and no file. A key that isn't
        that of any name (with "//" in it, for one) can't be read through a storage.
        """
        key = self._key(self.name).rstrip("/")
        prefix = f"{key}/" if key else ""
        with self.translated():
            for found, metadata, encoding in self._listing(prefix):
                name = below(self.name, found[len(prefix) :])
                if found.endswith("/"):
                    continue
                if self._key(name) != found:
                    logger.warning("left %r out: its storage has no name for this key", found)
                    continue
                # Of what is decoded, the size isn't known.
                is_told = not self.decodes("gzip" if encoding is None else encoding)
                yield name, metadata if is_told else Metadata()
