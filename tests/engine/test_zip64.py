"""Where Zip64 begins, and where methods without it refuse: each boundary, without the gigabytes."""

from __future__ import annotations

import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
    CentralDirectoryNumberOfEntriesOverflowError,
    CentralDirectorySizeOverflowError,
    CompressedSizeOverflowError,
    Method,
    OffsetOverflowError,
    UncompressedSizeIntegrityError,
    UncompressedSizeOverflowError,
    ZipOverflowError,
    stream_zip,
)
from django_stream_zip.engine.accelerators import Deflate
from django_stream_zip.engine.aes import EncryptionOverhead
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.directory import CountedDirectory, Directory, HeldDirectory
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.methods import deflated
from tests.support.parser import (
    WIDE,
    CentralHeader,
    DataDescriptor,
    End,
    Ends,
    LocalHeader,
    central_headers,
    descriptor,
    end_records,
    local_header,
    zip64,
)
from tests.support.readers import assert_reads, require, verify_stream
from tests.support.strategies import METHODS, contents, names, passwords

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
MODE = 0o100644
CRC_32 = 0x12345678
MIB = 2**20


def started(
    *,
    offset: int = 0,
    encrypted: bool = False,
    directory: Directory | None = None,
    get_compressobj: Callable[[], Any] = zlib.compressobj,
) -> Archive:
    options = Options(get_compressobj, encryption=EncryptionOverhead() if encrypted else None)
    return Archive(options, offset=offset, directory=directory)


class Measured(NamedTuple):
    """A member's records, its content never seen."""

    local: LocalHeader
    descriptor: DataDescriptor | None
    descriptor_length: int
    central: CentralHeader

    @property
    def wide(self) -> tuple[int, ...]:
        """The values of the Zip64 field in the central header."""
        return zip64(self.central.extra) if 0x0001 in self.central.extra else ()


def measured(method: Method, size: int, *, offset: int = 0, encrypted: bool = False) -> Measured:
    directory = HeldDirectory()
    archive = started(offset=offset, encrypted=encrypted, directory=directory)
    local = local_header(archive.begin("a", TIME, MODE, method))
    archive.skip(size)
    rest = archive.end(CRC_32)
    rest = rest[rest.index(b"PK\x07\x08") :] if b"PK\x07\x08" in rest else b""
    (central,) = central_headers(b"".join(directory.blocks()))
    return Measured(local, descriptor(rest) if rest else None, len(rest), central)


def add(archive: Archive, name: str, method: Method) -> None:
    """Add a member of the size that its method promises, without looking at its bytes."""
    archive.begin(name, TIME, MODE, method)
    archive.skip(method.uncompressed_size or 0)
    archive.end(CRC_32 if method.crc_32 is None else method.crc_32)


def finished(archive: Archive) -> Ends:
    """Return the end records that the archive would have now; it goes on."""
    return end_records(b"".join(copy(archive).finish()))


# Sizes.


@pytest.mark.parametrize(
    ("method", "encrypted", "last", "error"),
    [
        pytest.param(
            NO_COMPRESSION_32, False, 2**32 - 1, UncompressedSizeOverflowError, id="plain"
        ),
        pytest.param(
            NO_COMPRESSION_32, True, 2**32 - 29, CompressedSizeOverflowError, id="encrypted"
        ),
    ],
)
def test_a_stored_member_of_32_bits_is_refused_beyond_them(
    method: Any, encrypted: bool, last: int, error: type[ZipOverflowError]
) -> None:
    for size in (last - 1, last):
        found = measured(method(size, CRC_32), size, encrypted=encrypted)
        sizes = (size, size + 28 if encrypted else size)
        assert (found.local.uncompressed_size, found.local.compressed_size) == sizes
        assert found.central.true_values() == (*sizes, 0)
        assert found.wide == ()
    with pytest.raises(error, match=rf"'a'.*{last + 1 + (28 if encrypted else 0):,}"):
        measured(method(last + 1, CRC_32), last + 1, encrypted=encrypted)


