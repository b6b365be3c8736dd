"""Awkward worlds for members and chunks: watched, failing, endless; and the same ones async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from hashlib import sha256
from typing import Any, TypeVar

Item = TypeVar("Item")


class BrokenSourceError(Exception):
    """What a failing source raises: no exception the package could know."""


def chunked(content: bytes, size: int) -> Iterator[bytes]:
    """Cut content into chunks of a size."""
    return (content[start : start + size] for start in range(0, len(content), size))


def failing(items: Iterable[Item], error: BaseException) -> Iterator[Item]:
    """Yield the items, then raise."""
    yield from items
    raise error


def endless(item: Item) -> Iterator[Item]:
    """Yield the same over and over; whoever waits for the end waits in vain."""
    while True:
        yield item


def watched(label: str, items: Iterable[Item], log: list[str]) -> Iterator[Item]:
    """Yield the items, and log when each is asked for, and when the iteration is over."""
    try:
        for number, item in enumerate(items):
            log.append(f"{label} {number}")
            yield item
    finally:
        log.append(f"{label} over")


async def awatched(label: str, items: Iterable[Item], log: list[str]) -> AsyncIterator[Item]:
    """Do what watched does, for an async consumer, and let others run before each item."""
    try:
        for number, item in enumerate(items):
            log.append(f"{label} {number}")
            await asyncio.sleep(0)
            yield item
    finally:
        log.append(f"{label} over")


async def aiterated(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield the items to an async consumer."""
    for item in items:
        yield item


async def amembers(members: Iterable[tuple[Any, ...]]) -> AsyncIterator[tuple[Any, ...]]:
    """Make async members of sync ones."""
    for name, modified_at, mode, method, chunks in members:
        yield name, modified_at, mode, method, aiterated(chunks)


def collected(blocks: AsyncIterable[Item]) -> list[Item]:
    """Run an async iterable to its end."""

    async def collect() -> list[Item]:
        return [block async for block in blocks]

    return asyncio.run(collect())


def numbered_random() -> Callable[[int], bytes]:
    """Return a source of bytes that differ from call to call and not from run to run."""
    calls = 0

    def get_crypto_random(length: int) -> bytes:
        nonlocal calls
        calls += 1
        return sha256(b"%d" % calls).digest()[:length]

    return get_crypto_random
