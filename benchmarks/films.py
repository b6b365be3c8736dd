"""The films that the site serves, found where BENCHMARKS_SAMPLES says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from benchmarks.files import File, OnDisk
from benchmarks.samples import Samples

SAMPLES = Samples(Path(os.environ["BENCHMARKS_SAMPLES"]))


def _films() -> list[File]:
    # All films have the same content: read one for the CRC-32 that stream-zip has to be told.
    films = SAMPLES.films()
    first = File.of_chunks("", films[0].stat().st_size, OnDisk(films[0]))
    return [File(film.name, first.size, first.crc_32, OnDisk(film)) for film in films]


FILMS = _films()


def plain_chunks(count: int) -> Iterator[bytes]:
    """Give the bytes of so many films, no archive around them."""
    return chain.from_iterable(film.chunks for film in FILMS[:count])
