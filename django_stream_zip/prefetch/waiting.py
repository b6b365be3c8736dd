"""Whether the code that runs now may wait, as in a thread, or must not, as on an event loop.

What would have to wait there yields an empty chunk instead, and goes on when it is asked again: in
a thread, where it may. So local files that are in the page cache are read without a hop to a
thread, and the others by it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Thread(threading.local):
    may_wait = True


_thread = _Thread()


def may_wait() -> bool:
    """Return whether this may wait: for a disk, a network, a lock, or a long computation."""
    return _thread.may_wait


@contextmanager
def not_waiting() -> Iterator[None]:
    """Have nothing wait in this thread, for a moment."""
    _thread.may_wait = False
    try:
        yield
    finally:
        _thread.may_wait = True


def defers(content: object) -> bool:
    """Return whether a content's chunks never wait where they must not: they defer by themselves.

    All others may wait for each of their chunks.
    """
    return bool(getattr(content, "defers", False))
