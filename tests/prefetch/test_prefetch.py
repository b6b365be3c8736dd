"""Remote contents are fetched before their turn: the same bytes, in order, bounded, and closed."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip import NO_COMPRESSION_AUTO, ZIP_64, async_stream_zip, stream_zip
from django_stream_zip.delivery.download import ZipDownloadError
from django_stream_zip.planning.plan import Plan
from django_stream_zip.prefetch.buffer import CHUNK_LENGTH, Budget, Buffer, Waiter
from django_stream_zip.prefetch.tasks import AsyncPrefetch, aprefetched
from django_stream_zip.prefetch.threads import Prefetch, prefetched
from django_stream_zip.response import zip_response
from tests.support.contents import (
    MODE,
    TIME,
    ContentMember,
    CountingContent,
    NoChecksums,
    errors_of,
)
from tests.support.network import aeventually, eventually
from tests.support.sources import BrokenSourceError, collected

MIB = 1 << 20


_numbers = itertools.count()


class Remote(CountingContent):
    """A content that may be fetched by another thread, or on the event loop."""

    is_remote = True

    def __init__(self, data: Any = b"content", error: Exception | None = None, **kwargs: Any):
        # Of its own: what a test leaves in the cache is for no other.
        super().__init__(data, identity=f"ahead {next(_numbers)}", **kwargs)
        self.error = error

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        yield from super().chunks(start, stop)
        if self.error is not None:
            raise self.error


class AsyncRemote(Remote):
    """The same, asynchronous only."""

    __iter__: Any = None

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        return self._achunks(super().chunks(start, stop))

    async def _achunks(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        with closing(chunks):  # type: ignore[type-var]
            for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()


class Meeting(Remote):
    """A content whose first chunk comes when so many contents are asked for theirs."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__(b"x" * 10)
        self.barrier = barrier

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        self.barrier.wait(30)
        yield from super().chunks(start, stop)


