"""The servers of a run: three of a kind, that can be killed, before one storage."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.places import LocalPlace, S3Place
from tests.servers.harness import ROOT, Server
from tests.support.network import end, eventually, without_proxies
from tests.support.proxy import Proxy

APPLICATION = "tests.chaos.application"
COMMANDS = {
    "gunicorn": (
        f"gunicorn {APPLICATION}:wsgi --bind fd://{{fd}} --workers 1 --worker-class gthread"
        " --threads 16 --graceful-timeout 1 --no-control-socket"
    ),
    "uvicorn": (
        f"uvicorn {APPLICATION}:asgi --fd {{fd}} --lifespan off"
        " --timeout-graceful-shutdown 1 --no-access-log"
    ),
    "hypercorn": f"hypercorn {APPLICATION}:asgi --bind fd://{{fd}} --workers 1",
}
WSGI = {"gunicorn"}
# Those whose worker somebody else starts again.
RESPAWNING = {"gunicorn"}

# What tells the servers of a run apart: "alone" shares its cache with none, and that fails.
KINDS: dict[str, dict[str, str]] = {
    "plain": {"CHAOS_WORKERS": "0"},
    "workers": {"CHAOS_WORKERS": "2"},
    "alone": {"CHAOS_WORKERS": "0", "CHAOS_CACHE": ""},
}

# A small buffer: the server is never far from what the client has read.
BUFFER = 8_192

# Root may read any file unless this is taken from it.
_CAPABILITIES = "-dac_override,-dac_read_search"


def without_power() -> list[str]:
    """Return the command before a command that is to be refused files as other users are."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return []
    return ["setpriv", f"--bounding-set={_CAPABILITIES}", f"--inh-caps={_CAPABILITIES}"]


def can_be_refused() -> bool:
    """Return whether a server here can meet an unreadable file."""
    return os.geteuid() != 0 or bool(without_power())


class Killable(Server):
    """A server that can be killed at any time and is there again soon, at the same port."""

    def __init__(self, name: str, kind: str, environment: dict[str, str], log: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        super().__init__(name, self.listener.getsockname()[1], log)
        self.kind = kind
        self.pid = 0  # of the process that answers
        self.kills = 0
        self.is_there = threading.Event()
        self._environment = environment
        self._lock = threading.Lock()
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        descriptor = self.listener.fileno()
        command = [sys.executable, "-m", *COMMANDS[self.name].format(fd=descriptor).split()]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [*without_power(), *command],
                cwd=ROOT,
                env=self._environment,
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def wait(self) -> None:
        """Wait until it answers, and find out which process does."""
        self.pid = 0

        def answers() -> bool:
            with suppress(OSError, ValueError):
                self.pid = self.debug()["pid"]
                return True
            return False

        eventually(answers, seconds=60)
        assert self._process.poll() is None, self.log.read_text()
        assert self.pid, "it doesn't answer"
        self.is_there.set()

    def kill(self) -> None:
        """Kill what answers, with all its downloads."""
        with self._lock:
            self.kills += 1
            self.is_there.clear()
            before = self.pid
            with suppress(ProcessLookupError):
                os.kill(before, signal.SIGKILL)
            if self.name not in RESPAWNING:
                self._process.wait(10)
                self._process = self._started()
            self.wait()

    def stacks(self) -> str:
        """Have its log tell what its threads do."""
        size = self.log.stat().st_size
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGRTMIN)
        time.sleep(0.5)
        return self.log.read_bytes()[size:].decode(errors="replace")

    def stop(self) -> None:
        end(self._process)
        self.listener.close()


@dataclass
class World:
    """All that a run needs: servers and where their files are."""

    server: str
    storage: str
    servers: dict[str, Killable]
    place: LocalPlace | S3Place

    @property
    def disturbances(self) -> int:
        """Count what happened to the downloads of others too."""
        return self.place.disturbed


@contextmanager
def world(server: str, storage: str, folder: Path) -> Iterator[World]:
    """Start the storage and the servers; stop them at the end."""
    with ExitStack() as stack:
        (folder / "files").mkdir()
        (folder / "cache").mkdir()
        place, url = stack.enter_context(PLACES[storage](folder / "files"))
        environment = {
            **without_proxies(),
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "SITE_DATA": str(folder / "files"),
            "CHAOS_CACHE": str(folder / "cache"),
            "CHAOS_S3": url,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        servers = {}
        for kind, own in KINDS.items():
            log = folder / f"{server}-{storage}-{kind}.log"
            servers[kind] = Killable(server, kind, {**environment, **own}, log)
            stack.callback(servers[kind].stop)
        for each in servers.values():
            each.wait()
        yield World(server, storage, servers, place)


@contextmanager
def local_place(folder: Path) -> Iterator[tuple[Any, str]]:
    yield LocalPlace(folder), ""


@contextmanager
def s3_place(folder: Path) -> Iterator[tuple[Any, str]]:
    from tests.support.object_store import S3Handler, serving

    with serving(S3Handler) as (store, url), Proxy(int(url.rpartition(":")[2])) as proxy:
        yield S3Place(store, proxy), f"http://127.0.0.1:{proxy.port}"


PLACES = {"local": local_place, "s3": s3_place}
