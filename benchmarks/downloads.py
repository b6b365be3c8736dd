"""Downloads by curl, thrown away as they come."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.workload import CellError, Figures

_COMMAND = ("curl", "-q", "--silent", "--show-error", "--fail", "--noproxy", "*", "-o", "/dev/null")
_TIMEOUT = 300


def missing() -> str | None:
    """Say what to install if there is no curl."""
    return None if shutil.which("curl") else "not installed: curl"


def download(url: str, *options: str) -> Figures:
    """Download to the end; give the time to the last byte and the number of bytes."""
    done = subprocess.run(
        [*_COMMAND, "--max-time", str(_TIMEOUT), "-w", "%{json}", *options, url],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CellError(f"failed: {done.stderr.strip()}")
    told = json.loads(done.stdout)
    return {"seconds": told["time_total"], "archive_bytes": told["size_download"]}


@contextmanager
def downloading(urls: list[str], *options: str) -> Iterator[None]:
    """Download several at once, until the block ends."""
    command = [*_COMMAND, "--max-time", str(_TIMEOUT), *options]
    clients = [
        subprocess.Popen([*command, url], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for url in urls
    ]
    try:
        yield
        if not all(client.poll() is None for client in clients):
            raise CellError("failed: a download ended before the measuring did")
    finally:
        for client in clients:
            client.kill()
        for client in clients:
            client.wait()
