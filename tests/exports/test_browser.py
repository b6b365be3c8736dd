"""The page of an export in a real browser: it shows the progress live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

import django_stream_zip.exports
from django_stream_zip.exports import run_task
from tests.support import exports as support
from tests.support.browser import Browser, browser
from tests.support.counting import CountingStorage
from tests.support.exports import make_user, run_all

__all__ = ["browser"]

pytestmark = pytest.mark.django_db(transaction=True)

STATIC = Path(django_stream_zip.exports.__file__).parent / "static"


@pytest.fixture
def site(root: Path, settings: Any, live_server: Any, monkeypatch: Any) -> str:
    """Serve the site, with a policy that allows no script but its own."""
    # Playwright has an event loop in this thread, which Django takes for that of a view.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    settings.STATIC_ROOT = str(STATIC)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.support.exports.strict_policy"]
    return str(live_server.url)


def log_in(browser: Browser, site: str) -> None:
    client = Client()
    client.force_login(make_user())
    name = django_settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": client.cookies[name].value, "url": site}
    browser._page.context.add_cookies([cookie])  # type: ignore[list-item]


def test_the_progress_is_shown_until_there_is_a_link(
    site: str, browser: Browser, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [5000, 4000])
    log_in(browser, site)
    page = browser._page
    page.goto(f"{site}/documents/a/")
    page.click("button")
    assert "/exports/" in page.url
    assert page.get_by_role("status").inner_text() == "The archive will be prepared in a moment."
    for _ in range(4):
        run_task(*support.queue.popleft())
    page.wait_for_function("document.querySelector('progress').value > 0")
    assert page.get_by_role("status").inner_text().startswith("The archive is being prepared.")
    run_all()
    page.get_by_text("Download").wait_for()
    browser.download(f"{page.url}file/")
    assert list(browser.saved()) == ["Dokumente ä.zip"]


def test_what_is_cancelled_can_be_prepared_again(
    site: str, browser: Browser, storage: CountingStorage
) -> None:
    support.make_documents(storage, "a", [5000, 4000])
    log_in(browser, site)
    page = browser._page
    page.goto(f"{site}/documents/a/")
    page.click("button")
    first = page.url
    page.get_by_text("Cancel").click()
    assert page.get_by_role("status").inner_text() == "The archive was cancelled."
    page.get_by_text("Prepare it again").click()
    assert page.url != first
    run_all()
    page.get_by_text("Download").wait_for()
