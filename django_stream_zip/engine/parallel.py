"""Members made ahead of their turn, by threads: what `workers` does.

The driver reads on while workers deflate and encrypt what was read before. Members become `Part`s
in the order of the archive: their content, and a job that makes of it what is written. Parts wait
in a `Line` until it is their turn; so do errors. A long member is deflated in blocks apart from
each other, a short one as a whole, by the same means and to the same bytes as without workers.

    part: content ──┬── its turn ── archive.write(content) ── what the job made of it
                    └── job, in a thread ──────────────────────────┘

Which bytes come out depends on the members alone, never on which job was done first. Of the
callers' iterables and of event loops only `Workers.aclose` and `Part.arrived` know anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

from django_stream_zip.engine.accelerators import Deflate
from django_stream_zip.engine.aes import Encryption
from django_stream_zip.engine.archive import Archive, HeldMember, as_bytes
from django_stream_zip.engine.bodies import STORED, Body, Made
from django_stream_zip.engine.entry import Options, body_of
from django_stream_zip.engine.errors import ZipValueError
from django_stream_zip.engine.methods import Coding, Method

# Measured with CSV text: blocks of 128 KiB, 256 KiB and 1 MiB make 0.08, 0.03 and 0.01 % more of it
# than one stream. ISA-L needs 2 ms for 256 KiB, handing it to a thread and back takes 0.05.
BLOCK_LENGTH: Final = 1 << 18
_DICTIONARY_LENGTH: Final = 1 << 15  # deflate's window
# What is shorter and only deflated is done when its turn comes: zlib takes 0.1 ms for so much.
_WORTH_A_JOB: Final = 1 << 12
# One block that a worker is at and one that waits for it; or so many short members.
_BLOCKS_A_WORKER: Final = 2
_PARTS_A_WORKER: Final = 32

Opening = tuple[str, datetime, int, Method]


class Workers:
    """So many threads, which start when there is something to do and end with `close`."""

    def __init__(self, number: int) -> None:
        if not (type(number) is int and number >= 0):
            raise ZipValueError(f"workers must be a number of threads, 0 or more, not {number!r}")
        self.number = number
        self._pool = ThreadPoolExecutor(number or 1, thread_name_prefix="stream_zip")
        self._jobs: set[Future[bytes]] = set()

    def submit(self, function: Callable[..., bytes], *arguments: Any) -> Future[bytes]:
        """Have a worker call it. Of arguments that are jobs themselves it gets the results.

        A job waits for earlier jobs only, and they are begun in order, so one always gets on.
        """
        # In the caller's context, as asyncio.to_thread does: a `get_compressobj` may look at it.
        job = self._pool.submit(copy_context().run, _called, function, arguments)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    def close(self) -> None:
        """Drop what isn't begun, wait for what is."""
        self._pool.shutdown(cancel_futures=True)

    async def aclose(self) -> None:
        """Do the same and let the event loop run meanwhile."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.gather(*map(asyncio.wrap_future, tuple(self._jobs)), return_exceptions=True)
        self._pool.shutdown()


class Part:
    """Some content of a member, with what its job makes of it: None where the archive does that."""

    __slots__ = ("_body", "_is_last", "_opening", "content", "job", "was_held")

    def __init__(
        self,
        content: bytes,
        *,
        is_last: bool,
        opening: Opening | None = None,
        job: Future[bytes] | None = None,
        body: Made | None = None,
    ) -> None:
        self.content = content
        self.job = job
        #: Whether it begins a member that was held until its size and CRC-32 were known.
        self.was_held = False
        self._opening = opening
        self._is_last = is_last
        self._body = body

    @property
    def is_ready(self) -> bool:
        """Whether nothing has to be waited for."""
        return self.job is None or self.job.done()

    async def arrived(self) -> None:
        """Wait until it is ready, without a look at what came of it."""
        if self.job is not None and not self.job.done():
            await asyncio.gather(asyncio.wrap_future(self.job), return_exceptions=True)

    def written(self, archive: Archive) -> Iterator[bytes]:
        """Write it; give the archive's next bytes."""
        if self.job is not None and self._body is not None:
            self._body.data = self.job.result()
        if self._opening is not None:
            yield archive.begin(*self._opening, self._body)
        yield archive.write(self.content)
        if self._is_last:
            yield archive.end()