class Silent(Remote):
    """A content that keeps who asks for it waiting, until it is let go."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asked_for = threading.Event()
        self.let_go = threading.Event()

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        self.is_open = True
        try:
            self.asked_for.set()
            self.let_go.wait(60)
            yield from super().chunks(start, stop)
        finally:
            self.is_open = False


def member(content: CountingContent, name: str = "a.bin") -> ContentMember:
    return name, TIME, MODE, NO_COMPRESSION_AUTO(content.size, content.crc_32), content


def numbered(contents: Iterable[CountingContent]) -> list[ContentMember]:
    return [member(content, f"{number}.bin") for number, content in enumerate(contents)]


def fresh(members: list[ContentMember]) -> list[ContentMember]:
    for *_, content in members:
        content.forget()
    return members


async def amembers(members: Iterable[ContentMember]) -> AsyncIterator[ContentMember]:
    for one in members:
        yield one


def given_of(contents: Iterable[CountingContent]) -> int:
    return sum(last - first for content in contents for first, last in content.given)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("zip_prefetch")]


sizes = st.sampled_from([0, 1, 100, 9_999, 10_000, 70_000, 300_000, 700_000])


@st.composite
def contents(draw: st.DrawFn, kinds: list[Any]) -> list[Any]:
    return [
        draw(st.sampled_from(kinds))(
            random.Random(number).randbytes(size),
            chunk_length=draw(st.sampled_from([7_000, 65_536, 400_000])),
        )
        for number, size in enumerate(draw(st.lists(sizes, max_size=12)))
    ]


ahead_of = st.tuples(st.integers(1, 9), st.sampled_from([0, 1, 300_000, 4 * MIB]))


@given(contents=contents([Remote, CountingContent]), ahead=ahead_of)
def test_the_archive_is_the_same(contents: list[Any], ahead: tuple[int, int]) -> None:
    expected = b"".join(stream_zip(numbered(contents)))
    number, max_bytes = ahead
    members = prefetched(fresh(numbered(contents)), number=number, max_bytes=max_bytes)
    assert b"".join(stream_zip(members)) == expected
    assert [content.opened for content in contents] == [1] * len(contents)
    assert not any(content.is_open for content in contents)


@given(contents=contents([AsyncRemote]), ahead=ahead_of)
def test_so_is_the_asynchronous_one(contents: list[Any], ahead: tuple[int, int]) -> None:
    expected = b"".join(collected(async_stream_zip(amembers(numbered(contents)))))
    number, max_bytes = ahead

    def members() -> Any:
        return aprefetched(amembers(fresh(numbered(contents))), number=number, max_bytes=max_bytes)

    assert b"".join(collected(async_stream_zip(members()))) == expected
    assert [content.opened for content in contents] == [1] * len(contents)
    assert not any(content.is_open for content in contents)


@given(contents=contents([Remote, CountingContent]), ahead=ahead_of, data=st.data())
def test_a_window_is_a_slice_and_what_is_outside_is_not_read(
    contents: list[Any], ahead: tuple[int, int], data: st.DataObject
) -> None:
    members = numbered(contents)
    plan = Plan.of(members)
    assert plan is not None
    start = data.draw(st.integers(0, plan.length))
    stop = data.draw(st.integers(start, plan.length))
    archive = b"".join(stream_zip(members))
    fresh(members)
    list(plan.window(start, stop, checksums=NoChecksums()))
    directly = [list(content.asked) for content in contents]
    fresh(members)
    with closing(Prefetch(*ahead)) as source:
        window = plan.window(start, stop, checksums=NoChecksums(), source=source)
        assert b"".join(window) == archive[start:stop]
    assert [content.asked for content in contents] == directly


def test_so_many_are_fetched_at_once_and_not_more() -> None:
    at_once = 5
    contents = [Meeting(threading.Barrier(at_once)) for number in range(2 * at_once)]
    barriers = [threading.Barrier(at_once) for _ in range(2)]
    for number, content in enumerate(contents):
        content.barrier = barriers[number // at_once]
    members = prefetched(numbered(contents), number=at_once)
    given = stream_zip(members)
    next(given)
    assert [content.opened for content in contents[at_once:]] == [0] * at_once
    list(given)  # who isn't fetched with the others breaks the barrier


def test_what_a_plan_reads_is_fetched_at_once_too() -> None:
    barrier = threading.Barrier(8)
    plan = Plan.of(numbered([Meeting(barrier) for number in range(16)]))
    assert plan is not None
    with closing(Prefetch(8, 4 * MIB)) as source:
        list(plan.window(0, plan.length, checksums=NoChecksums(), source=source))


def test_no_more_waits_than_there_is_room_for() -> None:
    contents = [Remote(b"x" * 3 * MIB, chunk_length=CHUNK_LENGTH) for _ in range(12)]
    members = prefetched(numbered(contents), number=8, max_bytes=2 * MIB)
    first = iter(next(members)[4])
    next(first)
    assert eventually(lambda: given_of(contents) > MIB)
    time.sleep(0.2)
    assert given_of(contents) <= 2 * MIB + 2 * CHUNK_LENGTH  # the one given, and one for who is due
    members.close()
    assert eventually(lambda: not any(content.is_open for content in contents))


def test_one_whose_turn_it_is_gets_on_however_little_room_there_is() -> None:
    contents = [Remote(b"x" * 5 * CHUNK_LENGTH, chunk_length=CHUNK_LENGTH) for _ in range(9)]
    archive = b"".join(stream_zip(prefetched(numbered(contents), number=8, max_bytes=0)))
    assert archive == b"".join(stream_zip(numbered(contents)))


@pytest.mark.parametrize("number", [1, 3, 8])
def test_an_error_comes_when_it_is_its_turn(number: int) -> None:
    contents = [
        Remote(b"x" * 100_000, error=BrokenSourceError() if one == 3 else None) for one in range(9)
    ]
    log: list[bytes] = []
    expected: list[bytes] = []
    with pytest.raises(BrokenSourceError):
        expected.extend(stream_zip(numbered(contents)))
    with pytest.raises(BrokenSourceError):
        log.extend(stream_zip(prefetched(numbered(contents), number=number)))
    assert b"".join(log) == b"".join(expected)
    assert eventually(lambda: not any(content.is_open for content in contents))


def test_an_error_of_the_members_waits_for_those_before_it() -> None:
    def members() -> Iterator[ContentMember]:
        yield from numbered([Remote(), Remote()])
        raise BrokenSourceError

    given = prefetched(members())
    assert [next(given)[0], next(given)[0]] == ["0.bin", "1.bin"]
    with pytest.raises(BrokenSourceError):
        next(given)


def test_a_member_that_is_none_is_found_in_its_turn() -> None:
    given = stream_zip(prefetched([member(Remote()), ("x",)]))  # type: ignore[list-item]
    with pytest.raises(ValueError, match="member"):
        list(given)


def test_who_makes_local_members_one_by_one_is_not_asked_ahead() -> None:
    log: list[str] = []

    def members() -> Iterator[ContentMember]:
        for number in range(4):
            log.append(f"made {number}")
            yield member(CountingContent())
            log.append(f"over {number}")

    for number, _ in enumerate(prefetched(members())):
        assert log[-1] == f"made {number}"


def test_the_first_does_not_wait_for_members_that_take_their_time() -> None:
    made = 0
    contents = [Remote() for _ in range(8)]

    def members() -> Iterator[ContentMember]:
        nonlocal made
        for one in numbered(contents):
            if made:
                assert eventually(lambda: given_of(contents[:1]))
                time.sleep(0.1)
            made += 1
            yield one

    with closing(prefetched(members())) as given:
        next(given)
        assert made < 8


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_closing_closes_everything_and_waits_for_nobody(chunks: int) -> None:
    silent = Silent()
    contents: list[Any] = [Remote(b"x" * 50_000), silent, *[Remote(b"x" * 50_000)] * 6]
    given = stream_zip(prefetched(numbered(contents)), chunk_size=10_000)
    next(given)
    for _ in range(chunks):
        next(given)
    assert silent.asked_for.wait(30)
    given.close()
    assert silent.is_open  # it is still waiting
    silent.let_go.set()
    assert eventually(lambda: not any(content.is_open for content in contents))
    assert eventually(lambda: not threads())


def test_nothing_starts_before_the_first_byte_is_asked_for() -> None:
    content = Remote()
    given = prefetched([member(content)])
    plan = Plan.of([member(content)])
    assert plan is not None
    source = Prefetch(8, MIB)
    window = plan.window(0, plan.length, checksums=NoChecksums(), source=source)
    assert eventually(lambda: not threads())  # those of other tests may be about to end
    assert content.opened == 0
    given.close()
    window.close()
    source.close()


def test_reading_on_after_the_end_is_no_end_of_the_content() -> None:
    silent = Silent()
    source = Prefetch(2, MIB)
    chunks = next(iter(source.members([member(silent)])))[4]
    source.close()
    with pytest.raises(ValueError, match="closed"):
        next(iter(chunks))
    silent.let_go.set()


def test_tasks_are_cancelled_at_once() -> None:
    class Stuck(AsyncRemote):
        async def _achunks(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
            self.is_open = True
            try:
                await asyncio.sleep(60)
                yield b""
            finally:
                self.is_open = False

    contents = [AsyncRemote(b"x"), Stuck(), Stuck()]

    async def some() -> None:
        given = async_stream_zip(aprefetched(amembers(numbered(contents))))
        await anext(given)
        assert await aeventually(
            lambda: [content.is_open for content in contents] == [False, True, True]
        )
        await given.aclose()
        assert not any(content.is_open for content in contents)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(some())


def test_async_room_is_bounded_too() -> None:
    contents = [AsyncRemote(b"x" * 3 * MIB, chunk_length=CHUNK_LENGTH) for _ in range(12)]

    async def some() -> int:
        members = aprefetched(amembers(numbered(contents)), max_bytes=2 * MIB)
        first = (await anext(members))[4]
        await anext(aiter(first))
        assert await aeventually(lambda: given_of(contents) > MIB)
        await asyncio.sleep(0.2)
        fetched = given_of(contents)
        await members.aclose()
        return fetched

    assert asyncio.run(some()) <= 2 * MIB + 2 * CHUNK_LENGTH


def test_async_errors_come_in_their_turn() -> None:
    contents = [AsyncRemote(error=BrokenSourceError() if one == 2 else None) for one in range(6)]

    names = []

    async def some() -> None:
        async for name, *_, chunks in aprefetched(amembers(numbered(contents))):
            async for _ in chunks:
                pass
            names.append(name)

    with pytest.raises(BrokenSourceError):
        asyncio.run(some())
    assert names == ["0.bin", "1.bin"]


# In responses.


def response(members: Any, *, is_async: bool = False) -> Any:
    factory: Any = AsyncRequestFactory() if is_async else RequestFactory()
    return zip_response(factory.get("/"), members)


async def adownloaded(members: Any) -> bytes:
    return b"".join([block async for block in response(members, is_async=True)])


WAYS: dict[str, Callable[[list[ContentMember]], bytes]] = {
    "planned": lambda members: b"".join(response(members)),
    "not planned": lambda members: b"".join(response(iter(members))),
    "planned, under ASGI": lambda members: asyncio.run(adownloaded(members)),
    "not planned, under ASGI": lambda members: asyncio.run(adownloaded(iter(members))),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_response_reads_ahead(way: str) -> None:
    barrier = threading.Barrier(8)
    contents = [Meeting(barrier) for number in range(16)]
    assert len(WAYS[way](numbered(contents))) > 160
    assert eventually(lambda: not threads())


@pytest.mark.parametrize("way", ["planned", "not planned"])
def test_a_response_of_asynchronous_contents_reads_ahead(way: str) -> None:
    at_once = 0
    most = 0

    class Counted(AsyncRemote):
        async def _achunks(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await aeventually(lambda: most >= 8)
            await asyncio.sleep(0.01)
            async for chunk in super()._achunks(chunks):
                yield chunk
            at_once -= 1

    members = numbered([Counted() for number in range(20)])
    archive = asyncio.run(adownloaded(members if way == "planned" else amembers(members)))
    plan = Plan.of(members)
    assert plan is not None
    assert len(archive) == plan.length
    assert 8 <= most <= 16


def test_a_response_reads_nothing_ahead_if_the_setting_says_so(settings: Any) -> None:
    settings.DJANGO_STREAM_ZIP = {"PREFETCH_MEMBERS": 0}
    contents = [Remote(), Silent()]
    blocks = iter(response(iter(numbered(contents))))
    next(blocks)
    assert not contents[1].asked_for.is_set()  # type: ignore[attr-defined]
    contents[1].let_go.set()  # type: ignore[attr-defined]
    list(blocks)


@pytest.mark.parametrize("is_planned", [True, False])
def test_a_client_who_goes_away_closes_what_was_fetched_ahead(is_planned: bool) -> None:
    contents = [Remote(b"x" * 300_000) for number in range(20)]
    members = numbered(contents)
    given = response(members if is_planned else iter(members))
    next(iter(given))
    assert eventually(lambda: sum(content.opened for content in contents) > 1)
    given.close()
    assert eventually(lambda: not any(content.is_open for content in contents))
    assert eventually(lambda: not threads())


def test_deflated_members_are_fetched_ahead_by_workers_too() -> None:
    barrier = threading.Barrier(4)
    members = [(f"{number}.txt", TIME, MODE, ZIP_64, Meeting(barrier)) for number in range(8)]
    assert b"".join(stream_zip(prefetched(members, number=4), workers=2))


# How fetching may end: whoever waits for the content hears of it, as of an ordinary error.


class OddError(BaseException):
    """No Exception, as KeyboardInterrupt is none."""


ENDINGS: dict[str, tuple[BaseException, type[Exception]]] = {
    "an error": (BrokenSourceError(), BrokenSourceError),
    "cancelled": (asyncio.CancelledError(), RuntimeError),
    "closed": (GeneratorExit(), RuntimeError),
    "no Exception": (OddError(), RuntimeError),
    "over, too early": (StopIteration(), RuntimeError),
    "over, too early, asynchronously": (StopAsyncIteration(), RuntimeError),
}
# What means the end of an iteration is none where the content is opened.
ENDED = pytest.mark.parametrize(
    ("ending", "expected", "at"),
    [
        pytest.param(*ENDINGS[name], at, id=f"{name}, {at}")
        for name in ENDINGS
        for at in ("iter", "next", "later")
        if at == "iter" or not name.startswith("over")
    ],
)


class Ending(Remote):
    """A content that ends in some way: when it is opened, or at its first or third chunk."""

    def __init__(self, ending: BaseException, at: str) -> None:
        super().__init__(b"x" * 20_000)
        self.ending = ending
        self.left = {"iter": -1, "next": 0, "later": 2}[at]

    def opened_by(self) -> Any:
        if self.left < 0:
            raise self.ending
        return self

    def next_chunk(self) -> bytes:
        if not self.left:
            raise self.ending
        self.left -= 1
        return b"x" * 10_000

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        return iter(self)

    def __iter__(self) -> Any:
        return self.opened_by()

    def __next__(self) -> bytes:
        return self.next_chunk()


class AsyncEnding(Ending):
    """The same, asynchronous."""

    __iter__: Any = None

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        return aiter(self)

    def __aiter__(self) -> Any:
        return self.opened_by()

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        return self.next_chunk()


@ENDED
def test_however_a_thread_ends_it_is_an_error(
    ending: BaseException, expected: type[Exception], at: str
) -> None:
    members = [member(Ending(ending, at), "0.bin"), member(Remote(), "1.bin")]
    with pytest.raises(expected) as raised:
        list(stream_zip(prefetched(members)))
    assert raised.value is ending or raised.value.__cause__ is ending
    assert eventually(lambda: not threads())


@ENDED
def test_however_a_task_ends_it_is_an_error(
    ending: BaseException, expected: type[Exception], at: str
) -> None:
    members = [member(AsyncEnding(ending, at), "0.bin"), member(AsyncRemote(), "1.bin")]

    async def some() -> None:
        async with asyncio.timeout(20):
            async for _ in async_stream_zip(aprefetched(amembers(members))):
                pass

    async def left() -> int:
        with pytest.raises(expected):
            await some()
        return len(asyncio.all_tasks())

    assert asyncio.run(left()) == 1


@ENDED
@pytest.mark.parametrize("kind", [Ending, AsyncEnding])
@pytest.mark.parametrize("is_planned", [True, False])
def test_however_it_ends_a_download_breaks_off_and_logs_that_once(
    ending: BaseException,
    expected: type[Exception],
    at: str,
    kind: type[Ending],
    is_planned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken: Any = kind(ending, at)
    broken.size = 30_000
    members = [member(AsyncRemote(), "0.bin"), member(broken, "1.bin")]

    async def some() -> None:
        async with asyncio.timeout(20):
            await adownloaded(members if is_planned else amembers(members))

    with pytest.raises(ZipDownloadError, match=expected.__name__):
        asyncio.run(some())
    assert errors_of(caplog) == ["django_stream_zip"]
    assert eventually(lambda: not threads())


# Where an event loop is emptied by somebody, say.
def test_a_task_that_somebody_cancels_before_it_begins_is_an_error() -> None:
    async def some() -> None:
        given = aprefetched(amembers(numbered([AsyncRemote(b"x" * 10)])))
        chunks: Any = (await anext(given))[4]
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        async with asyncio.timeout(20):
            with pytest.raises(RuntimeError, match="CancelledError"):
                await anext(aiter(chunks))
        await given.aclose()

    asyncio.run(some())


@pytest.mark.parametrize("is_async", [True, False])
def test_a_thread_that_does_not_start_is_an_error_and_leaves_nothing(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    contents = [Remote(), Remote(), AsyncRemote() if is_async else Remote()]
    members = numbered(contents)

    async def some() -> None:
        async with asyncio.timeout(20):
            await anext(aiter(async_stream_zip(aprefetched(amembers(members)))))

    with monkeypatch.context() as patch:
        patch.setattr("django_stream_zip.prefetch.threads.Thread.start", start)
        with pytest.raises(RuntimeError, match="new thread"):
            asyncio.run(some()) if is_async else list(stream_zip(prefetched(members)))
    assert not any(content.is_open for content in contents)
    assert not threads()


def test_the_members_are_closed_with_what_reads_them_ahead() -> None:
    is_closed = False

    async def members() -> AsyncIterator[ContentMember]:
        nonlocal is_closed
        try:
            for one in numbered([AsyncRemote() for _ in range(20)]):
                yield one
        finally:
            is_closed = True

    async def some() -> None:
        ahead = AsyncPrefetch(4, MIB)
        source = members()  # held on purpose: nobody else closes it
        given = ahead.members(source)
        await anext(given)
        await given.aclose()
        await ahead.aclose()
        assert is_closed

    asyncio.run(some())


# What waits of both kinds, for one download.
def test_threads_and_tasks_share_one_room() -> None:
    contents = [
        kind(b"x" * 3 * MIB, chunk_length=CHUNK_LENGTH) for kind in [Remote, AsyncRemote] * 6
    ]

    async def some() -> int:
        members = aprefetched(amembers(numbered(contents)), max_bytes=2 * MIB)
        first: Any = (await anext(members))[4]
        await asyncio.to_thread(next, iter(first))
        assert await aeventually(lambda: given_of(contents) > MIB)
        await asyncio.sleep(0.2)
        fetched = given_of(contents)
        await members.aclose()
        return fetched

    assert asyncio.run(some()) <= 2 * MIB + 2 * CHUNK_LENGTH  # see above
    assert eventually(lambda: not any(content.is_open for content in contents))
    assert eventually(lambda: not threads())


@given(
    contents=contents([Remote, AsyncRemote, CountingContent]), room=st.sampled_from([0, 300_000])
)
def test_an_archive_of_both_kinds_is_the_same(contents: list[Any], room: int) -> None:
    expected = asyncio.run(adownloaded(amembers(numbered(contents))))
    conf = {"PREFETCH_BYTES": room}
    with override_settings(DJANGO_STREAM_ZIP=conf):
        assert asyncio.run(adownloaded(amembers(fresh(numbered(contents))))) == expected
    assert [content.opened for content in contents] == [1] * len(contents)


# What a caller may do wrong, or a content.


@pytest.mark.parametrize("size", [10, 600_000])
def test_a_content_read_too_late_is_an_error_and_not_a_short_one(size: int) -> None:
    contents = [Remote(b"x" * size, chunk_length=CHUNK_LENGTH) for _ in range(5)]
    members = list(prefetched(numbered(contents), max_bytes=300_000))
    for *_, chunks in members:
        with pytest.raises(ValueError, match="closed"):
            list(chunks)
    amembers_ = [AsyncRemote(b"x" * size, chunk_length=CHUNK_LENGTH) for _ in range(5)]

    async def late() -> None:
        given = aprefetched(amembers(numbered(amembers_)), max_bytes=300_000)
        for *_, chunks in [member async for member in given]:
            with pytest.raises(ValueError, match="closed"):
                await anext(aiter(chunks))

    asyncio.run(late())


def test_members_that_are_passed_over_stop_nobody() -> None:
    contents = [Remote(b"x" * 600_000, chunk_length=CHUNK_LENGTH) for _ in range(40)]
    given = prefetched(numbered(contents), number=4, max_bytes=300_000)
    wanted = (member for number, member in enumerate(given) if number % 10 == 9)
    archive = b"".join(stream_zip(wanted))
    expected = [one for number, one in enumerate(numbered(contents)) if number % 10 == 9]
    assert archive == b"".join(stream_zip(expected))
    assert eventually(lambda: not any(content.is_open for content in contents))


def test_so_with_asynchronous_ones() -> None:
    contents = [AsyncRemote(b"x" * 600_000, chunk_length=CHUNK_LENGTH) for _ in range(40)]

    async def wanted() -> AsyncIterator[Any]:
        number = 0
        async for member in aprefetched(amembers(numbered(contents)), number=4, max_bytes=300_000):
            number += 1
            if number % 10 == 0:
                yield member

    assert len(b"".join(collected(async_stream_zip(wanted())))) > 4 * 600_000
    assert not any(content.is_open for content in contents)


@pytest.mark.parametrize("number", [0, -1, None, 1.5])
@pytest.mark.parametrize("ahead", [prefetched, aprefetched])
def test_a_number_that_is_none_is_refused_at_once(number: Any, ahead: Any) -> None:
    with pytest.raises(ValueError, match="number"):
        ahead([], number=number)


class Given(Remote):
    """A content that gives what it was given, whatever that is."""

    def __init__(self, chunks: Any) -> None:
        super().__init__()
        self._given = chunks

    def chunks(self, start: int = 0, stop: int | None = None) -> Any:
        return iter(self._given)


def test_what_is_no_chunk_is_the_same_error_as_without() -> None:
    for wrong in (None, "text", 5):
        members = [("a.txt", TIME, MODE, ZIP_64, Given([b"x", wrong, b"y"]))]
        with pytest.raises(TypeError, match=r"a\.txt"):
            list(stream_zip(members))
        with pytest.raises(TypeError, match=r"a\.txt"):
            list(stream_zip(prefetched(members)))


def reused() -> Iterator[bytearray]:
    """Yield one buffer over and over, as some readers do."""
    buffer = bytearray(4)
    for letter in b"ABC":
        buffer[:] = bytes([letter]) * 4
        yield buffer


def test_a_buffer_may_be_used_again() -> None:
    method = NO_COMPRESSION_AUTO(12)
    expected = b"".join(stream_zip([("a", TIME, MODE, method, reused())]))
    members = [("a", TIME, MODE, method, Given(reused()))]
    assert b"".join(stream_zip(prefetched(members))) == expected


@pytest.mark.parametrize("length", [1, MIB])
def test_chunks_of_any_length_are_bounded_nearly_as_well(length: int) -> None:
    contents = [Remote(b"x" * 8 * MIB, chunk_length=length) for _ in range(8)]
    members = prefetched(numbered(contents), max_bytes=2 * MIB)
    chunks = iter(next(members)[4])
    next(chunks)
    time.sleep(0.3)
    fetched = sum(last - first for content in contents for first, last in content.given)
    # Nobody can know how long the first chunk of each is.
    assert fetched <= (2 * MIB if length == 1 else 11 * MIB)
    members.close()
    assert eventually(lambda: not any(content.is_open for content in contents))


def test_a_process_ends_though_a_download_stalls() -> None:
    code = (
        "from tests.prefetch.test_prefetch import *\n"
        "given = prefetched(numbered([Remote(b'x' * 600_000) for _ in range(9)]), max_bytes=0)\n"
        "next(given)\n"
        "raise SystemExit(3)\n"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120)
    assert done.returncode == 3


def test_local_members_of_a_plan_are_not_passed_over_for_remote_ones() -> None:
    remote = Remote()
    members = numbered([CountingContent(b"x" * 70_000), CountingContent(b"x" * 70_000), remote])
    plan = Plan.of(members)
    assert plan is not None
    with closing(Prefetch(8, MIB)) as source:
        window = plan.window(0, plan.length, checksums=NoChecksums(), source=source)
        next(window)
        time.sleep(0.05)
        assert remote.opened == 0
        list(window)
    assert remote.opened == 1


def test_synchronous_remote_contents_among_asynchronous_members_are_fetched_ahead() -> None:
    barrier = threading.Barrier(8)
    members = numbered([Meeting(barrier) for _ in range(16)])
    assert len(asyncio.run(adownloaded(amembers(members)))) > 160


# Who is due is not starved by those behind it.


def fetched_behind_one_chunk(kind: Any) -> list[int]:
    """Take one chunk of the first of many contents; return how much of each was fetched."""
    contents = [kind(b"x" * 8 * MIB, chunk_length=CHUNK_LENGTH - 64) for _ in range(8)]

    async def some() -> None:
        members = aprefetched(amembers(numbered(contents)), max_bytes=4 * MIB)
        first: Any = (await anext(members))[4]
        await (anext(aiter(first)) if kind is AsyncRemote else asyncio.to_thread(next, first))
        await aeventually(lambda: given_of(contents[:1]) >= MIB)
        await asyncio.sleep(0.2)  # for what would be too much
        fetched.extend(given_of([content]) for content in contents)
        await members.aclose()

    fetched: list[int] = []
    asyncio.run(some())
    assert eventually(lambda: not threads())
    return fetched


@pytest.mark.parametrize("kind", [Remote, AsyncRemote])
def test_a_share_of_the_room_is_for_the_one_that_is_due(kind: Any) -> None:
    first, *others = fetched_behind_one_chunk(kind)
    assert sum(others) <= 3 * MIB
    assert first - CHUNK_LENGTH >= MIB - CHUNK_LENGTH  # without the chunk that was taken
    assert first + sum(others) <= 4 * MIB + CHUNK_LENGTH


def test_only_those_who_can_go_on_are_woken() -> None:
    contents = [AsyncRemote(b"x" * 100 * 65536, chunk_length=65536) for _ in range(20)]
    for content in contents:
        content._achunks = never_waiting  # type: ignore[method-assign]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def some() -> int:
        counting = asyncio.create_task(count())
        chunks = 0
        async for *_, content in aprefetched(amembers(numbered(contents))):
            async for _ in content:
                chunks += 1
        counting.cancel()
        return chunks

    assert asyncio.run(some()) == 2000
    assert turns < 1000


# All of them came for what was there for one: six wake-ups for each chunk.
def test_what_is_free_for_two_wakes_two() -> None:
    budget, woken = Budget(2 * CHUNK_LENGTH), list[int]()
    budget.free = 0
    for number in range(5):
        buffer = Buffer(budget)
        wake = functools.partial(woken.append, number)
        budget.waiting.append(Waiter(buffer.can_be_fetched, buffer.reserve, wake))
    budget.free = 2 * CHUNK_LENGTH
    budget.change()
    assert woken == [0, 1]
    assert budget.free == 0


def test_who_is_cancelled_while_waiting_keeps_nothing_of_the_budget() -> None:
    contents = [AsyncRemote(b"x" * MIB, chunk_length=65536) for _ in range(20)]

    async def some() -> int:
        ahead = AsyncPrefetch(8, 4 * MIB)
        members = ahead.members(amembers(numbered(contents)))
        async for *_, content in members:
            await anext(content)
            await asyncio.sleep(0.001)  # all the others wait for budget
        await ahead.aclose()
        return ahead._budget.free

    assert asyncio.run(some()) == 4 * MIB


async def never_waiting(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_a_small_room_still_has_the_next_one_fetched() -> None:
    contents = [Remote(b"x" * 10) for _ in range(3)]
    with closing(prefetched(numbered(contents), max_bytes=300_000)) as members:
        next(members)
        assert eventually(lambda: contents[1].opened)


# What was expected and isn't read, as another window has read it.


@pytest.mark.parametrize("skipped", [range(1, 3), range(1, 9), range(9)])
def test_skipped_contents_are_closed_and_those_behind_them_fetched(skipped: range) -> None:
    contents = [Remote(b"%d" % number * 600_000) for number in range(12)]
    with closing(Prefetch(4, MIB)) as source:
        source.expect(iter(contents))
        if 0 not in skipped:
            assert b"".join(source.chunks(contents[0], 0, None)) == contents[0].data
        for number in skipped:
            source.skip(contents[number])
        for content in contents[skipped.stop :]:
            chunks = source.chunks(content, 0, None)
            assert type(chunks).__name__ == "Fetch"
            assert b"".join(chunks) == content.data
        assert eventually(lambda: not any(content.is_open for content in contents))


def test_skipped_contents_are_closed_on_a_loop_too() -> None:
    contents = [AsyncRemote(b"%d" % number * 600_000) for number in range(12)]

    async def some() -> None:
        source = AsyncPrefetch(4, MIB)
        source.expect(iter(contents))
        for number in (0, 2, 3, 4, 5, 6, 9):
            chunks = source.chunks(contents[number], 0, None)
            assert type(chunks).__name__ == "AsyncFetch"
            assert b"".join([chunk async for chunk in chunks]) == contents[number].data
            for skipped in {0: (1,), 6: (7, 8)}.get(number, ()):
                source.skip(contents[skipped])
        assert await aeventually(lambda: not any(contents[one].is_open for one in (1, 7, 8)))
        await source.aclose()

    asyncio.run(some())


def test_a_window_goes_on_fetching_where_another_has_read_for_it() -> None:
    mine, others = ([Remote(b"x" * 5000) for _ in range(20)] for _ in range(2))
    for one, other in zip(mine, others, strict=True):
        one.identity = other.identity
    archive = b"".join(stream_zip(numbered(mine)))
    fresh(numbered(mine))
    plan, other_plan = Plan.of(numbered(mine)), Plan.of(numbered(others))
    assert plan is not None
    assert other_plan is not None
    start = archive.index(b"PK\x03\x04", 12 * 5000)
    with closing(Prefetch(8, MIB)) as source:
        reads = other_plan.window(start, plan.length, checksums=NoChecksums())
        waits = plan.window(start, plan.length, checksums=NoChecksums(), source=source)
        blocks = []
        for _ in range(11):  # by turns: the one is always there first
            assert next(reads) == b""
            assert next(waits) == b""
        assert [content.opened for content in mine] == [0] * 20
        assert b"".join(reads) == archive[start:]
        blocks.append(next(waits))
        skipped = [content.opened for content in mine[:11]]
        blocks.extend(waits)
    assert skipped == [0] * 11
    assert b"".join(blocks) == archive[start:]
    assert source._skipped == source._queue == type(source._queue)()
