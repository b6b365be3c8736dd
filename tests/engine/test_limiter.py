"""What limits long work: it is entered for each piece, and short work goes by without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from datetime import datetime
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from django_stream_zip import ZIP_32, stream_zip
from django_stream_zip.engine.streams import async_stream_with, make_options, stream_with

TIME = datetime(2024, 2, 29, 12, 34, 56)
MODE = 0o100644
LONG = bytes(100_000)


class Limiter(AbstractContextManager[None]):
    """Keeps account of who enters and leaves."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __enter__(self) -> None:
        self.calls.append("enter")

    def __exit__(self, *error: object) -> None:
        self.calls.append("exit")


def written(limiter: Limiter, chunks: list[bytes], workers: int) -> bytes:
    options = make_options(limiter=limiter)
    return b"".join(stream_with(options, [("a", TIME, MODE, ZIP_32, chunks)], workers=workers))


def async_written(limiter: Limiter, chunks: list[bytes], workers: int) -> bytes:
    async def content() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def members() -> AsyncIterator[Any]:
        yield "a", TIME, MODE, ZIP_32, content()

    async def write() -> bytes:
        options = make_options(limiter=limiter)
        blocks = async_stream_with(options, members(), workers=workers)
        return b"".join([block async for block in blocks])

    return asyncio.run(write())


EITHER = pytest.mark.parametrize("write", [written, async_written], ids=["sync", "async"])


@EITHER
@pytest.mark.parametrize("workers", [0, 2])
def test_long_work_enters_it_for_each_piece(write: Any, workers: int) -> None:
    limiter = Limiter()
    chunks = [LONG] * 9
    with ZipFile(BytesIO(write(limiter, chunks, workers))) as archive:
        assert archive.read("a") == b"".join(chunks)
    # Threads may enter it before others have left it.
    assert limiter.calls.count("enter") == limiter.calls.count("exit")
    assert limiter.calls.count("enter") == (4 if workers else 9)  # blocks of 256 KiB, or chunks


@EITHER
@pytest.mark.parametrize("workers", [0, 2])
def test_short_work_goes_by_without_it(write: Any, workers: int) -> None:
    limiter = Limiter()
    write(limiter, [b"short"] * 3, workers)
    assert limiter.calls == []


def test_options_make_the_bytes_that_arguments_make() -> None:
    members = [("a", TIME, MODE, ZIP_32, [LONG])]
    assert written(Limiter(), [LONG], 0) == b"".join(stream_zip(members))
