"""The parts of an archive: they cover it, a store takes them, and what can be is copied."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.saving.errors import PartSizeError
from django_stream_zip.saving.layout import Copied, Copyable, Part, Sent, layout
from django_stream_zip.saving.writers.writer import Limits

MIB = 1 << 20
SMALL = Limits(minimum=5, maximum=500, number=1000, default=8)
S3 = Limits(default=8 * MIB, minimum=5 * MIB, maximum=5 << 30, number=10_000)
DIRECTORY = 60


def spans_of(sizes: Sequence[int], header: int = 40) -> tuple[list[Copyable], int]:
    """Return where members of these sizes are in an archive, and its length."""
    spans, position = [], 0
    for member, size in enumerate(sizes):
        position += header
        spans.append(Copyable(member, position, position + size))
        position += size
    return spans, position + DIRECTORY + header * len(sizes)


def sent(parts: Sequence[Part]) -> int:
    return sum(part.stop - part.start for part in parts if isinstance(part, Sent))


def covered(parts: Sequence[Part], spans: Sequence[Copyable]) -> list[tuple[int, int]]:
    """Return the windows of the archive that parts are."""
    starts = {span.member: span.start for span in spans}
    return [
        (part.start, part.stop)
        if isinstance(part, Sent)
        else (starts[part.member] + part.start, starts[part.member] + part.stop)
        for part in parts
    ]


archives = st.builds(
    spans_of,
    st.lists(st.integers(0, 60) | st.integers(0, 1500), max_size=30),
    st.integers(1, 12),
)


@given(archives, st.data())
def test_any_archive_is_covered_by_parts_that_the_store_takes(
    archive: tuple[list[Copyable], int], data: st.DataObject
) -> None:
    spans, length = archive
    spans = [span for span in spans if data.draw(st.booleans())]
    number = data.draw(st.integers(1 + length // 500, 100))
    limits = SMALL._replace(number=number)
    parts = layout(spans, length, limits, 100)
    windows = covered(parts, spans)
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    assert all(first[1] == second[0] for first, second in pairwise(windows))
    sizes = [stop - start for start, stop in windows]
    assert len(parts) <= number
    assert all(size >= 5 for size in sizes[:-1])
    assert all(1 <= size <= 500 for size in sizes)
    bounds = {span.member: span.length for span in spans}
    for part in parts:
        if isinstance(part, Copied):
            assert 0 <= part.start < part.stop <= bounds[part.member]


@given(archives)
def test_what_is_sent_is_what_it_has_to_be(archive: tuple[list[Copyable], int]) -> None:
    """Of a member that is copied less than the minimum; another one is not twice as long."""
    spans, length = archive
    parts = layout(spans, length, SMALL._replace(maximum=10_000), 100)
    copied = {part.member for part in parts if isinstance(part, Copied)}
    gaps = length - sum(span.length for span in spans)
    whole = [span.length for span in spans if span.member not in copied]
    assert all(size < 10 for size in whole)
    assert sent(parts) <= gaps + sum(whole) + 5 * len(copied)


def test_nothing_to_copy() -> None:
    assert layout([], 22, SMALL._replace(default=22)) == [Sent(0, 22)]
    assert layout([], 24, SMALL) == [Sent(0, 8), Sent(8, 16), Sent(16, 24)]


def test_what_comes_before_a_member_takes_its_beginning_along() -> None:
    spans = [Copyable(0, 3, 30), Copyable(1, 33, 37), Copyable(2, 40, 400)]
    assert layout(spans, 420, SMALL, 100) == [
        Sent(0, 5),
        Copied(0, 2, 27),
        Sent(30, 35),  # all of a short one
        Sent(35, 40),
        Copied(2, 0, 90),
        Copied(2, 90, 180),
        Copied(2, 180, 270),
        Copied(2, 270, 360),
        Sent(400, 406),
        Sent(406, 413),
        Sent(413, 420),
    ]


def test_an_object_larger_than_a_part_can_be_is_copied_in_ranges() -> None:
    spans, length = spans_of([20 << 30])
    parts = layout(spans, length, S3, 5 << 30)
    assert [type(part) for part in parts] == [Sent, *[Copied] * 4, Sent]


@pytest.mark.parametrize(
    ("size", "percent"),
    [(20, 26.3), (50, 10.5), (100, 5.25), (250, 2.1), (1000, 0.53), (20_000, 0.03)],
)
def test_the_share_that_is_sent_by_the_size_of_members(size: int, percent: float) -> None:
    spans, length = spans_of([size * 1_000_000] * 50)
    parts = layout(spans, length, S3)
    assert sent(parts) / length * 100 <= percent


def test_three_videos_take_seven_parts() -> None:
    spans, length = spans_of([210_000_000] * 3)
    parts = layout(spans, length, S3)
    assert len(parts) == 7
    assert sent(parts) / length <= 0.026


def test_a_thousand_members_of_many_sizes() -> None:
    chosen = random.Random(5)
    spans, length = spans_of([chosen.randint(1, 300) * 1_000_000 for _ in range(1000)])
    parts = layout(spans, length, S3)
    copied = {part.member for part in parts if isinstance(part, Copied)}
    short = sum(span.length for span in spans if span.member not in copied)
    assert len(parts) <= 2 * len(copied) + 1 + short // (5 * MIB)
    assert sent(parts) / length < 0.037


def test_of_too_many_members_the_largest_are_copied() -> None:
    chosen = random.Random(6)
    spans, length = spans_of([chosen.randint(11, 100) * 1_000_000 for _ in range(3000)])
    parts = layout(spans, length, S3._replace(number=1000))
    copied = {part.member for part in parts if isinstance(part, Copied)}
    assert 900 < len(parts) <= 1000
    assert len(copied) > 300
    least = min(spans[member].length for member in copied)
    assert all(span.length <= least for span in spans if span.member not in copied)


def test_one_that_no_store_takes_is_refused() -> None:
    with pytest.raises(PartSizeError):
        layout([], 50 << 40, S3)
