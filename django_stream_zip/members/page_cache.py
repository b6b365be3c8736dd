"""Files of this machine that can be opened and read without waiting for a disk or a network.

Linux says of a read whether it would wait: RWF_NOWAIT. Only file systems on a disk of this machine
know it (ext4, XFS, btrfs; not NFS, nor tmpfs). There, what was looked at a moment ago is opened
and closed at once, too. Anywhere else nothing is, and a thread does all of it.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import Final

_NO_WAIT: Final = getattr(os, "RWF_NOWAIT", None)


class _Thread(threading.local):
    """What is read into, and then copied: to make it anew each time takes as long as the copy."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(65536))


_thread: Final = _Thread()

# By device, whether its file system knows the flag.
_devices: Final[dict[int, bool]] = {}


def read_cached(file: int, length: int, position: int) -> bytes | None:
    """Return up to 65536 bytes at a position, None where reading them might wait."""
    if _NO_WAIT is None:
        return None
    view = _thread.view[:length]
    try:
        count = os.preadv(file, [view], position, _NO_WAIT)
    except OSError:  # they aren't there, the flag isn't known, or it fails again in a thread
        return None
    return bytes(view[:count])


def look_at(path: str) -> bool:
    """Look at a file, which may wait; return whether it can be opened at once from now on."""
    if _NO_WAIT is None:
        return False
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return False  # of its file system, it says nothing
        device = status.st_dev
        if device in _devices:
            return _devices[device]
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return is_quick(file, device)
    finally:
        os.close(file)


def is_quick(file: int, device: int) -> bool:
    """Return whether the open files of this one's device are closed, and looked at, at once."""
    if device not in _devices:
        _devices[device] = _knows_flag(file)
    return _devices[device]


def _knows_flag(file: int) -> bool:
    if _NO_WAIT is None:
        return False
    try:
        os.preadv(file, [bytearray(1)], 0, _NO_WAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