class Failure(Part):
    """An error of the caller's iterables that waits for its turn."""

    def __init__(self, error: Exception) -> None:
        super().__init__(b"", is_last=True)
        self._error = error

    def written(self, archive: Archive) -> NoReturn:
        """Raise it."""
        raise self._error


class Line:
    """Parts that wait for their turn: so many for each worker, as many bytes as blocks for each."""

    def __init__(self, workers: int) -> None:
        self._parts: deque[Part] = deque()
        self._length = 0
        self._most_bytes = workers * _BLOCKS_A_WORKER * BLOCK_LENGTH
        self._most_parts = workers * _PARTS_A_WORKER

    def __bool__(self) -> bool:
        return bool(self._parts)

    def append(self, part: Part) -> None:
        """Let one more wait."""
        self._parts.append(part)
        self._length += len(part.content)

    def due(self) -> Iterator[Part]:
        """Take out those whose turn it is: what is ready, and what is too much to be held."""
        while self._parts and (self._parts[0].is_ready or self._is_too_long()):
            yield self._popleft()

    def rest(self) -> Iterator[Part]:
        """Take out all."""
        while self._parts:
            yield self._popleft()

    def _is_too_long(self) -> bool:
        return self._length >= self._most_bytes or len(self._parts) >= self._most_parts

    def _popleft(self) -> Part:
        part = self._parts.popleft()
        self._length -= len(part.content)
        return part


class Making(Protocol):
    """A member that is being read."""

    def take(self, chunk: bytes) -> Iterator[Part]:
        """Take a chunk of content, give the parts that are full."""

    def end(self) -> Iterator[Part]:
        """Give the last part."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where members are begun whose parts are made by workers."""

    options: Options
    workers: Workers

    def begin(self, name: str, modified_at: datetime, mode: int, method: Any) -> Making:
        """Begin a member. What is wrong with it, `method` too, is found when it is written."""
        opening = (name, modified_at, mode, method)
        if not isinstance(method, Method):
            return _Passed(opening)
        if method.buffered:
            return _Held(opening, self)
        if method.coding is Coding.DEFLATE or self.options.encryption is not None:
            return _Gathered(opening, self.options, self.workers)
        return _Passed(opening)


class _Passed:
    """A member that goes on as it comes."""

    def __init__(self, opening: Opening) -> None:
        self._name = opening[0]
        self._opening: Opening | None = opening

    def take(self, chunk: bytes) -> Iterator[Part]:
        # In pieces of which each is nothing to an event loop.
        for piece in _pieces(as_bytes(self._name, chunk), STORED.slow_from):
            yield self._part(piece, is_last=False)

    def end(self) -> Iterator[Part]:
        yield self._part(b"", is_last=True)

    def _part(self, content: bytes, *, is_last: bool) -> Part:
        opening, self._opening = self._opening, None
        return Part(content, is_last=is_last, opening=opening)


class _Held:
    """A member that is held until its size and CRC-32 are known. Then it is one of the others."""

    def __init__(self, opening: Opening, workshop: Workshop) -> None:
        self._opening = opening
        self._workshop = workshop
        self._member = HeldMember(*opening)

    def take(self, chunk: bytes) -> Iterator[Part]:
        self._member.append(as_bytes(self._member.name, chunk))
        yield from ()

    def end(self) -> Iterator[Part]:
        parts = self._parts()
        first = next(parts)
        first.was_held = True
        yield first
        yield from parts

    def _parts(self) -> Iterator[Part]:
        member = self._member
        making = self._workshop.begin(*self._opening[:3], member.streamed_method())
        for chunk in member.chunks:
            yield from making.take(chunk)
        yield from making.end()


