"""Whole archives, field by field, and promises about content that are not kept."""

from __future__ import annotations

import hmac
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from hashlib import pbkdf2_hmac, sha1
from io import BytesIO
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    PRECOMPRESSED,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
    CRC32IntegrityError,
    Method,
    UncompressedSizeIntegrityError,
    ZipIntegrityError,
    ZipValueError,
    stream_zip,
)
from django_stream_zip.engine import records
from django_stream_zip.engine.accelerators import ZLIB
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.directory import HeldDirectory
from django_stream_zip.engine.encoders import STORED as STORED_ENCODER
from django_stream_zip.engine.encoders import Encoder
from django_stream_zip.engine.entry import Options, StoredEntry
from django_stream_zip.engine.errors import MisuseError
from tests.support.parser import WIDE, Member, parse, zip64
from tests.support.sources import BrokenSourceError, chunked, failing, numbered_random
from tests.support.strategies import METHODS

TIME = datetime(2024, 2, 29, 12, 34, 57, tzinfo=UTC)
DOS_DATE, DOS_TIME = 0x585D, 0x645C  # 2024-02-29, 12:34:56
TIMESTAMP = bytes.fromhex("01 f1 79 e0 65")
MODE = stat.S_IFREG | 0o640
NAME = "grüße/文件 😀.txt"
CONTENT = b"Some content, again and again. " * 5000
CRC_32 = zlib.crc32(CONTENT)


class Layout(NamedTuple):
    """What the records of a method say."""

    method: int
    flags: int
    version: int
    wide: bool
    descriptor: bool
    encrypted_flags: int
    encrypted_method: int


DEFLATED = Layout(8, 0x0808, 20, False, True, 0x0809, 8)
STORED = Layout(0, 0x0800, 20, False, False, 0x0801, 0)
LAYOUTS = {
    "ZIP_32": DEFLATED,
    "ZIP_64": DEFLATED._replace(version=45, wide=True),
    "ZIP_AUTO": DEFLATED,
    "NO_COMPRESSION_32": STORED,
    "NO_COMPRESSION_64": STORED._replace(version=45, wide=True),
    "NO_COMPRESSION_32(size, crc)": STORED,
    "NO_COMPRESSION_64(size, crc)": STORED._replace(version=45, wide=True),
    # Deflate of stored blocks; but with a password there is no CRC-32, so nothing to wait for.
    "NO_COMPRESSION_AUTO(size)": DEFLATED._replace(encrypted_flags=0x0801, encrypted_method=0),
    "NO_COMPRESSION_AUTO(size, crc)": STORED,
}

EVERY_METHOD = pytest.mark.parametrize("name", METHODS)
EVERY_CONTENT = pytest.mark.parametrize(
    "content", [b"", b"x", CONTENT], ids=["empty", "a byte", "long"]
)


def written(*members: tuple[Any, ...], **options: Any) -> bytes:
    return b"".join(stream_zip(members, **options))


def one(method: Method, content: bytes = CONTENT, **options: Any) -> Member:
    """Write an archive with one member, and take it apart."""
    member = (NAME, TIME, MODE, method, chunked(content, 1000))
    return parse(written(member, **options)).members[0]


def inflated(data: bytes, method: int) -> bytes:
    if method == 0:
        return data
    inflate = zlib.decompressobj(wbits=-15)
    content = inflate.decompress(data)
    assert inflate.eof
    assert not inflate.unused_data
    return content


def test_every_layout_is_of_a_method() -> None:
    assert LAYOUTS.keys() == METHODS.keys()