@pytest.mark.parametrize(
    ("make", "encrypted", "last", "grown"),
    [
        pytest.param(
            lambda size: NO_COMPRESSION_AUTO(size, CRC_32), False, 2**32 - 1, 0, id="stored"
        ),
        pytest.param(
            lambda size: NO_COMPRESSION_AUTO(size, CRC_32),
            True,
            2**32 - 29,
            28,
            id="stored, encrypted",
        ),
        pytest.param(NO_COMPRESSION_AUTO, True, 2**32 - 29, 28, id="no CRC-32, encrypted"),
        # 65,532 blocks of 65,535 bytes, and one of 10: 5 bytes more for each.
        pytest.param(NO_COMPRESSION_AUTO, False, 4_294_639_630, 5 * 65533, id="stored blocks"),
    ],
)
def test_auto_has_wide_sizes_only_if_one_needs_it(
    make: Callable[[int], Method], encrypted: bool, last: int, grown: int
) -> None:
    found = measured(make(last), last, encrypted=encrypted)
    assert last + grown == WIDE
    assert found.central.true_values() == (last, last + grown, 0)
    assert 0x0001 not in found.local.extra
    assert found.wide == ()
    assert found.descriptor_length in (0, 16)
    assert found.local.version_needed == found.central.version_needed == (51 if encrypted else 20)

    more = measured(make(last + 1), last + 1, encrypted=encrypted)
    assert more.wide == (last + 1, last + 1 + grown)
    assert more.central.true_values() == (*more.wide, 0)
    assert zip64(more.local.extra) == ((0, 0) if more.descriptor else more.wide)
    assert more.descriptor_length in (0, 24)
    assert more.local.version_needed == more.central.version_needed == (51 if encrypted else 45)


@pytest.mark.parametrize(
    ("size", "encrypted", "wide"),
    [
        pytest.param(4_293_656_841, False, False, id="the last that is safe"),
        pytest.param(4_293_656_842, False, True, id="one byte more"),
        pytest.param(4_293_656_813, True, False, id="the last that is safe, encrypted"),
        pytest.param(4_293_656_814, True, True, id="one byte more, encrypted"),
        pytest.param(2**32 - 1, False, True, id="the most that fits, if it didn't grow"),
        pytest.param(2**64 - 1, False, True, id="the most that can be said"),
    ],
)
@pytest.mark.parametrize("level", [-1, 0, 1, 9])
def test_zip_auto_is_wide_where_deflate_may_exceed(
    size: int, encrypted: bool, wide: bool, level: int
) -> None:
    header = started(encrypted=encrypted).begin("a", TIME, MODE, ZIP_AUTO(size, level))
    local = local_header(header)
    assert (0x0001 in local.extra) == wide
    assert local.version_needed == (51 if encrypted else 45 if wide else 20)
    if wide:
        assert zip64(local.extra) == (0, 0)
        assert (local.uncompressed_size, local.compressed_size) == (WIDE, WIDE)


