"""Contents that fail while they are sent: what curl makes of it, and what the log says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.harness import END_SIGNATURE, Route, Server, curl, new_token
from tests.servers.site import FAILURES
from tests.support.network import eventually

EVERY_FAILURE = pytest.mark.parametrize("failure", FAILURES)

# curl's exit codes.
COMPLETE, PARTIAL, REFUSED, NOTHING = 0, 18, 22, 52

# What they are after a failure, where no length was told. Before 2.8.9, granian took what a WSGI
# application raises for the end of its body, so that a broken archive was a complete answer.
# Nothing that an application can do shows it, and so the documentation's table of servers says it.
# With a length all of them show it.
WITHOUT_LENGTH = {
    "gunicorn": PARTIAL,
    "uvicorn": PARTIAL,
    "hypercorn": PARTIAL,
    "granian-asgi": PARTIAL,
    "granian-wsgi": PARTIAL,
}

# What they are where nothing was sent before: with a length, without one. uvicorn and hypercorn
# send the headers before they ask for the body. granian's headers and the failure are on two
# threads, and either may be first.
AT_ONCE = {
    "gunicorn": ({REFUSED}, {REFUSED}),
    "uvicorn": ({PARTIAL}, {PARTIAL}),
    "hypercorn": ({PARTIAL}, {PARTIAL}),
    "granian-asgi": ({REFUSED}, {REFUSED}),
    "granian-wsgi": ({PARTIAL, NOTHING}, {PARTIAL, NOTHING}),
}


# Two ways to have no length.
SHAPES = {"photos": "generator", "mixed": "deflated"}


def received(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def assert_logged_once(server: Server, token: str, member: str) -> None:
    eventually(lambda: server.errors(token))
    [line] = server.errors(token)
    assert line.startswith("django_stream_zip ERROR ")
    assert repr(f"{token}.zip") in line
    assert repr(member) in line


def assert_over(server: Server, token: str) -> None:
    """Assert that everything is closed, and the one download known not to be complete."""
    eventually(lambda: server.debug(token)["finished"])
    told = server.debug(token)
    assert told["opened"] == told["closed"] > 0
    assert [download["completed"] for download in told["finished"]] == [False]
    assert told["started"] == 1


@EVERY_FAILURE
@pytest.mark.parametrize("shape", ["tagged", "sized"])
def test_with_a_length_a_failure_is_one_for_the_client(
    route: Route, tmp_path: Path, shape: str, failure: str
) -> None:
    file, token = tmp_path / "broken.zip", new_token()
    url = route.url("photos", shape=shape, fail=failure, at=500_000, token=token)
    assert curl(url, file).returncode == PARTIAL
    assert END_SIGNATURE not in received(file)
    assert len(received(file)) > 3_000_000
    assert_logged_once(route.server, token, "photo-3.jpg")
    assert_over(route.server, token)


@EVERY_FAILURE
@pytest.mark.parametrize("folder", SHAPES)
def test_without_a_length_a_failure_shows_where_the_server_can(
    route: Route, tmp_path: Path, folder: str, failure: str
) -> None:
    file, token = tmp_path / "broken.zip", new_token()
    url = route.url(folder, shape=SHAPES[folder], fail=failure, at=500_000, token=token)
    assert curl(url, file).returncode == WITHOUT_LENGTH[route.server.name]
    assert END_SIGNATURE not in received(file)
    assert len(received(file)) > 1_000_000
    assert_logged_once(route.server, token, "photo-3.jpg" if folder == "photos" else "photo.jpg")
    assert_over(route.server, token)


@EVERY_FAILURE
def test_a_failure_in_a_range_is_one_for_the_client(
    server: Server, tmp_path: Path, failure: str
) -> None:
    file, token = tmp_path / "broken.zip", new_token()
    path = f"/folder/photos/?fail={failure}&at=500000&token={token}"
    result = curl(server.url(path), file, "--header", "Range: bytes=3200000-")
    assert result.returncode == PARTIAL
    assert END_SIGNATURE not in received(file)
    assert_logged_once(server, token, "photo-3.jpg")
    assert_over(server, token)


@pytest.mark.parametrize("shape", ["tagged", "sized"])
def test_with_a_length_a_failure_is_one_for_an_old_client(
    server: Server, tmp_path: Path, shape: str
) -> None:
    file = tmp_path / "broken.zip"
    url = server.url(f"/folder/photos/?shape={shape}&fail=OSError&at=500000")
    assert curl(url, file, "--http1.0").returncode == PARTIAL
    assert END_SIGNATURE not in received(file)


@pytest.mark.parametrize("failure", [name for name in FAILURES if name not in {"more", "fewer"}])
@pytest.mark.parametrize("shape", ["tagged", "sized", "generator"])
def test_a_failure_before_the_first_byte_sends_no_byte(
    route: Route, tmp_path: Path, shape: str, failure: str
) -> None:
    file, token = tmp_path / "broken.zip", new_token()
    url = route.url("photos", file="photo-1.jpg", shape=shape, fail=failure, token=token)
    with_length, without_length = AT_ONCE[route.server.name]
    expected = without_length if shape == "generator" else with_length
    assert curl(url, file).returncode in expected
    assert received(file) == b""
    assert_logged_once(route.server, token, "photo-1.jpg")
    assert_over(route.server, token)


@pytest.mark.parametrize("shape", ["tagged", "generator"])
def test_a_missing_file_is_not_found(route: Route, shape: str) -> None:
    token = new_token()
    path = route.path("photos", file="missing.jpg", shape=shape, token=token)
    assert route.server.ask(f"{path}&file=photo-1.jpg").status == 404
    assert route.server.debug(token)["opened"] == 0
    assert route.server.errors(token) == []


def test_the_server_works_on_after_failures(server: Server) -> None:
    for _ in range(10):
        server_fails(server)
    assert server.ask("/folder/tiny/").status == 200


def server_fails(server: Server) -> None:
    with server.connect() as connection:
        connection.request("GET", "/folder/photos/?fail=OSError&at=500000")
        with connection.getresponse() as response:
            response.read(1000)