@EVERY_CONTENT
@EVERY_METHOD
def test_local_header(name: str, content: bytes) -> None:
    layout, member = LAYOUTS[name], one(METHODS[name](content), content)
    local = member.local
    assert local.version_needed == layout.version
    assert local.flags == layout.flags
    assert local.method == layout.method
    assert (local.date, local.time) == (DOS_DATE, DOS_TIME)
    assert local.name == NAME.encode()
    assert local.extra.pop(0x5455) == TIMESTAMP
    # Where a descriptor follows, sizes and CRC-32 are zero here.
    size, crc_32 = (0, 0) if layout.descriptor else (len(content), zlib.crc32(content))
    assert local.crc_32 == crc_32
    if layout.wide:
        assert (local.uncompressed_size, local.compressed_size) == (WIDE, WIDE)
        assert zip64({0x0001: local.extra.pop(0x0001)}) == (size, size)
    else:
        assert (local.uncompressed_size, local.compressed_size) == (size, size)
    assert not local.extra


@EVERY_CONTENT
@EVERY_METHOD
def test_data_and_its_descriptor(name: str, content: bytes) -> None:
    layout, member = LAYOUTS[name], one(METHODS[name](content), content)
    assert inflated(member.data, layout.method) == content
    if not layout.descriptor:
        assert member.descriptor is None
        return
    assert member.descriptor is not None
    assert member.descriptor.crc_32 == zlib.crc32(content)
    assert member.descriptor.uncompressed_size == len(content)
    assert member.descriptor.compressed_size == len(member.data)


@EVERY_METHOD
def test_only_zip64_has_descriptors_of_64_bits(name: str) -> None:
    layout = LAYOUTS[name]
    data = written((NAME, TIME, MODE, METHODS[name](CONTENT), [CONTENT]))
    if layout.descriptor:
        length = data.index(b"PK\x01\x02") - data.index(b"PK\x07\x08")
        assert length == (24 if layout.wide else 16)


@EVERY_CONTENT
@EVERY_METHOD
def test_central_header(name: str, content: bytes) -> None:
    layout, member = LAYOUTS[name], one(METHODS[name](content), content)
    central = member.central
    assert (central.made_by, central.specification) == (3, 45)
    assert central.version_needed == layout.version
    assert central.flags == layout.flags
    assert central.method == layout.method
    assert (central.date, central.time) == (DOS_DATE, DOS_TIME)
    assert central.crc_32 == zlib.crc32(content)
    assert central.name == NAME.encode()
    assert (central.comment, central.disk, central.internal_attributes) == (b"", 0, 0)
    assert central.external_attributes == MODE << 16
    assert central.true_values() == (len(content), len(member.data), 0)
    assert central.extra.pop(0x5455) == TIMESTAMP
    assert central.extra.keys() == ({0x0001} if layout.wide else set())


@EVERY_METHOD
def test_end_records(name: str) -> None:
    members = [(str(n), TIME, MODE, METHODS[name](CONTENT), [CONTENT]) for n in range(3)]
    data = written(*members)
    ends = parse(data).ends
    assert ends.last_word[0] == 3
    assert data[ends.last_word[2] :].startswith(b"PK\x01\x02")
    if LAYOUTS[name].wide:
        assert ends.zip64 is not None
        assert ends.locator is not None
        assert (ends.zip64.made_by, ends.zip64.specification) == (3, 45)
        assert ends.zip64.version_needed == 45
        assert ends.zip64.entries_on_disk == 3
        assert (ends.locator.disk, ends.locator.disks) == (0, 1)
        assert ends.end[1:] == (0, 0, 0xFFFF, 0xFFFF, WIDE, WIDE, 0)
    else:
        assert ends.zip64 is None
        assert ends.end.entries_on_disk == 3


# With a password.

PASSWORD = "pässword 文"


