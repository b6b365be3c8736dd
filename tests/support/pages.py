"""What is asked of every page: that it is for everybody, and for every screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.browser import Browser
from tests.support.npm import node_modules


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script of npm's axe-core."""
    folder = node_modules("axe-core", tmp_path_factory.mktemp("node"))
    return Path(folder, "axe-core", "axe.min.js").read_text()


def findings(page: Page, axe: str, rules: Sequence[str] = ()) -> list[str]:
    """Return each rule that is broken, with the element that breaks it."""
    page.evaluate(axe)
    options = {"runOnly": list(rules)} if rules else {}
    result = page.evaluate("options => axe.run(options)", options)
    assert result["passes"]
    return [
        f"{rule['id']}: {node['html']}" for rule in result["violations"] for node in rule["nodes"]
    ]


@pytest.fixture
def page(shared_browser: Browser) -> Iterator[Any]:
    """Yield a page of a client who is new."""
    page = shared_browser._page
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(reduced_motion="reduce", color_scheme="light")
    yield page
    page.context.clear_cookies()


def overflow(page: Any) -> list[int]:
    """Return the widths of screens on which a page is wider than they are."""
    found = []
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        root = page.evaluate(
            "(root => [root.scrollWidth, root.clientWidth])(document.documentElement)"
        )
        # A scrollbar takes some of the width.
        assert width - 20 < root[1] <= width
        if root[0] != root[1]:
            found.append(width)
    return found


def problems(page: Any, axe: str) -> dict[str, list[Any]]:
    """Return what axe finds, on a desktop and on a phone in the dark, and what overflows."""
    found: dict[str, list[Any]] = {"overflow": overflow(page)}
    found["axe"] = findings(page, axe)
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    found["dark"] = findings(page, axe, rules=["color-contrast"])
    return {where: what for where, what in found.items() if what}
