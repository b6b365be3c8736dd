"""Members known beforehand: the archive's exact length, its entity tag, any window of its bytes.

A length is what the writer would write: the archive is written once with all content skipped. A
window is written the same way, from the member in which it starts, and only content inside of it
is read. Knows nothing of Django or HTTP.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, cast

from django_stream_zip.engine import spec
from django_stream_zip.engine.aes import EncryptionOverhead
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.directory import CountedDirectory, NoDirectory
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile, unpacked
from django_stream_zip.engine.methods import Coding, Method
from django_stream_zip.engine.streams import default_compressobj
from django_stream_zip.planning.checksums import Checksums, Unsent, WindowChecksums, is_long
from django_stream_zip.planning.content import Description
from django_stream_zip.planning.drivers import driven
from django_stream_zip.planning.steps import Reading, Step
from django_stream_zip.prefetch.source import Direct, Source, is_remote

AnyMember = MemberFile | AsyncMemberFile


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
    def of(cls, members: Sequence[AnyMember], *, encrypted: bool = False) -> Plan | None:
        """Plan an archive.

        Returns None if the size of some member can only be found by writing it.
        """
        members = tuple(members)  # what the caller's list becomes later is another archive
        options = _options(EncryptionOverhead() if encrypted else None)
        directory = CountedDirectory()
        archive = Archive(options, directory=directory)
        offsets = array("Q")
        tag = None if encrypted else _Tag()
        for member in members:
            name, modified_at, mode, method, content = unpacked(member)
            size = _known_size(method)
            if size is None:
                return None
            offsets.append(archive.offset)
            header = archive.begin(name, modified_at, mode, method)
            archive.skip(size)
            archive.end(method.crc_32 or 0)
            if tag is not None and not tag.add(header, method.zip64, mode, size, content):
                tag = None
        offsets.append(archive.offset)
        end_records = archive.offset + directory.size
        for _ in archive.finish():
            pass
        entity_tag = None if tag is None else tag.of(len(members), archive.offset)
        return cls(members, offsets, end_records, archive.offset, entity_tag)

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
        archive = Archive(_options(None), directory=NoDirectory())
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
        members = list(self.members)
        for number, crc_32 in crc_32s.items():
            name, modified_at, mode, method, content = cast(MemberFile, members[number])
            assert method.crc_32 is not None, name
            method = method._replace(crc_32=crc_32)
            members[number] = (name, modified_at, mode, method, content)
        return Plan(tuple(members), self._offsets, self._end_records, self.length, None)

    def pieces(self) -> Iterator[bytes | int]:
        """Yield what the archive is made of, in its order.

        Bytes are written as they are; a number is that of a member whose content is there as it is.
        Every member has to declare its CRC-32.
        """
        archive = Archive(_options(None))
        for number, (name, modified_at, mode, method, _) in enumerate(self.members):
            assert method.crc_32 is not None
            yield archive.begin(name, modified_at, mode, method)
            yield number
            archive.skip(_known_size(method) or 0)
            yield archive.end(method.crc_32)
        yield from archive.finish()

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
        # The directory has all members in it. Without it, those before the window aren't needed.
        first = 0 if window.needs_directory else bisect_right(self._offsets, start) - 1
        crc_32s = WindowChecksums(self._unsent(window), checksums)
        stated = self._stated(window)
        source.expect(self._wholly_read(window, first, crc_32s))
        directory = None if window.needs_directory else NoDirectory()
        archive = Archive(_options(None), offset=self._offsets[first], directory=directory)
        for number in range(first, len(self.members)):
            if archive.offset >= stop:
                return
            member = self.members[number]
            if self._offsets[number + 1] > start:
                begun(member[0])
                yield from _written(archive, member, window, crc_32s)
                continue
            crc_32: int | None = 0
            if number in stated and member[3].crc_32 is None:
                crc_32 = crc_32s.of(cast(Description, member[4]))
            if crc_32 is None:
                begun(member[0])
                crc_32 = yield from crc_32s.read(member, source)
            _pass_over(archive, member, crc_32)
        if window.needs_directory:
            yield from window.cut_all(archive.offset, archive.finish())

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

    def _unsent(self, window: _Window) -> Iterator[Unsent]:
        """Yield what is before the window, where its CRC-32 is in it and not declared."""
        cut = bisect_right(self._offsets, window.start) - 1  # the member in which it starts
        stated = self._stated(window)
        for number in range(stated.start, min(stated.stop, cut)):
            method, content = self._method_and_content(number)
            if method.crc_32 is None and content.crc_32 is None:
                size = _known_size(method) or 0
                yield Unsent(content, size, size)
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
        archive = Archive(_options(None), offset=self._offsets[number], directory=NoDirectory())
        archive.begin(name, modified_at, mode, method)
        length = archive.content_before(max(0, window.start - archive.offset))
        if length and window.stop > archive.offset + archive.data_length:
            yield Unsent(content, length, _known_size(method) or 0)

    def _method_and_content(self, number: int) -> tuple[Method, Description]:
        _, _, _, method, content = self.members[number]
        return method, cast(Description, content)

    def _wholly_read(
        self, window: _Window, first: int, crc_32s: WindowChecksums
    ) -> Iterator[Description]:
        """Yield the contents that are read as a whole: in the window, or before it for a CRC-32.

        A member that the window's start or stop cuts isn't among them, even if it only cuts its
        header: prefetching comes too late for the first, and has nothing to do with the last.
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


