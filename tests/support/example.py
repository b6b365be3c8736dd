"""Runs the example project: in processes of its own, with a folder of its own."""

from __future__ import annotations

import io
import os
import socket
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

from tests.support.network import eventually, listens

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "example_project"
MANAGE = str(EXAMPLE / "manage.py")

# What a developer has set for other programs, or to try the example out.
NOT_INHERITED = ("DJANGO", "DEMO_", "AWS_")

SERVERS = {
    "runserver": [MANAGE, "runserver", "--noreload", "127.0.0.1:{port}"],
    "uvicorn": [
        *("-m", "uvicorn", "project.asgi:application"),
        *("--app-dir", str(EXAMPLE), "--port", "{port}", "--lifespan", "off"),
    ],
}


class Row(NamedTuple):
    """A document, as the example's database has it."""

    id: int
    folder_id: int
    folder: str
    slug: str
    name: str
    path: str
    size: int
    content_type: str


def rows(path: Path) -> list[Row]:
    """All documents of a database, in the order of the page."""
    query = """
        SELECT document.id, folder.id, folder.name, folder.slug, document.name, document.file,
            document.size, document.content_type
        FROM library_document document JOIN library_folder folder
            ON folder.id = document.folder_id
        ORDER BY folder.name, document.name, document.id
    """
    with closing(sqlite3.connect(path)) as database:
        return [Row(*values) for values in database.execute(query)]


def environment(data: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)
    }
    return {**inherited, "DEMO_DATA": str(data), "PYTHONPATH": path, "PYTHONUTF8": "1"}


def manage(
    *arguments: str, environment: dict[str, str], cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run one of the example's commands to its end."""
    return subprocess.run(
        [sys.executable, MANAGE, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def run_demo(environment: dict[str, str], cwd: Path = ROOT) -> str:
    """Set up without serving; returns what was said."""
    done = manage("demo", "--no-server", "--small", environment=environment, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Site(NamedTuple):
    """A server that runs."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]


@contextmanager
def serving(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[Site]:
    """Run a server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, *(part.format(port=port) for part in arguments)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output
        ) as server,
    ):
        try:
            eventually(lambda: server.poll() is not None or listens(port), seconds=60)
            assert server.poll() is None, f"the server did not start: {log.read_text()}"
            yield Site(f"http://127.0.0.1:{port}", log, server)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def fetch(url: str, headers: dict[str, str] | None = None) -> bytes:
    with urlopen(Request(url, headers=headers or {}), timeout=20) as response:
        return response.read()


def unzipped(data: bytes) -> dict[str, bytes]:
    """The members of a ZIP, each read whole so that its checksum is checked."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert len(set(file.namelist())) == len(file.namelist())
        return {name: file.read(name) for name in file.namelist()}
