"""Debian's chromium, driven over its DevTools protocol by playwright."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.servers.harness import need, sha256
from tests.support.network import end, eventually, without_proxies

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
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            self._page.wait_for_timeout(50)  # in which playwright hands out what it is told

    def resume(self) -> None:
        """Click on 'Resume' in the menu of the only item of the page of downloads."""
        self._page.goto("chrome://downloads")
        self._page.locator("downloads-item #more-actions").click()
        self._page.locator("downloads-item #pause-or-resume", has_text="Resume").click()


@contextmanager
def running(root: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own in a folder."""
    profile, folder = root / "profile", root / "downloads"
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


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Run a browser for one test."""
    with running(tmp_path) as browser:
        yield browser


@pytest.fixture(scope="module")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Run one browser for a module's tests."""
    with running(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def devtools_port(file: Path) -> int:
    """Return the port that the browser chose and writes to its profile."""
    eventually(lambda: file.exists() and file.read_text().count("\n"), seconds=120)
    return int(file.read_text().split()[0])
