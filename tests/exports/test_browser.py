"""The page of an export in a real browser: it shows the progress live."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.templatetags.static import static
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


LIST = """<!doctype html><script src="{static}" defer></script>
<p id="first" data-zip-export="{first}"><b data-label>old</b> <progress max="100"></progress></p>
<p id="second" data-zip-export="{second}"><b data-label>old</b> <i data-text>old</i></p>"""


def test_a_list_of_exports_is_live(site: str, browser: Browser, storage: CountingStorage) -> None:
    support.make_documents(storage, "a", [5000, 4000])
    support.make_documents(storage, "b", [3000])
    log_in(browser, site)
    page, urls = browser._page, {}
    for name, prefix in (("first", "a"), ("second", "b")):
        page.goto(f"{site}/documents/{prefix}/")
        page.click("button")
        urls[name] = page.url
    # Two rows that end at the same time may load the page again twice.
    first = LIST.format(static=static("zip_exports/status.js"), **urls)
    pages = chain([first], repeat("loaded again"))
    page.route("**/list/", lambda route: route.fulfill(body=next(pages), content_type="text/html"))
    page.goto(f"{site}/list/")
    page.get_by_text("The archive will be prepared in a moment.").wait_for()
    assert page.locator("#second b").inner_text() == "queued"
    for _ in range(4):
        run_task(*support.queue.popleft())
    page.wait_for_function("document.querySelector('#first progress').value > 0")
    assert page.locator("#first b").inner_text() == "being built"
    run_all()
    page.get_by_text("loaded again").wait_for()


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
