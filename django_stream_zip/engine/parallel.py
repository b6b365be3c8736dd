"""Members encoded in a pool of threads: what `workers` does.

The driver reads on while the pool deflates and encrypts what was read before. Members become
`Segment`s in the order of the archive: their content, and a task that encodes it. Segments wait in
a `SegmentQueue` until those before them are written; so do errors. A long member is deflated in
segments apart from each other, a short one as a whole, to the same bytes as without workers.

    segment: content ──┬── when it is next ── archive.write_encoded(content, data)
                       └── task, in a thread ───────────────────────────────┘

Which bytes come out depends on the members alone, never on which task was done first. Of event
loops only `Pool.aclose` and `Segment.wait` know anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

from django_stream_zip.engine.accelerators import Deflate
from django_stream_zip.engine.aes import Encryption
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.encoders import STORED, Encoder
from django_stream_zip.engine.entry import Options, encoder_for
from django_stream_zip.engine.errors import ZipValueError
from django_stream_zip.engine.held import HeldMember
from django_stream_zip.engine.members import as_bytes
from django_stream_zip.engine.methods import Coding, Method

# Measured with CSV text: segments of 128 KiB, 256 KiB and 1 MiB make 0.08, 0.03 and 0.01 % more of
# it than one stream. ISA-L needs 2 ms for 256 KiB, handing it to a thread and back takes 0.05.
SEGMENT_LENGTH: Final = 1 << 18
_DICTIONARY_LENGTH: Final = 1 << 15  # deflate's window
# What is shorter and only deflated is encoded when it is written: zlib takes 0.1 ms for so much.
_WORTH_A_TASK: Final = 1 << 12
# One segment that a worker is at and one that waits for it; or so many short members.
_LONG_SEGMENTS_PER_WORKER: Final = 2
_SEGMENTS_PER_WORKER: Final = 32

Opening = tuple[str, datetime, int, Method]


class Pool:
    """So many threads, which start when there is something to do and end with `close`.

    `options` are those of the archive.
    """

    def __init__(self, options: Options, number: int) -> None:
        if not (type(number) is int and number >= 0):
            raise ZipValueError(f"workers must be a number of threads, 0 or more, not {number!r}")
        self.options = options
        self.number = number
        self._executor = ThreadPoolExecutor(number or 1, thread_name_prefix="stream_zip")
        self._tasks: set[Future[bytes]] = set()

    def submit(self, function: Callable[..., bytes], *arguments: Any) -> Future[bytes]:
        """Have a worker call it. Arguments that are tasks themselves are replaced by their results.

        A task waits for earlier tasks only, and they are begun in order, so one always gets on.
        """
        # In the caller's context, as asyncio.to_thread does: a `get_compressobj` may look at it.
        task = self._executor.submit(copy_context().run, _called, function, arguments)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        """Drop the tasks that aren't begun, wait for those that are."""
        self._executor.shutdown(cancel_futures=True)

    async def aclose(self) -> None:
        """Do the same and let the event loop run meanwhile."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        await asyncio.gather(*map(asyncio.wrap_future, tuple(self._tasks)), return_exceptions=True)
        self._executor.shutdown()


class Segment:
    """Some content of a member, and the task that encodes it: None where the archive does that.

    `opening` is that of the member which it begins; `encoder` then encodes what has no task.
    """

    __slots__ = ("_encoder", "_is_last", "_opening", "_task", "content", "was_held")

    def __init__(
        self,
        content: bytes,
        *,
        is_last: bool,
        opening: Opening | None = None,
        task: Future[bytes] | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        self.content = content
        #: Whether it begins a member that was held until its size and CRC-32 were known.
        self.was_held = False
        self._task = task
        self._opening = opening
        self._is_last = is_last
        self._encoder = encoder

    @property
    def is_ready(self) -> bool:
        """Whether nothing has to be waited for."""
        return self._task is None or self._task.done()

    async def wait(self) -> None:
        """Wait until it is ready, whether its task succeeds or not."""
        if self._task is not None and not self._task.done():
            await asyncio.gather(asyncio.wrap_future(self._task), return_exceptions=True)

    def written(self, archive: Archive) -> Iterator[bytes]:
        """Write it; yield the archive's next bytes."""
        data = None if self._task is None else self._task.result()
        if self._opening is not None:
            yield archive.begin(*self._opening, self._encoder)
        if data is None:
            yield archive.write(self.content)
        else:
            yield archive.write_encoded(self.content, data)
        if self._is_last:
            yield archive.end()


class Failure(Segment):
    """An error of the caller's iterables, raised when all before it is written."""

    def __init__(self, error: Exception) -> None:
        super().__init__(b"", is_last=True)
        self._error = error

    def written(self, archive: Archive) -> NoReturn:
        """Raise it."""
        raise self._error


