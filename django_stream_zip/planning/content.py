"""What a member's content offers beyond being iterated. Knows no storage and no Django.

The fifth value of a member may be any iterable of bytes. With contents of this shape an archive has
a length, an entity tag and ranges. The builders in `members` make such; you may write your own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Protocol


class ContentChangedError(Exception):
    """A content is no longer what it was when its member was made."""


class Description(Protocol):
    """What is known of a content before it is read.

    `identity` says which content it is and `validator` which state of it: together they name the
    same bytes for ever (an upload's key and its ETag, a path and its modification time). A
    validator of None means that the state isn't known: the archive has no entity tag then, and no
    ranges.

    Both are the same on every host. Two more attributes are optional. They decide which CRC-32s are
    learned and kept in the cache, and don't come into the entity tag. `local_state`, a text or
    None, distinguishes states that have the same validator, on this host only (a file's inode and
    when that was changed). `is_settled` (True where it is missing) is False while the content may
    get another state with the same validator, as it was modified only a moment before it was
    described. Nothing is learned of it then.

    A third one, `is_deflated`, is True of a content that is a deflate stream, of which the engine's
    method PRECOMPRESSED says what it inflates to. No other method takes such a content.
    """

    @property
    def size(self) -> int | None:
        """Number of bytes, None if only reading shows it."""

    @property
    def crc_32(self) -> int | None:
        """CRC-32, None if only reading shows it."""

    @property
    def identity(self) -> str:
        """Name of the content that no other content has."""

    @property
    def validator(self) -> str | None:
        """Something that changes whenever a byte of the content does."""


class Content(Description, Protocol):
    """A member's content that can be read again, from any position.

    Two more methods are optional: `whole()` returns all that `chunks()` yields, in one piece, or
    None where that is more than a chunk, or takes longer than a file of this machine does. It costs
    less than a generator; under ASGI it isn't called on the event loop. `whole_now()` does so with
    what iterating yields.
    """

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop` (exclusive; None is the end), as described.

        Opens what it reads with the first chunk and closes it with the last one, or when closed.
        Raises ContentChangedError where it can tell that the content isn't the one described, or
        that it was changed while it was read.

        Under ASGI a thread pulls them, unless the content has a true `defers`: then the event loop
        does, and what would have to wait there yields an empty chunk first (see
        `prefetch.waiting`). Its `prepare()`, which is optional too, is called in a thread before.
        """

    def __iter__(self) -> Iterator[bytes]:
        """Yield all of it, as it is when it is opened.

        For archives without a length or an entity tag, which declared nothing about it. Raises
        ContentChangedError where it can tell that it was changed while it was read.
        """


class AsyncContent(Description, Protocol):
    """The same, read on an event loop."""

    def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`, as Content does."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield all of it, as Content does."""
