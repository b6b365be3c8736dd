"""What an engine is to the benchmarks."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from stat import S_IFREG
from typing import Any, Protocol

from benchmarks.files import File

MODIFIED_AT = datetime(2026, 1, 31, 12, 30)
MODE = S_IFREG | 0o644


@dataclass(frozen=True, slots=True)
class How:
    """How members are to be written.

    `compress` is None where the engine is to choose, `level` is None for the engine's own. An
    engine that takes all members before it writes any may do so where `queues` allows it.
    """

    compress: bool | None
    level: int | None = None
    password: str | None = None
    knows_crc_32: bool = True
    queues: bool = True


class Engine(Protocol):
    """Writes archives."""

    def missing(self) -> str | None:
        """Say what has to be done before it can run, None if it can."""

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        """Return what the engine's user hands it for these files, made while it is iterated."""

    def write(self, members: Iterable[Any], how: How) -> int:
        """Write the archive and throw it away; give its length."""


def needs(module: str, requirement: str) -> str | None:
    """Say what to install if there is no such module."""
    return None if find_spec(module) else f"not installed: pip install {requirement}"


class AsyncChunks:
    """Chunks as an asynchronous source that never has to wait."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


async def aiterate(members: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield members asynchronously."""
    for member in members:
        yield member


async def alength(blocks: AsyncIterable[bytes]) -> int:
    """Return how many bytes there are in blocks."""
    length = 0
    async for block in blocks:
        length += len(block)
    return length
