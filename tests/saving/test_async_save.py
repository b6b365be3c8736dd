"""Saving from an event loop: asynchronous members too, and cancelled without a trace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.storage import FileSystemStorage

from django_stream_zip import NO_COMPRESSION_AUTO, ZIP_32, stream_zip
from django_stream_zip.saving import NameTakenError, asave_zip
from tests.support.contents import MODE, TIME
from tests.support.saving import InjectedError, WriterContract

MEMBERS = WriterContract().members
WHOLE = b"".join(stream_zip(MEMBERS()))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return FileSystemStorage(tmp_path)


class Content:
    """Chunks that an event loop has to bring."""

    def __init__(self, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.data = data
        self.loop = loop
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for start in range(0, len(self.data), 1000):
                await asyncio.sleep(0)
                assert asyncio.get_running_loop() is self.loop
                yield self.data[start : start + 1000]
        finally:
            self.is_closed = True


def awaited(loop: asyncio.AbstractEventLoop) -> list[Any]:
    return [(*opening, Content(content.data, loop)) for *opening, content in MEMBERS()]


async def each(members: list[Any]) -> AsyncIterator[Any]:
    for member in members:
        await asyncio.sleep(0)
        yield member


@pytest.mark.parametrize("workers", [1, 3])
def test_synchronous_members_are_saved(workers: int, store: Any) -> None:
    saved = async_to_sync(asave_zip)(store, "a.zip", MEMBERS(), workers=workers, part_size=5000)
    assert Path(store.path("a.zip")).read_bytes() == WHOLE
    assert saved.length == len(WHOLE)


@pytest.mark.parametrize("kind", ["sequence", "iterable"])
def test_asynchronous_members_are_saved(kind: str, store: Any) -> None:
    async def save() -> Any:
        members = awaited(asyncio.get_running_loop())
        return await asave_zip(store, "a.zip", members if kind == "sequence" else each(members))

    assert async_to_sync(save)().members == len(MEMBERS())
    assert Path(store.path("a.zip")).read_bytes() == WHOLE


def test_an_error_leaves_nothing(store: Any) -> None:
    contents = []

    async def failing() -> AsyncIterator[Any]:
        members = awaited(asyncio.get_running_loop())
        contents.extend(member[4] for member in members)
        yield members[0]
        raise InjectedError

    async def save() -> None:
        await asave_zip(store, "a.zip", failing())

    with pytest.raises(InjectedError):
        async_to_sync(save)()
    assert os.listdir(store.location) == []
    assert contents[0].is_closed


def test_a_name_that_is_taken_is_an_error(store: Any) -> None:
    async def save() -> None:
        await asave_zip(store, "a.zip", MEMBERS())
        await asave_zip(store, "a.zip", MEMBERS())

    with pytest.raises(NameTakenError):
        async_to_sync(save)()


def test_what_is_cancelled_leaves_nothing(store: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield bytes(10_000)

    async def save() -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        member = "a.bin", TIME, MODE, NO_COMPRESSION_AUTO(1 << 40), endless()
        task = asyncio.create_task(
            asave_zip(
                store,
                "a.zip",
                [member],
                part_size=100_000,
                progress=lambda *numbers: loop.call_soon_threadsafe(begun.set),
            )
        )
        await begun.wait()
        assert os.listdir(store.location) != []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async_to_sync(save)()
    assert os.listdir(store.location) == []


@pytest.mark.parametrize("kind", ["members", "content"])
def test_what_waits_for_ever_can_be_cancelled(kind: str, store: Any) -> None:
    waits = asyncio.Event()

    async def stalled() -> AsyncIterator[Any]:
        yield MEMBERS()[0] if kind == "members" else b"data"
        waits.set()
        await asyncio.Event().wait()

    async def save() -> None:
        members = stalled() if kind == "members" else [("a", TIME, MODE, ZIP_32, stalled())]
        task = asyncio.create_task(asave_zip(store, "a.zip", members))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)

    async_to_sync(save)()
    assert os.listdir(store.location) == []
