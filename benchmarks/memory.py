"""Resident memory of a process, as Linux tells it. Elsewhere it isn't known: None."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def resident(pid: int | str = "self") -> int | None:
    """Return what a process has now, in bytes."""
    return _field(pid, "VmRSS")


def peak(pid: int | str = "self") -> int | None:
    """Return the most that it had since `start_peak`."""
    return _field(pid, "VmHWM")


def start_peak(pid: int | str = "self") -> int | None:
    """Forget the peak so far; give what the process has now."""
    if pid == "self":
        gc.collect()
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return resident(pid)


def rise(before: int | None, pid: int | str = "self") -> int | None:
    """Return by how much the peak is above what was there before."""
    after = peak(pid)
    return None if before is None or after is None else after - before


def traced(work: Callable[[], object]) -> int:
    """Return the most that Python's own allocations had while it worked, in bytes."""
    import tracemalloc

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _field(pid: int | str, name: str) -> int | None:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
