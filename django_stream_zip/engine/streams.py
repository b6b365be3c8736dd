"""The two drivers, `stream_zip` and `async_stream_zip`: members in, blocks of the archive out.

They iterate what the caller gave, cut the archive into blocks and close what they opened. Of the
format they know nothing.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from itertools import chain
from typing import Any

from django_stream_zip.engine.aes import Encryption
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.blocks import Blocks
from django_stream_zip.engine.bodies import CompressObj
from django_stream_zip.engine.entry import Options
from django_stream_zip.engine.members import AsyncMemberFile, MemberFile, unpacked


def default_compressobj() -> CompressObj:
    """Make what members are deflated by if nothing else is said: zlib at level 9."""
    return zlib.compressobj(wbits=-zlib.MAX_WBITS, level=9)


def stream_zip(
    files: Iterable[MemberFile],
    chunk_size: int = 65536,
    get_compressobj: Callable[[], CompressObj] = default_compressobj,
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
    get_compressobj: Callable[[], CompressObj] = default_compressobj,
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
            name, modified_at, mode, method, content = unpacked(member)
            chunks = _iterator(iter, name, content)
            yield from blocks.flush(archive.begin(name, modified_at, mode, method))
            for chunk in chunks:
                yield from blocks.push(archive.write(chunk))
            chunks = iter(())
            yield from blocks.push_all(archive.end())
        yield from blocks.push_all(archive.finish())
        yield from blocks.flush()
    except BaseException:
        close(members, chunks)
        raise


async def _async_stream(
    files: AsyncIterable[AsyncMemberFile], archive: Archive, blocks: Blocks
) -> AsyncGenerator[bytes, None]:
    members: Any = aiter(files)
    chunks: Any = None
    try:
        async for member in members:
            name, modified_at, mode, method, content = unpacked(member)
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


def _archive(
    get_compressobj: Callable[[], CompressObj],
    extended_timestamps: bool,
    password: str | None,
    get_crypto_random: Callable[[int], bytes],
) -> Archive:
    encryption = None if password is None else Encryption(password, get_crypto_random)
    return Archive(Options(get_compressobj, extended_timestamps, encryption))


def _iterator(get: Callable[[Any], Any], name: str, content: Any) -> Any:
    try:
        return get(content)
    except TypeError as error:
        raise TypeError(f"member {name!r}: its chunks can't be iterated ({error})") from error


def close(*iterators: Any) -> None:
    """Close those iterators that can be closed."""
    with ExitStack() as stack:
        for iterator in iterators:
            if close := getattr(iterator, "close", None):
                stack.callback(close)


async def _aclose(*iterators: Any) -> None:
    async with AsyncExitStack() as stack:
        for iterator in iterators:
            if aclose := getattr(iterator, "aclose", None):
                stack.push_async_callback(aclose)
