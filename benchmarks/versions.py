"""What was measured with what: versions, and how many processors there are."""

from __future__ import annotations

import os
import platform
import subprocess
import zlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "django_stream_zip stream-zip zipstream-ng django pycryptodome isal zlib-ng "
    "gunicorn uvicorn uvloop httptools h11"
).split()


def environment() -> dict[str, str | int | None]:
    """Return all of it."""
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        **{name: _version(name) for name in _PACKAGES},
        "curl": _curl(),
    }


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _curl() -> str | None:
    with suppress(OSError):
        done = subprocess.run(["curl", "--version"], capture_output=True, text=True)
        return done.stdout.split()[1]
    return None
