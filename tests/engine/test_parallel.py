"""`workers`: the same archives for readers, whatever the timing; errors in order; nothing left."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

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
    CRC32IntegrityError,
    UncompressedSizeIntegrityError,
    ZipValueError,
    async_stream_zip,
    stream_zip,
)
from django_stream_zip.engine import parallel
from django_stream_zip.engine.accelerators import FAST, ZLIB, Deflate
from django_stream_zip.engine.methods import deflated
from tests.engine.test_streams import (
    EVERY_ERROR,
    EVERY_METHOD,
    MODE,
    NOISE,
    TIME,
    Failing,
    drain,
    peak,
)
from tests.support.network import eventually
from tests.support.parser import parse
from tests.support.readers import BY_NAME, PYTHON_READERS, assert_reads, verify_stream
from tests.support.sources import (
    BrokenSourceError,
    aiterated,
    amembers,
    awatched,
    chunked,
    collected,
    endless,
    failing,
    numbered_random,
    watched,
)
from tests.support.strategies import METHODS, Drawn, archives, expected, passwords

BLOCK = parallel.SEGMENT_LENGTH
WORKERS = st.integers(1, 3)
CHUNK_SIZES = st.integers(1, 100) | st.integers(1, 70_000)
# Small enough that drawn contents have several blocks.
SMALL_BLOCK = 40_000


def csv(length: int) -> bytes:
    """Return a table as sites export them: numbers, dates, names, places."""
    draw = random.Random(1)
    words = "rue avenue boulevard north south paris london berlin madrid lyon gare place".split()
    lines = [
        f"{number},{draw.choice(words)} {draw.choice(words)},{draw.randint(1, 99999)},"
        f"{draw.random():.6f},2024-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}\n"
        for number in range(length // 30)
    ]
    return "".join(lines).encode()[:length]


CSV = csv(3 << 20)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """After any test, whatever it did, the workers are gone."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    left = [one for one in threading.enumerate() if one not in before]
    assert [one.name for one in left if one.name.startswith("stream_zip")] == []


@pytest.fixture(scope="module", autouse=True)
def small_blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let contents of hypothesis's size have several blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "SEGMENT_LENGTH", SMALL_BLOCK)
        yield


@pytest.fixture
def real_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "SEGMENT_LENGTH", BLOCK)


# Round trips.


@given(drawn=archives(), chunk_size=CHUNK_SIZES, workers=WORKERS, password=st.none() | passwords())
def test_readers_read_back_what_was_written(
    drawn: list[Drawn], chunk_size: int, workers: int, password: str | None
) -> None:
    blocks = list(stream_zip(drawn, chunk_size, password=password, workers=workers))
    assert all(0 < len(block) <= chunk_size for block in blocks)
    only = [name for name in (*PYTHON_READERS, "pyzipper") if password is None or BY_NAME[name].aes]
    assert_reads(b"".join(blocks), expected(drawn), password, only=only)


@given(drawn=archives(), workers=WORKERS, password=st.none() | passwords())
def test_all_is_written_where_it_says(
    drawn: list[Drawn], workers: int, password: str | None
) -> None:
    archive = parse(b"".join(stream_zip(drawn, password=password, workers=workers)))
    assert [member.local.name for member in archive.members] == [d.name.encode() for d in drawn]
    assert [m.central.external_attributes >> 16 for m in archive.members] == [d.mode for d in drawn]


@given(drawn=archives(), password=st.none() | passwords(), sizes=st.lists(CHUNK_SIZES, min_size=3))
def test_the_bytes_depend_on_nothing_but_the_members(
    drawn: list[Drawn], password: str | None, sizes: list[int]
) -> None:
    def options(workers: int) -> dict[str, Any]:
        return {
            "password": password,
            "get_crypto_random": numbered_random(),
            "workers": workers,
        }

    first = b"".join(stream_zip(drawn, **options(1)))
    assert b"".join(collected(async_stream_zip(amembers(drawn), **options(2)))) == first
    recut = [
        (*member[:4], list(chunked(member.content, max(size, 500))))
        for member, size in zip(drawn, sizes * 5, strict=False)
    ]
    assert b"".join(stream_zip(recut, sizes[0], **options(3))) == first


