"""What is deflated already: passed as it is, read by every reader, and verified."""

from __future__ import annotations

import asyncio
import random
import stat
import threading
import tracemalloc
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import (
    PRECOMPRESSED,
    ZIP_32,
    CRC32IntegrityError,
    DeflateIntegrityError,
    Method,
    UncompressedSizeIntegrityError,
    ZipIntegrityError,
    ZipValueError,
    async_stream_zip,
    stream_zip,
)
from django_stream_zip.engine import accelerators, encoders
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.streams import make_options
from django_stream_zip.members.files import CHUNK_LENGTH
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.drivers import adriven
from django_stream_zip.planning.plan import Plan
from django_stream_zip.prefetch.source import Direct
from tests.support.contents import CountingContent, NoChecksums
from tests.support.parser import parse
from tests.support.readers import BY_NAME, PYTHON_READERS, READERS, assert_reads, require
from tests.support.sources import aiterated, chunked
from tests.support.strategies import chunkings, contents

TIME = datetime(2024, 2, 29, 12, 34, 56)
MODE = stat.S_IFREG | 0o644
NOISE = random.Random(1)
# Each long enough for several segments of the workers, deflated or inflated.
FILES = {
    "empty": b"",
    "short": b"short",
    "text.log": b"".join(b"%d GET /index.html\n" % number for number in range(60_000)),
    "noise.bin": NOISE.randbytes(600_000),
}


def deflated(content: bytes, level: int = 9, **options: Any) -> bytes:
    compressobj = zlib.compressobj(level, wbits=-15, **options)
    return compressobj.compress(content) + compressobj.flush()


def declared(content: bytes, stream: bytes) -> Method:
    return PRECOMPRESSED(len(stream), len(content), zlib.crc32(content))


def written(
    files: dict[str, bytes], *, chunk: int = 50_000, is_async: bool = False, **options: Any
) -> bytes:
    members: list[Any] = []
    for name, content in files.items():
        stream = deflated(content)
        chunks: Iterable[bytes] = list(chunked(stream, chunk))
        members.append((name, TIME, MODE, declared(content, stream), chunks))
    if not is_async:
        return b"".join(stream_zip(members, **options))
    members = [(*member[:4], aiterated(member[4])) for member in members]

    async def run() -> bytes:
        return b"".join([block async for block in async_stream_zip(aiterated(members), **options)])

    return asyncio.run(run())


def of(stream: bytes, method: Method, chunk: int = 1000, **options: Any) -> bytes:
    member = ("a.txt", TIME, MODE, method, chunked(stream, chunk))
    return b"".join(stream_zip([member], **options))


@pytest.mark.parametrize("reader", BY_NAME)
def test_every_reader_reads_it(reader: str) -> None:
    require(reader)
    assert_reads(written(FILES), FILES, only=[reader])


@pytest.mark.parametrize("reader", [reader.name for reader in READERS if reader.aes])
def test_every_reader_that_knows_aes_decrypts_it(reader: str) -> None:
    require(reader)
    assert_reads(written(FILES, password="pass"), FILES, "pass", only=[reader])


@pytest.mark.parametrize("password", [None, "pass"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("chunk", [7_000, 10**7])
def test_all_ways_of_writing_it_are_one(
    chunk: int, workers: int, is_async: bool, password: str | None
) -> None:
    options = {"password": password, "get_crypto_random": bytes}
    data = written(FILES, chunk=chunk, workers=workers, is_async=is_async, **options)
    assert data == written(FILES, **options)


@given(
    contents(),
    st.integers(0, 9),
    st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY]),
    st.data(),
)
def test_any_deflate_is_passed(
    content: bytes, level: int, strategy: int, data: st.DataObject
) -> None:
    stream = deflated(content, level, strategy=strategy)
    chunks = data.draw(chunkings(stream))
    member = ("a", TIME, MODE, declared(content, stream), chunks)
    archive = b"".join(stream_zip([member]))
    assert stream in archive
    assert_reads(archive, {"a": content}, only=PYTHON_READERS)


