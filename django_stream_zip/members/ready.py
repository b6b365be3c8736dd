"""Anybody's members, ready to be written: described, named, stored or deflated as is decided.

What a response and an archive in a storage have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_stream_zip.engine.members import unpacked
from django_stream_zip.members import misuse
from django_stream_zip.members.async_member import AsyncStorageContent
from django_stream_zip.members.compression import decided
from django_stream_zip.members.describe import all_described
from django_stream_zip.members.naming import named


def ready(members: Any, compress: bool | None = None) -> Any:
    """Return the same kind of iterable of members, as an archive is to have them.

    Raises:
        TypeError: Something is no member, or `compress` isn't True, False or None.
        ZipValueError: A sequence has a member that can't be written.
        FileNotFoundError: A sequence has a member of a remote storage that isn't there.
    """
    misuse.check_members(members)
    return decided(named(all_described(members)), compress)


def is_async(members: Any) -> bool:
    """Return whether the members, or the content of any in a sequence, are asynchronous."""
    if hasattr(members, "__aiter__"):
        return True
    if not isinstance(members, Sequence):
        return False
    return any(hasattr(cls, "__aiter__") for cls in {type(member[4]) for member in members})


def all_synchronous(members: Sequence[Any]) -> Sequence[Any]:
    """Return the members, none with a content for an event loop that has one for threads too."""
    if not any(isinstance(member[4], AsyncStorageContent) for member in members):
        return members
    return [synchronous(member) for member in members]


def synchronous(member: Any) -> Any:
    """Return the member with a content for threads, if its own is for an event loop too."""
    *opening, content = unpacked(member)
    return (*opening, content.synchronous) if isinstance(content, AsyncStorageContent) else member
