"""Whole downloads, resumed ones, and ones whose files changed in between."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.harness import (
    Route,
    Server,
    aria2c_arguments,
    curl,
    cut_download,
    need,
    new_token,
    run,
    sha256,
    wget,
    write_file,
)
from tests.support.network import eventually, without_proxies
from tests.support.readers import require

Whole = Callable[[str], bytes]
Resume = Callable[[str, Path], "subprocess.CompletedProcess[str]"]


def same(file: Path, whole: bytes) -> bool:
    return sha256(file.read_bytes()) == sha256(whole)


def test_the_archive_can_be_read(whole: Whole) -> None:
    for reader in ("zipfile", "unzip"):
        assert len(require(reader).read(whole("album"), None)) == 8


def test_a_whole_download_is_the_archive_and_has_its_length(
    route: Route, whole: Whole, tmp_path: Path
) -> None:
    file, headers = tmp_path / "album.zip", tmp_path / "headers"
    curl(route.url("album"), file, "--dump-header", str(headers)).check_returncode()
    assert same(file, whole("album"))
    told = headers.read_text().lower().splitlines()
    assert f"content-length: {len(whole('album'))}" in told
    assert "accept-ranges: bytes" in told


@pytest.mark.parametrize("shape", ["tagged", "sized", "generator", "deflated"])
@pytest.mark.parametrize("folder", ["photos", "mixed"])
def test_what_is_known_before_decides_the_headers_and_never_the_bytes(
    route: Route, whole: Whole, shape: str, folder: str
) -> None:
    reply = route.server.ask(route.path(folder, shape=shape), {"Accept-Encoding": "gzip"})
    knows_length = shape in {"tagged", "sized"} or (shape == "deflated" and folder == "photos")
    assert ("content-length" in reply.headers) == knows_length
    assert ("etag" in reply.headers) == ("accept-ranges" in reply.headers) == (shape == "tagged")
    assert "content-encoding" not in reply.headers
    if folder == "photos" or shape == "deflated":
        assert sha256(reply.body) == sha256(whole(folder))
    else:
        assert require("zipfile").read(reply.body, None).keys() == {"notes.txt", "photo.jpg"}


def test_the_function_answers_as_the_view_does(one_of_each: Server, whole: Whole) -> None:
    by_view, by_function = one_of_each.ask("/folder/tiny/"), one_of_each.ask("/function/tiny/")
    assert by_function.body == by_view.body == whole("tiny")
    assert by_function.headers["etag"] == by_view.headers["etag"]


def curl_resumes(url: str, file: Path) -> subprocess.CompletedProcess[str]:
    return curl(url, file, "--continue-at", "-")


def wget_resumes(url: str, file: Path) -> subprocess.CompletedProcess[str]:
    return wget(url, file, "--continue")


def aria2c_resumes(url: str, file: Path) -> subprocess.CompletedProcess[str]:
    return run("aria2c", *aria2c_arguments(url, file, "--continue=true"))


RESUMING = {"curl": curl_resumes, "wget": wget_resumes, "aria2c": aria2c_resumes}
EVERY_RESUMING = pytest.mark.parametrize("resume", RESUMING.values(), ids=RESUMING.keys())


@EVERY_RESUMING
@pytest.mark.parametrize(
    ("folder", "first", "last"),
    [("photos", 1, 30), ("album", 100, -1000), ("photos", -400, -1)],
    ids=["in the first header", "in the middle", "in the directory"],
)
def test_a_connection_cut_anywhere_is_resumed(
    route_of_each: Route,
    whole: Whole,
    tmp_path: Path,
    resume: Resume,
    folder: str,
    first: int,
    last: int,
) -> None:
    length = len(whole(folder))
    position = random.randint(first % length, last % length)
    file, token = tmp_path / "archive.zip", new_token()
    file.write_bytes(
        cut_download(route_of_each.server, route_of_each.path(folder, token=token), position)
    )
    resume(route_of_each.url(folder, token=token), file).check_returncode()
    assert same(file, whole(folder)), f"cut after {position} bytes"
    # aria2c asks for its blocks, which are of 16 KiB.
    starts = range_starts(route_of_each.server, token)[1:]
    assert any(position - 16384 < start <= position for start in starts)


def range_starts(server: Server, token: str) -> list[int]:
    """Return where the ranges began that the requests with the token asked for."""
    ranges = [request.get("Range", "bytes=0-") for request in server.debug(token)["requests"]]
    return [int(header.removeprefix("bytes=").split("-")[0]) for header in ranges]


def test_a_connection_cut_again_and_again_is_resumed(
    one_of_each: Server, whole: Whole, tmp_path: Path
) -> None:
    wanted, got = whole("photos"), b""
    while len(got) < len(wanted):
        with one_of_each.connect() as connection:
            headers = {"Range": f"bytes={len(got)}-"} if got else {}
            connection.request("GET", "/folder/photos/", headers=headers)
            with connection.getresponse() as response:
                assert response.status == (206 if got else 200)
                got += response.read(random.randint(1, len(wanted) // 4))
    assert sha256(got) == sha256(wanted)


def test_aria2c_downloads_in_four_segments_at_once(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    file, token = tmp_path / "album.zip", new_token()
    url = server.url(f"/folder/album/?token={token}")
    run("aria2c", *aria2c_arguments(url, file)).check_returncode()
    assert same(file, whole("album"))
    ranges = [request.get("Range") for request in server.debug(token)["requests"]]
    assert len([wanted for wanted in ranges if wanted]) >= 3


def test_aria2c_that_is_interrupted_resumes_its_segments(
    one_of_each: Server, whole: Whole, tmp_path: Path
) -> None:
    file, token = tmp_path / "album.zip", new_token()
    url = one_of_each.url(f"/folder/album/?token={token}")
    interrupted_aria2c(url, file)
    assert file.with_name("album.zip.aria2").exists()
    run("aria2c", *aria2c_arguments(url, file, "--continue=true")).check_returncode()
    assert same(file, whole("album"))


def interrupted_aria2c(url: str, file: Path) -> None:
    arguments = aria2c_arguments(url, file, "--max-overall-download-limit=10M")
    process = subprocess.Popen(
        [need("aria2c"), *arguments], env=without_proxies(), stdout=subprocess.DEVNULL
    )
    try:
        eventually(lambda: file.exists() and file.stat().st_blocks * 512 > 1_000_000)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
    finally:
        process.kill()
        process.wait()


# A file that changed between the two halves of a download.


def changing_folder(data: Path) -> tuple[Path, str]:
    """Make a folder of one's own; give a file of it, and the URL's path."""
    folder = data / f"changing-{new_token()}"
    write_file(folder / "a.jpg", random.randbytes(300_000))
    write_file(folder / "b.jpg", random.randbytes(300_000))
    return folder / "b.jpg", f"/folder/{folder.name}/"


def change(file: Path) -> None:
    """Write another content of the same length."""
    file.write_bytes(random.randbytes(file.stat().st_size))


def test_a_range_of_the_archive_that_if_range_names_is_sent(
    one_of_each: Server, data: Path
) -> None:
    _, path = changing_folder(data)
    first = one_of_each.ask(path)
    range_headers = {"Range": "bytes=200000-", "If-Range": first.headers["etag"]}
    second = one_of_each.ask(path, range_headers)
    assert second.status == 206
    assert second.headers["etag"] == first.headers["etag"]
    assert (
        second.headers["content-range"] == f"bytes 200000-{len(first.body) - 1}/{len(first.body)}"
    )
    assert second.body == first.body[200_000:]


def test_a_changed_member_gets_all_of_the_new_archive_by_if_range(
    one_of_each: Server, data: Path
) -> None:
    file, path = changing_folder(data)
    first = one_of_each.ask(path)
    change(file)
    second = one_of_each.ask(path, {"Range": "bytes=200000-", "If-Range": first.headers["etag"]})
    assert second.status == 200
    assert second.headers["etag"] != first.headers["etag"]
    assert "content-range" not in second.headers
    assert require("zipfile").read(second.body, None)["b.jpg"] == file.read_bytes()


# curl, wget and aria2c resume by a range alone, so that a changed archive would be spliced to the
# old one. Once this fails they send If-Range, and the documentation can stop warning of it.
@pytest.mark.xdist_group("uvicorn")
@EVERY_RESUMING
def test_command_line_downloaders_send_no_if_range(
    start: Callable[[str], Server], tmp_path: Path, resume: Resume
) -> None:
    server, file, token = start("uvicorn"), tmp_path / "photos.zip", new_token()
    path = f"/folder/photos/?token={token}"
    file.write_bytes(cut_download(server, path, 100_000))
    resume(server.url(path), file).check_returncode()
    first, *others = server.debug(token)["requests"]
    assert "Range" not in first
    assert any("Range" in request for request in others)
    assert not any("If-Range" in request for request in others)


# Streaming.


@pytest.mark.parametrize("shape", ["tagged", "sized", "generator", "deflated"])
def test_the_first_byte_comes_long_before_the_last_one_is_made(route: Route, shape: str) -> None:
    token = new_token()
    with route.server.connect() as connection:
        # 0.5 s for each of 64 chunks: a slow machine takes no chunk for a late one.
        connection.request("GET", route.path("photos", shape=shape, pause=0.5, token=token))
        with connection.getresponse() as response:
            assert response.read(1) == b"P"
            assert route.server.debug(token)["produced"] < 1_000_000