def decrypted(data: bytes, password: str) -> bytes:
    """Take off WinZip's AE-2, with AES-256: by its description, block by block."""
    salt, verifier, ciphertext, code = data[:16], data[16:18], data[18:-10], data[-10:]
    keys = pbkdf2_hmac("sha1", password.encode(), salt, 1000, 66)
    assert verifier == keys[64:]
    assert code == hmac.new(keys[32:64], ciphertext, sha1).digest()[:10]
    blocks = range(1, len(ciphertext) // 16 + 2)
    counters = b"".join(number.to_bytes(16, "little") for number in blocks)
    stream = AES.new(keys[:32], AES.MODE_ECB).encrypt(counters)
    return bytes(a ^ b for a, b in zip(ciphertext, stream, strict=False))


@EVERY_CONTENT
@EVERY_METHOD
def test_encrypted_members(name: str, content: bytes) -> None:
    layout = LAYOUTS[name]
    member = one(METHODS[name](content), content, password=PASSWORD)
    aes = b"\x02\x00AE\x03" + layout.encrypted_method.to_bytes(2, "little")
    for header in (member.local, member.central):
        assert header.version_needed == 51
        assert header.flags == layout.encrypted_flags
        assert header.method == 99
        assert header.crc_32 == 0
        assert header.extra[0x9901] == aes
        assert header.extra[0x5455] == TIMESTAMP
        assert (0x0001 in header.extra) == layout.wide
    assert inflated(decrypted(member.data, PASSWORD), layout.encrypted_method) == content
    assert member.central.true_values() == (len(content), len(member.data), 0)


@EVERY_CONTENT
@EVERY_METHOD
def test_sizes_of_encrypted_members(name: str, content: bytes) -> None:
    member = one(METHODS[name](content), content, password=PASSWORD)
    local, descriptor = member.local, member.descriptor
    if LAYOUTS[name].encrypted_flags & 8:
        assert descriptor is not None
        assert descriptor[1:] == (0, len(member.data), len(content))
        return
    assert descriptor is None
    sizes = (local.uncompressed_size, local.compressed_size)
    if LAYOUTS[name].wide:
        assert sizes == (WIDE, WIDE)
        sizes = zip64(local.extra)
    assert sizes == (len(content), len(content) + 28)


def test_each_member_has_a_salt_of_its_own() -> None:
    asked: list[int] = []

    def get_crypto_random(length: int) -> bytes:
        asked.append(length)
        return bytes([len(asked)]) * length

    members = [
        (name, TIME, MODE, make(content), [content] if content else [])
        for name, make in METHODS.items()
        for content in (b"", b"x")
        if content or "size" not in name
    ]
    data = written(*members, password=PASSWORD, get_crypto_random=get_crypto_random)
    salts = [member.data[:16] for member in parse(data).members]
    assert asked == [16] * len(members)
    assert salts == [bytes([number + 1]) * 16 for number in range(len(members))]


def test_salts_are_random_unless_told_otherwise() -> None:
    member = (NAME, TIME, MODE, ZIP_32, [CONTENT])
    salts = {parse(written(member, password="p")).members[0].data[:16] for _ in range(3)}
    assert len(salts) == 3


# What else the headers say.


@EVERY_METHOD
def test_no_timestamps_on_request(name: str) -> None:
    for password in (None, PASSWORD):
        member = one(METHODS[name](CONTENT), extended_timestamps=False, password=password)
        for header in (member.local, member.central):
            assert 0x5455 not in header.extra
            assert (header.date, header.time) == (DOS_DATE, DOS_TIME)


@pytest.mark.parametrize(
    ("name", "mode", "attributes"),
    [
        pytest.param("file", stat.S_IFREG | 0o600, 0x8180_0000, id="a file"),
        pytest.param("folder/", stat.S_IFDIR | 0o755, 0x41ED_0010, id="a directory"),
        pytest.param("folder/", 0o755, 0x01ED_0010, id="a directory by its name only"),
        pytest.param("folder", stat.S_IFDIR | 0o755, 0x41ED_0000, id="no directory by its name"),
        pytest.param("link", stat.S_IFLNK | 0o777, 0xA1FF_0000, id="a symbolic link"),
        pytest.param("file", 0o600, 0x0180_0000, id="no file type: none is made up"),
        pytest.param("file", 0, 0, id="zero"),
        pytest.param("file", 0xFFFF, 0xFFFF_0000, id="the highest"),
    ],
)
def test_modes_are_passed_on(name: str, mode: int, attributes: int) -> None:
    data = written((name, TIME, mode, ZIP_32, []))
    assert parse(data).members[0].central.external_attributes == attributes


@pytest.mark.parametrize(
    "name",
    ["a", "ä", "文件", "😀", "a/b/c", "e\u0301", "", "\u200b", "x" * 65535, "ü" * 32767],
    ids=["a", "umlaut", "cjk", "emoji", "path", "decomposed", "none", "unseen", "long", "long ü"],
)
def test_names_are_utf_8_as_they_are(name: str) -> None:
    member = parse(written((name, TIME, MODE, ZIP_32, [b"x"]))).members[0]
    assert member.local.name == member.central.name == name.encode()
    assert member.local.flags & member.central.flags & 0x0800


def test_an_archive_without_members() -> None:
    data = written()
    assert data == b"PK\x05\x06" + bytes(18)
    assert written(password="p") == data


def test_a_method_serves_many_members() -> None:
    for name, make in METHODS.items():
        method = make(CONTENT)
        members = [(str(n), TIME, MODE, method, [CONTENT]) for n in range(3)]
        archive = parse(written(*members))
        assert len({member.data for member in archive.members}) == 1, name
        assert [inflated(m.data, m.local.method) for m in archive.members] == [CONTENT] * 3


def test_members_of_all_methods_in_one_archive() -> None:
    members = [(name, TIME, MODE, make(CONTENT), [CONTENT]) for name, make in METHODS.items()]
    archive = parse(written(*members))
    assert [member.local.name.decode() for member in archive.members] == list(METHODS)
    for member in archive.members:
        assert inflated(member.data, member.local.method) == CONTENT


@pytest.mark.parametrize("count_of_names", [1, 100, 5000])
def test_a_long_directory_is_whole(count_of_names: int) -> None:
    names = [f"{number:0100}" for number in range(count_of_names)]
    archive = parse(written(*((name, TIME, MODE, NO_COMPRESSION_32(0, 0), []) for name in names)))
    assert [member.central.name.decode() for member in archive.members] == names


# Who compresses.


class Marking:
    """A compression object: stored blocks, and it remembers that it was asked for."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self._compressobj = zlib.compressobj(0, wbits=-15)

    def compress(self, data: bytes) -> bytes:
        return self._compressobj.compress(data)

    def flush(self) -> bytes:
        return self._compressobj.flush()


@pytest.mark.parametrize(
    ("name", "asked"),
    [(name, name in {"ZIP_32", "ZIP_64"}) for name in METHODS],
    ids=METHODS,
)
def test_the_compression_object_is_asked_for_once_a_member(name: str, asked: bool) -> None:
    Marking.made = 0
    members = [(str(n), TIME, MODE, METHODS[name](CONTENT), [CONTENT]) for n in range(2)]
    archive = parse(written(*members, get_compressobj=Marking))
    assert Marking.made == (2 if asked else 0)
    assert (len(archive.members[0].data) > len(CONTENT)) == (
        asked or name == "NO_COMPRESSION_AUTO(size)"
    )


@pytest.mark.parametrize("level", range(-1, 10))
def test_zip_auto_deflates_at_its_level(level: int) -> None:
    compressobj = zlib.compressobj(level, wbits=-15)
    expected = compressobj.compress(CONTENT) + compressobj.flush()
    member = (NAME, TIME, MODE, ZIP_AUTO(len(CONTENT), level), [CONTENT])
    assert parse(written(member)).members[0].data == expected


def test_zip_auto_deflates_at_level_9_unless_told_otherwise() -> None:
    size = len(CONTENT)
    assert ZIP_AUTO(size) == ZIP_AUTO(size, level=9)
    assert one(ZIP_AUTO(size)).data == one(ZIP_AUTO(size, 9)).data != one(ZIP_AUTO(size, 1)).data


# Promises.

LESS, MORE = len(CONTENT) - 1, len(CONTENT) + 1

WITH_CRC: dict[str, Callable[[int, int], Method]] = {
    "NO_COMPRESSION_32": NO_COMPRESSION_32,
    "NO_COMPRESSION_64": NO_COMPRESSION_64,
    "NO_COMPRESSION_AUTO": NO_COMPRESSION_AUTO,
}
SIZE_ONLY: dict[str, Callable[[int], Method]] = {
    "NO_COMPRESSION_AUTO": NO_COMPRESSION_AUTO,
}
WITH_AND_WITHOUT_PASSWORD = pytest.mark.parametrize(
    "password", [None, PASSWORD], ids=["plain", "encrypted"]
)


def failed(
    error: type[Exception], method: Method, chunks: Iterable[bytes], password: str | None = None
) -> tuple[bytes, str]:
    """Write a member that fails between two others; give what was yielded, and the message."""
    asked: list[str] = []

    def members() -> Iterator[tuple[Any, ...]]:
        yield "first", TIME, MODE, NO_COMPRESSION_AUTO(0, 0), []
        yield "the bad one", TIME, MODE, method, chunks
        asked.append("another member")
        yield "last", TIME, MODE, ZIP_32, []

    # Small blocks, so that as much as possible gets out before the error.
    blocks = stream_zip(members(), chunk_size=1, password=password)
    yielded: list[bytes] = []
    with pytest.raises(error) as raised:
        yielded.extend(blocks)
    assert list(blocks) == []
    got = b"".join(yielded)
    assert asked == []
    assert b"PK\x01\x02" not in got
    assert b"PK\x05\x06" not in got
    return got, str(raised.value)


@WITH_AND_WITHOUT_PASSWORD
@pytest.mark.parametrize(
    ("size", "crc_32", "error", "said"),
    [
        pytest.param(
            len(CONTENT), CRC_32 ^ 1, CRC32IntegrityError, f"{CRC_32 ^ 1:#010x}", id="CRC-32"
        ),
        pytest.param(LESS, CRC_32, UncompressedSizeIntegrityError, f"{LESS:,}", id="too long"),
        pytest.param(MORE, CRC_32, UncompressedSizeIntegrityError, f"{MORE:,}", id="too short"),
        pytest.param(LESS, CRC_32 ^ 1, CRC32IntegrityError, "CRC-32", id="both, too long"),
        pytest.param(MORE, CRC_32 ^ 1, CRC32IntegrityError, "CRC-32", id="both, too short"),
        pytest.param(0, 0, CRC32IntegrityError, "CRC-32", id="promised empty"),
    ],
)
@pytest.mark.parametrize("make", WITH_CRC.values(), ids=WITH_CRC)
def test_a_broken_promise_of_size_and_crc_32(
    make: Callable[[int, int], Method],
    size: int,
    crc_32: int,
    error: type[ZipIntegrityError],
    said: str,
    password: str | None,
) -> None:
    _, message = failed(error, make(size, crc_32), chunked(CONTENT, 1000), password)
    assert "'the bad one'" in message
    assert said in message


@pytest.mark.parametrize("size", [LESS, MORE, 0], ids=["less", "more", "none"])
def test_the_size_for_zip_auto_may_be_a_guess(size: int) -> None:
    archive = b"".join(stream_zip([("a", TIME, MODE, ZIP_AUTO(size), chunked(CONTENT, 1000))]))
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        assert opened.read("a") == CONTENT


@WITH_AND_WITHOUT_PASSWORD
@pytest.mark.parametrize("promised", [LESS, MORE, 0], ids=["too long", "too short", "not empty"])
@pytest.mark.parametrize("make", SIZE_ONLY.values(), ids=SIZE_ONLY)
def test_a_broken_promise_of_a_size(
    make: Callable[[int], Method], promised: int, password: str | None
) -> None:
    chunks = chunked(CONTENT, 1000)
    _, message = failed(UncompressedSizeIntegrityError, make(promised), chunks, password)
    assert "'the bad one'" in message
    assert f"{promised:,}" in message


@WITH_AND_WITHOUT_PASSWORD
@pytest.mark.parametrize("make", SIZE_ONLY.values(), ids=SIZE_ONLY)
def test_too_much_content_is_noticed_at_the_chunk_that_exceeds(
    make: Callable[[int], Method], password: str | None
) -> None:
    chunks = failing([b"12345", b"67890", b"!"], BrokenSourceError("asked for more"))
    failed(UncompressedSizeIntegrityError, make(10), chunks, password)


@pytest.mark.parametrize("make", WITH_CRC.values(), ids=WITH_CRC)
def test_no_content_beyond_the_promise_is_yielded(make: Callable[[int, int], Method]) -> None:
    method = make(10, zlib.crc32(b"0123456789!!!"))
    got, _ = failed(UncompressedSizeIntegrityError, method, [b"01234", b"56789", b"!", b"!!"])
    assert got.endswith(b"0123456789")


@pytest.mark.parametrize("chunk_size", [1, 1000, 65535, 10**6])
@EVERY_METHOD
def test_a_kept_promise_is_no_error_however_it_is_cut(name: str, chunk_size: int) -> None:
    chunks = [b"", *chunked(CONTENT, chunk_size), b""]
    data = written((NAME, TIME, MODE, METHODS[name](CONTENT), chunks))
    assert inflated(parse(data).members[0].data, LAYOUTS[name].method) == CONTENT


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_nothing_follows_an_error_of_the_source(make: Callable[[bytes], Method], at: int) -> None:
    error = BrokenSourceError("gone")
    chunks = [b"x" * 1000] * at
    method = make(b"x" * 3000)
    got, _ = failed(BrokenSourceError, method, failing(chunks, error))
    assert got.startswith(b"PK\x03\x04")


def test_bytes_are_the_same_for_the_same_random() -> None:
    def archive() -> bytes:
        members = ((name, TIME, MODE, m(CONTENT), [CONTENT]) for name, m in METHODS.items())
        return b"".join(stream_zip(members, password="p", get_crypto_random=numbered_random()))

    assert archive() == archive()


def test_zip_32_and_zip_64_differ_in_their_fields_only() -> None:
    assert one(ZIP_32).data == one(ZIP_64).data
    assert one(NO_COMPRESSION_32).data == one(NO_COMPRESSION_64).data == CONTENT


# Stored members whose promises are known have a short way.

PROMISING = {
    "NO_COMPRESSION_32": NO_COMPRESSION_32,
    "NO_COMPRESSION_64": NO_COMPRESSION_64,
    "NO_COMPRESSION_AUTO": NO_COMPRESSION_AUTO,
}
OFFSETS = st.integers(0, 2000) | st.integers(WIDE - 50, WIDE + 50)


def written_by(
    members: list[tuple[Any, ...]], offset: int, timestamps: bool, encoder: Encoder | None
) -> tuple[list[object], str | None]:
    """Write members; give what each verb gave, and the error that ended it."""
    archive = Archive(Options(ZLIB[9], timestamps), offset=offset)
    given: list[object] = []
    try:
        for name, modified_at, mode, method, chunks, skipped in members:
            given.append(archive.begin(name, modified_at, mode, method, encoder))
            given += [archive.slow_from, archive.content_before(3), archive.data_length]
            if skipped is not None:
                start = b"".join(chunks[:skipped])
                crc_32 = zlib.crc32(start) if skipped % 2 else None
                given += [archive.skip(len(start), crc_32), archive.crc_32]
            for chunk in chunks[skipped:]:
                given += [archive.write(chunk), archive.crc_32]
            given += [archive.end(), archive.offset]
        given += [*archive.finish(), archive.offset]
    except ZipValueError as error:
        return given, repr(error)
    return given, None


@st.composite
def promised_members(draw: st.DrawFn) -> tuple[Any, ...]:
    chunks = draw(st.lists(st.binary(max_size=20), max_size=3))
    content = b"".join(chunks)
    size = len(content) + draw(st.sampled_from([0] * 8 + [1, WIDE - len(content), WIDE]))
    crc_32 = zlib.crc32(content) ^ draw(st.sampled_from([0] * 8 + [1]))
    method = PROMISING[draw(st.sampled_from(sorted(PROMISING)))](size, crc_32)
    name = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
    name += draw(st.sampled_from(["", "/"]))
    mode = draw(st.sampled_from([MODE, stat.S_IFDIR | 0o755, 0, 0o177777, 0o200000, -1, True]))
    return (
        name,
        draw(st.sampled_from([TIME, TIME.replace(year=1972)])),
        mode,
        method,
        chunks,
        draw(st.none() | st.integers(0, 3)),
    )


@given(members=st.lists(promised_members(), max_size=4), offset=OFFSETS, timestamps=st.booleans())
def test_the_short_way_of_stored_members_is_the_long_one(
    members: list[tuple[Any, ...]], offset: int, timestamps: bool
) -> None:
    # A member with an encoder of its own goes the long way.
    short = written_by(members, offset, timestamps, None)
    assert short == written_by(members, offset, timestamps, STORED_ENCODER)


def test_the_short_way_is_taken() -> None:
    archive = Archive(Options(ZLIB[9]))
    for make in PROMISING.values():
        archive.begin("a", TIME, MODE, make(0, 0))
        assert isinstance(archive._entry, StoredEntry)
        archive.end()
    archive.begin("a", TIME, MODE, NO_COMPRESSION_64(0, 0), STORED_ENCODER)
    assert not isinstance(archive._entry, StoredEntry)


# Verbs out of turn.

VERBS: dict[str, Callable[[Archive], object]] = {
    "begin": lambda archive: archive.begin("a", TIME, MODE, ZIP_32),
    "begin held": lambda archive: archive.begin("h", TIME, MODE, NO_COMPRESSION_32),
    "begin stored": lambda archive: archive.begin("s", TIME, MODE, NO_COMPRESSION_AUTO(1, CRC_X)),
    "write": lambda archive: archive.write(b"x"),
    "write text": lambda archive: archive.write("x"),  # type: ignore[arg-type]
    "skip": lambda archive: archive.skip(1),
    "release": lambda archive: b"".join(archive.release()),
    "end": lambda archive: archive.end(),
    "finish": lambda archive: b"".join(archive.finish()),
}
CRC_X = zlib.crc32(b"x")

OUT_OF_TURN = {
    "begin begin": "begin() of 'a' before end() of 'a'",
    "begin held,begin": "begin() of 'a' before release() of 'h'",
    "write": "write() before begin()",
    "skip": "skip() before begin()",
    "release": "release() before begin()",
    "end": "end() before begin()",
    "begin end end": "end() before begin(), after end() of 'a'",
    "begin end write": "write() before begin(), after end() of 'a'",
    "begin finish": "finish() before end() of 'a'",
    "begin held,end": "end() before release() of 'h'",
    "begin held,skip": "skip() before release() of 'h'",
    "begin held,finish": "finish() before release() of 'h'",
    "finish begin": "begin() of 'a' after finish()",
    "finish finish": "finish() after finish()",
    "finish write": "write() after finish()",
    "begin skip": "a deflated member can't be skipped",
}


def verbs(text: str) -> list[str]:
    return text.split(",") if "," in text else text.split()


@pytest.mark.parametrize(("order", "said"), OUT_OF_TURN.items(), ids=OUT_OF_TURN)
def test_a_verb_out_of_turn_says_what_came_before(order: str, said: str) -> None:
    archive = Archive(Options(ZLIB[9]))
    *before, last = verbs(order)
    for verb in before:
        VERBS[verb](archive)
    with pytest.raises(MisuseError) as raised:
        VERBS[last](archive)
    assert said in str(raised.value)


@pytest.mark.parametrize("verb", ["begin", "write", "skip", "release", "end", "finish"])
@pytest.mark.parametrize("wrong", ["write text", "skip", "begin"])
def test_nothing_comes_after_an_error(wrong: str, verb: str) -> None:
    archive = Archive(Options(ZLIB[9]))
    VERBS["begin"](archive)
    with pytest.raises((MisuseError, TypeError)):
        VERBS[wrong](archive)
    with pytest.raises(MisuseError, match="after an error in 'a'"):
        VERBS[verb](archive)


@given(st.lists(st.sampled_from([v for v in VERBS if v != "skip"]), max_size=12))
def test_any_order_of_verbs_is_an_archive_or_an_error(order: list[str]) -> None:
    archive = Archive(Options(ZLIB[9]))
    written = b""
    try:
        for verb in order:
            data = VERBS[verb](archive)
            assert isinstance(data, bytes)
            written += data
        written += b"".join(archive.finish())
    except (MisuseError, ZipIntegrityError, TypeError):
        return
    with zipfile.ZipFile(BytesIO(written)) as opened:
        assert len(opened.namelist()) == sum(verb.startswith("begin") for verb in order)
        assert opened.testzip() is None


def summers_end() -> list[datetime]:
    """One time of the clock, twice, and another one between them with the same digits."""
    zone = ZoneInfo("Europe/Vienna")
    before = datetime(2024, 10, 27, 2, 30, tzinfo=zone)
    return [before, datetime(2024, 10, 27, 2, 30, tzinfo=UTC), before.replace(fold=1), before]


@pytest.mark.parametrize(
    "method",
    [
        NO_COMPRESSION_AUTO(5, 1),
        *map(NO_COMPRESSION_AUTO, (0, 5, 65_536, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_0000, 5 << 30)),
        NO_COMPRESSION_AUTO(0, 0),
        NO_COMPRESSION_AUTO(5 << 30, 1),
        NO_COMPRESSION_32(5, 1),
        NO_COMPRESSION_64(5, 1),
        PRECOMPRESSED(7, 5, 1),
    ],
)
def test_members_that_are_passed_over_take_their_place(method: Method) -> None:
    size = method.content_size
    assert size is not None
    written, passed = HeldDirectory(), HeldDirectory()
    writing = Archive(Options(ZLIB[9]), directory=written)
    passing = Archive(Options(ZLIB[9]), directory=passed)
    for time in summers_end():
        for name in (NAME, "a" if method.uncompressed_size else "folder/"):
            header = writing.begin(name, time, MODE, method)
            data = writing.skip(size, method.crc_32)
            end = writing.end(0)
            before = passing.offset
            assert passing.pass_over(name, time, MODE, method)
            assert passing.offset - before == len(header) + data + len(end)
    assert b"".join(passing.finish()) == b"".join(writing.finish())


def test_each_time_is_written_as_it_is() -> None:
    times = [records.extended_timestamp(time)[-4:] for time in summers_end()]
    assert len(set(times)) == 3
    archive = Archive(Options(ZLIB[9]))
    for time in summers_end():
        archive.pass_over("a", time, MODE, NO_COMPRESSION_AUTO(5, 1))
    directory = b"".join(archive.finish())
    length = 46 + 1 + 9
    assert [directory[n * length + length - 4 :][:4] for n in range(4)] == times


@pytest.mark.parametrize("method", [ZIP_32, ZIP_AUTO(5), NO_COMPRESSION_64])
def test_members_that_have_to_be_written_are_not_passed_over(method: Method) -> None:
    archive = Archive(Options(ZLIB[9]))
    assert not archive.pass_over("a", TIME, MODE, method)
    assert archive.offset == 0
    archive.begin("a", TIME, MODE, method)
    with pytest.raises(MisuseError):
        archive.pass_over("b", TIME, MODE, NO_COMPRESSION_AUTO(5, 1))


@pytest.mark.parametrize(
    "values", [("\ud800", TIME, MODE), ("a", "now", MODE), ("a", TIME, -1), ("a", TIME, 1 << 16)]
)
def test_nothing_wrong_is_passed_over(values: Any) -> None:
    archive = Archive(Options(ZLIB[9]))
    with pytest.raises((ZipValueError, TypeError)):
        archive.pass_over(*values, NO_COMPRESSION_AUTO(5, 1))
    with pytest.raises(MisuseError, match="after an error"):
        archive.finish()
