"""One download: the archive's blocks, and what is told about them to logs and signals.

After the first byte a failure can only be shown by breaking off. So an error is logged once and
raised, and nothing that would make the archive look whole is written after it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from django.http import HttpRequest

from django_stream_zip import MemberFile, stream_zip
from django_stream_zip.checksums import CachedChecksums
from django_stream_zip.engine.members import unpacked
from django_stream_zip.plan import Plan
from django_stream_zip.signals import zip_download_finished, zip_download_started

logger = logging.getLogger("django_stream_zip")


class ZipDownloadError(Exception):
    """A download broke off; the cause says why.

    It is no OSError, whatever the cause is: some servers take every ConnectionError that comes out
    of a response for the client's, and say nothing.
    """


class Download:
    """Iterates the blocks of an archive, or of `content_range` in it. Once."""

    def __init__(
        self,
        request: HttpRequest,
        members: Iterable[MemberFile],
        filename: str,
        password: str | None,
        plan: Plan | None,
    ) -> None:
        self.filename = filename
        self.content_range: tuple[int, int] | None = None
        self._request = request
        self._members = members
        self._plan = plan
        self._member: str | None = None
        self._members_begun = 0
        self._bytes_sent = 0
        # Opens nothing, but raises now if the password is none.
        self._archive = stream_zip(self._primed(), password=password)
        self._blocks = self._told()

    def __iter__(self) -> Iterator[bytes]:
        """Give the blocks; none for a HEAD request."""
        return iter(()) if self._request.method == "HEAD" else self._blocks

    def close(self) -> None:
        """Close what is open."""
        self._blocks.close()

    def _told(self) -> Generator[bytes, None, None]:
        """Give the blocks, and tell of their beginning and end."""
        started, completed = time.monotonic(), False
        zip_download_started.send_robust(type(self), **self._facts())
        blocks = self._window() if self._plan and self._plan.entity_tag else self._archive
        try:
            with closing(blocks):
                for block in blocks:
                    self._bytes_sent += len(block)
                    yield block
            completed = True
        except Exception as error:
            raise self._logged(error) from error
        finally:
            zip_download_finished.send_robust(
                type(self),
                **self._facts(),
                completed=completed,
                bytes_sent=self._bytes_sent,
                seconds=time.monotonic() - started,
                members=self._members_begun,
            )

    def _window(self) -> Generator[bytes, None, None]:
        """Give what is asked for of a planned archive."""
        assert self._plan is not None
        start, stop = self.content_range or (0, self._plan.length)
        checksums = CachedChecksums()
        try:
            yield from self._plan.window(start, stop, checksums=checksums, begun=self._begin)
        finally:
            checksums.save()

    def _primed(self) -> Iterator[MemberFile]:
        """Give the members, each with its first chunk read.

        The engine gives a member's header before it asks for the first chunk: a content that can't
        be read at all would be found out after the first byte.
        """
        for member in self._members:
            name, modified_at, mode, method, content = unpacked(member)
            self._begin(name)
            try:
                chunks = iter(content)
            except TypeError:
                yield member  # the engine says what is wrong with it
            else:
                yield name, modified_at, mode, method, _Primed(chunks)

    def _begin(self, name: str) -> None:
        self._members_begun += name != self._member
        self._member = name

    def _facts(self) -> dict[str, Any]:
        start, stop = self.content_range or (0, self._plan.length if self._plan else 0)
        return {
            "request": self._request,
            "filename": self.filename,
            "length": stop - start if self._plan else None,
            "content_range": self.content_range,
        }

    def _logged(self, error: Exception) -> ZipDownloadError:
        message = (
            f"the download of {self.filename!r} failed after {self._bytes_sent:,} bytes, "
            f"at member {self._member!r}: {type(error).__name__}: {error}"
        )
        logger.error(message, exc_info=error)
        return ZipDownloadError(message)


class _Primed:
    """Iterates chunks of which the first one has been read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._first = list(islice(chunks, 1))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._first.pop() if self._first else next(self._chunks)

    def close(self) -> None:
        if close := getattr(self._chunks, "close", None):
            close()
