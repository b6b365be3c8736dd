"""Unpacking while it comes in."""

from __future__ import annotations

from collections.abc import Iterator
from gzip import BadGzipFile, compress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.members.readers.gzipped import cut, decoded


def split(data: bytes, length: int) -> Iterator[bytes]:
    return (data[start : start + length] for start in range(0, len(data), length))


@given(st.lists(st.binary(max_size=500), max_size=4), st.integers(1, 100), st.integers(0, 3))
def test_what_was_packed_comes_out(packed: list[bytes], length: int, zeros: int) -> None:
    data = b"".join(map(compress, packed)) + bytes(zeros if packed else 0)
    assert b"".join(decoded(split(data, length))) == b"".join(packed)


@pytest.mark.parametrize("left", [1, 5, 10, 20])
def test_what_is_cut_short_is_an_error(left: int) -> None:
    with pytest.raises((EOFError, BadGzipFile)):
        list(decoded(split(compress(b"data" * 100)[:left], 3)))


@given(
    st.lists(st.binary(max_size=20), max_size=10),
    st.integers(0, 250),
    st.none() | st.integers(0, 250),
)
def test_a_cut_is_a_slice(chunks: list[bytes], start: int, stop: int | None) -> None:
    pieces = list(cut(iter(chunks), start, stop))
    assert b"".join(pieces) == b"".join(chunks)[start:stop]
    assert all(pieces)
