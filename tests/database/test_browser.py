"""The admin in a real browser: log in, tick rows, run the action, look at what is downloaded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from tests.database.fill import LARGE, PASSWORD
from tests.database.serving import fill, serving
from tests.servers.harness import Server
from tests.support.browser import Browser, browser

__all__ = ["browser"]

# Of this title there are four documents, on two pages of the list.
LIST = "/admin/tests/document/?title=large"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the site with a database in a file."""
    folder = tmp_path_factory.mktemp("site")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}
    fill(database, folder)
    with serving("uvicorn", database, folder, folder / "log") as running:
        yield running


def log_in(browser: Browser, server: Server, path: str) -> None:
    page = browser._page
    page.goto(server.url(path))
    page.fill("input[name=username]", "root")
    page.fill("input[name=password]", PASSWORD)
    page.click("input[type=submit]")


def downloaded(browser: Browser, tmp_path: Path) -> list[tuple[str, int]]:
    """Wait for the archive; give its members' names and sizes."""
    [name] = browser.saved()
    assert name == "Documents.zip"
    with zipfile.ZipFile(tmp_path / "downloads" / name) as archive:
        assert archive.testzip() is None
        return [(info.filename, info.file_size) for info in archive.infolist()]


def test_rows_that_are_ticked_are_downloaded(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    log_in(browser, server, LIST)
    page = browser._page
    for number in range(2):
        page.locator("input.action-select").nth(number).check()
    page.select_option("select[name=action]", "download_as_zip")
    page.click("button[name=index]")
    assert downloaded(browser, tmp_path) == [("large.jpg", LARGE), ("large (1).jpg", LARGE)]
    assert page.url == server.url(LIST)


def test_rows_of_all_pages_are_downloaded(browser: Browser, server: Server, tmp_path: Path) -> None:
    log_in(browser, server, LIST)
    page = browser._page
    page.check("#action-toggle")
    page.click("text=Select all 4 documents")
    page.select_option("select[name=action]", "download_as_zip")
    page.click("button[name=index]")
    assert len(downloaded(browser, tmp_path)) == 4


@pytest.mark.skipif(
    django.VERSION < (6, 1), reason="actions of a single object came with Django 6.1"
)
def test_a_single_document_is_downloaded_from_its_form(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    log_in(browser, server, LIST)
    page = browser._page
    page.locator("#result_list tbody th a").first.click()
    page.select_option("select[name=CHANGE_FORM-action]", "download_as_zip")
    page.click("button[name=index]")
    assert downloaded(browser, tmp_path) == [("large.jpg", LARGE)]
