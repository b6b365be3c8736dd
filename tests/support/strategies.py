"""What hypothesis draws for archives: names, times, modes, methods, contents and their chunks."""

from __future__ import annotations

import random
import zlib
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import strategies as st

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
)
from django_stream_zip.engine.methods import Method

METHODS = {
    "ZIP_32": lambda content: ZIP_32,
    "ZIP_64": lambda content: ZIP_64,
    "ZIP_AUTO": lambda content: ZIP_AUTO(len(content)),
    "NO_COMPRESSION_32": lambda content: NO_COMPRESSION_32,
    "NO_COMPRESSION_64": lambda content: NO_COMPRESSION_64,
    "NO_COMPRESSION_32(size, crc)": lambda content: NO_COMPRESSION_32(
        len(content), zlib.crc32(content)
    ),
    "NO_COMPRESSION_64(size, crc)": lambda content: NO_COMPRESSION_64(
        len(content), zlib.crc32(content)
    ),
    "NO_COMPRESSION_AUTO(size)": lambda content: NO_COMPRESSION_AUTO(len(content)),
    "NO_COMPRESSION_AUTO(size, crc)": lambda content: NO_COMPRESSION_AUTO(
        len(content), zlib.crc32(content)
    ),
}
"""Every way to write a member, as a function of its content."""

BYTES_LIKE = (bytes, bytearray, memoryview)


class Drawn(NamedTuple):
    """A member, its content in chunks of any kind."""

    name: str
    modified_at: datetime
    mode: int
    method: Method
    chunks: list[Any]

    @property
    def content(self) -> bytes:
        """All chunks together."""
        return b"".join(self.chunks)


def names() -> st.SearchStrategy[str]:
    """Names that all Python readers leave as they are: any text but surrogates and NUL."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(characters, min_size=1, max_size=40)


def times() -> st.SearchStrategy[datetime]:
    """Any time, with a zone or without one, also those no field can hold."""
    offsets = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
    return st.datetimes(timezones=st.none() | offsets)


def modes() -> st.SearchStrategy[int]:
    """Any st_mode."""
    return st.integers(0, 0xFFFF)


def _noise(seed: int, length: int) -> bytes:
    # Not drawn byte by byte: that takes long, and there is nothing in it to shrink.
    return random.Random(seed).randbytes(length)


def contents(max_size: int = 200_000) -> st.SearchStrategy[bytes]:
    """Contents that shrink and that don't, shorter and longer than a stored block."""
    short = st.binary(max_size=300)
    edges = [n for n in (65534, 65535, 65536, 131070, 131071) if n <= max_size]
    lengths = st.integers(0, max_size) | st.sampled_from(edges)
    seeds = st.binary(min_size=1, max_size=40)
    long = st.builds(lambda seed, length: (seed * length)[:length], seeds, lengths)
    noise = st.builds(_noise, st.integers(0, 9), lengths)
    return short | long | noise


@st.composite
def chunkings(draw: st.DrawFn, content: bytes) -> list[bytes]:
    """Cut content at any places; some chunks are empty."""
    cuts = draw(st.lists(st.integers(0, len(content)), max_size=6))
    places = [0, *sorted(cuts), len(content)]
    return [content[start:stop] for start, stop in pairwise(places)]


@st.composite
def members(draw: st.DrawFn, name: str) -> Drawn:
    """A member of this name."""
    content = draw(contents())
    kinds = st.sampled_from(BYTES_LIKE)
    chunks = [draw(kinds)(chunk) for chunk in draw(chunkings(content))]
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))](content)
    return Drawn(name, draw(times()), draw(modes()), method, chunks)


def archives(max_size: int = 5) -> st.SearchStrategy[list[Drawn]]:
    """Lists of members, no two of one name."""
    unique = st.lists(names(), max_size=max_size, unique=True)
    return unique.flatmap(lambda drawn: st.tuples(*map(members, drawn)).map(list))


def passwords() -> st.SearchStrategy[str]:
    """Passwords every reader can be told."""
    return st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def expected(drawn: list[Drawn]) -> dict[str, bytes]:
    """Return what a reader has to find."""
    return {member.name: member.content for member in drawn}
