"""The two drivers, `stream_zip` and `async_stream_zip`: members in, blocks of the archive out.

They iterate what the caller gave, cut the archive into blocks and close what they opened. Of the
format they know nothing.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime
from itertools import chain
from typing import Any, TypeAlias

from django_stream_zip.engine.aes import Encryption
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.bodies import CompressObj
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.errors import ZipValueError
from django_stream_zip.engine.methods import Method

MemberFile: TypeAlias = tuple[str, datetime, int, Method, Iterable[bytes]]
AsyncMemberFile: TypeAlias = tuple[str, datetime, int, Method, AsyncIterable[bytes]]

_NAMES = "(name, modified_at, mode, method, chunks)"


def _default_compressobj() -> CompressObj:
    return zlib.compressobj(wbits=-zlib.MAX_WBITS, level=9)


def stream_zip(
    files: Iterable[MemberFile],
    chunk_size: int = 65536,
    get_compressobj: Callable[[], CompressObj] = _default_compressobj,
    extended_timestamps: bool = True,
    password: str | None = None,
    get_crypto_random: Callable[[int], bytes] = secrets.token_bytes,
) -> Generator[bytes, None, None]:
    """Give the ZIP archive of `files` as blocks of at most `chunk_size` bytes.

    All blocks have that size, but for the last one and the one before a member's data: its local
    file header is given before its first chunk is asked for. With a `password` all members are
    encrypted with AES-256 (WinZip AE-2). Exceptions from the caller's iterables pass through;
    what the members themselves can do wrong is a ZipValueError or a TypeError. However it ends,
    the iterator of members and that of the current chunks are closed.
    """
    blocks = Blocks(chunk_size)
    archive = _archive(get_compressobj, extended_timestamps, password, get_crypto_random)
    return _stream(files, archive, blocks)


def async_stream_zip(
    files: AsyncIterable[AsyncMemberFile],
    chunk_size: int = 65536,
    get_compressobj: Callable[[], CompressObj] = _default_compressobj,
    extended_timestamps: bool = True,
    password: str | None = None,
    get_crypto_random: Callable[[int], bytes] = secrets.token_bytes,
) -> AsyncGenerator[bytes, None]:
    """Do what `stream_zip` does, for async iterables; the bytes are the same."""
    blocks = Blocks(chunk_size)
    archive = _archive(get_compressobj, extended_timestamps, password, get_crypto_random)
    return _async_stream(files, archive, blocks)


def _stream(
    files: Iterable[MemberFile], archive: Archive, blocks: Blocks
) -> Generator[bytes, None, None]:
    members: Iterator[MemberFile] = iter(files)
    chunks: Iterator[bytes] = iter(())
    try:
        for member in members:
            name, modified_at, mode, method, content = _unpacked(member)
            chunks = _iterator(iter, name, content)
            yield from blocks.flush(archive.begin(name, modified_at, mode, method))
            for chunk in chunks:
                yield from blocks.push(archive.write(chunk))
            chunks = iter(())
            yield from blocks.push_all(archive.end())
        yield from blocks.push_all(archive.finish())
        yield from blocks.flush()
    except BaseException:
        _close(members, chunks)
        raise


async def _async_stream(
    files: AsyncIterable[AsyncMemberFile], archive: Archive, blocks: Blocks
) -> AsyncGenerator[bytes, None]:
    members: Any = aiter(files)
    chunks: Any = None
    try:
        async for member in members:
            name, modified_at, mode, method, content = _unpacked(member)
            chunks = _iterator(aiter, name, content)
            for block in blocks.flush(archive.begin(name, modified_at, mode, method)):
                yield block
            async for chunk in chunks:
                for block in blocks.push(archive.write(chunk)):
                    yield block
            chunks = None
            for block in blocks.push_all(archive.end()):
                yield block
        for block in chain(blocks.push_all(archive.finish()), blocks.flush()):
            yield block
    except BaseException:
        await _aclose(members, chunks)
        raise


class Blocks:
    """Cuts what is pushed into blocks of exactly `length` bytes; `flush` gives a shorter last one.

    A piece that has just that length is given as it is, without a copy.
    """

    def __init__(self, length: int) -> None:
        if not (isinstance(length, int) and length > 0):
            raise ZipValueError(f"chunk_size must be a number of bytes, 1 or more, not {length!r}")
        self._length = length
        self._held: list[bytes] = []
        self._held_length = 0

    def push(self, piece: bytes) -> Iterable[bytes]:
        """Take the next bytes; give the blocks that are full."""
        total = self._held_length + len(piece)
        if total < self._length:
            self._held.append(piece)
            self._held_length = total
            return ()
        if not self._held_length and total == self._length:
            return (piece,)
        return self._cut(piece)

    def push_all(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Take several pieces; give the blocks that are full."""
        for piece in pieces:
            yield from self.push(piece)

    def flush(self, last: bytes = b"") -> Iterable[bytes]:
        """Take `last`; give all that is held, if anything is."""
        total = self._held_length + len(last)
        if total > self._length:
            return chain(self.push(last), _deferred(self.flush))
        if not total:
            return ()
        self._held.append(last)
        block = b"".join(self._held)
        self._held.clear()
        self._held_length = 0
        return (block,)

    def _cut(self, piece: bytes) -> Iterator[bytes]:
        self._held.append(piece)
        whole = b"".join(self._held)
        self._held.clear()
        full = len(whole) - len(whole) % self._length
        self._held_length = len(whole) - full
        if self._held_length:
            self._held.append(whole[full:])
        for start in range(0, full, self._length):
            yield whole[start : start + self._length]


def _archive(
    get_compressobj: Callable[[], CompressObj],
    extended_timestamps: bool,
    password: str | None,
    get_crypto_random: Callable[[int], bytes],
) -> Archive:
    encryption = None if password is None else Encryption(password, get_crypto_random)
    return Archive(Options(get_compressobj, extended_timestamps, encryption))


def _unpacked(member: Any) -> tuple[str, datetime, int, Method, Any]:
    try:
        name, modified_at, mode, method, content = member
    except (TypeError, ValueError):
        what = f"{len(member)} values" if isinstance(member, tuple) else repr(member)
        raise ZipValueError(f"a member must be a tuple of 5, {_NAMES}, not {what}") from None
    return name, modified_at, mode, method, content


def _iterator(get: Callable[[Any], Any], name: str, content: Any) -> Any:
    try:
        return get(content)
    except TypeError as error:
        raise TypeError(f"member {name!r}: its chunks can't be iterated ({error})") from error


def _deferred(blocks: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    yield from blocks()


def _close(*iterators: Any) -> None:
    with ExitStack() as stack:
        for iterator in iterators:
            if close := getattr(iterator, "close", None):
                stack.callback(close)


async def _aclose(*iterators: Any) -> None:
    async with AsyncExitStack() as stack:
        for iterator in iterators:
            if aclose := getattr(iterator, "aclose", None):
                stack.push_async_callback(aclose)
