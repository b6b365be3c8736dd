"""The two drivers, `stream_zip` and `async_stream_zip`: members in, blocks of the archive out.

They iterate the caller's iterables, cut the archive into blocks and close what they opened. They
know nothing of the format.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractContextManager, AsyncExitStack
from typing import Any, Final

from django_stream_zip.engine.accelerators import ZLIB, CompressObj
from django_stream_zip.engine.aes import Encryption
from django_stream_zip.engine.archive import Archive
from django_stream_zip.engine.blocks import AnyBlocks, Blocks
from django_stream_zip.engine.encoders import UNLIMITED
from django_stream_zip.engine.entry import Options, archive_comment
from django_stream_zip.engine.errors import not_chunks, not_members
from django_stream_zip.engine.members import (
    WHOLE,
    AsyncMemberFile,
    MemberFile,
    is_whole,
    unpacked,
)
from django_stream_zip.engine.methods import Method
from django_stream_zip.engine.parallel import Failure, Pool, Segment, SegmentQueue, segmenter_for

# A hop to a thread and back takes 0.15 ms. Zlib takes 1 ms for so many bytes at its very fastest.
_PORTION_LENGTH = 1 << 19
# In seconds: who waits longer for a chunk doesn't wait for another one before this is written.
_SLOW_SOURCE = 0.005


#: What members are deflated by unless the caller says otherwise: zlib at level 9.
default_compressobj: Final = ZLIB[9]


def stream_zip(
    files: Iterable[MemberFile],
    chunk_size: int = 65536,
    get_compressobj: Callable[[], CompressObj] = default_compressobj,
    extended_timestamps: bool = True,
    password: str | None = None,
    get_crypto_random: Callable[[int], bytes] = secrets.token_bytes,
    *,
    workers: int = 0,
    comment: str = "",
) -> Generator[bytes, None, None]:
    """Yield the ZIP archive of `files` in blocks of `chunk_size` bytes.

    Only two kinds of blocks are shorter: the last one, and the one before a member's data, as its
    local file header is yielded before its first chunk is asked for. (With a method that holds the
    content to learn its size, the header comes after that, as a block of its own.)

    With `workers`, members and chunks are read in advance by the caller's thread, so a header may
    come later than the first chunks, and a block may be short wherever the workers have nothing to
    do. This takes at most 1 MiB of memory and 1.5 MiB for each worker: segments of 256 KiB, two for
    each, and their encoded data. Members longer than a segment are deflated in segments, which
    makes them up to 0.1 % larger; a `get_compressobj` of your own gets them one after the other,
    but is called in the workers' threads, several at a time. An error is raised when all members
    before it have been written.

    Args:
        files: Members: tuples of name, modification time, mode, method and chunks. Names are
            written as they are, twice if they come twice: see `engine.names` for safe ones.
        chunk_size: Length of the blocks, in bytes.
        get_compressobj: Makes what deflates a member whose method doesn't say how. The default is
            zlib at level 9.
        extended_timestamps: Whether times are also written in seconds since 1970.
        password: All members are encrypted with it, by AES-256 (WinZip AE-2).
        get_crypto_random: Returns so many random bytes, for the salts.
        workers: So many threads deflate and encrypt; with 0 the caller's thread does.
        comment: The archive's comment, of at most 65,535 bytes in UTF-8. It isn't encrypted.

    Yields:
        The bytes of the archive.

    Raises:
        ZipValueError: A value can't be written, or a content isn't as its method declares.
        TypeError: A value has a wrong type.

    Exceptions from the caller's iterables pass through. If the archive ends early, by an error or
    because the generator is closed, the iterators of members and of current chunks are closed.
    """
    options = make_options(
        password, get_compressobj, extended_timestamps, get_crypto_random, comment=comment
    )
    return stream_with(options, files, Blocks(chunk_size), workers=workers)


def stream_with(
    options: Options,
    files: Iterable[MemberFile],
    blocks: AnyBlocks | None = None,
    *,
    workers: int = 0,
) -> Generator[bytes, None, None]:
    """Do what `stream_zip` does, with options that are made already, and blocks of your own."""
    blocks = Blocks() if blocks is None else blocks
    pool = Pool(options, workers) if workers else None
    if not _can_iterate(files, "__iter__"):
        raise not_members("stream_zip", files)
    if pool is not None:
        return _stream_pooled(files, pool, blocks)
    return _stream(files, Archive(options), blocks)


def async_stream_zip(
    files: AsyncIterable[AsyncMemberFile],
    chunk_size: int = 65536,
    get_compressobj: Callable[[], CompressObj] = default_compressobj,
    extended_timestamps: bool = True,
    password: str | None = None,
    get_crypto_random: Callable[[int], bytes] = secrets.token_bytes,
    *,
    workers: int = 0,
    comment: str = "",
) -> AsyncGenerator[bytes, None]:
    """Do what `stream_zip` does, for async iterables; arguments and bytes are the same.

    It works on the event loop. What would block the loop (deflate, AES) goes to a thread, in
    portions of up to 512 KiB so that this pays: for these members, chunks that come at once are
    gathered up to that length before the first of them is written. Cancelling it closes what it
    iterates. With `workers`, the work goes to their threads, as in `stream_zip`; chunks are read on
    the event loop.
    """
    options = make_options(
        password, get_compressobj, extended_timestamps, get_crypto_random, comment=comment
    )
    return async_stream_with(options, files, Blocks(chunk_size), workers=workers)


def async_stream_with(
    options: Options,
    files: AsyncIterable[AsyncMemberFile],
    blocks: AnyBlocks | None = None,
    *,
    workers: int = 0,
) -> AsyncGenerator[bytes, None]:
    """Do what `async_stream_zip` does, with such options and blocks."""
    blocks = Blocks() if blocks is None else blocks
    pool = Pool(options, workers) if workers else None
    if not _can_iterate(files, "__aiter__"):
        raise not_members("async_stream_zip", files)
    if pool is not None:
        return _async_stream_pooled(files, pool, blocks)
    return _async_stream(files, Archive(options), blocks)


def _stream(
    files: Iterable[MemberFile], archive: Archive, blocks: AnyBlocks
) -> Generator[bytes, None, None]:
    members: Iterator[MemberFile] = iter(files)
    chunks: Iterable[bytes] = ()
    try:
        for member in members:
            name, modified_at, mode, method, content = unpacked(member)
            chunks = iter(_iterable(name, content, "__iter__"))
            for block in blocks.flush_with(archive.begin(name, modified_at, mode, method)):
                yield block
            for chunk in chunks:
                for block in blocks.push(archive.write(chunk)):
                    yield block
            chunks = ()
            if method.buffered:
                yield from _released(archive, blocks)
            if rest := archive.end():
                yield from blocks.push(rest)
        yield from blocks.push_last(archive.finish())
    except BaseException:
        close(members, chunks)
        raise


async def _async_stream(
    files: AsyncIterable[AsyncMemberFile], archive: Archive, blocks: AnyBlocks
) -> AsyncGenerator[bytes, None]:
    members: Any = aiter(files)
    chunks: Any = None
    portions: Any = None
    try:
        async for member in members:
            name, modified_at, mode, method, content = unpacked(member)
            chunks = aiter(_iterable(name, content, "__aiter__"))
            for block in blocks.flush_with(archive.begin(name, modified_at, mode, method)):
                yield block
            portions = _portions(chunks, archive)
            async for portion in portions:
                for block in await _written(archive, portion, blocks):
                    yield block
            chunks = portions = None
            for block in _ending(method, archive, blocks):
                yield block
        for block in blocks.push_last(archive.finish()):
            yield block
    except BaseException:
        await aclose(members, chunks, portions)
        raise


def _ending(method: Method, archive: Archive, blocks: AnyBlocks) -> Iterator[bytes]:
    if method.buffered:
        yield from _released(archive, blocks)
    yield from blocks.push(archive.end())


def _released(archive: Archive, blocks: AnyBlocks) -> Iterator[bytes]:
    """Yield the blocks of a member that was held: its header first, as that of any other."""
    held = archive.release()
    yield from blocks.flush_with(next(held))
    yield from blocks.push_all(held)


class _Singly:
    """Yields chunks one by one, where a thread never pays."""

    __slots__ = ("_archive", "_chunks")

    def __init__(self, chunks: AsyncIterator[bytes], archive: Archive) -> None:
        self._chunks = chunks
        self._archive = archive

    def __aiter__(self) -> _Singly:
        return self

    async def __anext__(self) -> tuple[bytes]:
        return (self._archive.checked(await self._chunks.__anext__()),)


def _portions(chunks: AsyncIterator[bytes], archive: Archive) -> AsyncIterator[Sequence[bytes]]:
    is_slow = archive.slow_from <= _PORTION_LENGTH
    return _gathered(chunks, archive) if is_slow else _Singly(chunks, archive)


async def _gathered(chunks: AsyncIterable[bytes], archive: Archive) -> AsyncIterator[list[bytes]]:
    """Gather chunks until a thread pays.

    A source that has to be waited for is not waited for twice: its chunks go on as they come.
    """
    now = asyncio.get_running_loop().time
    portion: list[bytes] = []
    length = 0
    asked = now()
    try:
        async for chunk in chunks:
            if checked := archive.checked(chunk):
                portion.append(checked)
                length += len(checked)
            if length and (length >= _PORTION_LENGTH or now() - asked > _SLOW_SOURCE):
                yield portion
                portion, length = [], 0
            asked = now()
    except Exception:
        # What came before the error goes on before it, as if it had been written at once.
        if portion:
            yield portion
        raise
    if portion:
        yield portion


async def _written(
    archive: Archive, portion: Sequence[bytes], blocks: AnyBlocks
) -> Iterable[bytes]:
    """Write chunks, in a thread if that would block the loop; return the blocks that are full."""
    if sum(map(len, portion)) >= archive.slow_from:
        return await asyncio.to_thread(lambda: list(blocks.push(_write(archive, portion))))
    return blocks.push(_write(archive, portion))


def _write(archive: Archive, portion: Sequence[bytes]) -> bytes:
    if len(portion) == 1:
        return archive.write(portion[0])
    return b"".join([archive.write(chunk) for chunk in portion])


def _stream_pooled(
    files: Iterable[MemberFile], pool: Pool, blocks: AnyBlocks
) -> Generator[bytes, None, None]:
    archive, queue = Archive(pool.options), SegmentQueue(pool.number)
    segments = _segments(files, pool)
    try:
        for segment in segments:
            queue.append(segment)
            for due in queue.due():
                yield from _written_segment(due, archive, blocks, queue)
        for due in queue.rest():
            yield from _written_segment(due, archive, blocks, queue)
        yield from blocks.push_last(archive.finish())
    finally:
        close(pool, segments)


async def _async_stream_pooled(
    files: AsyncIterable[AsyncMemberFile], pool: Pool, blocks: AnyBlocks
) -> AsyncGenerator[bytes, None]:
    archive, queue = Archive(pool.options), SegmentQueue(pool.number)
    segments = _async_segments(files, pool)
    try:
        async for segment in segments:
            queue.append(segment)
            for due in queue.due():
                await due.wait()
                for block in _written_segment(due, archive, blocks, queue):
                    yield block
        for due in queue.rest():
            await due.wait()
            for block in _written_segment(due, archive, blocks, queue):
                yield block
        for block in blocks.push_last(archive.finish()):
            yield block
    finally:
        await aclose(pool, segments)


def _segments(files: Iterable[MemberFile], pool: Pool) -> Generator[Segment, None, None]:
    """Read the members; yield their segments, and an error as the last one."""
    members: Iterator[MemberFile] = iter(files)
    chunks: Iterator[bytes] = iter(())
    try:
        for member in members:
            name, modified_at, mode, method, content = unpacked(member)
            chunks = iter(_iterable(name, content, "__iter__"))
            segmenter = segmenter_for(name, modified_at, mode, method, pool)
            for chunk in chunks:
                yield from segmenter.push(chunk)
            chunks = iter(())
            yield from segmenter.end()
    except Exception as error:
        close(members, chunks)
        yield Failure(error)
    except BaseException:
        close(members, chunks)
        raise


async def _async_segments(
    files: AsyncIterable[AsyncMemberFile], pool: Pool
) -> AsyncGenerator[Segment, None]:
    """Read the members; yield their segments, and an error as the last one."""
    members: Any = aiter(files)
    chunks: Any = None
    try:
        async for member in members:
            name, modified_at, mode, method, content = unpacked(member)
            chunks = aiter(_iterable(name, content, "__aiter__"))
            segmenter = segmenter_for(name, modified_at, mode, method, pool)
            async for chunk in chunks:
                for segment in segmenter.push(chunk):
                    yield segment
            chunks = None
            for segment in segmenter.end():
                yield segment
    except Exception as error:
        await aclose(members, chunks)
        yield Failure(error)
    except BaseException:
        await aclose(members, chunks)
        raise


def _written_segment(
    segment: Segment, archive: Archive, blocks: AnyBlocks, queue: SegmentQueue
) -> Iterator[bytes]:
    """Yield the blocks that a segment fills; or raise an error, after all that comes before it.

    When nothing else is in the queue, the caller's iterables are slower than the workers, and may
    be slow: then nothing is held back for a block to be full.
    """
    try:
        pieces = list(segment.written(archive))
    except Exception:
        yield from blocks.flush()
        raise
    if segment.was_held:
        yield from blocks.flush()
        yield from blocks.flush_with(pieces.pop(0))
    yield from blocks.push_all(pieces)
    if not queue:
        yield from blocks.flush()


def make_options(
    password: str | None = None,
    get_compressobj: Callable[[], CompressObj] = default_compressobj,
    extended_timestamps: bool = True,
    get_crypto_random: Callable[[int], bytes] = secrets.token_bytes,
    limiter: AbstractContextManager[Any] = UNLIMITED,
    comment: str = "",
) -> Options:
    """Return the options for these arguments; raise what is wrong with password or comment."""
    encryption = None if password is None else Encryption(password, get_crypto_random)
    written = archive_comment(comment)
    return Options(get_compressobj, extended_timestamps, encryption, limiter, written)


def _iterable(name: str, content: Any, how: str) -> Any:
    """Return a member's chunks if they have the method `how` to iterate; else raise TypeError."""
    if hasattr(content, how) and not isinstance(content, WHOLE):
        return content  # as most are
    if _can_iterate(content, how) and not is_whole(content):
        return content
    raise not_chunks(name, content, is_async=how == "__aiter__")


def _can_iterate(value: Any, how: str) -> bool:
    return hasattr(value, how) or (how == "__iter__" and hasattr(value, "__getitem__"))


def close(*iterators: Any) -> None:
    """Close those iterators that can be closed, the last one first."""
    if not iterators:
        return
    try:
        if close_last := getattr(iterators[-1], "close", None):
            close_last()
    finally:
        close(*iterators[:-1])


async def aclose(*iterators: Any) -> None:
    """Close those asynchronous iterators that can be closed, the last one first."""
    async with AsyncExitStack() as stack:
        for iterator in iterators:
            if aclose := getattr(iterator, "aclose", None):
                stack.push_async_callback(aclose)
