"""Members known ahead: the archive's exact length, its entity tag, any window of its bytes.

A length is what the writer would write: the archive is written once with all content skipped. A
window is written the same way, from the member in which it starts, and only content inside of it
is read. Knows nothing of Django or HTTP.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from threading import Lock
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeAlias, cast

from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.aes import EncryptionOverhead
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.blocks import LooseBlocks
from django_stream_zip.engine.directory import CountedDirectory, NoDirectory
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile, unpacked
from django_stream_zip.engine.methods import Coding, Method
from django_stream_zip.engine.streams import close, default_compressobj
from django_stream_zip.planning.content import Content, ContentChangedError, Description
from django_stream_zip.prefetch.source import Direct, Source, is_remote

# What stands behind a member's data at most: a data descriptor of Zip64.
_DESCRIPTOR_LENGTH: Final = 24

# How far apart the places in a long content are up to which its CRC-32 is learned. Who resumes at
# one of its bytes has less than that read again.
_MARK: Final = 16 << 20


class Checksums(Protocol):
    """Remembers the CRC-32 of contents, as far as it can: it may forget all of them."""

    def known(self, contents: Iterable[Description]) -> Mapping[str, int]:
        """Give those that are remembered, by `key`."""

    def learn(self, content: Description, crc_32: int) -> None:
        """Remember one."""

    def key(self, content: Description) -> str:
        """Give the name of a content in its present state."""


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


class Plan:
    """The layout of an archive, of which no content has been read.

    `length` is in bytes. `entity_tag` is a strong one with its quotes, None where the bytes can't
    be vouched for: a password, or a content without a validator.
    """

    def __init__(
        self,
        members: Sequence[MemberFile | AsyncMemberFile],
        offsets: array[int],
        end_records: int,
        length: int,
        tag: str | None,
    ) -> None:
        self.members = members
        self.length = length
        self.entity_tag = tag
        self._offsets = offsets  # where each member starts, then where the directory does
        self._end_records = end_records  # where they start, behind the directory

    @classmethod
    def of(
        cls, members: Sequence[MemberFile | AsyncMemberFile], *, encrypted: bool = False
    ) -> Plan | None:
        """Plan an archive; give None if the size of some member can only be found by writing it."""
        members = tuple(members)  # what the caller's list becomes later is another archive
        options = _options(EncryptionOverhead() if encrypted else None)
        directory = CountedDirectory()
        archive = Archive(options, directory=directory)
        offsets = array("Q")
        digest = None if encrypted else sha256(b"%d" % spec.REVISION)
        for member in members:
            name, modified_at, mode, method, content = unpacked(member)
            size = _known_size(method)
            if size is None:
                return None
            offsets.append(archive.offset)
            header = archive.begin(name, modified_at, mode, method)
            archive.skip(size)
            archive.end(method.crc_32 or 0)
            validator = getattr(content, "validator", None)
            identity = getattr(content, "identity", None)
            if validator is None or identity is None:
                digest = None
            elif digest is not None:
                facts = (method.zip64, mode, size, validator, identity)
                digest.update(repr((header, *facts)).encode(errors="backslashreplace"))
        offsets.append(archive.offset)
        end_records = archive.offset + directory.size
        for _ in archive.finish():
            pass
        if digest is not None:
            digest.update(b"%d %d" % (len(members), archive.offset))
        tag = None if digest is None else f'"{digest.hexdigest()[:32]}"'
        return cls(members, offsets, end_records, archive.offset, tag)

    def window(
        self,
        start: int,
        stop: int,
        *,
        checksums: Checksums,
        begun: Callable[[str], object] = str,
        source: Source | None = None,
        block_length: int = 65536,
    ) -> Generator[bytes, None, None]:
        """Give the archive's bytes from `start` to `stop` (exclusive), in blocks about that long.

        Empty blocks come among them while content is read that isn't sent: a moment to look whether
        anybody still waits.

        `begun` is called with the name of each member that is written or read. All contents must be
        `Content`s; with `AsyncContent`s, go through the `steps`. They are read through `source`,
        which may have them fetched ahead. Raises what they raise, and
        ContentChangedError or a ZipIntegrityError where one isn't what it was planned to be; the
        end of the archive is not given then.
        """
        blocks = LooseBlocks(block_length)
        source = source or Direct[Any]()
        with closing(self.steps(start, stop, checksums, begun, source)) as steps:
            for step in steps:
                if isinstance(step, bytes):
                    yield from blocks.push(step)
                elif isinstance(step, Pause):
                    time.sleep(step.seconds)
                    yield b""
                else:
                    yield from _carried_out(step, source, blocks)
        yield from blocks.flush()

    def is_within(self, budget: int, start: int, stop: int, checksums: Checksums) -> bool:
        """Say whether a window has no more than so many bytes read for it that aren't in it."""
        unsent = list(self._unsent(_Window(start, stop, self._offsets[-1])))
        if sum(one.length for one in unsent) <= budget:
            return True
        known = _Checksums(unsent, checksums)
        return sum(map(known.unread, unsent)) <= budget

    def unknown(self) -> Iterator[Description]:
        """Yield the contents whose CRC-32 nobody tells, before they are read."""
        for _, _, _, method, chunks in self.members:
            content = cast(Description, chunks)
            if method.crc_32 is None and content.crc_32 is None:
                yield content

    def steps(
        self,
        start: int,
        stop: int,
        checksums: Checksums,
        begun: Callable[[str], object],
        source: Source,
    ) -> Generator[Step, None, None]:
        """Give the window's bytes, and between them the readings that give the others.

        The `source` is not read from here. First of all it is to expect the contents that are going
        to be read from their first byte to their last, in that order; later, to skip those of them
        that another window has read.
        """
        window = _Window(start, stop, self._offsets[-1])
        # The directory has all members in it. Otherwise those before the window are nobody's need.
        first = 0 if window.needs_directory else bisect_right(self._offsets, start) - 1
        crc_32s = _Checksums(self._unsent(window), checksums)
        stated = self._stated(window)
        source.expect(self._wholly_read(window, first, crc_32s))
        archive = Archive(
            _options(None),
            offset=self._offsets[first],
            directory=None if window.needs_directory else NoDirectory(),
        )
        for number in range(first, len(self.members)):
            if archive.offset >= stop:
                return
            member = self.members[number]
            if self._offsets[number + 1] <= start:
                yield from _skip(
                    archive, member, crc_32s if number in stated else None, begun, source
                )
            else:
                begun(member[0])
                yield from _write(archive, member, window, crc_32s)
        position = archive.offset
        pieces = archive.finish() if window.needs_directory else ()
        for piece in pieces:
            yield window.cut(position, piece)
            position += len(piece)

    def _stated(self, window: _Window) -> range:
        """Return the numbers of the members whose central directory headers are in the window."""
        directory, number = self._offsets[-1], len(self.members)
        if not window.needs_directory or window.start >= self._end_records:
            return range(0)
        if window.start <= directory and window.stop >= self._end_records:
            return range(number)
        headers = self._header_positions()
        first = max(0, bisect_right(headers, window.start) - 1)
        return range(first, bisect_left(headers, window.stop))

    def _header_positions(self) -> array[int]:
        """Return where each central directory header starts.

        They are counted again, as hardly any window starts or stops between them.
        """
        directory = CountedDirectory()
        archive = Archive(_options(None), directory=directory)
        positions = array("Q")
        for member in self.members:
            positions.append(self._offsets[-1] + directory.size)
            _pass_over(archive, member, 0)
        return positions

    def _unsent(self, window: _Window) -> Iterator[_Unsent]:
        """Yield what is before the window and whose CRC-32 is in it and not told."""
        offsets, stated = self._offsets, self._stated(window)
        cut = bisect_right(offsets, window.start) - 1  # the member in which the window starts
        before = range(stated.start, min(stated.stop, cut))
        has_descriptor = (
            cut < len(self.members)
            and offsets[cut] < window.start
            and (cut in stated or window.stop > offsets[cut + 1] - _DESCRIPTOR_LENGTH)
        )
        for number in (*before, cut) if has_descriptor else before:
            _, _, _, method, chunks = self.members[number]
            content, size = cast(Description, chunks), _known_size(method) or 0
            if method.crc_32 is None and content.crc_32 is None:
                length = self._content_before(cut, window.start) if number == cut else size
                yield _Unsent(content, length, size)

    def _content_before(self, number: int, position: int) -> int:
        """Return how much of a member's content is before a position in the archive."""
        archive = Archive(_options(None), offset=self._offsets[number], directory=NoDirectory())
        name, modified_at, mode, method, _ = self.members[number]
        archive.begin(name, modified_at, mode, method)
        return archive.content_before(max(0, position - archive.offset))

    def _wholly_read(
        self, window: _Window, first: int, crc_32s: _Checksums
    ) -> Iterator[Description]:
        """Give the contents that are read as a whole: in the window, or before it for their CRC-32.

        A member that the window's start or stop cuts isn't among them, even if it only cuts its
        header: who reads ahead comes too late for the first, and has nothing to do with the last.
        """
        stated = self._stated(window)
        for number in range(first, bisect_right(self._offsets, window.stop) - 1):
            _, _, _, method, chunks = self.members[number]
            content = cast(Description, chunks)
            if self._offsets[number + 1] <= window.start:
                # Local ones are left out: what is behind one that is expected waits for it.
                is_needed = number in stated and is_remote(content) and method.crc_32 is None
                is_read = is_needed and crc_32s.of(content) is None
            else:
                is_read = self._offsets[number] >= window.start
            if is_read:
                yield content


