"""A PostgreSQL of the tests' own, and a pgbouncer before it.

They run on free ports of loopback in a temporary folder, as `nobody` where the tests are root, as
both refuse to be root. Debian has them in the packages `postgresql` and `pgbouncer`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.network import end, eventually, free_port

DATABASE = "site"
# Where Debian has the programs that are not for everybody.
PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/sbin")]

_CLUSTER = "--auth=trust --username=postgres --no-sync --encoding=UTF8 --locale=C.UTF-8".split()

_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={target} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


class Postgres:
    """A server that runs, with an empty database."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connections(self, application_name: str) -> int:
        """Count the connections that call themselves so."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return int(self.ask(query, application_name))

    def ask(self, query: str, *arguments: object) -> Any:
        """Return an answer's only value; asked in another database, so as not to be counted."""
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    def is_up(self) -> bool:
        """Return whether it answers."""
        try:
            return self.ask("SELECT 1") == 1
        except psycopg.OperationalError:
            return False

    def _address(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"


def program(name: str) -> str:
    """Return the program's path; without it skip the test, or fail it on CI."""
    path = shutil.which(name, path=os.pathsep.join([*map(str, PLACES), os.environ["PATH"]]))
    if path is None:
        reason = f"the test needs {name}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return path


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder for a program that may be nobody's, who can't see into pytest's."""
    with tempfile.TemporaryDirectory(prefix="database-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            shutil.chown(name, **_user())
        yield Path(name)


def _user() -> dict[str, Any]:
    return {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    alone = {"extra_groups": []} if os.geteuid() == 0 else {}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            **_user(),
            **alone,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # for PostgreSQL: don't wait until clients have gone
        end(process)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL until the block ends."""
    initdb, server = program("initdb"), program("postgres")
    with folder() as home:
        subprocess.run(
            [initdb, *_CLUSTER, "--pgdata", str(home / "data")],
            **_user(),
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        port, log = free_port(), home / "log"
        command = [server, "-D", str(home / "data"), "-p", str(port), "-h", "127.0.0.1"]
        command += ["-k", "", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        with _running(command, log) as process:
            running = Postgres(port)
            eventually(lambda: process.poll() is not None or running.is_up(), seconds=120)
            assert running.is_up(), log.read_text()
            running.ask(f"CREATE DATABASE {DATABASE}")
            yield running


@contextmanager
def pgbouncer(target: Postgres) -> Iterator[Postgres]:
    """Run a pgbouncer before it, which gives a connection away after each transaction."""
    server = program("pgbouncer")
    with folder() as home:
        port, log = free_port(), home / "log"
        configuration = home / "pgbouncer.ini"
        configuration.write_text(_CONFIGURATION.format(target=target.port, port=port))
        with _running([server, str(configuration)], log) as process:
            running = Postgres(port)
            eventually(lambda: process.poll() is not None or running.is_up(), seconds=120)
            assert running.is_up(), log.read_text()
            yield running
