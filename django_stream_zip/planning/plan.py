"""Members known beforehand: the archive's exact length, its entity tag, any window of its bytes.

A length is what the writer would write: the archive is written once with all content skipped. A
window is written the same way, from the member in which it starts, and only content inside of it
is read. Knows nothing of Django or HTTP.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from struct import pack
from typing import Any, Final, NamedTuple, cast

from django_stream_zip.engine import spec
from django_stream_zip.engine.aes import EncryptionOverhead
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.directory import KnownDirectory, NoDirectory
from django_stream_zip.engine.entry import Options, archive_comment
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile, unpacked
from django_stream_zip.engine.methods import STORE, Method
from django_stream_zip.engine.streams import default_compressobj
from django_stream_zip.planning.checksums import Checksums, Unsent, WindowChecksums, is_long
from django_stream_zip.planning.content import Description
from django_stream_zip.planning.drivers import driven
from django_stream_zip.planning.prepared import Prepared
from django_stream_zip.planning.steps import Reading, Step
from django_stream_zip.planning.whole import WholeMember
from django_stream_zip.prefetch.source import Direct, Source, is_remote
from django_stream_zip.prefetch.waiting import may_wait

AnyMember = MemberFile | AsyncMemberFile

# So many members' states are digested at a time.
_BATCH: Final = 1000
_OPTIONS: Final = Options(default_compressobj)


class Span(NamedTuple):
    """Where a member lies in the archive: its header, its data, and what ends it.

    A member whose method declares a CRC-32 has its content between `data` and `data_stop` as it is.
    Of any other that is the content's encoding.
    """

    start: int
    data: int
    data_stop: int
    stop: int


class Plan:
    """The layout of an archive, of which no content has been read.

    `length` is in bytes. `entity_tag` is a strong one with its quotes. It is None where the next
    archive may have other bytes: with a password, or a content without a validator.
    """

    def __init__(
        self,
        members: Sequence[AnyMember],
        offsets: array[int],
        directory: KnownDirectory,
        end_records: bytes,
        tag: str | None,
        options: Options,
    ) -> None:
        self.members = members
        self.length = offsets[-1] + directory.size + len(end_records)
        self.entity_tag = tag
        self._offsets = offsets  # where each member starts, then where the directory does
        self._directory = directory  # with a CRC-32 of 0 where none is declared
        self._end_records = end_records
        self._options = options
        self._is_declared = all(member[3].crc_32 is not None for member in members)

    @classmethod
    def of(
        cls,
        members: Sequence[AnyMember],
        *,
        encrypted: bool = False,
        extended_timestamps: bool = True,
        comment: str = "",
    ) -> Plan | None:
        """Plan an archive, which has these options of `stream_zip`.

        Returns None if the size of some member can only be found by writing it.
        """
        options = replace(
            _OPTIONS,
            extended_timestamps=extended_timestamps,
            encryption=EncryptionOverhead() if encrypted else None,
            comment=archive_comment(comment),
        )
        return cls._of(members, options)

    def replanned(self, members: Sequence[AnyMember]) -> Plan | None:
        """Plan other members, with the options of this archive."""
        return self._of(members, self._options)

    @classmethod
    def _of(cls, members: Sequence[AnyMember], options: Options) -> Plan | None:
        members = tuple(members)  # what the caller's list becomes later is another archive
        directory = KnownDirectory()
        archive = Archive(options, directory=directory)
        offsets = array("Q")
        for member in members:
            name, modified_at, mode, method, _ = unpacked(member)
            offsets.append(archive.offset)
            if not archive.pass_over(name, modified_at, mode, method):
                return None
        offsets.append(archive.offset)
        *_, end_records = archive.finish()
        tag = None if options.encryption else _entity_tag(members, directory, end_records)
        return cls(members, offsets, directory, end_records, tag, options)

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
        """Yield the archive's bytes from `start` to `stop` (exclusive).

        All contents must be `Content`s; with `AsyncContent`s, drive the `steps`. Empty blocks come
        while content is read that isn't sent: see `driven`.

        Args:
            start: Position of the first byte.
            stop: Position behind the last byte.
            checksums: Remembers the CRC-32s that have to be read for.
            begun: Called with the name of each member that is written or read.
            source: What contents are read through, which may prefetch them.
            block_length: About how long the blocks are, in bytes.

        Raises:
            ContentChangedError: A content isn't what it was planned to be; so does a
                ZipIntegrityError. What contents raise passes through. The end of the archive isn't
                yielded then.
        """
        source = source or Direct[Any]()
        steps = self.steps(start, stop, checksums=checksums, begun=begun, source=source)
        return driven(steps, source, block_length)

    def is_within(self, budget: int, start: int, stop: int, checksums: Checksums) -> bool:
        """Return whether a window has no more than so many bytes read that aren't in it."""
        unsent = list(self._unsent(_Window(start, stop, self._offsets[-1])))
        if sum(one.length for one in unsent) <= budget:
            return True
        known = WindowChecksums(unsent, checksums)
        return sum(map(known.unread, unsent)) <= budget

    def spans(self) -> Iterator[Span]:
        """Yield where each of the `members` lies; the directory is behind the last of them."""
        archive = Archive(self._options, directory=NoDirectory())
        for start, member in zip(self._offsets, self.members, strict=False):
            name, modified_at, mode, method, _ = member
            archive.begin(name, modified_at, mode, method)
            data = archive.offset
            data_stop = data + archive.data_length
            archive.skip(_known_size(method) or 0)
            archive.end(method.crc_32 or 0)
            yield Span(start, data, data_stop, archive.offset)

    def declaring(self, crc_32s: Mapping[int, int]) -> Plan:
        """Return the plan of the same archive, but with other CRC-32s in its headers.

        It has no entity tag.

        Args:
            crc_32s: By the number of a member whose method declares one, which may be any: no
                position depends on its value.
        """
        members, directory = list(self.members), self._directory.copy()
        for number, crc_32 in crc_32s.items():
            name, modified_at, mode, method, content = cast(MemberFile, members[number])
            assert method.crc_32 is not None, name
            method = method._replace(crc_32=crc_32)
            members[number] = (name, modified_at, mode, method, content)
            directory.set_crc_32(number, crc_32)
        return Plan(
            tuple(members), self._offsets, directory, self._end_records, None, self._options
        )

    def pieces(self) -> Iterator[bytes | int]:
        """Yield what the archive is made of, in its order.

        Bytes are written as they are; a number is that of a member whose content is there as it is.
        Every member has to declare its CRC-32.
        """
        archive = Archive(self._options, directory=NoDirectory())
        for number, (name, modified_at, mode, method, _) in enumerate(self.members):
            assert method.crc_32 is not None
            yield archive.begin(name, modified_at, mode, method)
            yield number
            archive.skip(_known_size(method) or 0)
            yield archive.end(method.crc_32)
        yield from self._directory.blocks()
        yield self._end_records

    def unknown(self) -> Iterator[Description]:
        """Yield the contents whose CRC-32 isn't known before they are read."""
        for _, _, _, method, chunks in self.members:
            content = cast(Description, chunks)
            if method.crc_32 is None and content.crc_32 is None:
                yield content

    def steps(
        self,
        start: int,
        stop: int,
        *,
        checksums: Checksums,
        begun: Callable[[str], object],
        source: Source,
    ) -> Generator[Step, None, None]:
        """Yield what is to be done for a window: its bytes, and between them the readings.

        The `source` is not read from here. First of all it is to expect the contents that are going
        to be read from their first byte to their last, in that order; later, to skip those of them
        that another window has read.
        """
        window = _Window(start, stop, self._offsets[-1])
        crc_32s = WindowChecksums(self._unsent(window), checksums)
        source.expect(self._wholly_read(window, crc_32s))
        is_final = self._is_declared or not window.needs_directory
        directory = self._directory if is_final else self._directory.copy()
        for number in self._stated_before(window):
            member = self.members[number]
            crc_32 = crc_32s.of(cast(Description, member[4]))
            if crc_32 is None:
                begun(member[0])
                crc_32 = yield from crc_32s.read(member, source)
            directory.set_crc_32(number, crc_32)
        yield from self._members(window, crc_32s, directory, begun)
        if window.needs_directory:
            pieces = chain(directory.blocks(), (self._end_records,))
            yield from window.cut_all(self._offsets[-1], pieces)

    def _members(
        self,
        window: _Window,
        crc_32s: WindowChecksums,
        directory: KnownDirectory,
        begun: Callable[[str], object],
    ) -> Generator[Step, None, None]:
        """Write what of members is in the window, and their CRC-32s into its directory."""
        archive = Archive(self._options, directory=NoDirectory())
        whole, prepared = WholeMember(directory), Prepared(self.members)
        last = bisect_left(self._offsets, window.stop, hi=len(self.members))
        for number in range(self._first(window), last):
            if not may_wait():
                yield from prepared.before(number)
            member, position = self.members[number], self._offsets[number]
            begun(member[0])
            following = self._offsets[number + 1]
            is_whole = window.start <= position and following <= window.stop
            crc_32: int | None
            if is_whole and _is_simple(member[3], following):
                whole.begin(number, member)
                yield whole
                crc_32 = whole.crc_32
                if member[3].crc_32 is None:
                    yield from crc_32s.learn(cast(Description, member[4]), crc_32)
            else:
                archive.offset = position
                crc_32 = yield from _cut(archive, member, window, crc_32s)
            if member[3].crc_32 is None and crc_32 is not None and window.needs_directory:
                directory.set_crc_32(number, crc_32)

    def _first(self, window: _Window) -> int:
        """Return the number of the member in which a window starts, or how many there are."""
        return bisect_right(self._offsets, window.start) - 1

    def _stated(self, window: _Window) -> range:
        """Return the numbers of the members whose central directory headers are in the window."""
        directory, starts = self._offsets[-1], self._directory.starts
        if not window.needs_directory or window.start >= directory + self._directory.size:
            return range(0)
        first = max(0, bisect_right(starts, max(0, window.start - directory)) - 1)
        return range(first, min(bisect_left(starts, window.stop - directory), len(self.members)))

    def _stated_before(self, window: _Window) -> Iterator[int]:
        """Yield the numbers of those of them that are before it, and declare no CRC-32."""
        stated = self._stated(window)
        for number in range(stated.start, min(stated.stop, self._first(window))):
            if self.members[number][3].crc_32 is None:
                yield number

    def _unsent(self, window: _Window) -> Iterator[Unsent]:
        """Yield what is before the window, where its CRC-32 is in it and not declared."""
        for number in self._stated_before(window):
            method, content = self._method_and_content(number)
            if content.crc_32 is None:
                size = _known_size(method) or 0
                yield Unsent(content, size, size)
        cut = self._first(window)
        if cut < len(self.members):
            yield from self._unsent_of(cut, window)

    def _unsent_of(self, number: int, window: _Window) -> Iterator[Unsent]:
        """Yield the beginning of the member that the window's start cuts, if it needs its CRC-32.

        That is in the data descriptor, behind the data: where this is counted, it is written.
        """
        name, modified_at, mode, method, _ = self.members[number]
        content = self._method_and_content(number)[1]
        if method.crc_32 is not None or content.crc_32 is not None:
            return
        archive = Archive(self._options, offset=self._offsets[number], directory=NoDirectory())
        archive.begin(name, modified_at, mode, method)
        length = archive.content_before(max(0, window.start - archive.offset))
        if length and window.stop > archive.offset + archive.data_length:
            yield Unsent(content, length, _known_size(method) or 0)

    def _method_and_content(self, number: int) -> tuple[Method, Description]:
        _, _, _, method, content = self.members[number]
        return method, cast(Description, content)

    def _wholly_read(self, window: _Window, crc_32s: WindowChecksums) -> Iterator[Description]:
        """Yield the contents that are read as a whole: in the window, or before it for a CRC-32.

        A member that the window's start or stop cuts isn't among them, even if it only cuts its
        header: prefetching comes too late for the first, and has nothing to do with the last.
        """
        for number in self._stated_before(window):
            content = self._method_and_content(number)[1]
            # Local ones are left out: what is behind one that is expected waits for it.
            if is_remote(content) and crc_32s.of(content) is None:
                yield content
        first = bisect_left(self._offsets, window.start)
        for number in range(first, bisect_right(self._offsets, window.stop) - 1):
            yield self._method_and_content(number)[1]


