"""Contents that tell what was asked of them, that are never really there, or that fail."""

from __future__ import annotations

import logging
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from django_stream_zip import NO_COMPRESSION_AUTO, Method
from django_stream_zip.planning.content import Content

TIME = datetime(2024, 2, 29, 12, 34, 56)
MODE = stat.S_IFREG | 0o644
VALIDATOR = "state 1"

ContentMember = tuple[str, datetime, int, Method, Any]


class Pattern:
    """Bytes that are made when a slice of them is taken, so that there may be terabytes."""

    PERIOD = bytes(range(251)) * 64

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(self.size)
        length, shift = max(0, stop - start), start % 251
        return (self.PERIOD * ((length + shift) // len(self.PERIOD) + 1))[shift : shift + length]


class CountingContent:
    """A content that keeps account of what it is asked for, of what it gives and if it is open."""

    def __init__(
        self,
        data: bytes | Pattern = b"content",
        *,
        crc_32: int | None = None,
        identity: str = "counting",
        validator: str | None = VALIDATOR,
        chunk_length: int = 10_000,
        size: int | None = None,
    ) -> None:
        self.data = data
        self.size = len(data) if size is None else size
        self.crc_32 = crc_32
        self.identity = identity
        self.validator = validator
        self.chunk_length = chunk_length
        self.opened = 0
        self.is_open = False
        self.asked: list[tuple[int, int | None]] = []
        self.given: list[tuple[int, int]] = []

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes, and note where they are."""
        self.asked.append((start, stop))
        self.opened += 1
        self.is_open = True
        end = len(self.data) if stop is None else min(stop, len(self.data))
        try:
            for first in range(start, end, self.chunk_length):
                last = min(first + self.chunk_length, end)
                self.given.append((first, last))
                yield self.data[first:last]
        finally:
            self.is_open = False

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks()

    @property
    def was_given(self) -> tuple[int, int] | None:
        """Say from where to where bytes were given, which must be without gaps; None if none."""
        for (_, stop), (start, _) in zip(self.given, self.given[1:], strict=False):
            assert stop == start, "content was read with gaps, or twice"
        return (self.given[0][0], self.given[-1][1]) if self.given else None

    def forget(self) -> None:
        """Begin a new account."""
        self.opened = 0
        self.asked.clear()
        self.given.clear()


class FailingContent(CountingContent):
    """A content that raises when it is read at a position, the first one if not told which."""

    def __init__(self, error: BaseException, at: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error
        self.at = at

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes before that position, then raise."""
        left = self.at - start
        for chunk in super().chunks(start, stop):
            if left <= 0:
                raise self.error
            yield chunk[:left]
            left -= len(chunk)
        if left <= 0:
            raise self.error


class NoChecksums:
    """Remembers nothing. A plan is never to be told less than this."""

    def key(self, content: Content) -> str:
        """Return a name that is as good as any."""
        return f"{content.identity}/{content.validator}"

    def known(self, contents: Iterable[Content]) -> Mapping[str, int]:
        """Know nothing."""
        for _ in contents:
            pass
        return {}

    def learn(self, content: Content, crc_32: int) -> None:
        """Forget it."""


class Checksums(NoChecksums):
    """Remembers all it learns."""

    def __init__(self) -> None:
        self.learned: dict[str, int] = {}

    def known(self, contents: Iterable[Content]) -> Mapping[str, int]:
        """Return those that were learned."""
        keys = {self.key(content) for content in contents}
        return {key: crc_32 for key, crc_32 in self.learned.items() if key in keys}

    def learn(self, content: Content, crc_32: int) -> None:
        """Remember it."""
        self.learned[self.key(content)] = crc_32


class ForgetfulChecksums(Checksums):
    """Remembers every other one: a cache that is too small."""

    def known(self, contents: Iterable[Content]) -> Mapping[str, int]:
        """Return every other one that was learned."""
        return dict(list(super().known(contents).items())[::2])


def counting_member(
    name: str = "member.bin",
    data: bytes | Pattern = b"content",
    method: Callable[..., Method] = NO_COMPRESSION_AUTO,
    *,
    promised: bool = False,
    **kwargs: Any,
) -> ContentMember:
    """Make a member of a counting content; `promised` puts its CRC-32 in the method."""
    kwargs.setdefault("identity", name)
    content = CountingContent(data, **kwargs)
    if promised:
        assert isinstance(data, bytes)
        return name, TIME, MODE, method(len(data), zlib.crc32(data)), content
    return name, TIME, MODE, method(len(data)), content


def failing_member(name: str, error: BaseException, at: int = 0, **kwargs: Any) -> ContentMember:
    """Make a member whose content fails."""
    content = FailingContent(error, at, identity=name, **kwargs)
    return name, TIME, MODE, NO_COMPRESSION_AUTO(content.size), content


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return who logged errors: asyncio's are meant, but not its warnings of a slow machine."""
    return [record.name for record in caplog.records if record.levelno >= logging.ERROR]


def open_files() -> list[str]:
    """Return the files that this process has open.

    Sockets and pipes come and go with what other tests left to be collected.
    """
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return sorted(link for link in links if link.startswith("/"))
