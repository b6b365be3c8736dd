"""Starts the servers, and speaks to them: with http.client where a test reads headers or cuts the
connection, with the downloaders that people use where it resumes.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.network import end, eventually, free_port, listens, without_proxies

ROOT = Path(__file__).resolve().parents[2]

APPLICATION = "tests.servers.application"
# As many downloads at once as a test makes, and one to look at what they do.
THREADS = 8

WSGI_SERVERS = ("gunicorn", "granian-wsgi")
COMMANDS: dict[str, str] = {
    "gunicorn": (
        f"gunicorn {APPLICATION}:wsgi --bind 127.0.0.1:{{port}} --workers 1 --worker-class gthread"
        f" --threads {THREADS} --graceful-timeout 1 --no-control-socket"
    ),
    "uvicorn": (
        f"uvicorn {APPLICATION}:asgi --host 127.0.0.1 --port {{port}} --lifespan off"
        " --timeout-graceful-shutdown 1 --no-access-log"
    ),
    "hypercorn": (
        f"hypercorn {APPLICATION}:asgi --bind 127.0.0.1:{{port}} --workers 1 --graceful-timeout 1"
    ),
    "granian-asgi": (
        f"granian {APPLICATION}:asgi --interface asginl --host 127.0.0.1 --port {{port}}"
        " --workers 1 --workers-kill-timeout 1"
    ),
    "granian-wsgi": (
        f"granian {APPLICATION}:wsgi --interface wsgi --host 127.0.0.1 --port {{port}}"
        f" --workers 1 --blocking-threads {THREADS} --workers-kill-timeout 1"
    ),
}

# The folders of files that the site makes archives of: names and numbers of bytes.
MIB = 1 << 20
FOLDERS: dict[str, dict[str, int]] = {
    "album": {
        "empty.png": 0,
        "film.mp4": 40 * MIB,
        **{f"photo-{number}.jpg": 3 * MIB + number for number in range(6)},
    },
    "photos": {f"photo-{number}.jpg": MIB for number in range(4)},
    "tiny": {"a.jpg": 10_000, "b.jpg": 20_000},
    "mixed": {"notes.txt": 2 * MIB, "photo.jpg": MIB},
}

# The end of central directory record: what an archive that looks whole has.
END_SIGNATURE = b"PK\x05\x06"


def make_folders(data: Path) -> None:
    """Fill a directory with the folders; their bytes are the same each time and can't be packed."""
    source = random.Random(1)
    for folder, files in FOLDERS.items():
        for name, size in files.items():
            write_file(data / folder / name, source.randbytes(size))


def write_file(path: Path, content: bytes) -> None:
    """Write a file that was modified at a time with nothing special about it."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))


# Servers.


@dataclass(frozen=True)
class Reply:
    """An answer to a request, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """A server that runs."""

    def __init__(self, name: str, port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self.log = log

    def url(self, path: str) -> str:
        """Return the whole URL."""
        return f"http://127.0.0.1:{self.port}{path}"

    def connect(self, timeout: float = 30) -> closing[http.client.HTTPConnection]:
        """Return a connection, to be closed by `with`."""
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout))

    def ask(
        self, path: str, headers: dict[str, str | bytes] | None = None, method: str = "GET"
    ) -> Reply:
        """Send a request on a connection of its own, and read all of the answer."""
        with self.connect() as connection:
            return ask(connection, path, headers, method)

    def debug(self, token: str = "") -> dict[str, Any]:
        """Return what the site tells of itself and of the requests with this token."""
        # Hypercorn keeps a connection that the client has closed for five seconds more.
        reply = self.ask(f"/debug/?{urlencode({'token': token})}", {"Connection": "close"})
        told: dict[str, Any] = json.loads(reply.body)
        return told

    def errors(self, token: str) -> list[str]:
        """Return the lines that the package logged of the requests with this token."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if line.startswith("django_stream_zip ") and token in line]


@dataclass(frozen=True)
class Route:
    """A way to an archive: one of the site's views, on a server."""

    server: Server
    view: str

    def path(self, folder: str, **query: object) -> str:
        """Return the path of a folder's archive."""
        return f"/{self.view}/{folder}/?{urlencode(query)}"

    def url(self, folder: str, **query: object) -> str:
        """Return the whole URL."""
        return self.server.url(self.path(folder, **query))


def ask(
    connection: http.client.HTTPConnection,
    path: str,
    headers: dict[str, str | bytes] | None = None,
    method: str = "GET",
) -> Reply:
    """Send a request on this connection, and read all of the answer."""
    connection.request(method, path, headers=headers or {})
    with connection.getresponse() as response:
        lowered = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, lowered, response.read())


@contextmanager
def running(name: str, data: Path, log: Path) -> Iterator[Server]:
    """Run a server until the block ends."""
    port = free_port()
    # Granian starts its worker anew with the environment's Python path; the others as a child.
    environment = {
        **without_proxies(),
        "DJANGO_SETTINGS_MODULE": "tests.servers.settings",
        "SITE_DATA": str(data),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[name].format(port=port).split()],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    server = Server(name, port, log)
    try:
        eventually(lambda: process.poll() is not None or listens(port), seconds=120)
        assert process.poll() is None, f"{name} ended: {log.read_text()}"
        yield server
    finally:
        end(process)


# Clients.

_numbers = itertools.count()


def new_token() -> str:
    """Return a name for the requests of a test: the site's ledger and log have it then."""
    return f"t{next(_numbers):04}"


def sha256(data: bytes) -> str:
    """Return a digest: of two archives that differ pytest would print all bytes."""
    return hashlib.sha256(data).hexdigest()


def need(program: str) -> str:
    """Return the program's path; without it skip the test, or fail it on CI."""
    path = shutil.which(program)
    if path is None:
        reason = f"the test needs {program}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return path


def run(program: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a downloader to its end, whatever that is."""
    return subprocess.run(
        [need(program), *arguments],
        env=without_proxies(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def curl(url: str, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Download by curl; its exit code says whether it believes to have all."""
    return run("curl", "-q", "--silent", "--show-error", "--fail", "-o", str(file), *options, url)


def wget(url: str, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Download by wget, which is to try once."""
    options = ("--no-config", "--no-verbose", "--tries=1", *options)
    return run("wget", *options, "-O", str(file), url)


def aria2c_arguments(url: str, file: Path, *options: str) -> list[str]:
    """Return the arguments for a download in four segments of one megabyte and more."""
    return [
        "--no-conf",
        "--max-connection-per-server=4",
        "--split=4",
        "--min-split-size=1M",
        "--file-allocation=none",
        "--max-tries=1",
        "--disable-ipv6",
        "--enable-color=false",
        "--summary-interval=0",
        f"--dir={file.parent}",
        f"--out={file.name}",
        *options,
        url,
    ]


def cut_download(server: Server, path: str, length: int) -> bytes:
    """Read so many bytes of an archive, then break the connection."""
    with server.connect() as connection:
        connection.request("GET", path)
        with connection.getresponse() as response:
            assert response.status == 200
            return response.read(length)