class Reading:
    """Content that has to be read for a window: its bytes from `start` to `stop` (None: the end).

    Each chunk is to be given to `take`, which gives bytes of the window; at last `end` is called.
    """

    def __init__(
        self,
        member: MemberFile | AsyncMemberFile,
        start: int,
        stop: int,
        become: Callable[[bytes], bytes],
    ) -> None:
        self.name, _, _, method, content = member
        self.content = cast(Content, content)
        self.start = start
        # To the very end, to find out if there is more than was promised.
        self.stop = None if stop == method.uncompressed_size else stop
        self.become = become
        self._left = stop - start

    def take(self, chunk: bytes) -> bytes:
        """Take a chunk, give what comes of it."""
        self._left -= memoryview(chunk).nbytes
        if self._left < 0:
            self._changed("more")
        return self.become(chunk)

    def end(self) -> None:
        """Make sure that all of it was there."""
        if self._left:
            self._changed("fewer")

    def _changed(self, how: str) -> NoReturn:
        raise ContentChangedError(
            f"member {self.name!r}: its content has {how} bytes than were said when the download "
            "was planned: it was replaced since, or what told its size (a row, perhaps) is wrong"
        )


class Pause:
    """A wait for another window, which reads what this one needs."""

    seconds = 0.02


#: What is to be done next for a window.
Step: TypeAlias = bytes | Reading | Pause


