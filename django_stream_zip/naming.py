"""The names of all members of a response: made safe, and no two alike, whoever made the members.

What the builders of `members` and `queryset_members` give is safe already and stays as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from django_stream_zip.engine.names import ManyNames, Names, distinct_names
from django_stream_zip.engine.streams import aclose, close
from django_stream_zip.misuse import unpacked


def named(members: Any) -> Any:
    """Give the same members, or where a name has to be another one, the same kind of iterable.

    Raises ZipValueError and TypeError for a sequence in which something is no member.
    """
    if isinstance(members, Sequence):
        given = [unpacked(member)[0] for member in members]
        if not all(isinstance(name, str) for name in given):
            return members  # and the engine says which isn't
        distinct = distinct_names(given)
        if distinct == given:
            return members
        return [(name, *member[1:]) for name, member in zip(distinct, members, strict=True)]
    if hasattr(members, "__aiter__"):
        return _named_async(members)
    return _named(members)


def _named(members: Iterable[Any]) -> Iterator[Any]:
    names, iterator = ManyNames(), iter(members)
    try:
        for member in iterator:
            yield _with_own_name(names, member)
    finally:
        close(iterator)


async def _named_async(members: Any) -> AsyncIterator[Any]:
    names, iterator = ManyNames(), aiter(members)
    try:
        async for member in iterator:
            yield _with_own_name(names, member)
    finally:
        await aclose(iterator)


def _with_own_name(names: Names, member: Any) -> Any:
    name, *rest = unpacked(member)
    return (names.of(name) if isinstance(name, str) else name, *rest)
