"""The two drivers: what readers read back, how the blocks are cut, and what is closed when."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_AUTO,
    Method,
    UncompressedSizeIntegrityError,
    ZipValueError,
    async_stream_zip,
    stream_zip,
)
from tests.support.network import aeventually
from tests.support.parser import local_header, parse
from tests.support.readers import BY_NAME, PYTHON_READERS, assert_reads
from tests.support.sources import (
    BrokenSourceError,
    aiterated,
    amembers,
    awatched,
    chunked,
    collected,
    failing,
    numbered_random,
    watched,
)
from tests.support.strategies import METHODS, Drawn, archives, expected, passwords

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)
MODE = 0o100644

EVERY_METHOD = pytest.mark.parametrize("name", METHODS)
CHUNK_SIZES = st.integers(1, 100) | st.integers(1, 70_000)
HELD = (NO_COMPRESSION_32, NO_COMPRESSION_64)


# Round trips.


@given(drawn=archives(), chunk_size=CHUNK_SIZES, timestamps=st.booleans())
def test_readers_read_back_what_was_written(
    drawn: list[Drawn], chunk_size: int, timestamps: bool
) -> None:
    data = b"".join(stream_zip(drawn, chunk_size=chunk_size, extended_timestamps=timestamps))
    assert_reads(data, expected(drawn), only=[*PYTHON_READERS, "pyzipper"])


@given(drawn=archives(), chunk_size=CHUNK_SIZES, password=passwords())
def test_readers_read_back_what_was_encrypted(
    drawn: list[Drawn], chunk_size: int, password: str
) -> None:
    data = b"".join(stream_zip(drawn, chunk_size=chunk_size, password=password))
    only = [name for name in (*PYTHON_READERS, "pyzipper") if BY_NAME[name].aes]
    assert_reads(data, expected(drawn), password, only=only)


@given(drawn=archives(), chunk_size=CHUNK_SIZES, password=st.none() | passwords())
def test_sync_equals_async(drawn: list[Drawn], chunk_size: int, password: str | None) -> None:
    def options() -> dict[str, Any]:
        return {
            "chunk_size": chunk_size,
            "password": password,
            "get_crypto_random": numbered_random(),
        }

    blocks = list(stream_zip(drawn, **options()))
    assert collected(async_stream_zip(amembers(drawn), **options())) == blocks


NOISE = random.Random(1).randbytes(1_200_000)


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("chunk_size", [70_000, 2_000_000])
@EVERY_METHOD
def test_sync_equals_async_also_where_threads_work(
    name: str, chunk_size: int, password: str | None
) -> None:
    members = [
        ("long", TIME, MODE, METHODS[name](NOISE), list(chunked(NOISE, chunk_size))),
        ("short", TIME, MODE, METHODS[name](b"x"), [b"x"]),
    ]
    sync = stream_zip(members, password=password, get_crypto_random=numbered_random())
    blocks = async_stream_zip(
        amembers(members), password=password, get_crypto_random=numbered_random()
    )
    assert collected(blocks) == list(sync)


@given(drawn=archives(), password=st.none() | passwords())
def test_all_is_written_where_it_says(drawn: list[Drawn], password: str | None) -> None:
    archive = parse(b"".join(stream_zip(drawn, password=password)))
    assert [member.local.name for member in archive.members] == [d.name.encode() for d in drawn]
    assert [m.central.external_attributes >> 16 for m in archive.members] == [d.mode for d in drawn]


# Blocks.


@given(drawn=archives(), chunk_size=CHUNK_SIZES, password=st.none() | passwords())
def test_only_before_a_members_data_a_block_is_short(
    drawn: list[Drawn], chunk_size: int, password: str | None
) -> None:
    blocks = list(stream_zip(drawn, chunk_size=chunk_size, password=password))
    data = b"".join(blocks)
    # Where the local header has to be out; of a method that holds its content, also what is before.
    places = set()
    for member, one in zip(parse(data).members, drawn, strict=True):
        start = member.central.true_values()[2]
        places |= {start + member.local.length, *([start] if one.method in HELD else [])}
    ends, position = set(), 0
    for block in blocks:
        assert 0 < len(block) <= chunk_size
        position += len(block)
        ends.add(position)
        assert len(block) == chunk_size or position in places | {len(data)}
    assert places - {0} <= ends


HELD_MEMBERS = [
    ("a", TIME, MODE, ZIP_32, [b"deflated"]),
    ("b", TIME, MODE, NO_COMPRESSION_32, [b"held ", b"content"]),
    ("c", TIME, MODE, NO_COMPRESSION_64, [b"more"]),
    ("d", TIME, MODE, NO_COMPRESSION_32, []),
]


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_header_of_a_held_member_is_a_block_of_its_own(
    is_async: bool, workers: int, password: str | None
) -> None:
    options: dict[str, Any] = {"workers": workers, "password": password}
    blocks = (
        collected(async_stream_zip(amembers(HELD_MEMBERS), **options))
        if is_async
        else list(stream_zip(HELD_MEMBERS, **options))
    )
    data = b"".join(blocks)
    for member in parse(data).members[1:]:
        start = member.central.true_values()[2]
        assert data[start : start + member.local.length] in blocks


@EVERY_METHOD
def test_the_local_header_is_out_before_the_first_chunk_is_asked_for(name: str) -> None:
    received = bytearray()
    seen: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        seen.append(bytes(received))
        yield b"content"

    method = METHODS[name](b"content")
    for block in stream_zip([(str(number), TIME, MODE, method, chunks()) for number in range(2)]):
        received += block
    members = parse(bytes(received)).members
    for number, member in enumerate(members):
        start = member.central.true_values()[2]
        held = method in HELD
        assert len(seen[number]) == (start if held else start + member.local.length)


def test_one_chunk_is_asked_for_at_a_time() -> None:
    log: list[str] = []
    chunks = watched("chunk", [b"12345678", b"12345678", b"1234567890123456", b"12"], log)
    member = ("a", TIME, MODE, NO_COMPRESSION_AUTO(34, zlib.crc32(b"")), chunks)
    blocks = stream_zip(watched("member", [member], log), chunk_size=8)
    for block in blocks:
        log.append(f"{len(block)} bytes")
        if log[-1] == "8 bytes" and log[-2] == "chunk 2":
            break
    header = 30 + 1 + 9
    assert log == [
        "member 0",
        *["8 bytes"] * (header // 8),
        "chunk 0",
        "8 bytes",
        "chunk 1",
        "8 bytes",
        "chunk 2",
        "8 bytes",
    ]
    assert next(blocks) == b"90123456"
    assert log[-1] == "8 bytes"
    blocks.close()


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        pytest.param(NO_COMPRESSION_AUTO(1_200_000), 1, id="blocks"),
        # The way to a thread has to pay: 512 KiB are gathered, if they come at once.
        pytest.param(ZIP_32, 14, id="deflated"),
    ],
)
def test_no_more_chunks_are_asked_for_than_go_together_in_async(method: Method, asked: int) -> None:
    log: list[str] = []
    chunks = awatched("chunk", [NOISE[:40_000]] * 30, log)
    blocks = async_stream_zip(
        aiterated([("a", TIME, MODE, method, chunks)]),
        chunk_size=1000,
        get_compressobj=lambda: zlib.compressobj(0, wbits=-15),
    )

    async def first_of_data() -> None:
        await anext(blocks)
        await anext(blocks)
        await blocks.aclose()

    asyncio.run(first_of_data())
    assert log == [*(f"chunk {number}" for number in range(asked)), "chunk over"]


def test_the_next_member_is_asked_for_when_the_chunks_are_over() -> None:
    log: list[str] = []
    members = [(name, TIME, MODE, ZIP_32, watched(name, [b"1", b"2"], log)) for name in ("a", "b")]
    assert b"".join(stream_zip(watched("member", members, log)))
    assert log == [
        *("member 0", "a 0", "a 1", "a over"),
        *("member 1", "b 0", "b 1", "b over"),
        "member over",
    ]


def test_in_async_too() -> None:
    log: list[str] = []
    members = [(name, TIME, MODE, ZIP_32, awatched(name, [b"1", b"2"], log)) for name in ("a", "b")]
    assert collected(async_stream_zip(awatched("member", members, log)))
    assert log == [
        *("member 0", "a 0", "a 1", "a over"),
        *("member 1", "b 0", "b 1", "b over"),
        "member over",
    ]


def test_nothing_is_asked_for_before_the_first_block_is() -> None:
    log: list[str] = []
    stream_zip(watched("member", [], log)).close()
    async_stream_zip(awatched("member", [], log))
    assert log == []


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@EVERY_METHOD
def test_chunks_are_any_bytes_like_objects(name: str, kind: Callable[[bytes], Any]) -> None:
    content = b"some content"
    chunks = [kind(b""), kind(content[:3]), kind(content[3:]), kind(b"")]
    member = ("a", TIME, MODE, METHODS[name](content), chunks)
    blocks = list(stream_zip([member], chunk_size=3))
    assert {type(block) for block in blocks} == {bytes}
    assert_reads(b"".join(blocks), {"a": content}, only=PYTHON_READERS)


def test_chunks_may_be_views_of_other_things_than_bytes() -> None:
    numbers = memoryview(bytes(range(64))).cast("I")
    every_other = memoryview(bytes(range(64)))[::2]
    content = bytes(range(64)) + bytes(range(0, 64, 2))
    for name, make in METHODS.items():
        member = (name, TIME, MODE, make(content), [numbers, every_other])
        data = b"".join(stream_zip([member]))
        assert_reads(data, {name: content}, only=PYTHON_READERS)


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("view", [False, True], ids=["bytearray", "memoryview"])
@EVERY_METHOD
def test_a_chunk_may_be_reused_by_its_maker(name: str, view: bool, password: str | None) -> None:
    def chunks() -> Iterator[Any]:
        buffer = bytearray(10)
        for number in range(50):
            buffer[:] = b"%010d" % number
            yield memoryview(buffer) if view else buffer
        buffer[:] = b"overwrite!"

    content = b"".join(b"%010d" % number for number in range(50))
    member = ("a", TIME, MODE, METHODS[name](content), chunks())
    data = b"".join(stream_zip([member], password=password))
    assert_reads(data, {"a": content}, password, only=["pyzipper", "stream-unzip"])


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@EVERY_METHOD
def test_an_async_chunk_may_be_reused_by_its_maker(name: str, password: str | None) -> None:
    async def chunks() -> AsyncIterator[Any]:
        buffer = bytearray(10_000)
        for number in range(50):
            buffer[:] = b"%010d" % number * 1000
            yield buffer
        buffer[:] = bytes(10_000)

    content = b"".join(b"%010d" % number * 1000 for number in range(50))
    member = ("a", TIME, MODE, METHODS[name](content), chunks())
    data = b"".join(collected(async_stream_zip(aiterated([member]), password=password)))
    assert_reads(data, {"a": content}, password, only=["pyzipper", "stream-unzip"])


# Memory.


def peak(blocks: Iterable[bytes]) -> int:
    """Return how much memory it takes at most to pass over these blocks."""
    tracemalloc.start()
    try:
        for _ in blocks:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name](b"") not in HELD])
def test_memory_does_not_grow_with_the_content(name: str) -> None:
    chunk, times = bytes(50_000), 600
    promised = METHODS[name](chunk * times)
    member = ("a", TIME, MODE, promised, (chunk for _ in range(times)))
    assert peak(stream_zip([member])) < 1_000_000


EMPTY_CHUNKS = 100_000


@pytest.mark.parametrize("method", [ZIP_32, NO_COMPRESSION_AUTO(0)], ids=str)
def test_memory_does_not_grow_with_chunks_that_give_nothing(method: Method) -> None:
    member = ("a", TIME, MODE, method, (b"" for _ in range(EMPTY_CHUNKS)))
    assert peak(stream_zip([member])) < 1_000_000


@pytest.mark.parametrize("method", [ZIP_32, NO_COMPRESSION_AUTO(0)], ids=str)
def test_memory_does_not_grow_with_async_chunks_that_give_nothing(method: Method) -> None:
    member = ("a", TIME, MODE, method, (b"" for _ in range(EMPTY_CHUNKS)))
    tracemalloc.start()
    try:
        asyncio.run(drain(async_stream_zip(amembers([member]))))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# Closing.

CONTENT = b"x" * 100


def watched_members(log: list[str], method: Method) -> Iterator[tuple[Any, ...]]:
    endless = (CONTENT for _ in iter(int, 1))
    members = [
        ("first", TIME, MODE, ZIP_32, []),
        ("second", TIME, MODE, method, watched("chunk", endless, log)),
    ]
    return watched("member", members, log)


def awatched_members(log: list[str], method: Method) -> AsyncIterator[tuple[Any, ...]]:
    endless = (CONTENT for _ in iter(int, 1))
    members = [
        ("first", TIME, MODE, ZIP_32, aiterated([])),
        ("second", TIME, MODE, method, awatched("chunk", endless, log)),
    ]
    return awatched("member", members, log)


def ends_by_close(blocks: Generator[bytes]) -> None:
    blocks.close()


def ends_by_throw(blocks: Generator[bytes]) -> None:
    error = BrokenSourceError("thrown in")
    with pytest.raises(BrokenSourceError) as raised:
        blocks.throw(error)
    assert raised.value is error


def ends_by_exit(blocks: Generator[bytes]) -> None:
    with pytest.raises(KeyboardInterrupt):
        blocks.throw(KeyboardInterrupt())


SYNC_ENDS = {"close": ends_by_close, "throw": ends_by_throw, "interrupt": ends_by_exit}
STREAMING = pytest.mark.parametrize(
    "method", [ZIP_32, NO_COMPRESSION_AUTO(10**6), ZIP_AUTO(10**6, 0)], ids=str
)


@pytest.mark.parametrize("end", SYNC_ENDS.values(), ids=SYNC_ENDS)
@STREAMING
def test_an_early_end_closes_members_and_chunks(
    method: Method, end: Callable[[Generator[bytes]], None]
) -> None:
    log: list[str] = []
    blocks = stream_zip(
        watched_members(log, method),
        chunk_size=10,
        get_compressobj=lambda: zlib.compressobj(0, wbits=-15),
    )
    while "chunk 3" not in log:
        next(blocks)
    end(blocks)
    assert log[-2:] == ["chunk over", "member over"]
    assert list(blocks) == []


def test_garbage_closes_members_and_chunks() -> None:
    log: list[str] = []
    blocks = stream_zip(watched_members(log, NO_COMPRESSION_AUTO(10**6)), chunk_size=10)
    while "chunk 3" not in log:
        next(blocks)
    del blocks
    gc.collect()
    assert log[-2:] == ["chunk over", "member over"]


def test_an_end_between_header_and_chunks_closes_the_members() -> None:
    log: list[str] = []
    blocks = stream_zip(watched_members(log, NO_COMPRESSION_AUTO(10**6)))
    next(blocks)
    blocks.close()
    assert log == ["member 0", "member over"]


@pytest.mark.parametrize("method", HELD, ids=str)
def test_an_error_closes_members_and_held_chunks(method: Method) -> None:
    log: list[str] = []
    chunks = failing([b"1", b"2"], BrokenSourceError())
    member = ("a", TIME, MODE, method, watched("chunk", chunks, log))
    with pytest.raises(BrokenSourceError):
        list(stream_zip(watched("member", [member], log)))
    assert log == ["member 0", "chunk 0", "chunk 1", "chunk over", "member over"]


@pytest.mark.parametrize("promised", [0, 100, 150], ids=str)
def test_a_broken_promise_closes_members_and_chunks(promised: int) -> None:
    log: list[str] = []
    with pytest.raises(ZipValueError):
        list(stream_zip(watched_members(log, NO_COMPRESSION_AUTO(promised))))
    assert log[-2:] == ["chunk over", "member over"]


def test_chunks_are_closed_also_if_that_fails() -> None:
    log: list[str] = []

    def chunks() -> Iterator[bytes]:
        try:
            yield b"x"
        finally:
            raise BrokenSourceError("while closing")

    members = watched("member", [("a", TIME, MODE, ZIP_32, chunks())], log)
    blocks = stream_zip(members, get_compressobj=lambda: Loud())
    next(blocks)
    next(blocks)
    with pytest.raises(BrokenSourceError, match="while closing"):
        blocks.close()
    assert log[-1] == "member over"


class Loud:
    """A compression object that gives more than a block for anything."""

    def compress(self, data: bytes) -> bytes:
        return bytes(100_000)

    def flush(self) -> bytes:
        return b""


async def a_while(blocks: AsyncIterator[bytes], log: list[str]) -> None:
    """Take blocks until the second member is under way."""
    while "chunk 3" not in log:
        await anext(blocks)


def started(log: list[str]) -> Any:
    return async_stream_zip(awatched_members(log, NO_COMPRESSION_AUTO(10**6)), chunk_size=10)


async def aends_by_aclose(log: list[str]) -> None:
    blocks = started(log)
    await a_while(blocks, log)
    await blocks.aclose()


async def aends_by_athrow(log: list[str]) -> None:
    blocks, error = started(log), BrokenSourceError("thrown in")
    await a_while(blocks, log)
    with pytest.raises(BrokenSourceError) as raised:
        await blocks.athrow(error)
    assert raised.value is error


async def aends_by_garbage(log: list[str]) -> None:
    blocks = started(log)
    await a_while(blocks, log)
    del blocks
    gc.collect()
    # The event loop closes asynchronous garbage in a task of its own.
    assert await aeventually(lambda: log[-1] == "member over")


async def aends_by_cancelling(log: list[str]) -> None:
    async def consume() -> None:
        async for _ in blocks:
            await asyncio.sleep(0)

    blocks = started(log)
    task = asyncio.create_task(consume())
    while "chunk 3" not in log:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await blocks.aclose()


async def aends_by_cancelling_a_wait(log: list[str]) -> None:
    async def waiting() -> AsyncIterator[bytes]:
        try:
            yield b"x" * 100
            log.append("chunk 1 is waited for")
            await asyncio.Event().wait()
        finally:
            log.append("chunk over")

    member = ("a", TIME, MODE, NO_COMPRESSION_AUTO(10**6), waiting())
    blocks = async_stream_zip(awatched("member", [member], log), chunk_size=10)
    task = asyncio.create_task(drain(blocks))
    while "chunk 1 is waited for" not in log:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def drain(blocks: AsyncIterator[bytes]) -> None:
    async for _ in blocks:
        pass


async def aends_by_cancelling_a_thread(log: list[str]) -> None:
    class Slow(Loud):
        def compress(self, data: bytes) -> bytes:
            working.set()
            done.wait(10)
            return b""

    working, done = threading.Event(), threading.Event()
    chunks = awatched("chunk", [NOISE] * 3, log)
    members = awatched("member", [("a", TIME, MODE, ZIP_32, chunks)], log)
    task = asyncio.create_task(drain(async_stream_zip(members, get_compressobj=Slow)))
    while not working.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done.set()


ASYNC_ENDS = {
    "cancelled in a thread": aends_by_cancelling_a_thread,
    "aclose": aends_by_aclose,
    "athrow": aends_by_athrow,
    "garbage": aends_by_garbage,
    "cancelled": aends_by_cancelling,
    "cancelled in a chunk": aends_by_cancelling_a_wait,
}


@pytest.mark.parametrize("end", ASYNC_ENDS.values(), ids=ASYNC_ENDS)
def test_an_early_end_closes_async_members_and_chunks(
    end: Callable[[list[str]], Awaitable[None]],
) -> None:
    log: list[str] = []

    async def scenario() -> list[str]:
        await end(log)
        # Before the event loop ends, which would close all that is left.
        return list(log)

    assert asyncio.run(scenario())[-2:] == ["chunk over", "member over"]


# Errors of the caller's.

ERRORS = [
    BrokenSourceError("gone"),
    ValueError("a value"),
    TypeError("a type"),
    ZipValueError("as if of the package"),
    KeyboardInterrupt("pressed"),
]
EVERY_ERROR = pytest.mark.parametrize("error", ERRORS, ids=[type(e).__name__ for e in ERRORS])


@EVERY_ERROR
@EVERY_METHOD
def test_an_error_of_the_chunks_passes_through(name: str, error: BaseException) -> None:
    member = ("a", TIME, MODE, METHODS[name](b"x"), failing([b"x"], error))
    with pytest.raises(type(error)) as raised:
        list(stream_zip([member]))
    assert raised.value is error


@EVERY_ERROR
def test_an_error_of_the_members_passes_through(error: BaseException) -> None:
    members = failing([("a", TIME, MODE, ZIP_32, [b"x"])], error)
    with pytest.raises(type(error)) as raised:
        list(stream_zip(members))
    assert raised.value is error


@pytest.mark.parametrize("where", ["members", "chunks"])
@EVERY_ERROR
def test_an_error_of_an_async_source_passes_through(error: BaseException, where: str) -> None:
    chunks = failing([b"x"], error) if where == "chunks" else [b"x"]
    members: Any = [("a", TIME, MODE, ZIP_32, chunks)]
    if where == "members":
        members = failing(members, error)

    async def scenario() -> BaseException:
        with pytest.raises(type(error)) as raised:
            await drain(async_stream_zip(amembers(members)))
        return raised.value

    assert asyncio.run(scenario()) is error


class Failing:
    """A compression object that fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def compress(self, data: bytes) -> bytes:
        raise self._error

    def flush(self) -> bytes:
        return b""


