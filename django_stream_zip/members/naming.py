"""The members of a response, whoever made them: safe names, no two alike, and one clock.

The names that the builders in `members` make are safe already and stay as they are. Only here they
are made unique: a builder knows no other member, and the engine writes what it gets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from operator import is_
from typing import Any

from django_stream_zip.engine.names import ManyNames, Names, are_distinct
from django_stream_zip.engine.streams import aclose, close
from django_stream_zip.members.build import text, wall_clock
from django_stream_zip.members.misuse import checked_values


def named(members: Any) -> Any:
    """Return the same members, or the same kind of iterable where one has to be another one.

    Raises ZipValueError or TypeError for a sequence in which something is no member.
    """
    if isinstance(members, Sequence):
        changed = list(map(_by_clock, members))
        if not are_distinct([member[0] for member in changed]):
            names = Names()
            changed = [_renamed(names, member) for member in changed]
        return members if all(map(is_, changed, members)) else changed
    if hasattr(members, "__aiter__"):
        return _named_async(members)
    return _named(members)


def _named(members: Iterable[Any]) -> Iterator[Any]:
    names, iterator = ManyNames(), iter(members)
    try:
        for member in iterator:
            yield _renamed(names, _by_clock(member))
    finally:
        close(iterator)


async def _named_async(members: Any) -> AsyncIterator[Any]:
    names, iterator = ManyNames(), aiter(members)
    try:
        async for member in iterator:
            yield _renamed(names, _by_clock(member))
    finally:
        await aclose(iterator)


def _by_clock(member: Any) -> Any:
    """Return a member with a name that is text, and its time by the site's clock as builders do.

    Raises ZipValueError or TypeError where it is no member.
    """
    name, modified_at, mode, method, content = checked_values(member)
    given, at = name if name.__class__ is str else text(name), wall_clock(modified_at)
    if at is modified_at and given is name:
        return member
    return given, at, mode, method, content


def _renamed(names: Names, member: Any) -> Any:
    """Return a member with a name of its own."""
    name, *values = member
    own = names.of(name)
    return member if own == name else (own, *values)
