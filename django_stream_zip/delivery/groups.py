"""CRC-32s of short local files, kept in a cache for many of them at a time.

A cache takes as long for one entry as a disk does for such a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

from django_stream_zip.planning.content import Description

# So many files have one entry. If a download is interrupted, those of the last one are read again.
_LENGTH: Final = 64

Noted = tuple[Description, int]


def state_of(content: Description) -> str:
    """Return what names a content in its present state."""
    state = f"{len(content.identity)} {content.identity} {content.validator}"
    # What only this host knows of a file: its inode, for example.
    local_state = getattr(content, "local_state", None)
    return state if local_state is None else f"{state} {local_state}"


def is_lasting(content: Description) -> bool:
    """Return whether a content's state is one that no other bytes will have."""
    # A file that is modified again within the same tick of its clock keeps its state.
    return content.validator is not None and getattr(content, "is_settled", True)


class Groups:
    """Contents in their order in an archive, so many of them in each group."""

    def __init__(self, contents: Sequence[Description]) -> None:
        self._contents = contents
        self._numbers = {id(content): number for number, content in enumerate(contents)}
        self._learned: dict[int | None, int] = {}

    def learn(self, noted: Iterable[Noted]) -> dict[str, tuple[int, ...]]:
        """Record those that are in a group; return keys and CRC-32s of the groups that are full."""
        numbers = self._numbers
        found = {numbers.get(id(content)): crc_32 for content, crc_32 in noted}
        found.pop(None, None)
        self._learned |= found
        starts = {number - number % _LENGTH for number in found if number is not None}
        return {self._key(start): crc_32s for start in starts if (crc_32s := self._full(start))}

    def _full(self, start: int) -> tuple[int, ...]:
        """Return the CRC-32s of a group and forget them, if all are known and can be kept."""
        group = range(start, min(start + _LENGTH, len(self._contents)))
        if not all(number in self._learned for number in group):
            return ()
        crc_32s = tuple([self._learned.pop(number) for number in group])
        return crc_32s if all(map(is_lasting, self._contents[start : group.stop])) else ()

    def places(self, contents: Iterable[Description]) -> Iterator[tuple[Description, str, int]]:
        """Yield contents, each with the key of its group and its place in that."""
        keys: dict[int, str] = {}
        for content in contents:
            if (number := self._numbers.get(id(content))) is not None:
                place = number % _LENGTH
                start = number - place
                if start not in keys:
                    keys[start] = self._key(start)
                yield content, keys[start], place

    def _key(self, start: int) -> str:
        """Return the cache key of a group in its present state."""
        states = map(state_of, self._contents[start : start + _LENGTH])
        text = "".join([f"{len(state)} {state}" for state in states])
        digest = sha256(text.encode(errors="surrogatepass")).hexdigest()
        return f"django_stream_zip:crc_32s:{digest}"
