"""Reads files of this machine without waiting for a disk: only what is in the page cache."""

from __future__ import annotations

import os
from typing import Final

# Linux, and there most file systems of a disk. tmpfs, for one, doesn't know the flag.
_NO_WAIT: Final = getattr(os, "RWF_NOWAIT", None)


def read_cached(file: int, length: int, position: int) -> bytes | None:
    """Return up to so many bytes at a position, None where reading them might wait."""
    if _NO_WAIT is None:
        return None
    buffer = bytearray(length)
    try:
        count = os.preadv(file, [buffer], position, _NO_WAIT)
    except OSError:  # they aren't there, the flag isn't known, or it fails again in a thread
        return None
    return bytes(memoryview(buffer)[:count])
