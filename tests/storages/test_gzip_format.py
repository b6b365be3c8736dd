"""The gzip format: where the deflate stream in a file is, and when it is all of it."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.storages.gzip_format import (
    MAX_HEADER_LENGTH,
    DeflateStream,
    deflate_stream,
    deflate_stream_in,
    gzipped,
)
from tests.support.strategies import chunkings, contents

TEXT = b"some text, and some more text\n" * 100
FNAME, FCOMMENT, FHCRC, FEXTRA = 8, 16, 2, 4


def packed(content: bytes, header: bytes = b"\x1f\x8b\x08" + bytes(7)) -> bytes:
    plain = gzip.compress(content, mtime=0)
    return header + plain[10:]


def found(data: bytes) -> DeflateStream | None:
    return deflate_stream(data[:MAX_HEADER_LENGTH], data[-20:], len(data))


def header(flags: int, rest: bytes = b"") -> bytes:
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + rest


HEADERS = {
    "plain": header(0),
    "text": header(1),
    "a name": header(FNAME, b"a.txt\0"),
    "a comment": header(FCOMMENT, b"a comment\0"),
    "a CRC": header(FHCRC, b"12"),
    "all": header(1 | FNAME | FCOMMENT | FHCRC, b"a\x00\x00xy"),
    "a long name": header(FNAME, b"n" * 1000 + b"\0"),
    "a time": b"\x1f\x8b\x08\x00time\x02\x03",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_it_is_behind_any_header(kind: str) -> None:
    data = packed(TEXT, HEADERS[kind])
    stream = found(data)
    assert stream == (len(HEADERS[kind]), len(data) - 8, len(TEXT), zlib.crc32(TEXT))
    assert stream.is_likely()
    assert zlib.decompress(data[stream.start : stream.stop], wbits=-15) == TEXT
    assert deflate_stream_in(BytesIO(data)) == stream


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f\x8b\x08",
        b"\x1f\x8b\x08" + bytes(7),
        TEXT,
        zlib.compress(TEXT),
        packed(TEXT, header(0x20)),
        packed(TEXT, header(0x80)),
        packed(TEXT, header(FEXTRA, b"\6\0BC\2\0\0\0")),
        packed(TEXT, b"\x1f\x8b\x07" + bytes(7)),
        packed(TEXT, header(FNAME, b"n" * 2000 + b"\0")),
        header(FNAME, b"never ends"),
    ],
    ids=lambda data: data[:16].hex(),
)
def test_in_what_is_of_another_kind_there_is_none(data: bytes) -> None:
    assert found(data) is None
    assert deflate_stream_in(BytesIO(data)) is None


@given(contents(), st.integers(0, 9), st.binary(max_size=20).filter(lambda name: 0 not in name))
def test_any_gzip_file_is_passed(content: bytes, level: int, name: bytes) -> None:
    file = BytesIO()
    with gzip.GzipFile(name.decode("latin-1"), "wb", level, file) as opened:
        opened.write(content)
    data = file.getvalue()
    stream = found(data)
    assert stream is not None
    assert stream.is_likely()
    assert zlib.decompress(data[stream.start : stream.stop], wbits=-15) == content
    assert stream.is_likely(len(content), zlib.crc32(content))
    assert not stream.is_likely(len(content) + 1)
    assert not stream.is_likely(None, zlib.crc32(content) ^ 1)
    # Of a size of 4 GiB and more it has the rest only; who knows the size knows it.
    assert stream.is_likely(len(content) + 2**32)


@given(st.data())
def test_what_it_writes_is_read_and_always_the_same(data: st.DataObject) -> None:
    content = data.draw(contents())
    written = b"".join(gzipped(data.draw(chunkings(content))))
    assert gzip.decompress(written) == content
    assert written[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert b"".join(gzipped([content])) == written


@pytest.mark.parametrize(
    ("compressed", "remainder", "is_likely"),
    [
        pytest.param(1000, 8000, True, id="text"),
        pytest.param(10_000, 10_000, True, id="noise"),
        pytest.param(100_000, 10_000, False, id="more members before the last one"),
        pytest.param(100_000, 0, False, id="an empty last member"),
        pytest.param(1000, 3_000_000, False, id="garbage for a trailer"),
        pytest.param(3 << 20, 3 << 30, True, id="zeros"),
        pytest.param(100 << 20, 800 << 20, True, id="a large log"),
        pytest.param(500 << 20, 3 << 30, False, id="8 times, or is it 14 times?"),
        pytest.param(5 << 30, 1 << 30, False, id="more than it can be"),
    ],
)
def test_whether_it_is_all_that_there_is(compressed: int, remainder: int, is_likely: bool) -> None:
    assert DeflateStream(10, 10 + compressed, remainder, 0).is_likely() is is_likely
    assert DeflateStream(10, 10 + compressed, remainder, 0).is_likely(remainder)
