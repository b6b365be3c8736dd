"""The two drivers of steps: they emit, read and act as the steps say, and cut blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing, suppress
from typing import Any, Final

from asgiref.sync import sync_to_async

from django_stream_zip.engine.blocks import LooseBlocks
from django_stream_zip.engine.streams import aclose, close
from django_stream_zip.planning.steps import Reading, Step, WholeReading
from django_stream_zip.prefetch.batches import Threaded
from django_stream_zip.prefetch.source import Source
from django_stream_zip.prefetch.waiting import defers, may_wait

# What contents of this machine yield at the most, in bytes.
_CHUNK_LENGTH: Final = 65536


def driven(
    steps: Generator[Step, None, None], source: Source, block_length: int = 65536
) -> Generator[bytes, None, None]:
    """Carry out the steps, and yield the bytes in blocks of about that length.

    Contents are read through `source`. Empty blocks come while nothing is sent: a moment to look
    whether anybody still waits. Where nothing may wait, one comes before whatever may have to.
    """
    blocks = LooseBlocks(block_length)
    with closing(steps):
        for step in steps:
            if isinstance(step, bytes):
                yield from blocks.push(step)
            elif isinstance(step, WholeReading) and (piece := step.at_once()) is not None:
                source.skip(step.content)
                yield from blocks.push(piece)
            elif isinstance(step, Reading):
                yield from _read(step, source, blocks)
            else:
                if not may_wait():
                    yield b""
                step.run()
                yield b""
    yield from blocks.flush()


async def adriven(
    steps: Generator[Step, None, None], source: Source
) -> AsyncGenerator[bytes, None]:
    """Do what `driven` does, on an event loop.

    The steps up to the first bytes come from a thread: before them, a cache is asked, and members
    are passed over, of which 100,000 take 0.7 s.
    """
    blocks = LooseBlocks()
    pull, is_begun = sync_to_async(lambda: next(steps, None)), False
    try:
        while (step := next(steps, None) if is_begun else await pull()) is not None:
            if isinstance(step, bytes):
                is_begun = is_begun or bool(step)
                for block in blocks.push(step):
                    yield block
            elif isinstance(step, Reading):
                async with aclosing(_aread(step, source, blocks)) as read:
                    async for block in read:
                        yield block
            else:
                await step.arun()
    finally:
        # If a thread is still at them, after a cancellation, they end when it lets go of them.
        with suppress(ValueError):
            steps.close()
    for block in blocks.flush():
        yield block


def _read(reading: Reading, source: Source, blocks: LooseBlocks) -> Generator[bytes, None, None]:
    # What is verified by inflating it takes its time, too.
    waits = not defers(reading.content) or reading.slow_from <= _CHUNK_LENGTH
    if waits and not may_wait():
        yield b""
    chunks = source.chunks(reading.content, reading.start, reading.stop)
    try:
        for chunk in chunks:
            if piece := reading.take(chunk):
                yield from blocks.push(piece)
            else:
                yield b""
            if waits and not may_wait():
                yield b""
    finally:
        close(chunks)
    reading.end()


async def _aread(
    reading: Reading, source: Source, blocks: LooseBlocks
) -> AsyncGenerator[bytes, None]:
    chunks: Any = source.chunks(reading.content, reading.start, reading.stop)
    if not hasattr(chunks, "__aiter__"):
        chunks = Threaded(chunks, defers=defers(reading.content))
    try:
        async for chunk in chunks:
            if piece := await _taken(reading, chunk):
                for block in blocks.push(piece):
                    yield block
            else:
                yield b""
    finally:
        await aclose(chunks)
    reading.end()


async def _taken(reading: Reading, chunk: bytes) -> bytes:
    """Have a chunk taken, in a thread if that would block the loop."""
    if len(chunk) < reading.slow_from:
        return reading.take(chunk)
    return await asyncio.to_thread(reading.take, chunk)