def _carried_out(reading: Reading, source: Source, blocks: LooseBlocks) -> Iterator[bytes]:
    """Read, and yield the blocks that come of it, or an empty one where nothing does."""
    chunks = source.chunks(reading.content, reading.start, reading.stop)
    try:
        for chunk in chunks:
            if piece := reading.take(chunk):
                yield from blocks.push(piece)
            else:
                yield b""
    finally:
        close(chunks)
    reading.end()


class _Window:
    def __init__(self, start: int, stop: int, directory: int) -> None:
        self.start = start
        self.stop = stop
        self.needs_directory = stop > directory

    def cut(self, position: int, piece: bytes) -> bytes:
        """Give what lies in the window, of a piece at this position of the archive."""
        first = max(0, self.start - position)
        last = min(len(piece), self.stop - position)
        if first == 0 and last == len(piece):
            return piece
        return piece[first : max(first, last)]


class _Unsent(NamedTuple):
    """The first bytes of a content, which a window needs the CRC-32 of and doesn't send."""

    content: Description
    length: int
    size: int

    @property
    def mark(self) -> int:
        """Up to where the CRC-32 may have been learned, if it wasn't read to its end."""
        return 0 if self.length == self.size else self.length // _MARK * _MARK

    def parts(self) -> Iterator[Description]:
        """Yield of what the CRC-32 is to be asked for."""
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


