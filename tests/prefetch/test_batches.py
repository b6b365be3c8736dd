"""Chunks that are pulled from an event loop: on it, in the thread, and there one batch ahead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.prefetch.batches import Threaded
from django_stream_zip.prefetch.waiting import may_wait
from tests.support.network import eventually

# Two of them are a batch.
LENGTH = 200_000


class Source:
    """Makes chunks of these lengths; what would have to wait is made in a thread only.

    `made` are their numbers, `on_loop` those made where nothing may wait.
    """

    def __init__(self, lengths: list[int], waits: Callable[[int], bool] = lambda _: True) -> None:
        self._lengths = lengths
        self._waits = waits
        self.made: list[int] = []
        self.on_loop: list[int] = []
        self.threads: set[int] = set()
        self.is_closed = False

    def chunks(self) -> Iterator[bytes]:
        try:
            for number, length in enumerate(self._lengths):
                if not may_wait() and self._waits(number):
                    yield b""
                if not may_wait():
                    self.on_loop.append(number)
                self.threads.add(threading.get_ident())
                self.made.append(number)
                if length < 0:
                    raise OSError(f"no chunk {number}")
                yield bytes([number % 256]) * length
        finally:
            self.is_closed = True


def in_request(doing: Callable[[], Awaitable[Any]]) -> Any:
    async def request() -> Any:
        async with ThreadSensitiveContext():
            return await doing()

    return asyncio.run(request())


def pulled(source: Source) -> list[bytes]:
    async def read() -> list[bytes]:
        return [chunk async for chunk in Threaded(source.chunks(), defers=True) if chunk]

    read_all: list[bytes] = in_request(read)
    return read_all


async def made(source: Source, number: int) -> bool:
    """Wait until so many chunks were made; return whether they were."""
    return await asyncio.to_thread(eventually, lambda: len(source.made) >= number)


def test_what_the_thread_has_to_make_is_made_while_the_batch_before_it_is_sent() -> None:
    source = Source([LENGTH] * 12)

    async def read() -> None:
        chunks = Threaded(source.chunks(), defers=True)
        for _ in range(3):  # the first goes on alone, then comes a batch
            await anext(chunks)
        assert await made(source, 5)

    in_request(read)


def test_no_more_than_a_batch_is_made_ahead() -> None:
    source = Source([LENGTH] * 40)

    async def read() -> int:
        most, taken = 0, 0
        async for _ in Threaded(source.chunks(), defers=True):
            taken += 1
            await sync_to_async(lambda: None)()  # behind what the thread makes now
            most = max(most, len(source.made) - taken)
        return most

    assert 2 <= in_request(read) <= 4


def test_it_is_tried_on_the_loop_again() -> None:
    source = Source([LENGTH] * 60, lambda number: number < 30)
    pulled(source)
    assert source.on_loop
    assert source.on_loop == list(range(min(source.on_loop), 60))


def test_what_never_waits_is_made_on_the_loop_and_not_ahead() -> None:
    source = Source([LENGTH] * 12, lambda _: False)

    async def read() -> None:
        chunks = Threaded(source.chunks(), defers=True)
        for taken in range(1, 6):
            await anext(chunks)
            await sync_to_async(lambda: None)()
            assert len(source.made) - taken < 2

    in_request(read)
    assert source.on_loop == source.made[1:]


@given(
    lengths=st.lists(st.integers(-1, 3).map(lambda n: n * 150_000), max_size=30),
    waiting=st.sets(st.integers(0, 29)),
)
def test_all_chunks_come_in_their_order_and_then_the_error(
    lengths: list[int], waiting: set[int]
) -> None:
    source, came = Source(lengths, waiting.__contains__), []
    good = next((n for n, length in enumerate(lengths) if length < 0), len(lengths))

    async def read() -> None:
        async for chunk in Threaded(source.chunks(), defers=True):
            came.append(chunk)

    if good < len(lengths):
        with pytest.raises(OSError, match=f"no chunk {good}"):
            in_request(read)
    else:
        in_request(read)
    expected = [bytes([n]) * length for n, length in enumerate(lengths[:good])]
    assert list(filter(None, came)) == list(filter(None, expected))
    assert source.is_closed or not lengths


@pytest.mark.parametrize("taken", range(1, 8))
def test_it_is_closed_in_the_same_thread_behind_what_is_made(taken: int) -> None:
    source = Source([LENGTH] * 40)

    async def read() -> int:
        chunks = Threaded(source.chunks(), defers=True)
        for _ in range(taken):
            await anext(chunks)
        await chunks.aclose()
        return await sync_to_async(threading.get_ident)()

    assert {in_request(read)} == source.threads
    assert source.is_closed
    assert len(source.made) <= taken + 4


def test_an_error_made_ahead_of_who_goes_away_is_nobodys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source([LENGTH] * 4 + [-1])

    async def read() -> None:
        chunks = Threaded(source.chunks(), defers=True)
        for _ in range(3):
            await anext(chunks)
        assert await made(source, 5)
        await chunks.aclose()

    in_request(read)
    assert source.is_closed
    assert not caplog.records


def test_nothing_is_pulled_after_the_end() -> None:
    class Endless:
        calls: list[str] = []

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            self.calls.append("next" if may_wait() else "wait")
            return bytes(LENGTH) if may_wait() else b""

        def close(self) -> None:
            self.calls.append("close")

    async def read() -> None:
        chunks = Threaded(Endless(), defers=True)
        while chunks._following is None:
            await anext(chunks)
        await chunks.aclose()
        await asyncio.sleep(0)
        await sync_to_async(Endless.calls.append)("end")

    in_request(read)
    assert Endless.calls[-2:] == ["close", "end"]