class SegmentQueue:
    """Segments that wait to be written: as many, and as many bytes, as keep all workers busy."""

    def __init__(self, workers: int) -> None:
        self._segments: deque[Segment] = deque()
        self._length = 0
        self._max_length = workers * _LONG_SEGMENTS_PER_WORKER * SEGMENT_LENGTH
        self._max_segments = workers * _SEGMENTS_PER_WORKER

    def __bool__(self) -> bool:
        return bool(self._segments)

    def append(self, segment: Segment) -> None:
        """Add one more."""
        self._segments.append(segment)
        self._length += len(segment.content)

    def due(self) -> Iterator[Segment]:
        """Take out those to be written now: what is ready, and what is too much to be held."""
        while self._segments and (self._segments[0].is_ready or self._is_full()):
            yield self._popleft()

    def rest(self) -> Iterator[Segment]:
        """Take out all."""
        while self._segments:
            yield self._popleft()

    def _is_full(self) -> bool:
        return self._length >= self._max_length or len(self._segments) >= self._max_segments

    def _popleft(self) -> Segment:
        segment = self._segments.popleft()
        self._length -= len(segment.content)
        return segment


class Segmenter(Protocol):
    """Cuts a member that is being read into segments."""

    def push(self, chunk: bytes) -> Iterator[Segment]:
        """Take a chunk of content; yield the segments that are complete."""

    def end(self) -> Iterator[Segment]:
        """Yield what is left."""


def segmenter_for(
    name: str, modified_at: datetime, mode: int, method: Any, pool: Pool
) -> Segmenter:
    """Return what cuts a member. Wrong values, also of `method`, are found when it is written."""
    opening = (name, modified_at, mode, method)
    if not isinstance(method, Method):
        return _Unencoded(opening)
    if method.buffered:
        return _Held(opening, pool)
    if method.coding is not Coding.STORE:
        return _Deflated(opening, pool)
    return _Unencoded(opening) if pool.options.encryption is None else _Encrypted(opening, pool)


class _Unencoded:
    """A member that is written as it comes."""

    def __init__(self, opening: Opening) -> None:
        self._name = opening[0]
        self._opening: Opening | None = opening

    def push(self, chunk: bytes) -> Iterator[Segment]:
        # In pieces of which each takes an event loop no time.
        for piece in _pieces(as_bytes(self._name, chunk), STORED.slow_from):
            yield self._segment(piece, is_last=False)

    def end(self) -> Iterator[Segment]:
        yield self._segment(b"", is_last=True)

    def _segment(self, content: bytes, *, is_last: bool) -> Segment:
        opening, self._opening = self._opening, None
        return Segment(content, is_last=is_last, opening=opening)


class _Held:
    """A member that is held until its size and CRC-32 are known. Then it is one of the others."""

    def __init__(self, opening: Opening, pool: Pool) -> None:
        self._member = HeldMember(*opening)
        self._pool = pool

    def push(self, chunk: bytes) -> Iterator[Segment]:
        self._member.append(as_bytes(self._member.name, chunk))
        yield from ()

    def end(self) -> Iterator[Segment]:
        segments = self._segments()
        first = next(segments)
        first.was_held = True
        yield first
        yield from segments

    def _segments(self) -> Iterator[Segment]:
        member, pool = self._member, self._pool
        method = member.streamed_method()
        segmenter = segmenter_for(member.name, member.modified_at, member.mode, method, pool)
        for chunk in member.chunks:
            yield from segmenter.push(chunk)
        yield from segmenter.end()


class _Whole:
    """What a member is as long as it isn't longer than a segment: encoded by one task."""

    def __init__(self, opening: Opening, pool: Pool) -> None:
        self._opening = opening
        self._method = opening[3]
        self._pool = pool
        self._held = bytearray()

    def _whole(self) -> Segment:
        options, content = self._pool.options, bytes(self._held)
        if options.encryption is None and len(content) < _WORTH_A_TASK:
            return Segment(content, is_last=True, opening=self._opening)
        name, method = self._opening[0], self._method
        task = self._pool.submit(_encode_whole, name, method, _salted(options), content)
        return Segment(content, is_last=True, opening=self._opening, task=task, encoder=STORED)


