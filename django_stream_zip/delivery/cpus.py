"""How many CPUs this process may use, and what leaves one of them to the event loop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore


@cache
def cpu_limiter() -> BoundedSemaphore:
    """Return what limits long work under ASGI, for all downloads of this process together.

    One CPU is left to the event loop: with eight downloads that deflate on two of them, it was late
    by 35 ms in one of a hundred cases, and without them by 3.
    """
    return BoundedSemaphore(max(1, available_cpus() - 1))


def available_cpus(root: Path = Path("/")) -> int:
    """Return how many CPUs this process may use: a container often gets few of a machine's many."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        count = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return max(1, min([count or 1, *_cpu_quotas(root)]))


def _cpu_quotas(root: Path) -> Iterator[int]:
    """Yield the limits that control groups of Linux set, version 2 and 1, as numbers of CPUs."""
    groups = root / "sys/fs/cgroup"
    # "0::/own/path": a limit of any group above holds, too. In a container its own is the root.
    for line in _words(root / "proc/self/cgroup"):
        if line.startswith("0::/"):
            own = groups / line.removeprefix("0::/")
            for group in (own, *own.parents):
                if group.is_relative_to(groups):
                    yield from _quota(_words(group / "cpu.max"))
    version_1 = groups / "cpu"
    yield from _quota(
        [*_words(version_1 / "cpu.cfs_quota_us"), *_words(version_1 / "cpu.cfs_period_us")]
    )


def _quota(words: list[str]) -> Iterator[int]:
    """Yield the CPUs of a quota and its period in microseconds; "max" and -1 mean no limit."""
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]):
        yield -(-int(words[0]) // int(words[1]))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, UnicodeDecodeError):
        return []
