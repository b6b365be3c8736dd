"""Tokens for people without an account: signed, and valid for a while."""

from __future__ import annotations

import time
from typing import Any, Final

from django.core import signing

__all__ = ["share_token", "shared_pk"]

_SALT: Final = "django_stream_zip.exports.shared"


def share_token(pk: Any, max_age: int) -> str:
    """Return a token that stands for an export, for so many seconds."""
    if not (type(max_age) is int and max_age >= 1):
        raise ValueError(f"max_age must be a number of seconds, 1 or more, not {max_age!r}")
    return signing.dumps([str(pk), int(time.time()) + max_age], salt=_SALT)


def shared_pk(token: str) -> str | None:
    """Return the primary key that a token stands for; None if it doesn't, or not any more."""
    try:
        pk, until = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError):
        return None
    return str(pk) if until > time.time() else None
