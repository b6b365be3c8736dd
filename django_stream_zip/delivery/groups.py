"""CRC-32s of short local files, kept in a cache for many of them at a time.

A cache takes as long for one entry as a disk does for such a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

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
    return content.validator is not None and _is_settled(content)


class Groups:
    """Contents in their order in an archive, so many of them in each group.

    Args:
        contents: They have a `local_state`, each.
        archive: The archive's entity tag: it stands for their identities and validators.
    """

    def __init__(self, contents: Sequence[Any], archive: str) -> None:
        self._contents = contents
        self._archive = archive
        self._numbers = {id(content): number for number, content in enumerate(contents)}
        self._learned: dict[int, int] = {}

    def learn(self, noted: Iterable[Noted]) -> tuple[dict[str, tuple[int, ...]], list[Noted]]:
        """Record those that are in a group.

        Returns the keys and the CRC-32s of the groups that are full, and what is in no group.
        """
        numbers, learned = self._numbers, self._learned
        starts, others = set(), []
        for one in noted:
            if (number := numbers.get(id(one[0]))) is None:
                others.append(one)
            else:
                learned[number] = one[1]
                starts.add(number - number % _LENGTH)
        full = {self._key(start): crc_32s for start in starts if (crc_32s := self._full(start))}
        return full, others

    def _full(self, start: int) -> tuple[int, ...]:
        """Return the CRC-32s of a group and forget them, if all are known and can be kept."""
        group = range(start, min(start + _LENGTH, len(self._contents)))
        if not all(number in self._learned for number in group):
            return ()
        crc_32s = tuple([self._learned.pop(number) for number in group])
        return crc_32s if all(map(_is_settled, self._contents[start : group.stop])) else ()

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
        states = [content.local_state for content in self._contents[start : start + _LENGTH]]
        text = "".join(
            [self._archive, f" {start}", *[f" {len(state)} {state}" for state in states]]
        )
        digest = sha256(text.encode(errors="surrogatepass")).hexdigest()
        return f"django_stream_zip:crc_32s:{digest}"


def _is_settled(content: Description) -> bool:
    # A file that is modified again within the same tick of its clock keeps its state.
    return bool(getattr(content, "is_settled", True))
