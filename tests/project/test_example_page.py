"""The example's pages in a real browser: for every screen, by keyboard, without scripts."""

from __future__ import annotations

import os
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, shared_browser
from tests.support.example import SERVERS, environment, manage, run_demo, serving
from tests.support.pages import axe, overflow, page, problems

__all__ = ["axe", "page", "shared_browser"]

NOTHING_SELECTED = "Nothing was selected: tick at least one document."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def said(data: Path) -> str:
    return run_demo(environment(data))


@pytest.fixture(scope="module")
def site(data: Path, said: str) -> Iterator[str]:
    """Run the example."""
    with serving(SERVERS["runserver"], environment(data), data / "log") as running:
        yield running.url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the example without any document."""
    data = tmp_path_factory.mktemp("empty")
    assert manage("migrate", environment=environment(data)).returncode == 0
    with serving(SERVERS["runserver"], environment(data), data / "log") as running:
        yield running.url


def log_in(page: Any, site: str, said: str) -> None:
    page.goto(f"{site}/admin/login/?next=/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(re.search(r"password (\S+)", said)[1])
    page.get_by_role("button", name="Log in").click()


def selected(page: Any) -> str:
    return page.locator("zip-selection").get_by_role("status").inner_text().replace("\xa0", " ")


def announced(page: Any) -> str:
    """Wait for what is said of a download, and return it."""
    text = page.locator(".announced p")
    text.wait_for()
    return text.inner_text().replace("\xa0", " ")


# Every page.


def test_the_library_is_for_everybody_and_every_screen(page: Any, site: str, axe: str) -> None:
    # With a message, ticks, and what is said of a download.
    page.goto(f"{site}/download/")
    assert page.get_by_text(NOTHING_SELECTED).is_visible()
    page.get_by_label("Select all in Recordings").check()
    page.get_by_label("Harbour at dawn.jpg").check()
    page.get_by_role("link", name="Download folder Örö field notes").click()
    announced(page)
    assert problems(page, axe) == {}


def test_so_is_the_page_of_what_is_not_found(page: Any, site: str, axe: str) -> None:
    page.goto(f"{site}/nothing")
    assert page.get_by_role("heading").inner_text() == "Not found"
    assert problems(page, axe) == {}


def test_so_is_an_empty_library(page: Any, empty: str, axe: str) -> None:
    page.goto(empty)
    assert page.get_by_text("The library is empty.").is_visible()
    assert problems(page, axe) == {}


def test_the_library_has_room_for_what_only_staff_can_do(page: Any, site: str, said: str) -> None:
    log_in(page, site, said)
    page.get_by_role("button", name="Save to library Photographs").click()
    page.get_by_text("Saved").wait_for()
    assert overflow(page) == []


@pytest.fixture
def hebrew(data: Path) -> Iterator[str]:
    """Give a folder a name that is long, and written from right to left."""
    name = "הקלטות של ציפורים מהחוף הצפוני של האי, מכל השנים"
    rename = "UPDATE library_folder SET name = ? WHERE slug = 'recordings'"
    with closing(sqlite3.connect(data / "library.sqlite3", timeout=20)) as database:
        database.isolation_level = None
        database.execute(rename, [name])
        yield name
        database.execute(rename, ["Recordings"])


RIGHT = """link => {
    const name = document.createRange();
    name.selectNode(link.firstChild);
    return name.getBoundingClientRect().right;
}"""


def test_a_name_from_right_to_left_leaves_what_follows_alone(
    page: Any, site: str, said: str, hebrew: str
) -> None:
    log_in(page, site, said)
    link = page.locator(".folders [href='#recordings']")
    assert link.locator("span").bounding_box()["x"] >= link.evaluate(RIGHT)
    page.get_by_role("button", name=f"Save to library {hebrew}").click()
    page.get_by_text("Saved").wait_for()
    assert page.locator(".messages bdi").inner_text() == f"{hebrew}.zip"
    page.set_viewport_size({"width": 320, "height": 700})
    place = page.locator("#recordings fieldset").bounding_box()
    words = page.locator("#recordings .zip-select-all span").bounding_box()
    assert words["x"] + words["width"] <= place["x"] + place["width"]


# Ticking, and what is said of a download.


def test_a_download_can_be_asked_for_once_something_is_ticked(page: Any, site: str) -> None:
    page.goto(site)
    download, clear = page.get_by_text("Download selected"), page.get_by_text("Clear")
    assert download.is_disabled()
    assert clear.is_disabled()
    page.get_by_label("Harbour at dawn.jpg").check()
    assert download.is_enabled()
    clear.click()
    page.get_by_text("Nothing is selected.").wait_for()
    assert download.is_disabled()
    assert page.locator(":checked").count() == 0


def test_all_of_a_folder_is_ticked_at_once(page: Any, site: str) -> None:
    page.goto(site)
    page.get_by_label("Select all in Photographs").check()
    assert page.locator("#photographs [name=ids]:checked").count() == 24
    assert page.locator("[name=ids]:checked").count() == 24
    assert selected(page) == "Selected: 24 (446.8 KB)"


def test_the_counter_is_one_line_on_a_phone(page: Any, site: str) -> None:
    page.set_viewport_size({"width": 320, "height": 700})
    page.goto(site)
    for box in page.get_by_label(re.compile("Select all in")).all():
        box.check()
    line = page.locator("zip-selection p")
    assert line.bounding_box()["height"] < 30
    bar = page.locator("zip-selection").bounding_box()
    assert bar["height"] < 110


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("Photographs", r"24 files, [\d.]+ KB\. It can be resumed if it is interrupted\."),
        (
            "Örö field notes",
            r"10 files\. It shows no progress and can't be resumed if it is interrupted\. Some"
            r" files are compressed while they are sent\.",
        ),
    ],
)
def test_a_download_is_announced(page: Any, site: str, folder: str, text: str) -> None:
    page.goto(site)
    link = page.get_by_role("link", name=f"Download folder {folder}")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == f"{folder}.zip"
    assert re.fullmatch(rf"{folder}\.zip: {text}", announced(page))
    page.get_by_role("button", name="Close").click()
    assert page.locator(".announced").inner_text() == ""
    assert page.evaluate("document.activeElement.href") == link.evaluate("link => link.href")


# By keyboard, and without scripts.

# Where the focus is: its text or label, and whether the bar or anything else lies over it.
FOCUS = """() => {
    const element = document.activeElement;
    const {left, top, width, height} = element.getBoundingClientRect();
    const over = document.elementFromPoint(left + width / 2, top + height / 2);
    const name = element.labels?.[0]?.innerText || element.innerText;
    return [name.trim().replace(/\\s+/g, " "), element.contains(over)];
}"""


def tab_to(page: Any, name: str) -> list[str]:
    """Press the tab key until something has the focus; return what was hidden on the way."""
    hidden = []
    for _ in range(150):
        page.keyboard.press("Tab")
        focused, is_visible = page.evaluate(FOCUS)
        if not is_visible:
            hidden.append(focused)
        if focused.startswith(name):
            return hidden
    raise AssertionError(f"{name} is never reached")


@pytest.mark.parametrize("size", [(1280, 800), (320, 640)])
def test_all_is_done_by_keyboard_and_the_focus_is_always_seen(
    page: Any, site: str, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(site)
    assert tab_to(page, "Skip to the content") == []
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    assert tab_to(page, "Download folder Annual reports") == []
    with page.expect_download():
        page.keyboard.press("Enter")
    assert announced(page).startswith("Annual reports.zip")
    assert tab_to(page, "Select all in Annual reports") == []
    page.keyboard.press("Space")
    assert selected(page).startswith("Selected: 11")
    assert tab_to(page, "Download selected") == []
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "documents.zip"
    page.get_by_text("documents.zip: 11 files").wait_for()


@pytest.fixture
def scriptless(shared_browser: Browser) -> Iterator[Any]:
    """A page in which no script runs."""
    context = shared_browser._page.context.browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_without_scripts_the_form_works_and_shows_nothing_wrong(
    scriptless: Any, site: str, tmp_path: Path
) -> None:
    page = scriptless
    page.goto(site)
    assert not page.get_by_label("Select all in Photographs").is_visible()
    assert selected(page) == ""
    page.get_by_text("Download selected").click()
    assert page.url == f"{site}/"
    assert page.get_by_text(NOTHING_SELECTED).is_visible()
    page.get_by_label("Harbour at dawn.jpg").check()
    page.get_by_label("Owl counts").check()
    with page.expect_download() as download:
        page.get_by_text("Download selected").click()
    download.value.save_as(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == [
            "Photographs/Harbour at dawn.jpg",
            "Örö field notes/🦉 Owl counts 🌙.txt",
        ]
    page.get_by_text("Clear").click()
    assert page.locator(":checked").count() == 0


# The pictures of README and docs, made anew where `SCREENSHOTS` names a folder.


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="SCREENSHOTS names no folder")
def test_screenshots_are_made(page: Any, site: str, said: str) -> None:
    Image = pytest.importorskip("PIL.Image")
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    hidden = page.context.new_cdp_session(page)
    hidden.send("Emulation.setScrollbarsHidden", {"hidden": True})

    def keep(name: str, width: int, height: int) -> None:
        page.set_viewport_size({"width": width, "height": height})
        page.mouse.move(0, 0)
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        # A third of the bytes, where nobody sees a difference.
        with Image.open(path) as picture:
            picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)

    log_in(page, site, said)
    page.get_by_label("Annual report 2016.pdf").check()
    page.get_by_label("Annual report 2018.pdf").check()
    page.get_by_role("link", name="Download folder Photographs").click()
    announced(page)
    page.evaluate("scrollTo(0, 0)")
    keep("library-light", 1100, 860)
    page.emulate_media(color_scheme="dark")
    keep("library-dark", 1100, 860)
    page.emulate_media(color_scheme="light")
    page.goto(site)
    page.get_by_label("Select all in Photographs").check()
    page.get_by_role("link", name="Download folder Photographs").click()
    announced(page)
    page.set_viewport_size({"width": 390, "height": 780})
    page.evaluate("document.getElementById('photographs').scrollIntoView()")
    keep("library-phone", 390, 780)
    page.goto(f"{site}/admin/library/document/")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.locator("#toggle-nav-sidebar").click()
    page.locator("[name=action]").select_option("download_as_zip")
    for number in (0, 1, 3):
        page.locator("tbody .action-select").nth(number).check()
    page.evaluate("scrollTo(0, 0)")
    keep("admin", 1280, 640)
