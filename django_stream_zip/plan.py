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
from typing import Any, Final, NoReturn, Protocol, TypeAlias, cast

from django_stream_zip.ahead import Direct, Source, is_remote
from django_stream_zip.content import Content, ContentChangedError, Description
from django_stream_zip.engine import spec
from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.aes import EncryptionOverhead
from django_stream_zip.engine.archive import Archive, CountedDirectory, NoDirectory
from django_stream_zip.engine.blocks import Pieces
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile, unpacked
from django_stream_zip.engine.methods import Coding, Method
from django_stream_zip.engine.streams import close, default_compressobj

# What stands behind a member's data at most: a data descriptor of Zip64.
_DESCRIPTOR_LENGTH: Final = 24


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
        blocks = Pieces(block_length)
        source = source or Direct[Any]()
        with closing(self.steps(start, stop, checksums, begun, source.expect)) as steps:
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
        unknown = list(self._unknown(_Window(start, stop, self._offsets[-1])))
        if sum(length for _, length in unknown) <= budget:
            return True
        known = _Checksums([content for content, _ in unknown], checksums)
        return sum(length for content, length in unknown if known.of(content) is None) <= budget

    def steps(
        self,
        start: int,
        stop: int,
        checksums: Checksums,
        begun: Callable[[str], object],
        expect: Callable[[Iterator[Description]], object],
    ) -> Generator[Step, None, None]:
        """Give the window's bytes, and between them the readings that give the others.

        `expect` is called first, with the contents that are going to be read from their first byte
        to their last, in that order.
        """
        window = _Window(start, stop, self._offsets[-1])
        # The directory has all members in it. Otherwise those before the window are nobody's need.
        first = 0 if window.needs_directory else bisect_right(self._offsets, start) - 1
        crc_32s = _Checksums([content for content, _ in self._unknown(window)], checksums)
        stated = self._stated(window)
        expect(self._wholly_read(window, first, crc_32s))
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
                yield from _skip(archive, member, crc_32s if number in stated else None, begun)
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

    def _unknown(self, window: _Window) -> Iterator[tuple[Description, int]]:
        """Yield the contents that begin before the window and whose CRC-32 is in it and not told.

        With each comes how many of its bytes are read for that alone, or a few more.
        """
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
            content = cast(Description, chunks)
            length = min(_known_size(method) or 0, window.start - offsets[number])
            if method.crc_32 is None and content.crc_32 is None:
                yield content, length

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
                # Others are left out: another window may read them for this one, too.
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
        self._become = become
        self._left = stop - start

    def take(self, chunk: bytes) -> bytes:
        """Take a chunk, give what comes of it."""
        self._left -= memoryview(chunk).nbytes
        if self._left < 0:
            self._changed("more")
        return self._become(chunk)

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


def _carried_out(reading: Reading, source: Source, blocks: Pieces) -> Iterator[bytes]:
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


class _Checksums:
    """What is known about CRC-32s at the beginning of a window, and where new ones go."""

    def __init__(self, contents: Iterable[Description], checksums: Checksums) -> None:
        unknown = [content for content in contents if content.crc_32 is None]
        self._known = checksums.known(unknown) if unknown else {}
        self._checksums = checksums

    def of(self, content: Description) -> int | None:
        if content.crc_32 is not None or not self._known:
            return content.crc_32
        return self._known.get(self._checksums.key(content))

    def learn(self, content: Description, crc_32: int | None) -> None:
        if crc_32 is not None:
            self._checksums.learn(content, crc_32)

    def found(self, member: MemberFile | AsyncMemberFile) -> Generator[Step, None, int]:
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

    def __init__(self) -> None:
        self.crc_32 = 0

    def __call__(self, chunk: bytes) -> bytes:
        self.crc_32 = crc32(chunk, self.crc_32)
        return b""


def _skip(
    archive: Archive,
    member: MemberFile | AsyncMemberFile,
    crc_32s: _Checksums | None,
    begun: Callable[[str], object],
) -> Iterator[Step]:
    """Pass over a member before the window, for the sake of the central directory.

    Without `crc_32s` its header isn't in the window, and only has to be as long as it is.
    """
    crc_32: int | None = 0
    if crc_32s and member[3].crc_32 is None:
        crc_32 = crc_32s.of(cast(Description, member[4]))
        if crc_32 is None:
            begun(member[0])
            crc_32 = yield from crc_32s.found(member)
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
            yield Reading(member, 0, first, running)
        archive.skip(first, running.crc_32 if crc_32 is None else None)
    if first < last:
        yield Reading(member, first, last, _written(archive, window))
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


def _known_size(method: object) -> int | None:
    """Give a member's size if all of its bytes' positions follow from it."""
    if not isinstance(method, Method):
        return 0  # and the engine says what is wrong with it
    return method.uncompressed_size if method.coding is Coding.STORE else None


def _options(encryption: EncryptionOverhead | None) -> Options:
    return Options(default_compressobj, encryption=encryption)