@pytest.mark.parametrize("size", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
def test_no_compression_64_is_always_wide(size: int) -> None:
    found = measured(NO_COMPRESSION_64(size, CRC_32), size)
    assert zip64(found.local.extra) == (size, size)
    assert found.wide == (size, size, 0)
    assert found.central.true_values() == (size, size, 0)


@pytest.mark.parametrize(
    ("method", "encrypted"),
    [
        pytest.param(NO_COMPRESSION_64(2**64 - 28, 0), True, id="encrypted"),
        pytest.param(NO_COMPRESSION_AUTO(2**64 - 1), False, id="stored blocks"),
    ],
)
def test_even_64_bits_end(method: Method, encrypted: bool) -> None:
    with pytest.raises(CompressedSizeOverflowError, match="'a'"):
        started(encrypted=encrypted).begin("a", TIME, MODE, method)


def test_a_wide_descriptor_has_the_true_sizes() -> None:
    size = 2**32 + 5
    found = measured(NO_COMPRESSION_AUTO(size), size)
    assert found.descriptor is not None
    assert found.descriptor[1:] == (CRC_32, size + 5 * 65538, size)
    assert found.descriptor_length == 24


# Deflated content, of which nobody knows the size beforehand.


class Bloating:
    """A compression object that makes 64 MiB of any chunk: always the same ones, in memory once."""

    BYTES = bytes(64 * MIB)

    def __init__(self, last: bytes = b"") -> None:
        self._last = last

    def compress(self, data: bytes) -> bytes:
        return self.BYTES

    def flush(self) -> bytes:
        return self._last


class Swallowing:
    """A compression object that makes nothing of anything."""

    def compress(self, data: bytes) -> bytes:
        return b""

    def flush(self) -> bytes:
        return b""


def test_zip_32_refuses_compressed_content_at_the_chunk_that_exceeds() -> None:
    archive = started(get_compressobj=Bloating)
    archive.begin("a", TIME, MODE, ZIP_32)
    for _ in range(63):
        archive.write(b"x")
    with pytest.raises(CompressedSizeOverflowError, match=r"'a'.*4,294,967,296"):
        archive.write(b"x")


@pytest.mark.parametrize("method", [ZIP_32, ZIP_64], ids=str)
def test_zip_32_takes_as_much_compressed_content_as_its_fields(method: Method) -> None:
    directory = HeldDirectory()
    archive = started(directory=directory, get_compressobj=lambda: Bloating(Bloating.BYTES[:-1]))
    archive.begin("a", TIME, MODE, method)
    for _ in range(63):
        archive.write(b"x")
    rest = archive.end()[64 * MIB - 1 :]
    assert descriptor(rest)[2:] == (2**32 - 1, 63)
    (central,) = central_headers(b"".join(directory.blocks()))
    assert central.true_values() == (63, 2**32 - 1, 0)


def test_zip_32_refuses_compressed_content_that_exceeds_at_its_end() -> None:
    archive = started(get_compressobj=lambda: Bloating(Bloating.BYTES))
    archive.begin("a", TIME, MODE, ZIP_32)
    for _ in range(63):
        archive.write(b"x")
    with pytest.raises(CompressedSizeOverflowError, match=r"'a'.*4,294,967,296"):
        archive.end()


def test_zip_64_goes_beyond() -> None:
    archive = started(get_compressobj=Bloating)
    archive.begin("a", TIME, MODE, ZIP_64)
    for _ in range(65):
        archive.write(b"x")
    assert descriptor(archive.end())[2:] == (65 * 64 * MIB, 65)


@pytest.mark.parametrize("guess", [None, 0, 100], ids=str)
def test_a_member_that_outgrows_its_guess_ends_wide(guess: int | None) -> None:
    directory = HeldDirectory()
    archive = started(directory=directory)
    method = deflated(guess, cast(Deflate, _Swallowed()))
    local = local_header(archive.begin("a", TIME, MODE, method))
    assert (local.version_needed, local.extra.keys() & {0x0001}) == (20, set())
    chunk = bytes(256 * MIB)
    for _ in range(16):
        archive.write(chunk)
    assert descriptor(archive.end())[2:] == (0, 2**32)
    (central,) = central_headers(b"".join(directory.blocks()))
    assert central.true_values() == (2**32, 0, 0)
    assert central.version_needed == 45


class _Swallowed:
    def __call__(self) -> Swallowing:
        return Swallowing()

    def bound(self, size: int) -> int:
        return size


def test_zip_32_refuses_content_at_the_chunk_that_exceeds() -> None:
    chunk = bytes(256 * MIB)
    archive = started(get_compressobj=Swallowing)
    archive.begin("a", TIME, MODE, ZIP_32)
    for _ in range(15):
        archive.write(chunk)
    archive.write(memoryview(chunk)[1:])
    archive.write(b"")
    with pytest.raises(UncompressedSizeOverflowError, match=r"'a'.*4,294,967,296"):
        archive.write(b"x")


def test_held_content_is_refused_at_the_chunk_that_exceeds() -> None:
    chunk = bytes(64 * MIB)
    archive = started()
    archive.begin("a", TIME, MODE, NO_COMPRESSION_32)
    for _ in range(63):
        archive.write(chunk)
    with pytest.raises(UncompressedSizeOverflowError, match=r"'a'"):
        archive.write(chunk)


# Offsets.


@pytest.mark.parametrize(
    ("method", "encrypted"),
    [
        pytest.param(ZIP_32, False, id="deflated"),
        pytest.param(NO_COMPRESSION_32(0, 0), False, id="promised"),
        pytest.param(NO_COMPRESSION_32(0, 0), True, id="promised, encrypted"),
        pytest.param(NO_COMPRESSION_32, False, id="held"),
    ],
)
def test_a_member_of_32_bits_must_start_within_them(method: Method, encrypted: bool) -> None:
    def add_at(offset: int) -> CentralHeader:
        directory = HeldDirectory()
        archive = started(offset=offset, encrypted=encrypted, directory=directory)
        archive.begin("a", TIME, MODE, method)
        list(archive.release())
        archive.end()
        return central_headers(b"".join(directory.blocks()))[0]

    for offset in (2**32 - 2, 2**32 - 1):
        central = add_at(offset)
        assert central.offset == offset
        assert 0x0001 not in central.extra
    with pytest.raises(OffsetOverflowError, match=r"'a'.*4,294,967,296"):
        add_at(2**32)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    ("method", "length"),
    [
        pytest.param(NO_COMPRESSION_AUTO(5, CRC_32), 0, id="stored"),
        pytest.param(NO_COMPRESSION_AUTO(5), 16, id="stored blocks"),
    ],
)
def test_auto_has_a_wide_offset_only_if_it_needs_one(
    method: Method, length: int, encrypted: bool
) -> None:
    narrow = measured(method, 5, offset=2**32 - 1, encrypted=encrypted)
    wide = measured(method, 5, offset=2**32, encrypted=encrypted)
    assert narrow.wide == ()
    assert narrow.central.offset == 2**32 - 1
    assert wide.wide == (2**32,)
    assert wide.central.offset == WIDE
    assert wide.central.uncompressed_size == 5
    assert wide.central.version_needed == (51 if encrypted else 45)
    # All else is as it would be at the start: Java refuses wide sizes behind a small member.
    assert wide.descriptor_length == narrow.descriptor_length == (0 if encrypted else length)
    assert wide.local.extra == narrow.local.extra
    assert wide.local[6:10] == narrow.local[6:10]


