"""One download: the archive's blocks, and what logs and signals report of them.

After the first byte a failure can only be shown by aborting the response. So an error is logged
once and raised, and nothing that would make the archive look whole is written after it.
"""

from __future__ import annotations

import logging
import math
import time
from asyncio import CancelledError
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple

from django.dispatch import Signal

from django_stream_zip import MemberFile, conf
from django_stream_zip.delivery.checksums import CachedChecksums
from django_stream_zip.delivery.progress import Order, Progress
from django_stream_zip.engine.blocks import LooseBlocks
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.errors import ZipIntegrityError, one_line
from django_stream_zip.engine.members import unpacked
from django_stream_zip.engine.streams import close, stream_with
from django_stream_zip.members.connections import release_connections
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.drivers import driven
from django_stream_zip.planning.plan import Plan
from django_stream_zip.planning.steps import Action, Call, Step
from django_stream_zip.prefetch.ambient import Ambient, AmbientBlocks, carried
from django_stream_zip.prefetch.batches import ordinary
from django_stream_zip.prefetch.source import Direct
from django_stream_zip.prefetch.threads import Prefetch
from django_stream_zip.prefetch.waiting import may_wait
from django_stream_zip.signals import zip_download_finished, zip_download_started

logger = logging.getLogger("django_stream_zip")

# Constant, so that what collects logs can group them.
_FAILED: Final = "the download of %r failed after %s bytes, at or after member %r: %s: %s"

# Seconds between two pieces, from which on nothing is held back for the next one.
_PROMPT: Final = 0.005

# What is raised where a content isn't what was declared when its member was made.
_NOT_AS_DECLARED: Final = (ContentChangedError, ZipIntegrityError)


class ZipDownloadError(Exception):
    """A download was aborted; the cause says why.

    It is no OSError, whatever the cause is: some servers take every ConnectionError that comes out
    of a response for the client's, and say nothing.
    """


class Send(NamedTuple):
    """The sending of a signal."""

    signal: Signal
    sender: type
    values: dict[str, Any]

    def run(self) -> None:
        """Send it; what receivers raise is logged.

        Under ASGI asynchronous ones run on the event loop, and a disconnect cancels them there. It
        is the loop that ends this download then: it closes it.
        """
        with suppress(CancelledError):
            self.signal.send_robust(self.sender, **self.values)

    async def arun(self) -> None:
        """Send it on the event loop."""
        await self.signal.asend_robust(self.sender, **self.values)


class DownloadBase:
    """What a download does, synchronous or not: what comes before its blocks, and what after.

    The drivers carry that out, make the blocks and count them.
    """

    #: What carries the blocks, and what contents are read through: see `prefetch`.
    _carrier: ClassVar[type[Any]]
    _prefetch: ClassVar[type[Any]]
    _direct: ClassVar[type[Any]]

    _progress: Progress  # from when it starts

    def __init__(
        self,
        order: Order,
        members: Any,
        checksums: CachedChecksums,
        options: Options,
    ) -> None:
        self.order = order
        self.ambient = Ambient(copy_context())
        self._members = members
        self._checksums = checksums
        self._options = options
        # Opens nothing, but raises now if a setting is wrong.
        self._workers: int = conf.get("WORKERS")
        self._is_exhausted = False
        self._error: BaseException | None = None
        number = conf.get("PREFETCH_MEMBERS")
        max_bytes = conf.get("PREFETCH_BYTES")
        self._source = self._prefetch(number, max_bytes, carried) if number else self._direct()
        self._carried = self._carrier(self._blocks(), self.ambient)

    def _blocks(self) -> Any:
        """Carry out the download."""
        raise NotImplementedError

    def _before(self) -> tuple[Action, ...]:
        """Start, and return what is to be done before the first byte."""
        self._progress = Progress()
        return (
            Send(zip_download_started, type(self), self.order.values()),
            Call(release_connections),  # those of the receivers too
        )

    def _window(self, plan: Plan) -> Generator[Step, None, None]:
        """Yield the steps of what is asked for of a planned archive."""
        start, stop = self.order.content_range or (0, plan.length)
        return plan.steps(
            start,
            stop,
            checksums=self._checksums,
            begun=self._progress.begin,
            source=self._source,
        )

    def _failed(self, error: BaseException) -> ZipDownloadError:
        """Log an error, and return what to raise for it."""
        self._error = error
        progress = self._progress
        values = (
            self.order.filename,
            f"{progress.bytes_sent:,}",
            progress.member,
            type(error).__name__,
            one_line(str(error)),
        )
        logger.error(_FAILED, *values, exc_info=error)
        return ZipDownloadError(_FAILED % values)

    def _after(self) -> Iterator[Action]:
        """Yield what is to be done in the end, however it came.

        A client who has all bytes may hang up before the server asks whether there are more.
        """
        if tag := self.order.entity_tag:
            if isinstance(self._error, _NOT_AS_DECLARED):
                yield Call(partial(self._checksums.invalidate, tag))
            yield Call(self._checksums.save)
        has_all = self._is_exhausted or self.order.length == self._progress.bytes_sent
        is_complete = self._error is None and has_all
        values = self._progress.values(is_complete=is_complete)
        yield Send(zip_download_finished, type(self), self.order.values() | values)


