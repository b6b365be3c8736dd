"""The servers, each started when the first test wants it, and the archives they serve."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from django_stream_zip import MemberFile, stream_zip
from django_stream_zip.members import file_member
from tests.servers.harness import (
    COMMANDS,
    WSGI_SERVERS,
    Route,
    Server,
    make_folders,
    running,
)

# Of each kind one, which all tests run with. The others run by `-m matrix`, and only the tests in
# which a server has a say: how it parses a request, frames and ends a response.
BOTH = ("gunicorn", "uvicorn")
ROUTES = [
    *((name, "folder") for name in COMMANDS),
    *((name, "async") for name in COMMANDS if name not in WSGI_SERVERS),
]


def param(name: str, *views: str) -> Any:
    """Return a server (with a view) as a parameter; a process has all tests of a server."""
    marks = [pytest.mark.xdist_group(name), *([] if name in BOTH else [pytest.mark.matrix])]
    return pytest.param((name, *views) if views else name, marks=marks, id="-".join((name, *views)))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the site's folders."""
    path = tmp_path_factory.mktemp("data")
    make_folders(path)
    return path


@pytest.fixture(scope="session")
def start(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Server]]:
    """Yield a function that starts a server, once: tests come in any order."""
    logs = tmp_path_factory.mktemp("logs")
    servers: dict[str, Server] = {}
    with ExitStack() as stack:

        def start(name: str) -> Server:
            if name not in servers:
                servers[name] = stack.enter_context(running(name, data, logs / f"{name}.log"))
            return servers[name]

        yield start


@pytest.fixture(params=[param(name) for name in COMMANDS])
def server(request: pytest.FixtureRequest, start: Callable[[str], Server]) -> Server:
    """Return each of the servers."""
    return start(request.param)


@pytest.fixture(params=[param(name) for name in BOTH])
def one_of_each(request: pytest.FixtureRequest, start: Callable[[str], Server]) -> Server:
    """Return a server of each kind, for what the package alone decides."""
    return start(request.param)


@pytest.fixture(params=[param(*route) for route in ROUTES])
def route(request: pytest.FixtureRequest, start: Callable[[str], Server]) -> Route:
    """Return each of the servers with each view that it can have."""
    name, view = request.param
    return Route(start(name), view)


@pytest.fixture(params=[param(*route) for route in ROUTES if route[0] in BOTH])
def route_of_each(request: pytest.FixtureRequest, start: Callable[[str], Server]) -> Route:
    """Return a server of each kind with each view, for what the package alone decides."""
    name, view = request.param
    return Route(start(name), view)


@pytest.fixture(scope="session")
def whole(data: Path) -> Callable[[str], bytes]:
    """Return what makes the archive of a folder here: what all clients are to end with."""
    archives: dict[str, bytes] = {}

    def whole(folder: str) -> bytes:
        if folder not in archives:
            paths = sorted((data / folder).iterdir())
            members: list[MemberFile] = [file_member(path) for path in paths]
            archives[folder] = b"".join(stream_zip(members))
        return archives[folder]

    return whole


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the server's log when a test fails."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    route = fixtures.get("route") or fixtures.get("route_of_each")
    server = route.server if route else fixtures.get("server") or fixtures.get("one_of_each")
    if report.failed and server is not None:
        log = server.log.read_text(errors="replace")[-5000:]
        report.sections.append((f"log of {server.name}", log))
    return report