def test_a_deflated_auto_member_has_a_wide_offset_only_if_it_needs_one() -> None:
    for offset in (2**32 - 1, 2**32):
        directory = HeldDirectory()
        archive = started(offset=offset, directory=directory)
        local = local_header(archive.begin("a", TIME, MODE, ZIP_AUTO(3)))
        archive.write(b"abc")
        assert len(archive.end()[-16:]) == 16
        (central,) = central_headers(b"".join(directory.blocks()))
        assert central.true_values()[2] == offset
        assert (0x0001 in central.extra) == (offset > WIDE)
        assert 0x0001 not in local.extra


@pytest.mark.parametrize("offset", [0, 2**32 - 1, 2**32])
@pytest.mark.parametrize("size", [2**32, 2**33])
def test_64_bit_members_are_wide_wherever_they_start(size: int, offset: int) -> None:
    found = measured(NO_COMPRESSION_64(size, CRC_32), size, offset=offset)
    assert found.wide == (size, size, offset)


AROUND = (2**32 - 2, 2**32 - 1, 2**32, 2**32 + 1)


@pytest.mark.parametrize("offset", [0, *AROUND])
# 4,294,639,630 bytes in stored blocks are 0xFFFFFFFF: a value that, beside a Zip64 field, is in it.
@pytest.mark.parametrize("size", [0, 4_294_639_630, 4_294_639_631, *AROUND])
@pytest.mark.parametrize("crc_32", [CRC_32, None], ids=["stored", "blocks"])
def test_a_central_header_is_read_back_as_meant(size: int, crc_32: int | None, offset: int) -> None:
    found = measured(NO_COMPRESSION_AUTO(size, crc_32), size, offset=offset)
    compressed_size = size if crc_32 else size + 5 * -(-size // 65535) + (0 if size else 5)
    assert found.central.true_values() == (size, compressed_size, offset)


# The end records: entries.


def counted(method: Method, members: int) -> Archive:
    archive = started(directory=CountedDirectory())
    for _ in range(members):
        add(archive, "a", method)
    return archive


def test_an_archive_of_32_bits_counts_65535_members() -> None:
    archive = counted(NO_COMPRESSION_32(0, 0), 65534)
    assert finished(archive).end.entries == 65534
    add(archive, "b", NO_COMPRESSION_32(0, 0))
    ends = finished(archive)
    assert ends.zip64 is None
    assert (ends.end.entries, ends.end.entries_on_disk) == (65535, 65535)
    with pytest.raises(
        CentralDirectoryNumberOfEntriesOverflowError, match=r"'the last straw'.*65,536"
    ):
        archive.begin("the last straw", TIME, MODE, ZIP_32)


def test_an_auto_archive_counts_beyond_65535_members() -> None:
    archive = counted(NO_COMPRESSION_AUTO(0, 0), 65534)
    for entries in (65535, 65536, 65537):
        add(archive, "a", NO_COMPRESSION_AUTO(0, 0))
        ends = finished(archive)
        assert (ends.zip64 is not None) == (entries > 65535)
        assert ends.last_word[0] == entries


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_one_auto_member_among_those_of_32_bits_is_enough(first: bool) -> None:
    archive = started(directory=CountedDirectory())
    if first:
        add(archive, "a", NO_COMPRESSION_AUTO(0, 0))
    for _ in range(65535):
        add(archive, "a", NO_COMPRESSION_32(0, 0))
    if not first:
        add(archive, "a", NO_COMPRESSION_AUTO(0, 0))
    ends = finished(archive)
    assert ends.zip64 is not None
    assert ends.zip64.entries == 65536


@pytest.mark.parametrize("members", [1, 2])
def test_an_archive_of_64_bits_ends_so(members: int) -> None:
    archive = counted(NO_COMPRESSION_64(0, 0), members)
    add(archive, "a", NO_COMPRESSION_32(0, 0))
    ends = finished(archive)
    assert ends.zip64 is not None
    assert ends.zip64.entries == members + 1


# The end records: where the directory starts.


def ending_at(offset: int, method: Any) -> Archive:
    """An archive whose directory starts there."""
    length = len(started().begin("a", TIME, MODE, method(0, 0)))
    archive = started(offset=offset - length)
    add(archive, "a", method(0, 0))
    assert archive.offset == offset
    return archive


@pytest.mark.parametrize(
    "method",
    [NO_COMPRESSION_32, NO_COMPRESSION_AUTO, NO_COMPRESSION_64],
    ids=["32", "AUTO", "64"],
)
def test_the_directory_may_start_at_the_last_byte_of_32_bits(method: Any) -> None:
    ends = finished(ending_at(2**32 - 1, method))
    assert (ends.zip64 is not None) == (method is NO_COMPRESSION_64)
    assert ends.last_word[2] == 2**32 - 1


def test_without_zip64_the_directory_must_start_within_32_bits() -> None:
    archive = ending_at(2**32, NO_COMPRESSION_32)
    with pytest.raises(OffsetOverflowError, match="4,294,967,296"):
        archive.finish()


@pytest.mark.parametrize("method", [NO_COMPRESSION_AUTO, NO_COMPRESSION_64], ids=["AUTO", "64"])
def test_with_zip64_the_directory_may_start_beyond_32_bits(method: Any) -> None:
    ends = finished(ending_at(2**32, method))
    assert ends.zip64 is not None
    assert ends.zip64.offset == 2**32
    assert ends.end == End(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, WIDE, WIDE, 0)


# The end records: how long the directory is.

LONG = "x" * 65535
HEADER = 46 + 65535 + 9


def filled(size: int) -> CountedDirectory:
    """A directory that has counted so many bytes."""
    directory = CountedDirectory()
    directory.entries, directory.size = 60_000, size
    return directory


def test_long_names_fill_the_directory_of_32_bits() -> None:
    archive = started(directory=CountedDirectory())
    fitting = (2**32 - 1) // HEADER
    assert fitting < 65535
    for _ in range(fitting):
        archive.begin(LONG, TIME, MODE, NO_COMPRESSION_32(0, 0))
        archive.end()
        archive.offset = 0
    with pytest.raises(CentralDirectorySizeOverflowError, match=f"{(fitting + 1) * HEADER:,}"):
        archive.begin(LONG, TIME, MODE, NO_COMPRESSION_32(0, 0))


def test_a_directory_of_32_bits_is_filled_to_the_last_byte() -> None:
    archive = started(directory=filled(2**32 - 1 - HEADER))
    add(archive, LONG, NO_COMPRESSION_32(0, 0))
    ends = finished(archive)
    assert ends.zip64 is None
    assert ends.end.size == 2**32 - 1
    archive = started(directory=filled(2**32 - HEADER))
    with pytest.raises(CentralDirectorySizeOverflowError, match="4,294,967,296"):
        archive.begin(LONG, TIME, MODE, NO_COMPRESSION_32(0, 0))


@pytest.mark.parametrize("more", [0, 1], ids=["just full", "a byte more"])
def test_an_auto_directory_grows_beyond_32_bits(more: int) -> None:
    archive = started(directory=filled(2**32 - 1 - HEADER + more))
    add(archive, LONG, NO_COMPRESSION_AUTO(0, 0))
    ends = finished(archive)
    assert (ends.zip64 is not None) == bool(more)
    assert ends.last_word[1] == 2**32 - 1 + more


# Measured archives are those that are written.


def test_six_gibibytes_take_no_time() -> None:
    archive, size = started(directory=CountedDirectory()), 2 * 2**30
    places = []
    for number in range(3):
        places.append(archive.offset)
        add(archive, str(number), NO_COMPRESSION_AUTO(size))
    member = 30 + 1 + 9 + size + 5 * 32769 + 16
    assert places == [0, member, 2 * member]
    ends = end_records(b"".join(archive.finish()))
    assert ends.zip64 is not None
    # The third member starts beyond 4 GiB, so it has a Zip64 field with one value.
    directory = 3 * (46 + 1 + 9) + 12
    assert ends.zip64[8:] == (3, directory, 3 * member)
    assert archive.offset == 3 * member + directory + 98


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_skipped_member_is_believed_its_promised_crc_32(encrypted: bool) -> None:
    archive = started(encrypted=encrypted)
    archive.begin("a", TIME, MODE, NO_COMPRESSION_AUTO(3, CRC_32))
    archive.skip(3)
    archive.end()


def test_a_skipped_member_without_a_promise_needs_a_crc_32() -> None:
    archive = started()
    archive.begin("a", TIME, MODE, NO_COMPRESSION_AUTO(3))
    archive.skip(3)
    with pytest.raises(RuntimeError, match=r"'a'.*CRC-32"):
        archive.end()


@pytest.mark.parametrize("more", [-1, 1])
def test_a_skipped_member_must_have_the_promised_size(more: int) -> None:
    archive = started()
    archive.begin("a", TIME, MODE, NO_COMPRESSION_AUTO(3, CRC_32))
    archive.skip(3 + more)
    with pytest.raises(UncompressedSizeIntegrityError, match="'a'"):
        archive.end(CRC_32)


@given(
    drawn=st.dictionaries(
        names(),
        st.tuples(
            st.sampled_from([name for name in METHODS if "NO_" in name and "size" in name]),
            contents(70_000),
        ),
        max_size=4,
    ),
    password=st.none() | passwords(),
)
def test_lengths_by_skipping_are_those_of_the_bytes(
    drawn: dict[str, tuple[str, bytes]], password: str | None
) -> None:
    members = [
        (name, METHODS[method](content), content) for name, (method, content) in drawn.items()
    ]
    archive = started(encrypted=password is not None, directory=CountedDirectory())
    for name, method, _ in members:
        add(archive, name, method)
    list(archive.finish())
    tuples = ((name, TIME, MODE, method, [content]) for name, method, content in members)
    assert archive.offset == len(b"".join(stream_zip(tuples, password=password)))


# Readers.


def many(members: int) -> bytes:
    method = NO_COMPRESSION_AUTO(1, zlib.crc32(b"."))
    return b"".join(stream_zip((str(n), TIME, MODE, method, [b"."]) for n in range(members)))


@pytest.mark.parametrize("reader", ["zipfile", "stream-unzip", "java"])
@pytest.mark.parametrize("members", [65535, 65536])
def test_readers_count_as_many_members(members: int, reader: str) -> None:
    require(reader)
    data = many(members)
    assert (end_records(data).zip64 is not None) == (members > 65535)
    assert_reads(data, {str(number): b"." for number in range(members)}, only=[reader])


@pytest.mark.slow
@pytest.mark.parametrize("members", [65535, 65536])
def test_all_readers_count_as_many_members(members: int) -> None:
    assert_reads(many(members), {str(number): b"." for number in range(members)})


SIZE = 2**32
CRC_32_OF_ZEROS = 0xD202EF8D  # Of so many of them; as it happens, of one too.


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file with 4 GiB of zeros, of which the disk has none, and two small members behind."""
    path = tmp_path_factory.mktemp("zip64") / "sparse.zip"
    archive = started()
    with path.open("wb") as file:
        file.write(archive.begin("zeros", TIME, MODE, NO_COMPRESSION_AUTO(SIZE, CRC_32_OF_ZEROS)))
        archive.skip(SIZE)
        file.write(archive.end())
        for name, method in (("blocks", NO_COMPRESSION_AUTO(3)), ("deflated", ZIP_AUTO(3))):
            file.seek(archive.offset)
            file.write(archive.begin(name, TIME, MODE, method))
            file.write(archive.write(b"abc"))
            file.write(archive.end())
        file.writelines(archive.finish())
    assert path.stat().st_size == archive.offset
    yield path
    path.unlink()


@pytest.mark.parametrize("name", ["blocks", "deflated"])
def test_zipfile_finds_what_is_behind_4_gib(sparse: Path, name: str) -> None:
    with zipfile.ZipFile(sparse) as archive:
        assert archive.read(name) == b"abc"
        assert archive.getinfo("zeros").file_size == SIZE
        assert archive.getinfo(name).header_offset > SIZE


@pytest.mark.parametrize("name", ["blocks", "deflated"])
@pytest.mark.parametrize(
    ("reader", "command"),
    [
        pytest.param("unzip", ["unzip", "-p"], id="unzip"),
        pytest.param("7z", ["7z", "x", "-so"], id="7z"),
        pytest.param("bsdtar", ["bsdtar", "-xOf"], id="bsdtar"),
    ],
)
def test_tools_find_what_is_behind_4_gib(
    sparse: Path, reader: str, command: list[str], name: str
) -> None:
    require(reader)
    done = subprocess.run([*command, str(sparse), name], capture_output=True, check=True)
    assert done.stdout == b"abc"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "command"),
    [
        pytest.param("unzip", ["unzip", "-tqq"], id="unzip"),
        pytest.param("7z", ["7z", "t", "-bd"], id="7z"),
        pytest.param("zipfile", [sys.executable, "-m", "zipfile", "-t"], id="zipfile"),
    ],
)
def test_tools_verify_more_than_4_gib(sparse: Path, reader: str, command: list[str]) -> None:
    require(reader)
    subprocess.run([*command, str(sparse)], capture_output=True, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["bsdtar-pipe", "stream-unzip", "java"])
@pytest.mark.parametrize(
    "make",
    [
        NO_COMPRESSION_AUTO,
        lambda size: NO_COMPRESSION_AUTO(size, CRC_32_OF_ZEROS),
        lambda size: ZIP_AUTO(size, 1),
        lambda size: ZIP_64,
        lambda size: NO_COMPRESSION_64(size, CRC_32_OF_ZEROS),
    ],
    ids=["blocks", "stored", "deflated", "ZIP_64", "NO_COMPRESSION_64"],
)
def test_pipe_readers_read_more_than_4_gib(make: Callable[[int], Method], reader: str) -> None:
    zeros = bytes(MIB)
    big = (zeros for _ in range(SIZE // MIB))
    members = [
        ("zeros", TIME, MODE, make(SIZE), big),
        ("behind", TIME, MODE, NO_COMPRESSION_AUTO(3), [b"abc"]),
        ("last", TIME, MODE, ZIP_AUTO(3), [b"abc"]),
    ]
    summary = verify_stream(stream_zip(members), reader)
    assert summary.names == ["zeros", "behind", "last"]
    assert summary.size == SIZE + 6