def test_sizes_and_crc_32_are_in_the_local_header() -> None:
    content, stream = FILES["text.log"], deflated(FILES["text.log"])
    [member] = parse(of(stream, declared(content, stream))).members
    assert member.local.method == 8
    assert not member.local.flags & 8
    for header in (member.local, member.central):
        assert (header.crc_32, header.compressed_size, header.uncompressed_size) == (
            zlib.crc32(content),
            len(stream),
            len(content),
        )


@pytest.mark.parametrize("compressed", [100, 2**32 - 1, 2**32, 2**40])
@pytest.mark.parametrize("uncompressed", [100, 2**32 - 1, 2**32, 2**40])
def test_zip64_is_used_where_a_size_needs_it(uncompressed: int, compressed: int) -> None:
    archive = Archive(make_options())
    header = archive.begin("a", TIME, MODE, PRECOMPRESSED(compressed, uncompressed, 1))
    archive.skip(compressed)
    archive.end()
    needs_zip64 = max(uncompressed, compressed) >= 2**32
    assert (header[4] == 45) is needs_zip64
    sizes = [int.from_bytes(header[start : start + 4], "little") for start in (18, 22)]
    assert sizes == ([2**32 - 1] * 2 if needs_zip64 else [compressed, uncompressed])
    zip64 = uncompressed.to_bytes(8, "little") + compressed.to_bytes(8, "little")
    assert (zip64 in header) is needs_zip64


# What isn't as declared.

CONTENT = FILES["text.log"]
STREAM = deflated(CONTENT)
RIGHT = (len(STREAM), len(CONTENT), zlib.crc32(CONTENT))
SHORT = deflated(b"short")
WRONG = {
    "truncated": (STREAM[:-1], RIGHT, DeflateIntegrityError, "ends 1 bytes before"),
    "nothing": (b"", RIGHT, DeflateIntegrityError, "bytes before"),
    "longer": (STREAM + b"x", RIGHT, DeflateIntegrityError, "more bytes than were declared"),
    "not at its end": (
        STREAM,
        (len(STREAM) - 1, *RIGHT[1:]),
        DeflateIntegrityError,
        "more bytes than were declared",
    ),
    "cut where declared": (
        STREAM[:-1],
        (len(STREAM) - 1, *RIGHT[1:]),
        DeflateIntegrityError,
        "isn't over",
    ),
    "garbage behind it": (
        STREAM + b"garbage",
        (len(STREAM) + 7, *RIGHT[1:]),
        DeflateIntegrityError,
        "is over before",
    ),
    "two streams": (
        STREAM + SHORT,
        (len(STREAM) + len(SHORT), *RIGHT[1:]),
        DeflateIntegrityError,
        "is over before",
    ),
    "no deflate": (b"\xff" * len(STREAM), RIGHT, DeflateIntegrityError, "isn't deflate"),
    "a zlib header": (
        zlib.compress(CONTENT),
        (len(zlib.compress(CONTENT)), *RIGHT[1:]),
        DeflateIntegrityError,
        "deflate stream",
    ),
    "more content": (
        STREAM,
        (len(STREAM), len(CONTENT) - 1, RIGHT[2]),
        UncompressedSizeIntegrityError,
        "inflates to at least",
    ),
    "less content": (
        STREAM,
        (len(STREAM), len(CONTENT) + 1, RIGHT[2]),
        UncompressedSizeIntegrityError,
        "declared were",
    ),
    "a size modulo 2**32": (
        STREAM,
        (len(STREAM), len(CONTENT) + 2**32, RIGHT[2]),
        UncompressedSizeIntegrityError,
        "declared were",
    ),
    "another CRC-32": (STREAM, (*RIGHT[:2], 7), CRC32IntegrityError, "0x00000007"),
    "another CRC-32 and less content": (
        STREAM,
        (len(STREAM), len(CONTENT) + 1, 7),
        CRC32IntegrityError,
        "0x00000007",
    ),
}


