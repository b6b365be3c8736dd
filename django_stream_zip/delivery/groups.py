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


class Groups:
    """Contents in their order in an archive, and the groups that they are in."""

    def __init__(self, contents: Sequence[Description]) -> None:
        self._contents = contents
        self._numbers = {id(content): number for number, content in enumerate(contents)}
        self._learned: dict[int, int] = {}

    def learn(self, content: Description, crc_32: int) -> dict[str, tuple[int, ...]]:
        """Record one; return the key and the CRC-32s of its group if this was the last one."""
        number = self._numbers.get(id(content))
        if number is None:
            return {}
        self._learned[number] = crc_32
        start = number - number % _LENGTH
        group = range(start, min(start + _LENGTH, len(self._contents)))
        if number != group[-1]:
            return {}
        found = [self._learned.pop(n) for n in group if n in self._learned]
        return {self._key(start): tuple(found)} if len(found) == len(group) else {}

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
        states = [
            # What only this host knows of a file comes last: its inode, for example.
            (content.identity, content.validator, getattr(content, "local_state", None))
            for content in self._contents[start : start + _LENGTH]
        ]
        digest = sha256(repr(states).encode(errors="backslashreplace"))
        return f"django_stream_zip:crc_32s:{digest.hexdigest()}"
