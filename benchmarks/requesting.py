"""Requests for exports, and polls of how far they are, as a user meets them: through gunicorn.

The site has sessions, tokens against forgery, and django-tasks-db. "nothing" is a view of it that
asks who the user is, and no more. "two rows" inserts two: a request inserts its own and the task's,
and what is above that is the package's and the engine's.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.exporting import ROOT, files_in, python
from benchmarks.samples import Samples
from benchmarks.server import ended, free_port
from benchmarks.workload import CellError, Figures, need

NUMBER = 200
_PACKAGES = ("django_tasks_db", "gunicorn")
_SERVER = (
    "gunicorn django.core.wsgi:get_wsgi_application() --bind 127.0.0.1:{port} --workers 1"
    " --worker-class gthread --threads 2 --no-control-socket --log-level warning"
)
Headers = dict[str, str]


@dataclass(frozen=True)
class Requesting:
    """So many requests of each kind, one after the other."""

    name: str
    title: str
    database: str
    engines: tuple[str, ...] = ("nothing", "two rows", "request", "same request", "poll")
    group: str = "exports"
    rounds_at_most: int = 5

    def measure(self, engine: str, samples: Samples) -> Figures:
        """Start a site, log in, and request."""
        need(*_PACKAGES)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(samples.subfolder()))
            files = files_in(folder)
            places = {"folder": str(folder), "default": files, "exports": files}
            places["database"] = stack.enter_context(_DATABASES[self.database](folder))
            environment = {**os.environ, "EXPORTS_PLACES": json.dumps(places)}
            environment["DJANGO_SETTINGS_MODULE"] = "benchmarks.exports_settings"
            session = python(environment, "benchmarks.requesting").strip()
            port = stack.enter_context(_server(environment, folder))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            return _asked(stack.enter_context(closing(connection)), engine, session)


@contextmanager
def _sqlite(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what a new project has."""
    yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}


@contextmanager
def _postgres(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a PostgreSQL (that of the tests, which doesn't wait for the disk)."""
    need("psycopg")
    from tests.database import postgres

    with postgres.postgres() as server:
        yield {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": server.port,
            "USER": "postgres",
            "NAME": postgres.DATABASE,
            "CONN_MAX_AGE": 60,
        }


_DATABASES = {"SQLite": _sqlite, "PostgreSQL": _postgres}
REQUESTED = tuple(
    Requesting(f"export-requests-{database.lower()}", f"{NUMBER} requests, {database}", database)
    for database in _DATABASES
)


@contextmanager
def _server(environment: dict[str, str], folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", *_SERVER.format(port=port).split()]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=log, stderr=log, process_group=0
        )
    try:
        yield port
    finally:
        ended(process)


def _asked(connection: http.client.HTTPConnection, engine: str, session: str) -> Figures:
    """Return how long requests of a kind take."""
    headers = {"Cookie": f"sessionid={session}"}
    token = _first(connection, headers).split("csrftoken=")[1].split(";")[0]
    headers = {"Cookie": f"sessionid={session}; csrftoken={token}", "X-CSRFToken": token}
    status = _ask(connection, "POST", "/first/zip/", headers).headers["Location"]
    kinds: dict[str, tuple[str, Callable[[int], str]]] = {
        "nothing": ("GET", lambda number: "/nothing/"),
        "two rows": ("POST", lambda number: "/two-rows/"),
        "request": ("POST", lambda number: f"/{number}/zip/"),
        "same request": ("POST", lambda number: "/first/zip/"),
        "poll": ("GET", lambda number: str(status)),
    }
    method, url = kinds[engine]
    seconds = []
    for number in range(NUMBER):
        started = time.perf_counter()
        _ask(connection, method, url(number), {**headers, "Accept": "application/json"})
        seconds.append(time.perf_counter() - started)
    seconds.sort()
    return {
        "seconds": sum(seconds),
        "view_p50": seconds[NUMBER // 2],
        "view_p95": seconds[NUMBER * 95 // 100],
        "view_max": seconds[-1],
    }


def _first(connection: http.client.HTTPConnection, headers: Headers) -> str:
    """Wait until the server answers; return the cookie of the page with the form."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return _ask(connection, "GET", "/first/zip/", headers).headers["Set-Cookie"]
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise CellError(f"failed: the server does not answer: {error}") from None
            time.sleep(0.05)


def _ask(
    connection: http.client.HTTPConnection, method: str, url: str, headers: Headers
) -> http.client.HTTPResponse:
    connection.request(method, url, headers=headers)
    response = connection.getresponse()
    response.read()
    if response.status not in (200, 303):
        raise CellError(f"failed: {url} answers {response.status}")
    return response


def _log_in() -> None:
    """Make the tables and a user, and print a session of this user."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", run_syncdb=True, verbosity=0)
    client = Client()
    client.force_login(User.objects.create(username="ada"))
    print(client.cookies["sessionid"].value)


if __name__ == "__main__":
    import django

    django.setup()
    _log_in()
