"""The set that keeps hashes only: it answers as a set does."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.engine.hashed import HashedSet


@given(st.lists(st.text(max_size=3), max_size=3000), st.lists(st.text(max_size=3), max_size=100))
def test_it_answers_as_a_set_does(added: list[str], asked: list[str]) -> None:
    hashed = HashedSet()
    expected = set()
    for text in added:
        assert (text in hashed) == (text in expected)
        hashed.add(text)
        expected.add(text)
    assert [text in hashed for text in added + asked] == [t in expected for t in added + asked]


def test_a_hundred_thousand_are_all_there_and_no_other() -> None:
    hashed = HashedSet()
    for number in range(100_000):
        hashed.add(f"name {number}")
    assert all(f"name {number}" in hashed for number in range(100_000))
    assert not any(f"other {number}" in hashed for number in range(100_000))


def test_it_takes_few_bytes_a_text() -> None:
    tracemalloc.start()
    try:
        hashed = HashedSet()
        for number in range(100_000):
            hashed.add(f"name {number}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 100_000 * 48  # the table of 21 bytes each, and the one before it
