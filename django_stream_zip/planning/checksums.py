"""The CRC-32s that a window needs of contents it doesn't send: known, shared, read and learned."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from threading import Lock
from typing import Final, NamedTuple, Protocol, cast

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile
from django_stream_zip.planning.content import Description
from django_stream_zip.planning.steps import Action, Call, Pause, Reading, Step
from django_stream_zip.prefetch.source import Source, is_remote

# How far apart the places in a long content are up to which its CRC-32 is learned. Who resumes at
# one of its bytes has less than that read again.
_MARK: Final = 16 << 20


class Checksums(Protocol):
    """Remembers the CRC-32 of contents, as far as it can: it may forget all of them."""

    def known(self, contents: Iterable[Description]) -> Mapping[str, int]:
        """Return those that are remembered, by `key`."""

    def learn(self, content: Description, crc_32: int) -> Callable[[], object] | None:
        """Remember one. Returns what is to be called to keep what was learned, if it is time."""

    def key(self, content: Description) -> str:
        """Return the name of a content in its present state."""


class Shared:
    """A CRC-32 that one window reads content for, and others wait for."""

    def __init__(self) -> None:
        self.crc_32: int | None = None
        self.is_over = False


class SharedReadings:
    """What is read at the moment for its CRC-32 only, by all windows of this process.

    Eight clients who ask for the same end of an archive have its members read once.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._shared: dict[str, Shared] = {}

    def join(self, key: str) -> tuple[Shared, bool]:
        """Return the reading of this content, and whether the caller is the one who reads."""
        with self._lock:
            if shared := self._shared.get(key):
                return shared, False
            self._shared[key] = shared = Shared()
            return shared, True

    def leave(self, key: str) -> None:
        """End the caller's reading, with a CRC-32 or without: then one of those who wait reads."""
        with self._lock:
            self._shared.pop(key).is_over = True


SHARED_READINGS: Final = SharedReadings()


class Unsent(NamedTuple):
    """The first bytes of a content, which a window needs the CRC-32 of and doesn't send."""

    content: Description
    length: int
    size: int

    @property
    def mark(self) -> int:
        """Up to where the CRC-32 may have been learned, if it wasn't read to its end."""
        return 0 if self.length == self.size else self.length // _MARK * _MARK

    def parts(self) -> Iterator[Description]:
        """Yield what a CRC-32 may be known of."""
        yield self.content
        if self.mark:
            yield _Beginning(self.content, self.mark)


class _Beginning:
    """The first bytes of a content, as something to remember a CRC-32 of."""

    def __init__(self, content: Description, size: int) -> None:
        self.size: int | None = size
        self.crc_32: int | None = None
        self.identity = f"{content.identity}\0up to {size}"
        self.validator = content.validator
        self.local_state: str | None = getattr(content, "local_state", None)
        self.is_settled: bool = getattr(content, "is_settled", True)


class _RunningChecksum:
    """Computes a CRC-32 of content that isn't in the window."""

    def __init__(self) -> None:
        self.crc_32 = 0

    def __call__(self, chunk: bytes) -> bytes:
        self.crc_32 = crc32(chunk, self.crc_32)
        return b""


class WindowChecksums:
    """What is known about CRC-32s at the beginning of a window, and where new ones go."""

    def __init__(self, unsent: Iterable[Unsent], checksums: Checksums) -> None:
        asked = [part for one in unsent for part in one.parts()]
        self._known = checksums.known(asked) if asked else {}
        self._checksums = checksums

    def of(self, content: Description) -> int | None:
        """Return the CRC-32 of a content, None if it isn't known."""
        if content.crc_32 is not None or not self._known:
            return content.crc_32
        return self._known.get(self._checksums.key(content))

    def before(self, unsent: Unsent) -> tuple[int, int]:
        """Return up to where the CRC-32 of a beginning is known, and that."""
        mark = unsent.mark
        crc_32 = self.of(_Beginning(unsent.content, mark)) if mark else None
        return (0, 0) if crc_32 is None else (mark, crc_32)

    def unread(self, unsent: Unsent) -> int:
        """Return how many bytes have to be read."""
        if self.of(unsent.content) is not None:
            return 0
        return unsent.length - self.before(unsent)[0]

    def learn(self, content: Description, crc_32: int | None) -> tuple[Action, ...]:
        """Remember a CRC-32, if it is one; return what is to be done for it."""
        save = None if crc_32 is None else self._checksums.learn(content, crc_32)
        return () if save is None else (Call(save),)

    def read(
        self, member: MemberFile | AsyncMemberFile, source: Source
    ) -> Generator[Step, None, int]:
        """Have a content read for its CRC-32, or wait for another window that reads it."""
        content = cast(Description, member[4])
        key = self._checksums.key(content)
        while True:
            shared, is_own = SHARED_READINGS.join(key)
            if is_own:
                break
            while not shared.is_over:
                yield Pause()
            if shared.crc_32 is not None:
                if is_remote(content):
                    source.skip(content)
                return shared.crc_32
        try:
            running = _RunningChecksum()
            yield Reading(member, 0, member[3].uncompressed_size or 0, running)
            shared.crc_32 = running.crc_32
        finally:
            SHARED_READINGS.leave(key)
        yield from self.learn(content, shared.crc_32)
        return shared.crc_32

    def marked(self, reading: Reading, archive: Archive) -> Iterator[Step]:
        """Have a long content read; if that is aborted, learn its CRC-32 up to where it came.

        All marks of it and not only the last one: a proxy may have taken a gigabyte for a client
        who has gone.
        """
        marks = _Marks(reading, archive)
        is_over = False
        try:
            yield reading
            is_over = True
        finally:
            for mark, crc_32 in marks.passed.items() if not is_over else ():
                if crc_32 is not None:
                    beginning = _Beginning(cast(Description, reading.content), mark)
                    self._checksums.learn(beginning, crc_32)


class _Marks:
    """Has chunks cut at the marks of a content, and notes the CRC-32 up to each."""

    def __init__(self, reading: Reading, archive: Archive) -> None:
        self.passed: dict[int, int | None] = {}
        self._position = reading.start
        self._archive = archive
        self._write, reading.become = reading.become, self._become

    def _become(self, chunk: bytes) -> bytes:
        view = memoryview(chunk).cast("B")
        before, self._position = self._position, self._position + len(view)
        if before // _MARK == self._position // _MARK:
            return self._write(chunk)
        pieces, first = [], 0
        for mark in range((before // _MARK + 1) * _MARK, self._position + 1, _MARK):
            pieces.append(self._write(bytes(view[first : mark - before])))
            self.passed[mark] = self._archive.crc_32
            first = mark - before
        return b"".join((*pieces, self._write(bytes(view[first:]))))


def is_long(length: int) -> bool:
    """Return whether the CRC-32 of so much content is worth learning in parts."""
    return length > _MARK
