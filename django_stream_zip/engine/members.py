"""The shape of a member as callers give it, and how it is taken apart."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import datetime
from typing import Any, TypeAlias

from django_stream_zip.engine.errors import ZipValueError
from django_stream_zip.engine.methods import Method

MemberFile: TypeAlias = tuple[str, datetime, int, Method, Iterable[bytes]]
AsyncMemberFile: TypeAlias = tuple[str, datetime, int, Method, AsyncIterable[bytes]]


def unpacked(member: Any) -> tuple[str, datetime, int, Method, Any]:
    """Give the five values of a member; raise ZipValueError if it isn't five."""
    if member.__class__ is tuple and len(member) == 5:
        return member  # as most are
    try:
        name, modified_at, mode, method, content = member
    except (TypeError, ValueError):
        what = f"{len(member)} values" if isinstance(member, tuple) else repr(member)
        raise ZipValueError(
            f"a member must be a tuple (name, modified_at, mode, method, chunks), not {what}"
        ) from None
    return name, modified_at, mode, method, content
