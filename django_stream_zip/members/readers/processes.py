"""Connections and clients of one process: what speaks to servers survives no fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, Final
from weakref import WeakKeyDictionary

from django_stream_zip import conf

_IMPORTED_IN: Final = os.getpid()
_processes: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
# For moments only, and for all storages.
_lock = threading.Lock()


def _renew_lock() -> None:
    """Make a lock for a forked process: somebody may have had it in the parent."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def forget_after_fork(storage: Any, fresh: dict[str, Callable[[], Any]]) -> None:
    """Have a storage forget, once in a forked process, the connections that its parent may have.

    Both would write to them, and each read the other's answers. `fresh` makes by attribute what a
    new storage has.
    """
    with _lock:
        if _processes.setdefault(storage, _IMPORTED_IN) != os.getpid():
            for attribute, make in fresh.items():
                setattr(storage, attribute, make())
            _processes[storage] = os.getpid()


def connections_at_once() -> int:
    """Return how many connections a client should keep: as many as one download uses at a time.

    The stores' packages keep ten. Each more is opened for one request only, which is two or three
    round trips.
    """
    number: int = max(conf.get("DESCRIBE_AT_ONCE"), conf.get("PREFETCH_MEMBERS"))
    return number


class PerProcess:
    """One thing of a kind for each storage and process.

    Made once, however many threads ask for it first: a hundred clients of boto3 are 1.4 GB.
    """

    def __init__(self) -> None:
        self._slots: WeakKeyDictionary[Any, dict[Hashable, _Slot]] = WeakKeyDictionary()

    def get(self, storage: Any, make: Callable[[Any], Any], *which: Hashable) -> Any:
        """Return the one for a storage, and for which of its places; make it if there is none yet.

        A thread that makes one for another storage doesn't wait.
        """
        with _lock:
            slots = self._slots.setdefault(storage, {})
            slot = slots.setdefault((os.getpid(), *which), _Slot())
        with slot.lock:
            if not slot.made:
                slot.made.append(make(storage))
        return slot.made[0]


class _Slot:
    """Where there is one thing, or none yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: list[Any] = []
