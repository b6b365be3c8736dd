"""How many downloads this process sends at a time, to everybody and to each user.

A download takes a thread of a WSGI server for minutes, and a gthread worker has few.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, Final

from django.http import HttpRequest

from django_stream_zip import conf

__all__ = ["RETRY_AFTER", "take"]

#: Seconds after which a client that is refused may ask again.
RETRY_AFTER: Final = 30

# The downloads that are being sent, each with those who are counted: "" for everybody, and a user.
_running: Final[dict[object, tuple[str, ...]]] = {}
_lock: Final = Lock()


def take(request: HttpRequest) -> Callable[[], object] | None:
    """Take a slot for a download; return what gives it back, None if there is none left.

    Anonymous users are limited together with all others only.
    """
    limits = _limits(request)
    with _lock:
        running = list(_running.values())
        if any(sum(who in held for held in running) >= limit for who, limit in limits.items()):
            return None
        slot = object()
        _running[slot] = tuple(limits)
    # Without the lock: a finalizer may call it in this thread while it has the lock.
    return partial(_running.pop, slot, None)


def _limits(request: HttpRequest) -> dict[str, int]:
    """Return the limits that the settings have for a request, by who is counted."""
    limits = {"": conf.get("MAX_DOWNLOADS")}
    if (per_user := conf.get("MAX_DOWNLOADS_PER_USER")) is not None:
        user: Any = getattr(request, "user", None)
        if user is not None and user.pk is not None:
            limits[f"user {user.pk}"] = per_user
    return {who: limit for who, limit in limits.items() if limit is not None}