def _entity_tag(
    members: Sequence[AnyMember], directory: KnownDirectory, end_records: bytes
) -> str | None:
    """Return an archive's tag, in its quotes: a digest of all that its bytes follow from.

    It vouches for the bytes, so there is none if nobody vouches for some content.
    """
    digest = sha256(b"%d" % spec.REVISION)
    for block in directory.blocks():
        digest.update(block)
    digest.update(end_records)
    for start in range(0, len(members), _BATCH):
        contents = [member[4] for member in members[start : start + _BATCH]]
        validators = [getattr(content, "validator", None) for content in contents]
        states = [*validators, *[getattr(content, "identity", None) for content in contents]]
        if None in states:
            return None
        texts = list(map(str, states))
        # The lengths tell where each of them ends, in less time than `repr` takes to quote them.
        digest.update(pack(f"<{len(texts)}Q", *map(len, texts)))
        digest.update("".join(texts).encode(errors="surrogatepass"))
    return f'"{digest.hexdigest()[:32]}"'


class _Window:
    def __init__(self, start: int, stop: int, directory: int) -> None:
        self.start = start
        self.stop = stop
        self.needs_directory = stop > directory

    def cut(self, position: int, piece: bytes) -> bytes:
        """Return what lies in the window, of a piece at this position of the archive."""
        first = max(0, self.start - position)
        last = min(len(piece), self.stop - position)
        if first == 0 and last == len(piece):
            return piece
        return piece[first : max(first, last)]

    def cut_all(self, position: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what lies in the window, of pieces that begin at this position."""
        for piece in pieces:
            yield self.cut(position, piece)
            position += len(piece)


def _is_simple(method: Method, following: int) -> bool:
    """Return whether a member's records and data follow from its central directory header.

    It is stored, without Zip64: `following` is where the next one starts. What is empty, or so long
    that its CRC-32 is learned in parts, takes more steps.
    """
    _, coding, zip64, size, crc_32, _, _, _ = method
    if coding is not STORE or zip64 or following > spec.MAX_32 or not size:
        return False
    return crc_32 is not None or not is_long(size)


def _writing(archive: Archive, window: _Window) -> Callable[[bytes], bytes]:
    def become(chunk: bytes) -> bytes:
        position = archive.offset
        return window.cut(position, archive.write(chunk))

    return become


def _cut(
    archive: Archive, member: AnyMember, window: _Window, crc_32s: WindowChecksums
) -> Generator[Step, None, int | None]:
    """Write what is in the window of a member that it cuts, or that is empty.

    Returns its CRC-32, if it came to its end.
    """
    name, modified_at, mode, method, chunks = member
    content, size = cast(Description, chunks), _known_size(method) or 0
    position = archive.offset
    header = archive.begin(name, modified_at, mode, method)
    data_start = archive.offset
    if not size and window.start < data_start <= window.stop:
        # It may have bytes. Nobody else would notice, and behind the header it may be too late.
        yield Reading(member, 0, 0, bytes)
    yield window.cut(position, header)

    first = archive.content_before(max(0, window.start - data_start))
    last = archive.content_before(max(0, window.stop - data_start))
    is_needed = method.crc_32 is None and window.stop > data_start + archive.data_length
    crc_32 = None
    if first:
        first, crc_32 = _skipped(archive, member, first, crc_32s, is_needed)
    if first < last:
        reading = Reading(member, first, last, _writing(archive, window), archive.slow_from)
        if method.crc_32 is None and is_long(last):
            yield from crc_32s.marked(reading, archive)
        else:
            yield reading
    # A block's header may be the last thing in the window: an empty chunk brings it.
    position = archive.offset
    yield window.cut(position, archive.write(b""))
    if archive.offset >= window.stop or last < size:
        return None
    if crc_32 is None:
        crc_32 = archive.crc_32
        if method.crc_32 is None:
            yield from crc_32s.learn(content, crc_32)
    yield window.cut(archive.offset, archive.end(crc_32))
    return crc_32


def _skipped(
    archive: Archive, member: AnyMember, length: int, crc_32s: WindowChecksums, is_needed: bool
) -> tuple[int, int | None]:
    """Pass over the beginning of a content; return how much of it, and the whole's CRC-32 if known.

    If that isn't, but needed, only what its own CRC-32 is known of is passed over. The rest is read
    together with what is sent: a file that is opened twice may be another one by then.
    """
    _, _, _, method, chunks = member
    content = cast(Description, chunks)
    crc_32 = crc_32s.of(content) if is_needed else method.crc_32 or 0
    passed = None
    if crc_32 is None:
        length, passed = crc_32s.before(Unsent(content, length, _known_size(method) or 0))
    if length:
        archive.skip(length, passed)
    return length, crc_32


def _known_size(method: object) -> int | None:
    """Return a member's size if all of its bytes' positions follow from it."""
    if not isinstance(method, Method):
        return 0  # and the engine says what is wrong with it
    return method.content_size