@given(drawn=archives(), password=st.none() | passwords())
def test_short_members_are_the_same_as_without_workers(
    drawn: list[Drawn], password: str | None
) -> None:
    short = [(*m[:4], [m.content]) for m in drawn if len(m.content) <= SMALL_BLOCK]
    one, two = (
        b"".join(stream_zip(short, password=password, get_crypto_random=random_, workers=workers))
        for workers, random_ in ((0, numbered_random()), (2, numbered_random()))
    )
    assert one == two


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    "length", [0, 1, 4095, 4096, SMALL_BLOCK - 1, SMALL_BLOCK, SMALL_BLOCK + 1, 2 * SMALL_BLOCK]
)
def test_members_may_end_where_a_block_does(length: int, password: str | None) -> None:
    contents = dict.fromkeys(METHODS, NOISE[:length])
    members = [
        (name, TIME, MODE, METHODS[name](content), list(chunked(content, SMALL_BLOCK // 2)))
        for name, content in contents.items()
    ]
    data = b"".join(stream_zip(members, password=password, workers=2))
    only = ["stream-unzip", "pyzipper"] if password else PYTHON_READERS
    assert_reads(data, contents, password, only=only)


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
def test_no_members_at_all(password: str | None) -> None:
    assert len(b"".join(stream_zip([], password=password, workers=2))) == 22
    assert len(b"".join(collected(async_stream_zip(aiterated([]), workers=2)))) == 22


def test_every_reader_reads_blocks(real_blocks: None) -> None:
    contents = {"text.csv": CSV, "noise": NOISE, "short": CSV[:9999], "empty": b""}
    members = [
        (name, TIME, MODE, deflated(len(content), FAST), list(chunked(content, 65536)))
        for name, content in contents.items()
    ]
    assert_reads(b"".join(stream_zip(members, workers=2)), contents)
    assert_reads(b"".join(stream_zip(members, workers=2, password="p")), contents, "p")


class Own:
    """A compression object of the caller's own."""

    def __init__(self) -> None:
        self._compressobj = zlib.compressobj(1, wbits=-15)
        self.compress = self._compressobj.compress
        self.flush = self._compressobj.flush


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
def test_a_compression_object_of_ones_own_is_given_all_of_a_member(password: str | None) -> None:
    def options(workers: int) -> dict[str, Any]:
        return {
            "get_compressobj": Own,
            "password": password,
            "get_crypto_random": numbered_random(),
            "workers": workers,
        }

    members = [
        (str(length), TIME, MODE, ZIP_32, list(chunked(CSV[:length], 30_000)))
        for length in (10, 30_000, 200_000, 30_000, 500_000)
    ]
    data = b"".join(stream_zip(members, **options(0)))
    assert b"".join(stream_zip(members, **options(2))) == data
    assert b"".join(collected(async_stream_zip(amembers(members), **options(2)))) == data


# One stream a member, hardly larger.


def deflated_data(content: bytes, deflate: Deflate, workers: int) -> bytes:
    member = ("a", TIME, MODE, deflated(len(content), deflate), list(chunked(content, 65536)))
    [found] = parse(b"".join(stream_zip([member], workers=workers))).members
    return found.data


@pytest.mark.parametrize(
    "deflate",
    # FAST is one of the others where no accelerator is installed.
    dict.fromkeys([ZLIB[9], ZLIB[6], ZLIB[1], FAST]),
    ids=str,
)
@pytest.mark.parametrize("content", [CSV, NOISE, bytes(1 << 20)], ids=["csv", "noise", "zeros"])
def test_blocks_are_one_stream_hardly_larger(
    content: bytes, deflate: Deflate, real_blocks: None
) -> None:
    data = deflated_data(content, deflate, workers=2)
    inflate = zlib.decompressobj(wbits=-15)
    assert inflate.decompress(data) == content
    assert inflate.eof
    assert inflate.unused_data == b""
    serial = len(deflated_data(content, deflate, workers=0))
    # Each of the blocks has a beginning; of zeros there is nothing else.
    assert len(data) <= 1.005 * serial + 300 * len(content) / BLOCK


# What is promised.


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("wrong", [-1, 1])
def test_sizes_are_checked(size: int, wrong: int, password: str | None) -> None:
    method = NO_COMPRESSION_AUTO(size + wrong)
    member = ("a", TIME, MODE, method, list(chunked(NOISE[:size], 30_000)))
    with pytest.raises(UncompressedSizeIntegrityError, match="'a'"):
        list(stream_zip([member], workers=2, password=password))


@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("size", [10, 200_000])
def test_checksums_are_checked(size: int, password: str | None) -> None:
    content = NOISE[:size]
    method = NO_COMPRESSION_32(size, zlib.crc32(content) ^ 1)
    member = ("a", TIME, MODE, method, list(chunked(content, 30_000)))
    with pytest.raises(CRC32IntegrityError, match="'a'"):
        list(stream_zip([member], workers=2, password=password))


@pytest.mark.parametrize("workers", [-1, 1.5, "2", True])
def test_workers_are_a_number(workers: Any) -> None:
    for function in (stream_zip, async_stream_zip):
        with pytest.raises(ZipValueError, match="workers must be"):
            function([], workers=workers)


def test_salts_are_drawn_in_the_order_of_members() -> None:
    members = [(str(n), TIME, MODE, ZIP_32, [NOISE[: n * 20_000]]) for n in range(8)]
    data = b"".join(
        stream_zip(members, password="p", get_crypto_random=numbered_random(), workers=3)
    )
    draw = numbered_random()
    assert [member.data[:16] for member in parse(data).members] == [draw(16) for _ in members]


# How much is read ahead, and held.


def test_memory_does_not_grow_with_the_content(real_blocks: None) -> None:
    chunk = NOISE[:65536]
    method = deflated(300 * len(chunk), FAST)
    for workers in (1, 3):
        member = ("a", TIME, MODE, method, (chunk for _ in range(300)))
        # The documented bound, and what the archive takes by itself.
        assert peak(stream_zip([member], workers=workers)) < (1.5 * workers + 1 + 0.5) * (1 << 20)


def test_memory_does_not_grow_with_short_members_or_chunks(real_blocks: None) -> None:
    members = (("a", TIME, MODE, ZIP_AUTO(5000, 1), [CSV[:5000]]) for _ in range(2000))
    assert peak(stream_zip(members, workers=2)) < 4 * (1 << 20)
    for password in (None, "p"):
        member = ("a", TIME, MODE, NO_COMPRESSION_AUTO(300_000), endless_bytes(300_000))
        behind = [("work", TIME, MODE, ZIP_64, [NOISE[:60_000]]), member]
        assert peak(stream_zip(behind, workers=2, password=password)) < 4 * (1 << 20)


def endless_bytes(length: int) -> Iterator[bytes]:
    return (b"x" for _ in range(length))


@pytest.mark.parametrize("content", [b"x" * 100, NOISE[:30_000]], ids=["inline", "in a thread"])
def test_members_are_read_ahead_so_far_and_no_further(content: bytes) -> None:
    begun = threading.Event()

    class Blocked(Own):
        def __init__(self) -> None:
            begun.wait(10)
            super().__init__()

    def numbered() -> Iterator[tuple[Any, ...]]:
        yield "first", TIME, MODE, ZIP_32, [NOISE[:30_000]]
        for number in range(10_000):
            read.append(number)
            yield str(number), TIME, MODE, ZIP_32, [content]

    read: list[int] = []
    blocks = stream_zip(numbered(), get_compressobj=Blocked, workers=2)
    thread = threading.Thread(target=next, args=(blocks,))
    thread.start()
    seen = -1
    while seen != len(read):
        seen = len(read)
        time.sleep(0.05)
    assert seen <= 64
    begun.set()
    thread.join()
    blocks.close()


def test_a_slow_source_is_not_waited_for_with_what_is_done() -> None:
    received = bytearray()
    lengths = []

    def numbered() -> Iterator[tuple[Any, ...]]:
        for number in range(10):
            yield str(number), TIME, MODE, ZIP_32, [b"some content"]
            lengths.append(len(received))

    for block in stream_zip(numbered(), workers=2):
        received += block
    assert len(set(lengths)) == 10


# Errors.


def raised_by(blocks: Iterator[bytes], received: bytearray) -> BaseException | None:
    """Take all blocks; return what is raised instead of the next one."""
    try:
        for block in blocks:
            received += block
    except BaseException as error:
        return error
    return None


@pytest.mark.parametrize("where", ["members", "chunks", "later chunks"])
@EVERY_ERROR
def test_an_error_of_the_callers_comes_after_what_was_before(error: Exception, where: str) -> None:
    whole = [(str(n), TIME, MODE, ZIP_32, [CSV[: n * 9000]]) for n in range(10)]

    def members() -> Iterator[Any]:
        yield from whole
        if where == "members":
            raise error
        chunks = [b"1"] if where == "chunks" else chunked(NOISE, 30_000)
        yield "broken", TIME, MODE, ZIP_32, failing(chunks, error)

    for blocks in (
        stream_zip(members(), 1000, workers=2),
        synchronous(async_stream_zip(amembers(members()), 1000, workers=2)),
    ):
        received = bytearray()
        assert raised_by(blocks, received) is error
        if isinstance(error, Exception):
            reference = b"".join(stream_zip(whole, workers=1))
            end = parse(reference).ends.last_word[2]
            assert received.startswith(reference[:end])
            assert b"PK\x01\x02" not in received


def synchronous(blocks: Any) -> Iterator[bytes]:
    """Yield what an async iterable gives, from an event loop that runs meanwhile."""
    with asyncio.Runner() as runner:
        while True:
            try:
                yield runner.run(anext(blocks))
            except StopAsyncIteration:
                return


@pytest.mark.parametrize("size", [1, 10_000, 200_000], ids=["inline", "whole", "in blocks"])
@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
def test_an_error_in_a_worker_passes_through(size: int, password: str | None) -> None:
    error = BrokenSourceError("gone")
    members = [
        ("first", TIME, MODE, NO_COMPRESSION_AUTO(size), [NOISE[:size]]),
        ("second", TIME, MODE, ZIP_32, list(chunked(NOISE[:size], 30_000))),
        ("third", TIME, MODE, ZIP_32, list(chunked(NOISE, 30_000))),
    ]
    options: dict[str, Any] = {
        "get_compressobj": lambda: Failing(error),
        "password": password,
        "workers": 2,
    }
    for blocks in (
        stream_zip(members, **options),
        synchronous(async_stream_zip(amembers(members), **options)),
    ):
        received = bytearray()
        assert raised_by(blocks, received) is error
        assert b"first" in received
        assert b"third" not in received
        assert len(received) >= size


def test_what_is_wrong_with_a_member_comes_after_what_was_before() -> None:
    whole = [(str(n), TIME, MODE, ZIP_32, [CSV[: n * 9000]]) for n in range(10)]
    for wrong in (
        ("", ""),
        ("n", TIME, MODE, "method", [b""]),
        ("n", TIME, -1, ZIP_32, [b""]),
        ("n", TIME, MODE, ZIP_32, 7),
        ("n", TIME, MODE, ZIP_32, ["text"]),
    ):
        received = bytearray()
        blocks = stream_zip([*whole, wrong], workers=2)  # type: ignore[list-item]
        assert isinstance(raised_by(blocks, received), TypeError | ZipValueError)
        reference = b"".join(stream_zip(whole, workers=1))
        assert received.startswith(reference[: parse(reference).ends.last_word[2]])


# Ending early.


def watched_members(log: list[str], method: Any) -> Iterator[tuple[Any, ...]]:
    member = ("long", TIME, MODE, method, watched("chunk", endless(NOISE[:30_000]), log))
    return watched("member", [("first", TIME, MODE, ZIP_32, [NOISE]), member], log)


def ends_by_close(blocks: Generator[bytes]) -> None:
    blocks.close()


def ends_by_throw(blocks: Generator[bytes]) -> None:
    with pytest.raises(BrokenSourceError, match="thrown in"):
        blocks.throw(BrokenSourceError("thrown in"))


def ends_by_interrupt(blocks: Generator[bytes]) -> None:
    with pytest.raises(KeyboardInterrupt):
        blocks.throw(KeyboardInterrupt())


@pytest.mark.parametrize("end", [ends_by_close, ends_by_throw, ends_by_interrupt])
@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("method", [ZIP_32, ZIP_AUTO(10**9), NO_COMPRESSION_AUTO(10**9)], ids=str)
def test_an_early_end_closes_all(
    method: Any, password: str | None, end: Callable[[Generator[bytes]], None]
) -> None:
    log: list[str] = []
    blocks = stream_zip(watched_members(log, method), password=password, workers=2)
    while "chunk 3" not in log:
        next(blocks)
    end(blocks)
    assert log[-2:] == ["chunk over", "member over"]
    assert workers_alive() == []
    assert list(blocks) == []


def workers_alive() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("stream_zip")]


def test_garbage_closes_all() -> None:
    log: list[str] = []
    blocks = stream_zip(watched_members(log, ZIP_32), workers=2)
    while "chunk 3" not in log:
        next(blocks)
    del blocks
    gc.collect()
    assert log[-2:] == ["chunk over", "member over"]
    assert workers_alive() == []


def test_a_stream_that_was_never_begun_has_no_threads() -> None:
    blocks = stream_zip([("a", TIME, MODE, ZIP_32, [NOISE])], workers=2)
    assert workers_alive() == []
    blocks.close()
    assert workers_alive() == []


def awatched_members(log: list[str], method: Any) -> AsyncIterator[tuple[Any, ...]]:
    member = ("long", TIME, MODE, method, awatched("chunk", endless(NOISE[:30_000]), log))
    return awatched("member", [("first", TIME, MODE, ZIP_32, aiterated([NOISE])), member], log)


async def aends_by_aclose(blocks: Any, log: list[str]) -> None:
    while "chunk 3" not in log:
        await anext(blocks)
    await blocks.aclose()


async def aends_by_athrow(blocks: Any, log: list[str]) -> None:
    while "chunk 3" not in log:
        await anext(blocks)
    with pytest.raises(BrokenSourceError):
        await blocks.athrow(BrokenSourceError())


async def aends_by_cancelling(blocks: Any, log: list[str]) -> None:
    task = asyncio.create_task(drain(blocks))
    while "chunk 3" not in log:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("end", [aends_by_aclose, aends_by_athrow, aends_by_cancelling])
@pytest.mark.parametrize("password", [None, "p"], ids=["plain", "encrypted"])
def test_an_early_end_closes_all_in_async_too(password: str | None, end: Any) -> None:
    log: list[str] = []

    async def scenario() -> tuple[list[str], list[str]]:
        members = awatched_members(log, ZIP_32)
        await end(async_stream_zip(members, password=password, workers=2), log)
        return list(log), workers_alive()

    seen, alive = asyncio.run(scenario())
    assert seen[-2:] == ["chunk over", "member over"]
    assert alive == []


def test_cancelling_waits_for_a_job_and_not_for_those_behind_it() -> None:
    at_work, done = threading.Event(), threading.Event()
    begun: list[int] = []

    class Slow(Own):
        def __init__(self) -> None:
            begun.append(1)
            at_work.set()
            done.wait(10)
            super().__init__()

    async def scenario() -> None:
        members = [(str(n), TIME, MODE, ZIP_32, [NOISE[:30_000]]) for n in range(20)]
        blocks = async_stream_zip(amembers(members), get_compressobj=Slow, workers=1)
        task = asyncio.create_task(drain(blocks))
        while not at_work.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0.01)
        done.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert workers_alive() == []

    asyncio.run(scenario())
    assert len(begun) <= 2


# The event loop.


def test_the_event_loop_goes_on() -> None:
    turns = 0
    went_on: list[bool] = []

    class Waiting(Own):
        """Deflates as soon as the loop has gone on, which it can't if it is on the loop."""

        def __init__(self) -> None:
            super().__init__()
            self.compress = self.compress_late

        def compress_late(self, data: Any) -> bytes:
            before = turns
            went_on.append(eventually(lambda: turns > before + 2))
            return self._compressobj.compress(data)

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async def scenario() -> None:
        members = [("a", TIME, MODE, ZIP_32, list(chunked(CSV[:1_500_000], 65536)))]
        task = asyncio.create_task(count())
        await drain(async_stream_zip(amembers(members), get_compressobj=Waiting, workers=2))
        task.cancel()

    asyncio.run(scenario())
    assert went_on
    assert all(went_on)


def test_no_thread_is_started_but_the_workers() -> None:
    names: set[str] = set()

    class Seen(Own):
        def __init__(self) -> None:
            names.update(one.name for one in threading.enumerate())
            super().__init__()

    before = {one.name for one in threading.enumerate()}
    members = [(str(n), TIME, MODE, ZIP_32, [NOISE[:30_000]]) for n in range(20)]
    collected(async_stream_zip(amembers(members), get_compressobj=Seen, workers=2))
    assert names - before <= {"stream_zip_0", "stream_zip_1"}


@pytest.mark.slow
def test_gigabytes_go_through(real_blocks: None) -> None:
    chunk = CSV[: 1 << 20]
    member = ("a", TIME, MODE, deflated(5 << 30, FAST), (chunk for _ in range(5 << 10)))
    summary = verify_stream(stream_zip([member], workers=2), "stream-unzip")
    assert summary.names == ["a"]


@EVERY_METHOD
def test_bytes_like_chunks_may_be_reused_by_their_maker(name: str) -> None:
    def chunks() -> Iterator[bytearray]:
        buffer = bytearray(30_000)
        for number in range(10):
            buffer[:] = b"%010d" % number * 3000
            yield buffer

    content = b"".join(b"%010d" % number * 3000 for number in range(10))
    member: Any = ("a", TIME, MODE, METHODS[name](content), chunks())
    assert_reads(b"".join(stream_zip([member], workers=2)), {"a": content}, only=PYTHON_READERS)


def test_held_members_are_written_in_their_turn() -> None:
    members = [
        (str(n), TIME, MODE, method, [CSV[: n * 10_000]])
        for n, method in enumerate([ZIP_32, NO_COMPRESSION_32, ZIP_64, NO_COMPRESSION_64] * 3)
    ]
    short = [member for member in members if len(member[4][0]) <= SMALL_BLOCK]
    assert b"".join(stream_zip(short, workers=2)) == b"".join(stream_zip(short))
    contents = {name: content for name, _, _, _, [content] in members}
    assert_reads(b"".join(stream_zip(members, workers=2)), contents, only=["zipfile"])
