"""A real browser, Debian's chromium: interrupted downloads that it resumes by itself, and ones that
somebody resumes by its page of downloads.

The browser is started here, and driven over its DevTools protocol by playwright. Between it and the
server is a proxy that keeps what was asked, and cuts the first connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.harness import MIB, Server, new_token, sha256, write_file
from tests.support.browser import Browser, browser
from tests.support.proxy import CuttingProxy, cutting

__all__ = ["browser"]

pytestmark = pytest.mark.xdist_group("uvicorn")

Whole = Callable[[str], bytes]


@pytest.fixture
def server(start: Callable[[str], Server]) -> Server:
    """Return one server: what the others send is the same."""
    return start("uvicorn")


def header(head: str, name: str) -> str | None:
    found = re.search(rf"(?im)^{name}: (.*)\r$", head)
    return found and found[1]


def assert_resumed(proxy: CuttingProxy, cut: int, tag: str) -> None:
    """Assert that the browser asked for the rest of just this archive."""
    first, second = proxy.heads
    assert header(first, "Range") is None
    position = re.fullmatch("bytes=([0-9]+)-", header(second, "Range") or "")
    assert position is not None
    assert 0 < int(position[1]) <= cut
    assert header(second, "If-Range") == tag


def test_a_download_that_the_server_ends_early_is_resumed_by_the_browser_itself(
    server: Server, whole: Whole, browser: Browser
) -> None:
    token, tag = new_token(), server.ask("/folder/album/", method="HEAD").headers["etag"]
    with cutting(server.port, 20 * MIB) as proxy:
        browser.download(proxy.url(f"/folder/album/?token={token}"))
        assert browser.saved() == {f"{token}.zip": sha256(whole("album"))}
        assert_resumed(proxy, 20 * MIB, tag)


def test_a_download_whose_connection_breaks_is_resumed_by_a_click(
    server: Server, whole: Whole, browser: Browser
) -> None:
    token, tag = new_token(), server.ask("/folder/album/", method="HEAD").headers["etag"]
    with cutting(server.port, 20 * MIB, reset=True) as proxy:
        browser.download(proxy.url(f"/folder/album/?token={token}"))
        assert browser.broke_off()
        assert browser.left() == [f"{token}.zip.crdownload"]
        browser.resume()
        assert browser.saved() == {f"{token}.zip": sha256(whole("album"))}
        assert_resumed(proxy, 20 * MIB, tag)


def test_a_download_that_changed_before_it_is_resumed_begins_again(
    server: Server, data: Path, browser: Browser
) -> None:
    token = new_token()
    photo, path = data / f"changing-{token}" / "photo.jpg", f"/folder/changing-{token}/"
    write_file(photo, bytes(8 * MIB))
    with cutting(server.port, 4 * MIB, reset=True) as proxy:
        browser.download(proxy.url(path))
        assert browser.broke_off()
        photo.write_bytes(b"changed " * MIB)  # of the same length
        browser.resume()
        assert browser.saved() == {"archive.zip": sha256(server.ask(path).body)}
        assert "Range" in proxy.heads[1]


@pytest.mark.parametrize("shape", ["tagged", "generator"])
def test_an_archive_with_a_member_that_fails_is_never_saved(
    server: Server, browser: Browser, shape: str
) -> None:
    browser.download(server.url(f"/folder/photos/?shape={shape}&fail=OSError&at=500000"))
    assert browser.broke_off()
    assert not any(name.endswith(".zip") for name in browser.left())