class Download(DownloadBase):
    """Iterates the blocks of an archive, or of a range in it. Once."""

    _carrier, _prefetch, _direct = AmbientBlocks, Prefetch, Direct

    def __iter__(self) -> Iterator[bytes]:
        """Return the blocks; none for a HEAD request."""
        return iter(()) if self.order.is_headers_only else self._carried

    def close(self) -> None:
        """Close what is open."""
        self._carried.close()

    def _blocks(self) -> Generator[bytes, None, None]:
        """Carry out the download."""
        try:
            for action in self._before():
                action.run()
            with closing(self._source), closing(self._archive()) as blocks:
                for block in ordinary(blocks):
                    self._progress.count(block)
                    yield block
            self._is_exhausted = True
            if not may_wait():
                yield b""  # what comes in the end may
        except (Exception, CancelledError) as error:
            # A synchronous download is never cancelled itself: some content's own work was.
            failure = self._failed(error)
            if not may_wait():
                yield b""
            raise failure from error
        finally:
            for action in self._after():
                action.run()

    def _archive(self) -> Generator[bytes, None, None]:
        plan = self.order.plan
        if plan is None or plan.entity_tag is None:
            return _joined(stream_with(self._options, self._peeked(), workers=self._workers))
        return driven(self._window(plan), self._source)

    def _peeked(self) -> Iterator[MemberFile]:
        """Yield the members, each with its first chunk read.

        The engine yields a member's header before it asks for the first chunk: a content that can't
        be read at all would be found out after the first byte.
        """
        members = self._source.members(iter(self._members))
        try:
            for member in members:
                name, modified_at, mode, method, content = unpacked(member)
                self._progress.begin(name)
                if hasattr(content, "__iter__"):
                    content = _Peeked(iter(content))
                    content.peek()
                yield name, modified_at, mode, method, content
        finally:
            close(members)


def _joined(pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Join the blocks of small members: to send one takes as long as to make it."""
    blocks = PromptBlocks()
    with closing(pieces):
        for piece in pieces:
            yield from blocks.push(piece)
    yield from blocks.flush()


class PromptBlocks(LooseBlocks):
    """Joins pieces that come one upon the other; what was waited for goes on at once."""

    _pushed = -math.inf

    def push(self, piece: bytes) -> Iterable[bytes]:
        """Add a piece; return the blocks that won't get any larger, or all."""
        before, self._pushed = self._pushed, time.monotonic()
        blocks = super().push(piece)
        return (*blocks, *self.flush()) if self._pushed - before > _PROMPT else blocks


class _Peeked:
    """Iterates chunks of which the first one has been read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._first: list[bytes] = []

    def peek(self) -> None:
        try:
            for chunk in self._chunks:
                self._first.append(chunk)
                break
        except BaseException:
            self.close()  # nobody else has them yet
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._first.pop() if self._first else next(self._chunks)

    def close(self) -> None:
        close(self._chunks)
