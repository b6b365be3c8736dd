"""The example's page in a real browser: narrow screens, and what can be clicked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, browser
from tests.support.example import SERVERS, environment, run_demo, serving

__all__ = ["browser"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the example."""
    data = tmp_path_factory.mktemp("library")
    run_demo(environment(data))
    with serving(SERVERS["runserver"], environment(data), data / "log") as running:
        yield running.url


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_screen_is_too_narrow(browser: Browser, site: str, width: int) -> None:
    page = browser._page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(site)
    # A scrollbar takes some of the width.
    content, screen = page.evaluate(
        "(root => [root.scrollWidth, root.clientWidth])(document.documentElement)"
    )
    assert content == screen
    assert width - 20 < screen <= width


def test_a_download_can_be_asked_for_once_something_is_ticked(browser: Browser, site: str) -> None:
    page = browser._page
    page.goto(site)
    download, clear = page.locator("[type=submit]"), page.locator("[type=reset]")
    assert download.is_disabled()
    assert clear.is_disabled()
    page.locator("[type=checkbox]").first.check()
    assert download.is_enabled()
    clear.click()
    page.wait_for_function("document.querySelector('[type=submit]').disabled")
    assert page.locator(":checked").count() == 0


def test_nothing_was_selected_is_announced(browser: Browser, site: str) -> None:
    page = browser._page
    page.goto(f"{site}/download/")
    assert page.get_by_role("status").inner_text() == (
        "Nothing was selected: tick at least one document."
    )
