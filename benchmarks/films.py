"""The films that the site serves, found where BENCHMARKS_SAMPLES says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from benchmarks.files import File, OnDisk
from benchmarks.samples import Samples

SAMPLES = Samples(Path(os.environ["BENCHMARKS_SAMPLES"]))


@cache
def films() -> list[File]:
    """Return the films."""
    # All films have the same content: read one for the CRC-32 that stream-zip has to be told.
    paths = SAMPLES.films()
    first = File.of_chunks("", paths[0].stat().st_size, OnDisk(paths[0]))
    return [File(path.name, first.size, first.crc_32, OnDisk(path)) for path in paths]


def plain_chunks(count: int) -> Iterator[bytes]:
    """Return the bytes of so many films, no archive around them."""
    return chain.from_iterable(film.chunks for film in films()[:count])
