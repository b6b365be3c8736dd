"""A real browser, Debian's chromium: interrupted downloads that it resumes by itself, and ones that
somebody resumes by its page of downloads.

The browser is started here, and driven over its DevTools protocol by playwright. Between it and the
server is a proxy that keeps what was asked, and cuts the first connection.
"""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.servers.harness import MIB, Server, need, new_token, sha256, write_file
from tests.support.network import end, eventually, without_proxies

Whole = Callable[[str], bytes]

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--no-proxy-server",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]


class Connection(socketserver.BaseRequestHandler):
    """A connection of the browser: one request, and its answer or the beginning of it."""

    server: CuttingProxy

    def handle(self) -> None:
        self.request.settimeout(30)
        head = b""
        while b"\r\n\r\n" not in head:
            received = self.request.recv(65536)
            if not received:
                return
            head += received
        cut = self.server.next_cut(head)
        with socket.create_connection(("127.0.0.1", self.server.target), timeout=30) as upstream:
            upstream.sendall(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"\r\nConnection: close", head))
            self._pass_on(upstream, cut)

    def _pass_on(self, upstream: socket.socket, left: int | None) -> None:
        while answer := upstream.recv(65536):
            self.request.sendall(answer[:left])
            left = None if left is None else max(0, left - len(answer))
            if left == 0:
                return


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Passes on to a server, cuts the first answer after so many bytes, and keeps all requests.

    The cut is an orderly end of the connection, or a reset.
    """

    def __init__(self, target: int, cut: int, *, reset: bool) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.target = target
        self.heads: list[str] = []
        self._cut = cut
        self._reset = reset

    def next_cut(self, head: bytes) -> int | None:
        """Keep a request, say where to cut its answer."""
        self.heads.append(head.decode())
        return self._cut if len(self.heads) == 1 else None

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; a lingering of no seconds makes it a reset."""
        if self._reset and len(self.heads) == 1:
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close()
        else:
            super().shutdown_request(request)

    def url(self, path: str) -> str:
        """Give the URL that goes through the proxy."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@contextmanager
def cutting(server: Server, cut: int, *, reset: bool = False) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.port, cut, reset=reset) as proxy:
        thread = Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class Browser:
    """A running chromium, its one page, and the downloads it tells of."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self._state = ""
        session = page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]
        session.on("Browser.downloadProgress", self._note)
        session.send(
            "Browser.setDownloadBehavior",
            {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": True},
        )

    def _note(self, event: dict[str, Any]) -> None:
        self._state = event["state"]

    def download(self, url: str) -> None:
        """Click on a link, as it were: playwright calls it an error that no page follows."""
        with pytest.raises(Error, match="Download is starting"):
            self._page.goto(url)

    def broke_off(self) -> bool:
        """Wait until the download is no longer going on; say whether that was by a failure."""
        self._eventually(lambda: self._state in {"completed", "canceled"})
        return self._state == "canceled"

    def saved(self) -> dict[str, str]:
        """Wait until the download is saved under its name; give what is there, as digests.

        DevTools tells nothing of a download that somebody resumes. What is not complete is
        called `.crdownload`.
        """
        self._eventually(lambda: [path.suffix for path in self._folder.iterdir()] == [".zip"])
        return {path.name: sha256(path.read_bytes()) for path in self._folder.iterdir()}

    def left(self) -> list[str]:
        """Name what is there now."""
        return [path.name for path in self._folder.iterdir()]

    def _eventually(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            self._page.wait_for_timeout(50)  # in which playwright hands out what it is told

    def resume(self) -> None:
        """Click on 'Resume' in the menu of the only item of the page of downloads."""
        self._page.goto("chrome://downloads")
        self._page.locator("downloads-item #more-actions").click()
        self._page.locator("downloads-item #pause-or-resume", has_text="Resume").click()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own."""
    profile, folder = tmp_path / "profile", tmp_path / "downloads"
    folder.mkdir()
    process = subprocess.Popen(
        [need("chromium"), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        env=without_proxies(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        port = devtools_port(profile / "DevToolsActivePort")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
            yield Browser(chromium.contexts[0].pages[0], folder)
            chromium.close()
    finally:
        end(process)


def devtools_port(file: Path) -> int:
    """Give the port that the browser chose and writes to its profile."""
    eventually(lambda: file.exists() and file.read_text().count("\n"), seconds=30)
    return int(file.read_text().split()[0])


@pytest.fixture
def server(start: Callable[[str], Server]) -> Server:
    """Give one server: what the others send is the same."""
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
    with cutting(server, 20 * MIB) as proxy:
        browser.download(proxy.url(f"/folder/album/?token={token}"))
        assert browser.saved() == {f"{token}.zip": sha256(whole("album"))}
        assert_resumed(proxy, 20 * MIB, tag)


def test_a_download_whose_connection_breaks_is_resumed_by_a_click(
    server: Server, whole: Whole, browser: Browser
) -> None:
    token, tag = new_token(), server.ask("/folder/album/", method="HEAD").headers["etag"]
    with cutting(server, 20 * MIB, reset=True) as proxy:
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
    with cutting(server, 4 * MIB, reset=True) as proxy:
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
