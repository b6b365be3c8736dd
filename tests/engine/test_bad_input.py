"""What can't be written is refused: clearly, by the member's name, and nothing comes after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

import django_stream_zip
from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
    Method,
    NameLengthOverflowError,
    ZipError,
    ZipValueError,
    async_stream_zip,
    stream_zip,
)
from django_stream_zip.engine.methods import Coding
from tests.support.sources import aiterated

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
MODE = 0o100644
GOOD = ("good", TIME, MODE, ZIP_32, [b"good"])
BAD = "the bad one"


def refused(members: Any, error: type[Exception], **options: Any) -> tuple[bytes, str]:
    """Write what has to be refused; give what was yielded before, and the message."""
    blocks = stream_zip(members, **options)
    yielded: list[bytes] = []
    with pytest.raises(error) as raised:
        yielded.extend(blocks)
    assert list(blocks) == []
    return b"".join(yielded), str(raised.value)


BAD_TIMES = [
    pytest.param(date(2024, 2, 29), id="a date"),
    pytest.param(1709210096, id="seconds"),
    pytest.param("2024-02-29", id="text"),
    pytest.param(None, id="None"),
]

BAD_MODES = [
    pytest.param(-1, id="negative"),
    pytest.param(0x10000, id="17 bits"),
    pytest.param(2**40, id="huge"),
    pytest.param(0o644 + 0.5, id="a float"),
    pytest.param("0o644", id="text"),
    pytest.param(None, id="None"),
]

BAD_METHODS = [
    pytest.param("ZIP_32", id="text"),
    pytest.param(8, id="a number"),
    pytest.param(None, id="None"),
    pytest.param(ZIP_AUTO, id="ZIP_AUTO without a size"),
    pytest.param(NO_COMPRESSION_AUTO, id="NO_COMPRESSION_AUTO without a size"),
    pytest.param(("ZIP_32", "deflate", False, None, None, None, False), id="a tuple"),
    pytest.param(Method("X", Coding.STORE, None), id="made by hand, stored without a size"),
    pytest.param(
        Method("X", Coding.STORE, None, buffered=True), id="made by hand, can't be completed"
    ),
]

BAD_CHUNKS = [
    pytest.param(None, id="None"),
    pytest.param(5, id="a number"),
    pytest.param(b"the content", id="the content"),
    pytest.param(bytearray(b"the content"), id="the content in a bytearray"),
    pytest.param("the content", id="the content as text"),
    pytest.param([b"x", "y"], id="text chunk"),
    pytest.param([b"x", 5], id="number chunk"),
    pytest.param([b"x", None], id="None chunk"),
    pytest.param([b"x", [b"y"]], id="chunks in a chunk"),
    pytest.param(object(), id="not iterable"),
]

EVERY_KIND = pytest.mark.parametrize(
    "method",
    [ZIP_32, ZIP_64, ZIP_AUTO(2), NO_COMPRESSION_AUTO(2), NO_COMPRESSION_32, NO_COMPRESSION_64],
    ids=["ZIP_32", "ZIP_64", "ZIP_AUTO", "NO_AUTO", "NO_32", "NO_64"],
)


@EVERY_KIND
@pytest.mark.parametrize("modified_at", BAD_TIMES)
def test_a_time_must_be_a_datetime(modified_at: Any, method: Any) -> None:
    got, message = refused([(BAD, modified_at, MODE, method, [b"xy"])], TypeError)
    assert BAD in message
    assert "datetime" in message
    assert got == b""


@pytest.mark.parametrize("modified_at", [date(2024, 2, 29), None], ids=["a date", "None"])
def test_a_time_must_be_a_datetime_behind_a_good_member_too(modified_at: Any) -> None:
    got, message = refused([GOOD, (BAD, modified_at, MODE, ZIP_32, [])], TypeError)
    assert BAD in message
    assert got.count(b"PK\x03\x04") <= 1


@EVERY_KIND
@pytest.mark.parametrize("mode", BAD_MODES)
def test_a_mode_must_be_a_st_mode(mode: Any, method: Any) -> None:
    got, message = refused([(BAD, TIME, mode, method, [b"xy"])], (ZipValueError, TypeError))
    assert BAD in message
    assert repr(mode) in message
    assert got == b""


@pytest.mark.parametrize("method", BAD_METHODS)
def test_a_method_must_be_a_method(method: Any) -> None:
    got, message = refused([(BAD, TIME, MODE, method, [b"xy"])], TypeError)
    assert BAD in message
    assert "Method" in message
    assert got == b""


@EVERY_KIND
@pytest.mark.parametrize("chunks", BAD_CHUNKS)
def test_chunks_must_be_an_iterable_of_bytes(chunks: Any, method: Any) -> None:
    got, message = refused([GOOD, (BAD, TIME, MODE, method, chunks), GOOD], TypeError)
    assert BAD in message
    assert "chunks" in message
    assert b"PK\x01\x02" not in got


@EVERY_KIND
@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        pytest.param("x" * 65536, NameLengthOverflowError, "65,536", id="too long"),
        pytest.param("x" + "ü" * 32768, NameLengthOverflowError, "65,537", id="too long in UTF-8"),
        pytest.param("\ud800 lone", ZipValueError, r"\ud800 lone", id="half a character"),
        pytest.param(b"name", TypeError, "b'name'", id="bytes"),
        pytest.param(None, TypeError, "None", id="None"),
        pytest.param(5, TypeError, "5", id="a number"),
    ],
)
def test_a_name_must_be_text_of_65535_bytes(
    name: Any, error: type[Exception], said: str, method: Any
) -> None:
    got, message = refused([(name, TIME, MODE, method, [b"xy"])], error)
    assert said in message
    assert len(message) < 500
    assert got == b""


@pytest.mark.parametrize(
    "member",
    [
        pytest.param((), id="nothing"),
        pytest.param((BAD, TIME, MODE), id="three values"),
        pytest.param((BAD, TIME, MODE, ZIP_32), id="four values"),
        pytest.param((BAD, TIME, MODE, ZIP_32, [], 5), id="six values"),
        pytest.param([BAD, TIME], id="a list of two"),
        pytest.param(5, id="a number"),
        pytest.param(None, id="None"),
        pytest.param(BAD, id="a name"),
    ],
)
def test_a_member_must_have_five_values(member: Any) -> None:
    got, message = refused([GOOD, member], (ZipValueError, TypeError))
    assert "(name, modified_at, mode, method, chunks)" in message
    assert b"PK\x01\x02" not in got


@pytest.mark.parametrize("files", [None, 5, GOOD], ids=["None", "a number", "one member only"])
def test_files_must_be_an_iterable_of_members(files: Any) -> None:
    with pytest.raises((TypeError, ZipValueError)):
        list(stream_zip(files))


# Async: the same, and what is not async.


@pytest.mark.parametrize("chunks", [None, [b"x"], b"x"], ids=["None", "a list", "bytes"])
def test_async_chunks_must_be_async(chunks: Any) -> None:
    async def members() -> AsyncIterator[Any]:
        yield BAD, TIME, MODE, ZIP_32, chunks

    async def scenario() -> None:
        async for _ in async_stream_zip(members()):
            raise AssertionError("something was yielded")

    with pytest.raises(TypeError, match=f"'{BAD}'.*chunks"):
        asyncio.run(scenario())


@pytest.mark.parametrize("chunk", ["x", 5, None], ids=["text", "a number", "None"])
@EVERY_KIND
def test_async_chunks_must_be_bytes(chunk: Any, method: Any) -> None:
    got: list[bytes] = []

    async def members() -> AsyncIterator[Any]:
        yield BAD, TIME, MODE, method, aiterated([b"x", chunk])

    async def scenario() -> None:
        async for block in async_stream_zip(members()):
            got.append(block)

    with pytest.raises(TypeError, match=f"'{BAD}'.*chunks"):
        asyncio.run(scenario())
    assert b"PK\x01\x02" not in b"".join(got)


# The archive's own options: refused at the call, not when the first block is asked for.

BOTH = pytest.mark.parametrize("driver", [stream_zip, async_stream_zip], ids=["sync", "async"])


def nothing_asked() -> Iterator[Any]:
    raise AssertionError("a member was asked for")
    yield


@BOTH
@pytest.mark.parametrize("chunk_size", [0, -1, 1.5, None, "65536"], ids=repr)
def test_a_chunk_size_must_be_a_positive_integer(
    driver: Callable[..., Any], chunk_size: Any
) -> None:
    with pytest.raises(ZipValueError, match="chunk_size"):
        driver(nothing_asked(), chunk_size=chunk_size)


@BOTH
def test_a_password_must_not_be_empty(driver: Callable[..., Any]) -> None:
    with pytest.raises(ZipValueError, match="password"):
        driver(nothing_asked(), password="")


@BOTH
@pytest.mark.parametrize("password", ["x" * 100, "é" * 50, "x" + "文" * 33], ids=["x", "é", "文"])
def test_a_password_must_be_one_that_7_zip_opens(driver: Callable[..., Any], password: str) -> None:
    with pytest.raises(ZipValueError, match=r"100 bytes in UTF-8.*7-Zip.*99") as raised:
        driver(nothing_asked(), password=password)
    assert password not in str(raised.value)


@BOTH
def test_a_password_must_be_text_that_utf_8_has(driver: Callable[..., Any]) -> None:
    with pytest.raises(ZipValueError, match="password: its character number 7") as raised:
        driver(nothing_asked(), password="secret\ud800")
    assert "secret" not in str(raised.value)


@BOTH
@pytest.mark.parametrize("password", [b"secret", 5, ["secret"]], ids=["bytes", "a number", "list"])
def test_a_password_must_be_text(driver: Callable[..., Any], password: Any) -> None:
    with pytest.raises(TypeError, match="password") as raised:
        driver(nothing_asked(), password=password)
    assert "secret" not in str(raised.value)


@EVERY_KIND
@pytest.mark.parametrize("length", [0, 15, 17], ids=str)
def test_randomness_must_have_the_length_that_was_asked_for(length: int, method: Any) -> None:
    members = [("a", TIME, MODE, method, [b"xy"])]
    options = {"password": "p", "get_crypto_random": lambda asked: bytes(length)}
    got, message = refused(members, ZipValueError, **options)
    assert "get_crypto_random" in message
    assert str(length) in message
    assert "16" in message
    assert len(got) < 100


# Methods: refused where they are made.


@pytest.mark.parametrize("level", [-2, 10, 99, 5.0, "9", None], ids=repr)
def test_a_level_must_be_one_of_zlibs(level: Any) -> None:
    with pytest.raises(ZipValueError, match=r"ZIP_AUTO: level must be .* -1 to 9"):
        ZIP_AUTO(5, level)


MAKERS: dict[str, Callable[[Any], Any]] = {
    "ZIP_AUTO": ZIP_AUTO,
    "NO_COMPRESSION_AUTO": NO_COMPRESSION_AUTO,
    "NO_COMPRESSION_AUTO with CRC-32": lambda size: NO_COMPRESSION_AUTO(size, 0),
    "NO_COMPRESSION_32": lambda size: NO_COMPRESSION_32(size, 0),
    "NO_COMPRESSION_64": lambda size: NO_COMPRESSION_64(size, 0),
}
CRC_MAKERS: dict[str, Callable[[Any], Any]] = {
    "NO_COMPRESSION_AUTO": lambda crc_32: NO_COMPRESSION_AUTO(0, crc_32),
    "NO_COMPRESSION_32": lambda crc_32: NO_COMPRESSION_32(0, crc_32),
    "NO_COMPRESSION_64": lambda crc_32: NO_COMPRESSION_64(0, crc_32),
}


@pytest.mark.parametrize("size", [-1, 2**64, 1.0, "5", None, b"5"], ids=repr)
@pytest.mark.parametrize("name", MAKERS)
def test_a_size_must_be_an_integer_of_64_bits(name: str, size: Any) -> None:
    with pytest.raises(ZipValueError, match=rf"^{name.split()[0]}: uncompressed_size must be"):
        MAKERS[name](size)


@pytest.mark.parametrize("crc_32", [-1, 2**32, 1.0, "5", b"5"], ids=repr)
@pytest.mark.parametrize("name", CRC_MAKERS)
def test_a_crc_32_must_be_an_integer_of_32_bits(name: str, crc_32: Any) -> None:
    with pytest.raises(ZipValueError, match=rf"^{name}: crc_32 must be"):
        CRC_MAKERS[name](crc_32)


def test_a_size_may_be_anything_that_is_an_integer() -> None:
    class Size:
        def __index__(self) -> int:
            return 5

    assert ZIP_AUTO(Size()).uncompressed_size == 5  # type: ignore[arg-type]
    assert type(ZIP_AUTO(True).uncompressed_size) is int


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        pytest.param(ZIP_32, "ZIP_32", id="plain"),
        pytest.param(NO_COMPRESSION_64, "NO_COMPRESSION_64", id="held"),
        pytest.param(NO_COMPRESSION_64(5, 7), "NO_COMPRESSION_64(5, 7)", id="promised"),
        pytest.param(NO_COMPRESSION_AUTO(5), "NO_COMPRESSION_AUTO(5)", id="size"),
        pytest.param(ZIP_AUTO(5), "ZIP_AUTO(5, 9)", id="level"),
        pytest.param(ZIP_AUTO(0, 0), "ZIP_AUTO(0, 0)", id="zeros"),
    ],
)
def test_a_method_shows_the_call_that_makes_it(method: Any, shown: str) -> None:
    assert repr(method) == shown
    assert eval(shown, vars(django_stream_zip)) == method


# The errors themselves.

TREE = """
ZipError
  ZipValueError
    ZipIntegrityError
      CRC32IntegrityError
      UncompressedSizeIntegrityError
      DeflateIntegrityError
    ZipOverflowError
      UncompressedSizeOverflowError
      CompressedSizeOverflowError
      CentralDirectorySizeOverflowError
      CentralDirectoryNumberOfEntriesOverflowError
      OffsetOverflowError
      NameLengthOverflowError
"""


def tree(error: type[Exception], depth: int = 0) -> Iterator[str]:
    yield "  " * depth + error.__name__
    for child in error.__subclasses__():
        assert getattr(django_stream_zip, child.__name__) is child
        yield from tree(child, depth + 1)


def test_the_tree_of_errors() -> None:
    assert "\n".join(tree(ZipError)) == TREE.strip()
    assert issubclass(django_stream_zip.ZipValueError, ValueError)
    assert issubclass(django_stream_zip.ZipOverflowError, OverflowError)


def test_every_public_name_is_there() -> None:
    assert {
        "stream_zip",
        "async_stream_zip",
        "MemberFile",
        "AsyncMemberFile",
        "Method",
        "ZIP_32",
        "ZIP_64",
        "ZIP_AUTO",
        "NO_COMPRESSION_32",
        "NO_COMPRESSION_64",
        "NO_COMPRESSION_AUTO",
        "PRECOMPRESSED",
        *TREE.split(),
    } == set(django_stream_zip.__all__)
    assert all(hasattr(django_stream_zip, name) for name in django_stream_zip.__all__)
