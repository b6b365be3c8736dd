"""Which parts an archive is uploaded in, where a store can copy some of them by itself.

A part is a window of the archive that is sent, or a range of a stored object that is copied. All
but the last one have a minimum size, so what lies between two members is sent together with the
beginning of the second one. Pure: positions in, parts out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias


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


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store allows, in bytes and parts, and how large parts are if it is up to us.

    A part that is sent is held in memory. One that is copied takes the store its time: 1 GiB, about
    ten seconds.
    """

    minimum: int = 5 << 20
    maximum: int = 5 << 30
    parts: int = 10_000
    sent: int = 8 << 20
    copied: int = 1 << 30

    def grown(self, length: int) -> Limits:
        """Return them with parts so large that half of them are enough for an archive.

        The other half is for what cuts it in smaller ones: the beginnings of what is copied.
        """
        least = -(-length // self.parts)
        if least > self.maximum:
            raise ValueError(
                f"the archive has {length:,} bytes; the store takes {self.parts:,} parts of at "
                f"most {self.maximum:,}: make several archives"
            )
        size = min(2 * least, self.maximum)
        return replace(self, sent=max(self.sent, size), copied=max(self.copied, size))


def layout(spans: Sequence[Copyable], length: int, limits: Limits | None = None) -> list[Part]:
    """Return the parts of an archive, in order.

    Args:
        spans: What can be copied, in order. What is too short for it is sent. If there are too many
            parts, only the largest are copied.
        length: The archive's, in bytes.
        limits: Of the store.

    Raises:
        ValueError: The archive is too large for the store.
    """
    limits = (limits or Limits()).grown(length)
    parts = list(_parts(spans, length, limits))
    if len(parts) <= limits.parts:
        return parts
    by_length = sorted(spans, key=lambda span: (-span.length, span.start))

    def with_largest(number: int) -> Iterator[Part]:
        return _parts(sorted(by_length[:number]), length, limits)

    # The largest ones save parts, as they would be sent in several. The smaller, the more of them.
    number = bisect_right(
        range(len(spans)), limits.parts, key=lambda number: sum(1 for _ in with_largest(number))
    )
    return list(with_largest(number - 1))


def _parts(spans: Sequence[Copyable], length: int, limits: Limits) -> Iterator[Part]:
    done = 0
    for member, start, stop in spans:
        first = start if start == done else max(start, done + limits.minimum)
        if stop - first < limits.minimum:
            continue
        for piece in _cut(done, first, limits.sent, limits.minimum):
            yield Sent(*piece)
        for begin, end in _cut(first, stop, limits.copied, limits.minimum):
            yield Copied(member, begin - start, end - start)
        done = stop
    for piece in _cut(done, length, limits.sent, limits.minimum):
        yield Sent(*piece)


def _cut(start: int, stop: int, size: int, minimum: int) -> Iterator[tuple[int, int]]:
    """Cut a range into equal pieces of at most `size`, but at least of the minimum."""
    length = stop - start
    number = max(1, min(-(-length // size), length // minimum)) if length else 0
    for piece in range(number):
        yield start + length * piece // number, start + length * (piece + 1) // number
