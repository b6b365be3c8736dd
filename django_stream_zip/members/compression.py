"""Whether members are deflated that builders would deflate by default: decided once for an archive.

Where they are stored, the archive has a length, a progress bar and can be resumed. That is worth
more than a few bytes, so they are deflated only where they are much of the archive. What somebody
asked for is never changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from django_stream_zip import NO_COMPRESSION_AUTO, conf
from django_stream_zip.engine.methods import DEFLATE
from django_stream_zip.engine.streams import aclose, close
from django_stream_zip.members.build import DefaultDeflate
from django_stream_zip.members.collect import is_choice
from django_stream_zip.members.misuse import checked_values


def decided(members: Any, compress: bool | None = None) -> Any:
    """Return the members, those that are deflated by default stored if that is decided.

    Args:
        members: A sequence, an iterable or an asynchronous one. It isn't changed: where a member
            has to be another one, the same kind of iterable is returned.
        compress: None stores them where the archive gets a length by it and little larger (a
            sequence only, of which all is known); False stores all of known size; True none.

    Raises:
        TypeError: `compress` is something else.
    """
    if not is_choice(compress):
        raise TypeError(f"expected compress to be True, False or None, got {compress!r}")
    if isinstance(members, Sequence):
        is_stored = _is_better_stored(members) if compress is None else not compress
        return [_stored(member) for member in members] if is_stored else members
    if compress is not False:
        return members
    return _stored_async(members) if hasattr(members, "__aiter__") else _stored_each(members)


def _is_better_stored(members: Sequence[Any]) -> bool:
    """Return whether some members are deflated by default, and storing them pays."""
    if not any(member[3].__class__ is DefaultDeflate for member in members):
        return False
    by_default = others = 0
    for _, _, _, method, content in members:
        if method.coding is not DEFLATE and method.content_size is not None:
            others += method.content_size
            continue
        size = method.uncompressed_size
        if size is None:
            return False  # there is no length anyhow
        if getattr(content, "may_grow", False):
            return False  # it shall be read as it is when its turn comes: nobody knows its length
        if method.__class__ is DefaultDeflate and _is_sure(method, content):
            by_default += size
        else:
            return False
    # Of what they would be deflated to nothing is known: at best, it is nothing.
    growth = conf.get("MAX_GROWTH_BY_STORING")
    return growth is None or by_default <= growth * others


def _is_sure(method: DefaultDeflate, content: Any) -> bool:
    """Return whether a content is as long as its member's method declares; deflate doesn't mind.

    It isn't where somebody kept a builder's method and made another content (a smaller picture).
    """
    size = method.uncompressed_size
    return size is not None and getattr(content, "size", None) == size


def _stored(member: Any) -> Any:
    """Return the member, stored if it was to be deflated by default and has a size."""
    name, modified_at, mode, method, content = checked_values(member)
    if method.__class__ is not DefaultDeflate or not _is_sure(method, content):
        return member
    method = NO_COMPRESSION_AUTO(content.size, getattr(content, "crc_32", None))
    return name, modified_at, mode, method, content


def _stored_each(members: Iterable[Any]) -> Iterator[Any]:
    iterator = iter(members)
    try:
        yield from map(_stored, iterator)
    finally:
        close(iterator)


async def _stored_async(members: Any) -> AsyncIterator[Any]:
    iterator = aiter(members)
    try:
        async for member in iterator:
            yield _stored(member)
    finally:
        await aclose(iterator)
