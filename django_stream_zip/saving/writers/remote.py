"""What all object stores have in common: what their answers mean for whoever saves."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from django_stream_zip.saving.errors import name_taken, upload_gone

#: What is saved, whatever its name says.
CONTENT_TYPE: Final = "application/zip"
#: Under which name in an object's metadata it is kept which upload it was.
MARK: Final = "zip-upload"

_FORBIDDEN: Final = frozenset({401, 403})


@contextmanager
def translated(
    name: str, refusals: tuple[type[Exception], ...], status_of: Callable[[Any], int | None]
) -> Iterator[None]:
    """Raise for a store's answers what the same is for a file. Others pass through."""
    try:
        yield
    except refusals as error:
        status = status_of(error)
        if status in _FORBIDDEN:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name) from error
        if status in (409, 412):
            raise name_taken(name) from error
        if status == 404:
            raise upload_gone(name) from error
        raise
