"""What callers pass as a member: its type, and its values one by one."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from django_stream_zip.engine.errors import (
    ZipValueError,
    not_a_method,
    not_a_mode,
    not_a_time,
    not_chunks,
    shortened,
)
from django_stream_zip.engine.methods import ENCODED, Method

MemberFile: TypeAlias = tuple[str, datetime, int, Method, Iterable[bytes]]
AsyncMemberFile: TypeAlias = tuple[str, datetime, int, Method, AsyncIterable[bytes]]


#: What can be iterated, but is a content itself, not its chunks.
WHOLE: Final = (str, bytes, bytearray, memoryview)


def is_whole(content: Any) -> bool:
    """Whether this is a content itself. An empty one may stand for chunks: there are none."""
    return isinstance(content, WHOLE) and len(content) > 0


def unpacked(member: Any) -> tuple[str, datetime, int, Method, Any]:
    """Return the five values of a member; raise ZipValueError if there are not five.

    Or if its content is a deflate stream (it has an attribute `is_deflated` then), and its method
    would have that in the archive instead of what it inflates to.
    """
    if member.__class__ is not tuple or len(member) != 5:
        member = _five_of(member)
    if getattr(member[4], "is_deflated", False):
        _check_passes(member)
    return member  # type: ignore[no-any-return]  # what the values are, is found out by who uses them


def _check_passes(member: tuple[Any, ...]) -> None:
    """Raise ZipValueError unless a deflate stream is written as what it is."""
    if getattr(member[3], "coding", None) is not ENCODED:
        raise ZipValueError(
            f"member {member[0]!r}: its content is deflated already: keep its method "
            "(PRECOMPRESSED), or make the member with compress=False"
        )


def _five_of(member: Any) -> tuple[Any, ...]:
    try:
        if _is_no_member(member):
            raise ValueError
        name, modified_at, mode, method, content = member
    except (TypeError, ValueError):
        what = f"{len(member)} values" if isinstance(member, tuple) else shortened(member)
        raise ZipValueError(
            f"a member must be a tuple (name, modified_at, mode, method, chunks), not {what}"
        ) from None
    return name, modified_at, mode, method, content


def _is_no_member(member: Any) -> bool:
    """Whether it may have five values, but not a member's: a name of five letters, five lines."""
    return isinstance(member, (*WHOLE, Mapping)) or hasattr(type(member), "read")


def check_types(name: str, modified_at: Any, mode: Any, method: Any, content: Any) -> None:
    """Raise what writing the member would raise for values of a wrong type."""
    if not isinstance(modified_at, datetime):
        raise not_a_time(name, modified_at)
    if not isinstance(mode, int):
        raise not_a_mode(name, mode)
    if not isinstance(method, Method):
        raise not_a_method(name, method)
    if is_whole(content) or not any(hasattr(content, how) for how in _ITERABLE):
        raise not_chunks(name, content)


_ITERABLE: Final = ("__iter__", "__aiter__", "__getitem__")


def as_bytes(name: str, chunk: object) -> bytes:
    """Return a chunk of a member as bytes; raise TypeError where it isn't bytes-like."""
    try:
        return bytes(memoryview(chunk))  # type: ignore[arg-type]  # anything may come from callers
    except TypeError:
        hint = " (is this the content itself, instead of chunks of it?)"
        raise TypeError(
            f"member {name!r}: its chunks must be bytes-like, not {type(chunk).__name__}"
            f"{hint if isinstance(chunk, int) else ''}"
        ) from None
