"""Ports of this machine, and waiting for what happens elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress


def eventually(is_true: Callable[[], object], seconds: float = 30) -> bool:
    """Wait until something is true, but not for ever; return whether it is."""
    deadline = time.monotonic() + seconds
    while not (found := bool(is_true())) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


async def aeventually(is_true: Callable[[], object], seconds: float = 30) -> bool:
    """Do the same on an event loop, which goes on meanwhile."""
    deadline = time.monotonic() + seconds
    while not (found := bool(is_true())) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return found


def free_port() -> int:
    """Return a port that nobody has right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Return whether somebody answers at a port."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group of its own, and what is left of the group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def without_proxies() -> dict[str, str]:
    """Return the environment of a program that is to go to loopback straight."""
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
