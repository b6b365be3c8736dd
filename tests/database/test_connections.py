"""Connections to a real PostgreSQL: none is held while a body is sent, and none is left.

Also behind a pgbouncer, and with a pool that is smaller than the number of downloads.
"""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.database.fill import LARGE, LARGE_FILES, TINY_FILES
from tests.database.postgres import DATABASE, Postgres, pgbouncer
from tests.database.serving import fill, serving
from tests.servers.harness import END_SIGNATURE, Server
from tests.support.network import eventually

# How the site gets its connections, beside where from.
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ATOMIC_REQUESTS": {"ATOMIC_REQUESTS": True},
    "pool": {"OPTIONS": {"pool": {"min_size": 0, "max_size": 2, "timeout": 30}}},
    "pgbouncer": {},
}
SERVERS = ("gunicorn", "uvicorn")
VIEWS = ("eager", "lazy")


@pytest.fixture(scope="session")
def data(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the files of all rows."""
    path = tmp_path_factory.mktemp("data")
    fill(address(database), path)
    return path


def address(database: Postgres, name: str = "", kind: str = "plain") -> dict[str, Any]:
    """Return settings for a database; its connections have a name by which they are counted."""
    options = {"application_name": f"{name}-{kind}", **KINDS[kind].get("OPTIONS", {})}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "PORT": database.port,
        **KINDS[kind],
        "OPTIONS": options,
    }


Start = Callable[[str, str], Server]


@pytest.fixture(scope="session")
def start(
    database: Postgres, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Yield a function that starts a server with a kind of connections, once."""
    logs = tmp_path_factory.mktemp("logs")
    servers: dict[tuple[str, str], Server] = {}
    with ExitStack() as stack:

        def start(name: str, kind: str) -> Server:
            if (name, kind) not in servers:
                target = database
                if kind == "pgbouncer":
                    target = stack.enter_context(pgbouncer(database))
                log = logs / f"{name}-{kind}.log"
                running = serving(name, address(target, name, kind), data, log)
                servers[name, kind] = stack.enter_context(running)
            return servers[name, kind]

        yield start


@dataclass(frozen=True)
class Route:
    """A way to an archive: a view on a server, and the connections of that server."""

    server: Server
    view: str
    connections: Callable[[], int]

    def path(self, title: str) -> str:
        return f"/{self.view}/{title}/"

    def has_none(self) -> bool:
        """Wait until there is no connection; return whether there is none."""
        return eventually(lambda: self.connections() == 0)


ROUTES = [(name, kind, view) for name in SERVERS for kind in list(KINDS)[:2] for view in VIEWS]
ROUTES.append(("uvicorn", "plain", "async"))


@pytest.fixture(params=ROUTES, ids="-".join)
def route(request: pytest.FixtureRequest, start: Start, database: Postgres) -> Iterator[Route]:
    """Yield each of the routes, and see that the test leaves no connection."""
    name, kind, view = request.param
    route = Route(start(name, kind), view, lambda: database.connections(f"{name}-{kind}"))
    assert route.has_none()
    yield route
    assert route.has_none()


@contextmanager
def begun(server: Server, path: str) -> Iterator[http.client.HTTPResponse]:
    """Begin a download and stop reading: the server can't send more than the sockets hold."""
    with server.connect() as connection:
        connection.request("GET", path)
        with connection.getresponse() as response:
            assert response.status == 200
            assert response.read(10_000)
            yield response


def rest_of(response: http.client.HTTPResponse) -> bytes:
    """Read to the end; raises where the server breaks off."""
    return response.read()


def member_count(archive: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(archive)) as archive_file:
        assert archive_file.testzip() is None
        return len(archive_file.namelist())


def test_no_connection_is_held_while_the_body_is_sent(route: Route) -> None:
    with begun(route.server, route.path("large")) as response:
        assert route.has_none()
        assert len(rest_of(response)) > LARGE_FILES * LARGE - 10_000


def test_an_archive_of_many_pages_is_whole_and_leaves_no_connection(route: Route) -> None:
    reply = route.server.ask(route.path("tiny"))
    assert reply.status == 200
    assert member_count(reply.body) == TINY_FILES


def test_a_client_who_goes_away_leaves_no_connection(route: Route) -> None:
    for _ in range(3):
        with begun(route.server, route.path("large")):
            pass


def test_a_file_that_cannot_be_read_leaves_no_connection(route: Route) -> None:
    logged = len(route.server.log.read_text())
    for _ in range(3):
        try:
            reply = route.server.ask(route.path("broken"))
        except (http.client.HTTPException, ConnectionError):
            continue
        assert END_SIGNATURE not in reply.body
    # The response is aborted before the log is written to.
    assert eventually(lambda: "FileNotFoundError" in route.server.log.read_text()[logged:])


@pytest.mark.parametrize("name", SERVERS)
def test_in_an_atomic_block_the_connection_is_kept(start: Start, name: str) -> None:
    told = json.loads(start(name, "plain").ask("/atomic/").body)
    assert told["length"] > 0
    assert told["before"] == told["after"]
    assert (told["found"], told["left"]) == (1, 0)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["pool", "pgbouncer"])
@pytest.mark.parametrize("name", SERVERS)
def test_four_downloads_at_once_share_two_connections_with_other_requests(
    start: Start, name: str, kind: str, view: str
) -> None:
    server = start(name, kind)
    logged = len(server.log.read_text())
    with ExitStack() as stack:
        downloads = [stack.enter_context(begun(server, f"/{view}/large/")) for _ in range(4)]
        reply = server.ask("/count/")
        assert (reply.status, reply.body) == (200, b"%d" % (LARGE_FILES + TINY_FILES + 1))
        tiny = server.ask(f"/{view}/tiny/")
        assert member_count(tiny.body) == TINY_FILES
        lengths = {len(rest_of(download)) for download in downloads}
    assert len(lengths) == 1
    assert min(lengths) > LARGE_FILES * LARGE - 10_000
    assert "Error" not in server.log.read_text()[logged:]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", SERVERS)
def test_pages_of_several_downloads_do_not_mix_behind_pgbouncer(
    start: Start, name: str, view: str
) -> None:
    server = start(name, "pgbouncer")
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(4)]
        for connection in connections:
            connection.request("GET", f"/{view}/tiny/")
        for connection in connections:
            with connection.getresponse() as response:
                assert member_count(response.read()) == TINY_FILES
