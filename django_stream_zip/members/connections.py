"""Database connections of this thread, closed where a download would keep them for minutes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db import connections

from django_stream_zip import conf


def release_connections(keep: Collection[str] = ()) -> None:
    """Close this thread's database connections, but for those in an atomic block or to `keep`.

    A download would keep them for as long as it takes. One that is needed on the way is opened
    again, and closed with the response.
    """
    if not conf.get("RELEASE_CONNECTIONS"):
        return
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block and connection.alias not in keep:
            connection.close()


@contextmanager
def borrowed_connections() -> Iterator[None]:
    """Close the database connections of this thread that the block opens.

    From one that was open before, somebody may still read: a generator that iterates a queryset,
    and asks for these rows in between.
    """
    existing = connections.all(initialized_only=True)
    open_before = {known.alias for known in existing if known.connection is not None}
    try:
        yield
    finally:
        release_connections(keep=open_before)
