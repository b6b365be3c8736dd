"""Starts a server for the site on loopback, and ends it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks import checkouts
from benchmarks.samples import Samples
from benchmarks.workload import CellError

_UVICORN = (
    "uvicorn benchmarks.site:asgi --host 127.0.0.1 --port {port} --lifespan off"
    " --timeout-graceful-shutdown 1 --no-access-log --log-level warning"
)
COMMANDS = {
    "gunicorn": (
        "gunicorn benchmarks.site:wsgi --bind 127.0.0.1:{port} --workers 1 --worker-class gthread"
        " --threads 4 --graceful-timeout 1 --no-control-socket --log-level warning"
    ),
    "uvicorn": f"{_UVICORN} --loop asyncio --http h11",
    "uvicorn-standard": f"{_UVICORN} --loop uvloop --http httptools",
}
_MODULES = {
    "gunicorn": ("gunicorn",),
    "uvicorn": ("uvicorn",),
    "uvicorn-standard": ("uvicorn", "uvloop", "httptools"),
}


class Server:
    """A server that runs. `pid` is the process that answers, its files are `samples`."""

    def __init__(self, port: int, samples: Samples) -> None:
        self.port = port
        self.samples = samples
        self.pid = 0

    def url(self, path: str) -> str:
        """Return the whole URL."""
        return f"http://127.0.0.1:{self.port}{path}"

    def ask(self, path: str) -> bytes:
        """Return the body of an answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            try:
                body = response.read()
            except http.client.HTTPException as error:
                raise CellError(f"failed: {path} breaks off: {error!r}") from None
            if response.status != 200:
                raise CellError(f"failed: {path} answers {response.status}")
            return body

    def cpu_seconds(self) -> float:
        """Return the processors' time that the process has taken so far."""
        return float(self.told("/process/")["cpu_seconds"])

    def first_byte(self, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> float:
        """Return the seconds to the first byte of a body: that of the headers says nothing."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)) as connection:
            start = time.perf_counter()
            connection.request("GET", path, headers=dict(headers))
            with connection.getresponse() as response:
                response.read(1)
                return time.perf_counter() - start

    def told(self, path: str) -> Any:
        """Return the JSON of an answer."""
        return json.loads(self.ask(path))


def missing(name: str) -> str | None:
    """Say what to install before a server can run."""
    modules = [module for module in _MODULES[name] if not find_spec(module)]
    return f"not installed: pip install {' '.join(modules)}" if modules else None


@contextmanager
def running(name: str, samples: Samples, engine: str) -> Iterator[Server]:
    """Run a server, with the package that an engine is of, until the block ends."""
    port = free_port()
    module, *arguments = COMMANDS[name].format(port=port).split()
    command = checkouts.process(engine, samples.folder, module, *arguments)
    command["env"]["BENCHMARKS_SAMPLES"] = str(samples.folder)
    log = samples.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            **command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        server = Server(port, samples)
        _await(process, server, log)
        yield server
    finally:
        ended(process)


def _await(process: subprocess.Popen[bytes], server: Server, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            server.pid = server.told("/process/")["pid"]
            return
        time.sleep(0.05)
    raise CellError(f"failed: {(log.read_text().splitlines() or ['it does not answer'])[-1]}")


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it has started."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