@pytest.mark.parametrize("options", [{}, {"workers": 2}, {"password": "pass"}], ids=str)
@pytest.mark.parametrize("chunk", [1000, 10**7])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_as_declared_is_an_error(
    wrong: str, chunk: int, options: dict[str, Any]
) -> None:
    stream, values, error, text = WRONG[wrong]
    with pytest.raises(error, match=rf"'a\.txt'.*{text}"):
        of(stream, PRECOMPRESSED(*values), chunk, **options)


@given(st.data())
def test_no_byte_of_it_may_be_another(data: st.DataObject) -> None:
    content = data.draw(st.binary(max_size=2000))
    stream = bytearray(deflated(content))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    method = declared(content, bytes(stream))
    try:
        archive = of(bytes(stream), method)
    except ZipIntegrityError:
        return
    # Bits behind the last block mean nothing.
    assert_reads(archive, {"a.txt": content}, only=PYTHON_READERS)


def test_a_bomb_takes_no_memory_and_ends_with_the_declared_size() -> None:
    bomb = deflated(bytes(100 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(UncompressedSizeIntegrityError, match="at least"):
            of(bomb, PRECOMPRESSED(len(bomb), 20 << 20, 0), len(bomb))
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("library", ["isal.isal_zlib", "zlib_ng.zlib_ng", "zlib"])
def test_any_library_inflates_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(library)
    monkeypatch.setattr(accelerators, "_INFLATING", module)
    monkeypatch.setattr(encoders, "INFLATE_ERRORS", (module.error,))
    for chunk in (1000, 10**7):
        assert of(STREAM, PRECOMPRESSED(*RIGHT), chunk)
    for stream, values, error, text in WRONG.values():
        with pytest.raises(error, match=text):
            of(stream, PRECOMPRESSED(*values))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1, 0, 0), "compressed_size must be an integer from 2 to"),
        ((-1, 0, 0), "compressed_size"),
        ((2**64, 0, 0), "compressed_size"),
        (("2", 0, 0), "compressed_size"),
        ((None, 0, 0), "compressed_size"),
        ((2, -1, 0), "uncompressed_size must be"),
        ((2, None, 0), "uncompressed_size"),
        ((2, 2.0, 0), "uncompressed_size"),
        ((2, 0, -1), "crc_32 must be"),
        ((2, 0, 2**32), "crc_32"),
        ((2, 0, None), "crc_32"),
    ],
)
def test_bad_values_are_refused(values: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ZipValueError, match=f"PRECOMPRESSED: {text}"):
        PRECOMPRESSED(*values)


def test_it_looks_like_its_call() -> None:
    assert repr(PRECOMPRESSED(20, 300, 4)) == "PRECOMPRESSED(20, 300, 4)"


def test_one_made_by_hand_without_sizes_is_refused() -> None:
    with pytest.raises(TypeError, match="method must be a Method"):
        of(SHORT, PRECOMPRESSED(2, 0, 0)._replace(compressed_size=None))


# Planned.


def planned(files: dict[str, bytes], **options: Any) -> tuple[Plan, list[CountingContent]]:
    members: list[Any] = []
    for name, content in files.items():
        stream = deflated(content)
        counting = CountingContent(stream, identity=name)
        members.append((name, TIME, MODE, declared(content, stream), counting))
    plan = Plan.of(members, **options)
    assert plan is not None
    return plan, [member[4] for member in members]


def window(plan: Plan, start: int, stop: int) -> bytes:
    return b"".join(plan.window(start, stop, checksums=NoChecksums()))


def test_its_length_is_known_also_with_a_password() -> None:
    assert planned(FILES)[0].length == len(written(FILES))
    assert planned(FILES, encrypted=True)[0].length == len(written(FILES, password="pass"))


