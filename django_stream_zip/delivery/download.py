"""One download: the archive's blocks, and what is told about them to logs and signals.

After the first byte a failure can only be shown by breaking off. So an error is logged once and
raised, and nothing that would make the archive look whole is written after it.
"""

from __future__ import annotations

import logging
import time
from asyncio import CancelledError
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from contextvars import copy_context
from itertools import islice
from typing import Any, Final

from django.http import HttpRequest

from django_stream_zip import MemberFile, conf
from django_stream_zip.delivery.checksums import CachedChecksums
from django_stream_zip.engine.encoders import UNLIMITED
from django_stream_zip.engine.errors import ZipIntegrityError, one_line
from django_stream_zip.engine.members import unpacked
from django_stream_zip.engine.streams import close, make_options, stream_with
from django_stream_zip.members.connections import release_connections
from django_stream_zip.planning.content import ContentChangedError
from django_stream_zip.planning.plan import Plan
from django_stream_zip.prefetch.ambient import Ambient, Steps, carried
from django_stream_zip.prefetch.batches import ordinary
from django_stream_zip.prefetch.source import Direct
from django_stream_zip.prefetch.threads import Prefetch
from django_stream_zip.signals import zip_download_finished, zip_download_started

logger = logging.getLogger("django_stream_zip")

# Constant, so that what collects logs can group them.
_FAILED: Final = "the download of %r failed after %s bytes, at or after member %r: %s: %s"

#: What is raised where a content isn't what was said of it when its member was made.
BROKEN_PROMISES: Final = (ContentChangedError, ZipIntegrityError)


class ZipDownloadError(Exception):
    """A download broke off; the cause says why.

    It is no OSError, whatever the cause is: some servers take every ConnectionError that comes out
    of a response for the client's, and say nothing.
    """


class Progress:
    """How far a download has come, as signals and logs tell it."""

    def __init__(self, request: HttpRequest, filename: str, plan: Plan | None) -> None:
        self.filename = filename
        self.plan = plan
        self.content_range: tuple[int, int] | None = None
        self._request = request
        self._member: str | None = None
        self._members = 0
        self._bytes_sent = 0
        self._started = time.monotonic()

    @property
    def is_headers_only(self) -> bool:
        """Whether nothing is asked for but the headers."""
        return self._request.method == "HEAD"

    @property
    def window(self) -> tuple[int, int]:
        """Start and stop of what is sent of a planned archive."""
        assert self.plan is not None
        return self.content_range or (0, self.plan.length)

    def begin(self, member: str) -> None:
        """Take note of a member that is begun."""
        self._members += 1
        self._member = member

    def count(self, block: bytes) -> None:
        """Take note of a block that is sent."""
        self._bytes_sent += len(block)

    def at_start(self) -> dict[str, Any]:
        """Give what `zip_download_started` tells."""
        self._started = time.monotonic()
        return self._facts()

    def at_end(self, *, exhausted: bool) -> dict[str, Any]:
        """Give what `zip_download_finished` tells.

        A client who has all bytes may hang up before the server asks whether there are more.
        """
        facts = self._facts()
        return facts | {
            "completed": exhausted or facts["length"] == self._bytes_sent,
            "bytes_sent": self._bytes_sent,
            "seconds": time.monotonic() - self._started,
            "members": self._members,
        }

    def _facts(self) -> dict[str, Any]:
        start, stop = self.window if self.plan else (0, 0)
        return {
            "request": self._request,
            "filename": self.filename,
            "length": stop - start if self.plan else None,
            "content_range": self.content_range,
        }

    def logged(self, error: BaseException) -> ZipDownloadError:
        """Log an error; return what to raise for it."""
        values = (
            self.filename,
            f"{self._bytes_sent:,}",
            self._member,
            type(error).__name__,
            one_line(str(error)),
        )
        logger.error(_FAILED, *values, exc_info=error)
        return ZipDownloadError(_FAILED % values)


class Download:
    """Iterates the blocks of an archive, or of a range in it. Once."""

    def __init__(
        self,
        progress: Progress,
        members: Iterable[MemberFile],
        password: str | None,
        limiter: AbstractContextManager[Any] = UNLIMITED,
    ) -> None:
        self.progress = progress
        self.checksums = CachedChecksums(progress.plan.unknown() if progress.plan else ())
        self._members = members
        self._source = source()
        # Opens nothing, but raises now if the password is none.
        options = make_options(password, limiter=limiter)
        self._archive = stream_with(options, self._primed(), workers=conf.get("WORKERS"))
        self.ambient = Ambient(copy_context())
        self._blocks = Steps(self._told(), self.ambient)

    def __iter__(self) -> Iterator[bytes]:
        """Give the blocks; none for a HEAD request."""
        return iter(()) if self.progress.is_headers_only else self._blocks

    def close(self) -> None:
        """Close what is open."""
        self._blocks.close()

    def _told(self) -> Generator[bytes, None, None]:
        """Give the blocks, and tell of their beginning and end."""
        progress, exhausted = self.progress, False
        plan = progress.plan
        blocks = self._window(plan) if plan and plan.entity_tag else self._archive
        try:
            zip_download_started.send_robust(type(self), **progress.at_start())
            release_connections()  # those of the receivers too
            with closing(self._source), closing(blocks):
                for block in ordinary(blocks):
                    progress.count(block)
                    yield block
            exhausted = True
        except (Exception, CancelledError) as error:
            # A synchronous download is never cancelled itself: some content's own work was.
            raise progress.logged(error) from error
        finally:
            facts = progress.at_end(exhausted=exhausted)
            zip_download_finished.send_robust(type(self), **facts)

    def _window(self, plan: Plan) -> Generator[bytes, None, None]:
        """Give what is asked for of a planned archive."""
        checksums = self.checksums
        start, stop = self.progress.window

        def begun(member: str) -> None:
            # Also while members before the window are read for their checksums only: who gives up
            # waiting for that finds it shorter the next time.
            self.progress.begin(member)
            if checksums.is_due:
                checksums.save()

        assert plan.entity_tag is not None
        try:
            window = plan.window(start, stop, checksums=checksums, begun=begun, source=self._source)
            with closing(window):
                yield from window
        except BROKEN_PROMISES:
            checksums.distrust(plan.entity_tag)
            raise
        finally:
            checksums.save()

    def _primed(self) -> Iterator[MemberFile]:
        """Give the members, each with its first chunk read.

        The engine gives a member's header before it asks for the first chunk: a content that can't
        be read at all would be found out after the first byte.
        """
        members = self._source.members(iter(self._members))
        try:
            for member in members:
                name, modified_at, mode, method, content = unpacked(member)
                self.progress.begin(name)
                if hasattr(content, "__iter__"):
                    content = _Primed(iter(content))
                    content.read_first()
                yield name, modified_at, mode, method, content
        finally:
            close(members)


def source() -> Prefetch | Direct[Iterator[MemberFile]]:
    """Give what contents are read through, as the settings say. Starts nothing."""
    number = conf.get("PREFETCH_MEMBERS")
    return Prefetch(number, conf.get("PREFETCH_BYTES"), carried) if number else Direct()


class _Primed:
    """Iterates chunks of which the first one has been read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._first: list[bytes] = []

    def read_first(self) -> None:
        try:
            self._first.extend(islice(self._chunks, 1))
        except BaseException:
            self.close()  # nobody else has them yet
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._first.pop() if self._first else next(self._chunks)

    def close(self) -> None:
        close(self._chunks)