class _Tag:
    """The entity tag of an archive while its members are added: what all of its bytes follow from.

    It vouches for the bytes, so it ends with the first content that nobody vouches for.
    """

    def __init__(self) -> None:
        self._digest = sha256(b"%d" % spec.REVISION)

    def add(self, header: bytes, zip64: bool | None, mode: int, size: int, content: Any) -> bool:
        """Add a member. Returns whether its content has an identity and a validator."""
        validator = getattr(content, "validator", None)
        identity = getattr(content, "identity", None)
        if validator is None or identity is None:
            return False
        values = (header, zip64, mode, size, validator, identity)
        self._digest.update(repr(values).encode(errors="backslashreplace"))
        return True

    def of(self, members: int, length: int) -> str:
        """Return the tag, in its quotes, of an archive with so many members and bytes."""
        self._digest.update(b"%d %d" % (members, length))
        return f'"{self._digest.hexdigest()[:32]}"'


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


def _pass_over(archive: Archive, member: AnyMember, crc_32: int) -> None:
    """Have a member counted and kept in the directory; the CRC-32 is for one that declares none."""
    name, modified_at, mode, method, _ = member
    archive.begin(name, modified_at, mode, method)
    archive.skip(_known_size(method) or 0)
    archive.end(crc_32 if method.crc_32 is None else method.crc_32)


def _writing(archive: Archive, window: _Window) -> Callable[[bytes], bytes]:
    def become(chunk: bytes) -> bytes:
        position = archive.offset
        return window.cut(position, archive.write(chunk))

    return become


def _written(
    archive: Archive, member: AnyMember, window: _Window, crc_32s: WindowChecksums
) -> Iterator[Step]:
    """Write what of a member is in the window."""
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
    crc_32 = None
    if first > 0:
        needs_crc_32 = method.crc_32 is None and window.stop > data_start + archive.data_length
        crc_32 = crc_32s.of(content) if needs_crc_32 else method.crc_32 or 0
        read = (yield from crc_32s.read_on(member, first)) if crc_32 is None else None
        archive.skip(first, read)
    if first < last:
        reading = Reading(member, first, last, _writing(archive, window))
        if method.crc_32 is None and is_long(last):
            yield from crc_32s.marked(reading, archive)
        else:
            yield reading
    # A block's header may be the last thing in the window: an empty chunk brings it.
    position = archive.offset
    yield window.cut(position, archive.write(b""))
    if archive.offset >= window.stop or last < size:
        return
    if method.crc_32 is None:
        yield from crc_32s.learn(content, archive.crc_32)
    position = archive.offset
    yield window.cut(position, archive.end(crc_32))


def _known_size(method: object) -> int | None:
    """Return a member's size if all of its bytes' positions follow from it."""
    if not isinstance(method, Method):
        return 0  # and the engine says what is wrong with it
    return method.uncompressed_size if method.coding is Coding.STORE else None


def _options(encryption: EncryptionOverhead | None) -> Options:
    return Options(default_compressobj, encryption=encryption)