@pytest.mark.parametrize("size", [1, 1_000_000], ids=["at once", "in a thread"])
def test_an_error_of_the_compression_object_passes_through(size: int) -> None:
    error = BrokenSourceError("gone")
    log: list[str] = []

    async def scenario() -> None:
        chunks = awatched("chunk", [NOISE[:size]] * 3, log)
        members = awatched("member", [("a", TIME, MODE, ZIP_32, chunks)], log)
        with pytest.raises(BrokenSourceError) as raised:
            await drain(async_stream_zip(members, get_compressobj=lambda: Failing(error)))
        assert raised.value is error
        assert log[-2:] == ["chunk over", "member over"]

    asyncio.run(scenario())
    with pytest.raises(BrokenSourceError) as raised:
        list(
            stream_zip([("a", TIME, MODE, ZIP_32, [b"x"])], get_compressobj=lambda: Failing(error))
        )
    assert raised.value is error


def test_too_much_content_is_noticed_at_the_chunk_that_exceeds_in_async_too() -> None:
    method = NO_COMPRESSION_AUTO(10)
    chunks = failing([b"12345", b"67890", b"!"], BrokenSourceError("asked for more"))
    members = amembers([("a", TIME, MODE, method, chunks)])
    with pytest.raises(UncompressedSizeIntegrityError):
        collected(async_stream_zip(members))