class _Gathered:
    """A member that is work: a block is a part, or all of it if it isn't longer."""

    def __init__(self, opening: Opening, options: Options, workers: Workers) -> None:
        self._opening = opening
        self._options = options
        self._workers = workers
        self._held = bytearray()
        self._blocks: _Blocks | None = None

    def take(self, chunk: bytes) -> Iterator[Part]:
        for piece in _pieces(as_bytes(self._opening[0], chunk), BLOCK_LENGTH):
            if self._blocks is not None and self._blocks.is_quick:
                yield Part(piece, is_last=False)
                continue
            self._held += piece
            if len(self._held) > BLOCK_LENGTH:
                yield self._block()

    def end(self) -> Iterator[Part]:
        content = bytes(self._held)
        self._held.clear()
        if self._blocks is None:
            yield self._whole(content)
        else:
            yield self._blocks.part(content, is_last=True)

    def _block(self) -> Part:
        opening, length = None, BLOCK_LENGTH
        if self._blocks is None:
            opening, method = self._opening, self._opening[3]
            self._blocks = _Blocks(method, _drawn(self._options), self._workers)
            if self._blocks.is_encrypted_only:
                length = len(self._held)  # nothing is held after it
        block = bytes(memoryview(self._held)[:length])
        del self._held[:length]
        return self._blocks.part(block, is_last=False, opening=opening)

    def _whole(self, content: bytes) -> Part:
        options, method = self._options, self._opening[3]
        if options.encryption is None and len(content) < _WORTH_A_JOB:
            return Part(content, is_last=True, opening=self._opening)
        job = self._workers.submit(_whole, method, _drawn(options), content)
        return Part(content, is_last=True, opening=self._opening, job=job, body=Made(STORED))


class _Blocks:
    """The parts of a member in several blocks.

    Blocks are deflated independently if it is known how to give them a dictionary: a compression
    object of the caller's own gets them one after the other. So does encryption. Where there is
    only that, a worker derives the keys and does the first block: the way to it and back takes as
    long as encrypting the next.
    """

    def __init__(self, method: Method, options: Options, workers: Workers) -> None:
        self._workers = workers
        self._limiter = options.limiter
        self._deflate: Deflate | None = None
        self._in_turn: Body | None = None
        how = method.deflate or options.get_compressobj
        if method.coding is Coding.DEFLATE and isinstance(how, Deflate):
            self._deflate = how
            if options.encryption is not None:
                self._in_turn = options.encryption.encrypted(STORED)
        else:
            self._in_turn = body_of(method, options)
        self.is_encrypted_only = method.coding is Coding.STORE
        self._body = Made(self._in_turn or STORED if self.is_encrypted_only else STORED)
        self._before = b""
        self._previous: Future[bytes] | None = None

    def part(self, content: bytes, *, is_last: bool, opening: Opening | None = None) -> Part:
        """Give the next block as a part, and have it made."""
        job = None if self.is_quick else self._job(content, is_last)
        return Part(content, is_last=is_last, opening=opening, job=job, body=self._body)

    @property
    def is_quick(self) -> bool:
        """Whether the rest of the content is made when its turn comes."""
        return self.is_encrypted_only and self._previous is not None

    def _job(self, content: bytes, is_last: bool) -> Future[bytes]:
        data: Any = content
        if self._deflate is not None:
            arguments: Any = (self._limiter, self._deflate, content, self._before, is_last)
            data = self._workers.submit(_deflated, *arguments)
            self._before = content[-_DICTIONARY_LENGTH:]
        if self._in_turn is not None:
            arguments = (self._in_turn, data, is_last, self._previous)
            data = self._previous = self._workers.submit(_in_turn, *arguments)
        job: Future[bytes] = data
        return job


def _drawn(options: Options) -> Options:
    """Give the options for one member: salts are drawn in the order of members."""
    if isinstance(options.encryption, Encryption):
        return replace(options, encryption=options.encryption.drawn())
    return options


def _pieces(chunk: bytes, length: int) -> Iterable[bytes]:
    if len(chunk) <= length:
        return (chunk,) if chunk else ()
    return (chunk[start : start + length] for start in range(0, len(chunk), length))


# What workers call.


def _called(function: Callable[..., bytes], arguments: tuple[Any, ...]) -> bytes:
    return function(*[one.result() if isinstance(one, Future) else one for one in arguments])


def _whole(method: Method, options: Options, content: bytes) -> bytes:
    """Make all of a member: also its keys, and the memory that deflating takes."""
    body = body_of(method, options)
    return body.write(content) + body.end()


def _deflated(
    limiter: AbstractContextManager[Any],
    deflate: Deflate,
    content: bytes,
    before: bytes,
    is_last: bool,
) -> bytes:
    """Deflate one block of several."""
    with limiter:
        return deflate.block(content, before, is_last)


def _in_turn(body: Body, data: bytes, is_last: bool, previous: bytes | None) -> bytes:
    """Make the next block of several, when `previous` is there."""
    return body.write(data) + (body.end() if is_last else b"")
