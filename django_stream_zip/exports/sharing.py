"""Links for people without an account: signed, for a while."""

from __future__ import annotations

import time
from typing import Any, Final

from django.core import signing
from django.core.exceptions import PermissionDenied

from django_stream_zip.exports.models import AbstractZipExport, exports

__all__ = ["share_token", "shared_export"]

_SALT: Final = "django_stream_zip.exports.shared"


def share_token(export: AbstractZipExport, max_age: int) -> str:
    """Return a token that stands for an export, for so many seconds.

    Raises:
        PermissionError: Its recipe isn't shareable.
    """
    if not export.known_recipe.shareable:
        raise PermissionError(
            f"exports of {export.recipe!r} are not shared: @zip_export(…, shareable=True) allows it"
        )
    if not (type(max_age) is int and max_age >= 1):
        raise ValueError(f"max_age must be a number of seconds, 1 or more, not {max_age!r}")
    return signing.dumps([str(export.pk), int(time.time()) + max_age], salt=_SALT)


def shared_export(token: str) -> AbstractZipExport | None:
    """Return the export that a token stands for; None if it doesn't, or not any more.

    Raises:
        PermissionDenied: Its recipe isn't shareable any more.
    """
    try:
        pk, until = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError):
        return None
    if until <= time.time():
        return None
    export: Any = exports().select_related("owner").filter(pk=pk).first()
    if export is not None and not export.known_recipe.shareable:
        raise PermissionDenied
    return export