class BadlyIterable:
    """Something whose __iter__ fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        raise self._error


@EVERY_ERROR
def test_an_error_of_iter_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        list(stream_zip([("a", TIME, MODE, ZIP_32, BadlyIterable(error))]))
    assert raised.value is error


# Context variables.

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="unset")


def test_async_sources_see_context_variables() -> None:
    seen: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        seen.append(VARIABLE.get())
        yield b"x"

    async def members() -> AsyncIterator[tuple[Any, ...]]:
        seen.append(VARIABLE.get())
        yield "a", TIME, MODE, ZIP_32, chunks()

    async def scenario() -> None:
        VARIABLE.set("set by the caller")
        await drain(async_stream_zip(members()))

    asyncio.run(scenario())
    assert seen == ["set by the caller"] * 2
    assert VARIABLE.get() == "unset"


# The arguments, as the API's reference has them.


def test_arguments_may_be_positional() -> None:
    member = ("a", TIME, MODE, ZIP_32, [b"x"])
    arguments = (7, lambda: zlib.compressobj(0, wbits=-15), False, "p", lambda n: bytes(n))
    by_position = list(stream_zip([member], *arguments))
    by_name = stream_zip(
        files=[member],
        chunk_size=arguments[0],
        get_compressobj=arguments[1],
        extended_timestamps=arguments[2],
        password=arguments[3],
        get_crypto_random=arguments[4],
    )
    assert by_position == list(by_name)
    assert by_position == collected(async_stream_zip(amembers([member]), *arguments))
    assert local_header(b"".join(by_position)).extra.keys() == {0x9901}
    assert {len(block) for block in by_position[:-1]} <= {7, *range(1, 7)}


def test_members_may_be_any_iterables_of_five() -> None:
    members = [["a", TIME, MODE, ZIP_32, [b"x"]], iter(("b", TIME, MODE, ZIP_32, (b"x",)))]
    data = b"".join(stream_zip(members))  # type: ignore[arg-type]
    assert_reads(data, {"a": b"x", "b": b"x"}, only=PYTHON_READERS)
