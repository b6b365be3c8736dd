"""Which parts an archive is uploaded in, where a store can copy some of them by itself.

A part is a window of the archive that is sent, or a range of a stored object that is copied. All
but the last one have a minimum size, so what lies between two members is sent together with the
beginning of the second one. Pure: positions in, parts out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from django_stream_zip.saving.writers.writer import Limits


class Copyable(NamedTuple):
    """A content that can be copied: whose it is, and where it is in the archive."""

    member: int
    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


class Sent(NamedTuple):
    """A part that is a window of the archive."""

    start: int
    stop: int


class Copied(NamedTuple):
    """A part that is a range of a member's content."""

    member: int
    start: int
    stop: int


Part: TypeAlias = Sent | Copied


# What is copied isn't held in memory. But the store takes its time, and a client waits a minute for
# an answer: for eight copies at a time, 70 MB/s are enough.
_COPIED_SIZE: Final = 512 << 20


def layout(
    spans: Sequence[Copyable], length: int, limits: Limits, copied_size: int = _COPIED_SIZE
) -> list[Part]:
    """Return the parts of an archive, in order.

    Args:
        spans: What can be copied, in order. What is too short for it is sent. If there are too many
            parts, only the largest are copied.
        length: The archive's, in bytes.
        limits: Of the store.
        copied_size: How much is copied at a time, unless there would be too many parts.

    Raises:
        PartSizeError: The archive is too large for the store.
    """
    limits, copied_size = _grown(limits, length, copied_size)
    parts = list(_parts(spans, length, limits, copied_size))
    if len(parts) <= limits.number:
        return parts
    by_length = sorted(spans, key=lambda span: (-span.length, span.start))

    def with_largest(number: int) -> Iterator[Part]:
        return _parts(sorted(by_length[:number]), length, limits, copied_size)

    # The largest ones save parts, as they would be sent in several. The smaller, the more of them.
    number = bisect_right(
        range(len(spans)), limits.number, key=lambda number: sum(1 for _ in with_largest(number))
    )
    return list(with_largest(number - 1))


def _grown(limits: Limits, length: int, copied_size: int) -> tuple[Limits, int]:
    """Have parts so large that half of those that the store takes are enough for the archive.

    The other half is for what cuts it in smaller ones: the beginnings of what is copied.
    """
    limits.part_size(length, limits.maximum)  # raises, where even the largest are too many
    size = min(-(-2 * length // limits.number), limits.maximum)
    copied_size = min(max(copied_size, size), limits.maximum)
    return limits._replace(default=max(limits.default, size)), copied_size


def _parts(
    spans: Sequence[Copyable], length: int, limits: Limits, copied_size: int
) -> Iterator[Part]:
    done = 0
    for member, start, stop in spans:
        first = start if start == done else max(start, done + limits.minimum)
        if stop - first < limits.minimum:
            continue
        for piece in _cut(done, first, limits.default, limits.minimum):
            yield Sent(*piece)
        for begin, end in _cut(first, stop, copied_size, limits.minimum):
            yield Copied(member, begin - start, end - start)
        done = stop
    for piece in _cut(done, length, limits.default, limits.minimum):
        yield Sent(*piece)


def _cut(start: int, stop: int, size: int, minimum: int) -> Iterator[tuple[int, int]]:
    """Cut a range into equal pieces of at most `size`, but at least of the minimum."""
    length = stop - start
    number = max(1, min(-(-length // size), length // minimum)) if length else 0
    for piece in range(number):
        yield start + length * piece // number, start + length * (piece + 1) // number