class _Encrypted(_Whole):
    """A member that is only encrypted.

    If it is long, a worker derives the keys and encrypts the first segment; the archive does the
    rest: the way to a thread and back takes as long as encrypting a segment.
    """

    def __init__(self, opening: Opening, pool: Pool) -> None:
        super().__init__(opening, pool)
        self._is_long = False

    def push(self, chunk: bytes) -> Iterator[Segment]:
        for piece in _pieces(as_bytes(self._opening[0], chunk), SEGMENT_LENGTH):
            if self._is_long:
                yield Segment(piece, is_last=False)
                continue
            self._held += piece
            if len(self._held) > SEGMENT_LENGTH:
                yield self._first()

    def end(self) -> Iterator[Segment]:
        yield Segment(b"", is_last=True) if self._is_long else self._whole()

    def _first(self) -> Segment:
        self._is_long = True
        content = bytes(self._held)
        self._held.clear()
        encoder = encoder_for(self._opening[0], self._method, _salted(self._pool.options))
        task = self._pool.submit(_encode, encoder, content, False, None)
        opening = self._opening
        return Segment(content, is_last=False, opening=opening, task=task, encoder=encoder)


class _Deflated(_Whole):
    """A member that is deflated, or inflated to verify it. If it is long, in segments: `_Tasks`."""

    def __init__(self, opening: Opening, pool: Pool) -> None:
        super().__init__(opening, pool)
        self._tasks: _Tasks | None = None

    def push(self, chunk: bytes) -> Iterator[Segment]:
        for piece in _pieces(as_bytes(self._opening[0], chunk), SEGMENT_LENGTH):
            self._held += piece
            if len(self._held) > SEGMENT_LENGTH:
                yield self._full()

    def end(self) -> Iterator[Segment]:
        if self._tasks is None:
            yield self._whole()
        else:
            content = bytes(self._held)
            yield Segment(content, is_last=True, task=self._tasks.submit(content, is_last=True))

    def _full(self) -> Segment:
        opening = None
        if self._tasks is None:
            opening = self._opening
            self._tasks = _Tasks(opening[0], self._method, self._pool)
        content = bytes(memoryview(self._held)[:SEGMENT_LENGTH])
        del self._held[:SEGMENT_LENGTH]
        task = self._tasks.submit(content, is_last=False)
        return Segment(content, is_last=False, opening=opening, task=task, encoder=STORED)


class _Tasks:
    """The tasks that encode the segments of one member that is deflated or inflated.

    They are deflated independently if it is known how to pass a dictionary: a compression object of
    the caller's own gets them one after the other. So does encryption, and what inflates.
    """

    def __init__(self, name: str, method: Method, pool: Pool) -> None:
        self._pool = pool
        options = _salted(pool.options)
        how = method.deflate or options.get_compressobj
        is_deflated = method.coding is Coding.DEFLATE
        self._deflate = how if is_deflated and isinstance(how, Deflate) else None
        self._in_order: Encoder | None = None
        if self._deflate is None:
            self._in_order = encoder_for(name, method, options)
        elif options.encryption is not None:
            self._in_order = options.encryption.encrypted(STORED)
        self._before = b""
        self._previous: Future[bytes] | None = None

    def submit(self, content: bytes, *, is_last: bool) -> Future[bytes]:
        """Return the task that encodes the next segment."""
        data: Any = content
        if self._deflate is not None:
            limiter = self._pool.options.limiter
            arguments: Any = (limiter, self._deflate, content, self._before, is_last)
            data = self._pool.submit(_deflate_segment, *arguments)
            self._before = content[-_DICTIONARY_LENGTH:]
        if self._in_order is not None:
            arguments = (self._in_order, data, is_last, self._previous)
            data = self._previous = self._pool.submit(_encode, *arguments)
        task: Future[bytes] = data
        return task


def _salted(options: Options) -> Options:
    """Return the options for one member, with its salt: salts are drawn in the order of members."""
    if isinstance(options.encryption, Encryption):
        return replace(options, encryption=options.encryption.salted())
    return options


def _pieces(chunk: bytes, length: int) -> Iterable[bytes]:
    if len(chunk) <= length:
        return (chunk,) if chunk else ()
    return (chunk[start : start + length] for start in range(0, len(chunk), length))


# What workers call.


def _called(function: Callable[..., bytes], arguments: tuple[Any, ...]) -> bytes:
    return function(*[one.result() if isinstance(one, Future) else one for one in arguments])


def _encode_whole(name: str, method: Method, options: Options, content: bytes) -> bytes:
    """Encode all of a member; its keys are derived here too, and the memory for deflate is got."""
    encoder = encoder_for(name, method, options)
    return encoder.write(content) + encoder.end()


def _deflate_segment(
    limiter: AbstractContextManager[Any],
    deflate: Deflate,
    content: bytes,
    before: bytes,
    is_last: bool,
) -> bytes:
    """Deflate one segment of several."""
    with limiter:
        return deflate.block(content, before, is_last)


def _encode(encoder: Encoder, data: bytes, is_last: bool, previous: bytes | None) -> bytes:
    """Encode the next segment of several, when `previous` is there."""
    return encoder.write(data) + (encoder.end() if is_last else b"")
