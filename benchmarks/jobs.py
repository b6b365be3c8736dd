"""The files that the workloads inside one process archive."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks import csv_text
from benchmarks.files import CHUNK_LENGTH, File, OnDisk, Repeated
from benchmarks.samples import MIB, Samples

GIB = 1024 * MIB


def small(count: int, size: int) -> list[File]:
    """Return small texts, no two the same."""
    text = csv_text.text(count * size, csv_text.orders)
    return [File.of(f"folder/{n:06}.txt", text[n * size : (n + 1) * size]) for n in range(count)]


def empty(count: int) -> Iterator[File]:
    """Return files with nothing in them, held by nobody."""
    return (File(f"folder/{n:06}.txt", 0, 0, ()) for n in range(count))


def noise(size: int) -> list[File]:
    """Return one large file in chunks of 64 KiB, 16 MiB of which differ."""
    source = random.Random(1)
    chunks = [source.randbytes(CHUNK_LENGTH) for _ in range(min(size, 16 * MIB) // CHUNK_LENGTH)]
    content = Repeated(chunks, size // CHUNK_LENGTH)
    return [File.of_chunks("film.mp4", size, content)]


def zeros(size: int) -> list[File]:
    """Return one large file of zeros that is nowhere."""
    return [
        File(
            "zeros.bin",
            size,
            _crc_32_of_zeros(size),
            Repeated([bytes(CHUNK_LENGTH)], size // CHUNK_LENGTH),
        )
    ]


def payments(samples: Samples) -> list[File]:
    """Return 64 MiB of text, on disk."""
    return [_on_disk(samples.payments())]


def orders(samples: Samples) -> list[File]:
    """Return 64 MiB of text that repeats itself, on disk."""
    return [_on_disk(samples.orders())]


def photo(samples: Samples) -> list[File]:
    """Return 64 MiB that can't be compressed, on disk."""
    return [_on_disk(samples.photo())]


def _on_disk(path: Path) -> File:
    return File.of_chunks(path.name, path.stat().st_size, OnDisk(path))


def _crc_32_of_zeros(size: int) -> int:
    crc_32, zeros = 0, bytes(MIB)
    for _ in range(size // MIB):
        crc_32 = zlib.crc32(zeros, crc_32)
    return crc_32