class _Checksums:
    """What is known about CRC-32s at the beginning of a window, and where new ones go."""

    def __init__(self, unsent: Iterable[_Unsent], checksums: Checksums) -> None:
        asked = [part for one in unsent for part in one.parts()]
        self._known = checksums.known(asked) if asked else {}
        self._checksums = checksums

    def of(self, content: Description) -> int | None:
        if content.crc_32 is not None or not self._known:
            return content.crc_32
        return self._known.get(self._checksums.key(content))

    def before(self, unsent: _Unsent) -> tuple[int, int]:
        """Return up to where the CRC-32 of a beginning is known, and that."""
        mark = unsent.mark
        crc_32 = self.of(_Beginning(unsent.content, mark)) if mark else None
        return (0, 0) if crc_32 is None else (mark, crc_32)

    def unread(self, unsent: _Unsent) -> int:
        """Return how many bytes have to be read."""
        if self.of(unsent.content) is not None:
            return 0
        return unsent.length - self.before(unsent)[0]

    def learn(self, content: Description, crc_32: int | None) -> None:
        if crc_32 is not None:
            self._checksums.learn(content, crc_32)

    def found(
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
            yield Reading(member, 0, _known_size(member[3]) or 0, running)
            shared.crc_32 = running.crc_32
        finally:
            SHARED_READINGS.leave(key)
        self.learn(content, shared.crc_32)
        return shared.crc_32


class _RunningChecksum:
    """Computes a CRC-32 of content that isn't in the window."""

    def __init__(self, crc_32: int = 0) -> None:
        self.crc_32 = crc_32

    def __call__(self, chunk: bytes) -> bytes:
        self.crc_32 = crc32(chunk, self.crc_32)
        return b""


def _skip(
    archive: Archive,
    member: MemberFile | AsyncMemberFile,
    crc_32s: _Checksums | None,
    begun: Callable[[str], object],
    source: Source,
) -> Iterator[Step]:
    """Pass over a member before the window, for the sake of the central directory.

    Without `crc_32s` its header isn't in the window, and only has to be as long as it is.
    """
    crc_32: int | None = 0
    if crc_32s and member[3].crc_32 is None:
        crc_32 = crc_32s.of(cast(Description, member[4]))
        if crc_32 is None:
            begun(member[0])
            crc_32 = yield from crc_32s.found(member, source)
    _pass_over(archive, member, crc_32 or 0)


def _pass_over(archive: Archive, member: MemberFile | AsyncMemberFile, crc_32: int) -> None:
    """Have a member counted and kept in the directory; the CRC-32 is for one that tells none."""
    name, modified_at, mode, method, _ = member
    archive.begin(name, modified_at, mode, method)
    archive.skip(_known_size(method) or 0)
    archive.end(crc_32 if method.crc_32 is None else method.crc_32)


def _write(
    archive: Archive, member: MemberFile | AsyncMemberFile, window: _Window, crc_32s: _Checksums
) -> Iterator[Step]:
    """Write what of a member is in the window."""
    name, modified_at, mode, method, content = member
    position = archive.offset
    header = archive.begin(name, modified_at, mode, method)

    data_start, size = archive.offset, _known_size(method) or 0
    if not size and window.start < data_start <= window.stop:
        # It may have bytes. Nobody else would notice, and behind the header it may be too late.
        yield Reading(member, 0, 0, bytes)
    yield window.cut(position, header)
    first = archive.content_before(max(0, window.start - data_start))
    last = archive.content_before(max(0, window.stop - data_start))
    crc_32 = None
    if first > 0:
        needs_crc_32 = method.crc_32 is None and window.stop > data_start + archive.data_length
        crc_32 = crc_32s.of(cast(Description, content)) if needs_crc_32 else method.crc_32 or 0
        running = _RunningChecksum()
        if crc_32 is None:
            known, before = crc_32s.before(_Unsent(cast(Description, content), first, size))
            running = _RunningChecksum(before)
            yield Reading(member, known, first, running)
        archive.skip(first, running.crc_32 if crc_32 is None else None)
    if first < last:
        written = _written(archive, window)
        if method.crc_32 is None and last > _MARK:
            yield from _marked(Reading(member, first, last, written), archive, crc_32s)
        else:
            yield Reading(member, first, last, written)
    # A block's header may be the last thing in the window: an empty chunk brings it.
    position = archive.offset
    yield window.cut(position, archive.write(b""))
    if archive.offset >= window.stop or last < size:
        return
    if method.crc_32 is None:
        crc_32s.learn(cast(Description, content), archive.crc_32)
    position = archive.offset
    yield window.cut(position, archive.end(crc_32))


def _written(archive: Archive, window: _Window) -> Callable[[bytes], bytes]:
    def become(chunk: bytes) -> bytes:
        position = archive.offset
        return window.cut(position, archive.write(chunk))

    return become


def _marked(reading: Reading, archive: Archive, crc_32s: _Checksums) -> Iterator[Step]:
    """Have a long content read; if that is broken off, learn its CRC-32 up to where it came.

    All marks of it and not only the last one: a proxy may have taken a gigabyte for a client who
    has gone.
    """
    write, position = reading.become, reading.start
    marks: dict[int, int | None] = {}

    def become(chunk: bytes) -> bytes:
        nonlocal position
        view = memoryview(chunk).cast("B")
        before = position
        position += len(view)
        if before // _MARK == position // _MARK:
            return write(chunk)
        pieces, first = [], 0
        for mark in range((before // _MARK + 1) * _MARK, position + 1, _MARK):
            pieces.append(write(bytes(view[first : mark - before])))
            marks[mark] = archive.crc_32
            first = mark - before
        return b"".join((*pieces, write(bytes(view[first:]))))

    reading.become = become
    is_over = False
    try:
        yield reading
        is_over = True
    finally:
        for mark, crc_32 in marks.items() if not is_over else ():
            crc_32s.learn(_Beginning(cast(Description, reading.content), mark), crc_32)


def _known_size(method: object) -> int | None:
    """Give a member's size if all of its bytes' positions follow from it."""
    if not isinstance(method, Method):
        return 0  # and the engine says what is wrong with it
    return method.uncompressed_size if method.coding is Coding.STORE else None


def _options(encryption: EncryptionOverhead | None) -> Options:
    return Options(default_compressobj, encryption=encryption)