def test_any_window_is_a_slice_and_nothing_else_is_read() -> None:
    plan, read = planned(FILES)
    archive = written(FILES)
    members = parse(archive).members
    starts = [m.central.true_values()[2] + m.local.length for m in members]
    places = {0, len(archive), *starts, *NOISE.choices(range(len(archive)), k=3)}
    places |= {start + step for start in starts for step in (-1, 1, 10_001)}
    for start in sorted(places):
        for stop in sorted(place for place in places if place >= start):
            assert window(plan, start, stop) == archive[start:stop]
            sent = 0
            for content, at in zip(read, starts, strict=True):
                first, last = content.was_given or (0, 0)
                assert start <= at + first or first == last
                sent += last - first
                content.forget()
            # Chunks of contents are cut to what is asked for.
            assert sent <= stop - start


def test_the_entity_tag_is_of_what_it_inflates_to_as_well() -> None:
    one = Plan.of([("a", TIME, MODE, PRECOMPRESSED(5, 6, 7), CountingContent(b"12345"))])
    for values in ((5, 6, 8), (5, 7, 7)):
        other = Plan.of([("a", TIME, MODE, PRECOMPRESSED(*values), CountingContent(b"12345"))])
        assert one is not None
        assert other is not None
        assert one.entity_tag != other.entity_tag


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("truncated", ContentChangedError),
        ("longer", ContentChangedError),
        ("no deflate", DeflateIntegrityError),
        ("another CRC-32", CRC32IntegrityError),
        ("a size modulo 2**32", UncompressedSizeIntegrityError),
    ],
)
def test_a_planned_archive_of_what_is_not_as_declared_has_no_end(
    wrong: str, error: type[Exception]
) -> None:
    stream, values, _, _ = WRONG[wrong]
    members = [("a", TIME, MODE, PRECOMPRESSED(*values), CountingContent(stream))]
    plan = Plan.of(members)
    assert plan is not None
    with pytest.raises(error):
        window(plan, 0, plan.length)
    # A range that begins behind its first byte can't tell.
    if error is not ContentChangedError:
        assert window(plan, 100, plan.length)


@pytest.mark.parametrize("chunk_length", [10_000, CHUNK_LENGTH, 100_000])
def test_on_an_event_loop_a_thread_inflates_long_chunks(
    chunk_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflating = set()

    def inflate(encoder: Any, chunk: bytes) -> None:
        inflating.add(threading.get_ident())
        done(encoder, chunk)

    done = encoders.Precompressed._inflate
    monkeypatch.setattr(encoders.Precompressed, "_inflate", inflate)
    stream = deflated(FILES["noise.bin"])
    content = CountingContent(stream, chunk_length=chunk_length)
    plan = Plan.of([("a", TIME, MODE, declared(FILES["noise.bin"], stream), content)])
    assert plan is not None
    source = Direct[Any]()

    async def run() -> bytes:
        steps = plan.steps(0, plan.length, checksums=NoChecksums(), begun=str, source=source)
        return b"".join([block async for block in adriven(steps, source)])

    assert_reads(asyncio.run(run()), {"a": FILES["noise.bin"]}, only=PYTHON_READERS)
    # Its last chunk is short.
    assert (inflating == {threading.get_ident()}) == (chunk_length == 10_000)


def test_it_is_among_others() -> None:
    stream = deflated(CONTENT)
    members = [
        ("1", TIME, MODE, ZIP_32, [b"x" * 1000]),
        ("2", TIME, MODE, declared(CONTENT, stream), [stream]),
        ("3", TIME, MODE, ZIP_32, [b"y" * 1000]),
    ]
    expected = {"1": b"x" * 1000, "2": CONTENT, "3": b"y" * 1000}
    for workers in (0, 2):
        assert_reads(b"".join(stream_zip(members, workers=workers)), expected)
