"""The example's archives in the background: its own worker, its pages, all of it in a browser."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import pytest

from tests.support.browser import Browser, shared_browser
from tests.support.example import MANAGE, Site, environment, fetch, manage, rows, serving
from tests.support.network import eventually
from tests.support.pages import axe, page, problems

__all__ = ["axe", "page", "shared_browser"]

# One server, one worker and one browser for all.
pytestmark = pytest.mark.xdist_group("example_exports")

DEMO = [MANAGE, "demo", "--small", "127.0.0.1:{port}"]
PREPARE = "Prepare in the background"
# Nothing is left of a process, or only how it ended.
GONE = (None, "Z")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the command: a server and a worker."""
    data = tmp_path_factory.mktemp("library")
    with serving(DEMO, environment(data), data / "demo.log") as site:
        yield site
        assert "state=FAILED" not in site.log.read_text()


def worker_of(demo: Site) -> int:
    """Return the process that the command has said prepares archives."""
    return int(re.search(r"in the background by the process (\d+)", demo.log.read_text())[1])


@contextmanager
def idle_worker(demo: Site) -> Iterator[None]:
    """Have the worker take nothing, for as long as this lasts."""
    try:
        assert eventually(lambda: is_stopped(demo))
        yield
    finally:
        os.kill(worker_of(demo), signal.SIGCONT)


def is_stopped(demo: Site) -> bool:
    """Stop the worker; let it go on if it has locked the database just then, for all others."""
    worker = worker_of(demo)
    os.kill(worker, signal.SIGSTOP)
    assert eventually(lambda: state_of(worker) == "T")
    with closing(sqlite3.connect(demo.log.parent / "library.sqlite3")) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(worker, signal.SIGCONT)
            return False
    return True


def state_of(pid: int) -> str | None:
    """Return the letter that says what a process does, None if there is none."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return None


def password(demo: Site) -> str:
    return re.search(r"user admin, password (\S+)", demo.log.read_text())[1]


def log_in(page: Any, demo: Site) -> None:
    """Fill in the form that is shown."""
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(password(demo))
    page.get_by_role("button", name="Log in").click()


def request(page: Any, demo: Site, folder: str) -> str:
    """Have a folder prepared by what the page has for that; return the URL where this leads."""
    page.goto(demo.url)
    preparing(page, folder).click()
    return page.url


def preparing(page: Any, folder: str) -> Any:
    """Return the button, or the link of who isn't logged in."""
    name = f"{PREPARE} {folder}"
    return page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name))


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def test_a_folder_is_prepared_from_the_button_to_the_download(
    demo: Site, page: Any, shared_browser: Browser, axe: str
) -> None:
    with idle_worker(demo):
        assert request(page, demo, "Photographs").startswith(f"{demo.url}/login/")
        log_in(page, demo)
        assert problems(page, axe) == {}
        page.get_by_role("button", name="Prepare the archive").click()
        status = page.url
        assert page.get_by_role("status").inner_text() == (
            "The archive will be prepared in a moment."
        )
        # The package's page has the library's look.
        assert page.get_by_role("link", name="Örö field station").is_visible()
        # A second click leads to the same.
        assert request(page, demo, "Photographs") == status
    page.get_by_role("link", name="Download").wait_for()
    assert page.url == status
    assert problems(page, axe) == {}
    shared_browser.download(f"{status}file/")
    streamed = fetch(f"{demo.url}/folders/photographs/download/")
    assert shared_browser.saved() == {"Photographs.zip": digest(streamed)}
    mail = f"Photographs.zip is ready\n.*\nTo: admin@example.com\n.*\n{re.escape(status)}\n"
    assert eventually(lambda: re.search(mail, demo.log.read_text(), re.DOTALL))


def test_who_goes_back_after_the_login_can_have_another_prepared(demo: Site, page: Any) -> None:
    # The page from before the login has no token of the session that there is now.
    request(page, demo, "Recordings")
    log_in(page, demo)
    page.get_by_role("button", name="Prepare the archive").or_(
        page.get_by_role("link", name="Download", exact=True)
    ).wait_for()
    page.evaluate("history.go(-2)")
    page.get_by_role("heading", name="Document library").wait_for()
    preparing(page, "Measurements").click()
    page.get_by_role("heading", name="Measurements.zip").wait_for()


def test_the_list_shows_what_becomes_of_them(demo: Site, page: Any, axe: str) -> None:
    page.goto(f"{demo.url}/exports/")
    log_in(page, demo)
    with idle_worker(demo):
        request(page, demo, "Annual reports")
        cancelled = request(page, demo, "Recordings")
        page.get_by_role("link", name="My exports").click()
        # The newest first.
        first, second = page.get_by_role("listitem").all()[:2]
        assert row(first) == ["Recordings.zip", "Queued"]
        assert row(second) == ["Annual reports.zip", "Queued"]
        assert second.get_by_role("progressbar").count() == 1
        page.get_by_role("button", name="Cancel Recordings.zip").click()
        assert page.url == cancelled
        assert page.get_by_role("status").inner_text() == "The archive was cancelled."
        page.get_by_role("link", name="My exports").click()
        assert row(first) == ["Recordings.zip", "Cancelled"]
        assert page.get_by_role("link", name="Download Annual reports.zip").count() == 0
    page.get_by_role("link", name="Download Annual reports.zip").wait_for()
    assert row(second) == ["Annual reports.zip", "Ready"]
    assert page.get_by_role("progressbar").count() == 0
    assert problems(page, axe) == {}
    url = second.get_by_role("link", name="Download").evaluate("link => link.href")
    streamed = fetch(f"{demo.url}/folders/annual-reports/download/")
    assert page.request.get(url).body() == streamed
    stored = {digest(path.read_bytes()) for path in exports_in(demo)}
    assert digest(streamed) in stored
    assert digest(fetch(f"{demo.url}/folders/recordings/download/")) not in stored


def row(item: Any) -> list[str]:
    """Return the name and the state in a row."""
    state = item.locator("[data-label]").inner_text()
    return [item.get_by_role("heading").inner_text(), state]


def exports_in(demo: Site) -> list[Path]:
    """Return all archives that are stored, each a file that no URL leads to."""
    return [path for path in (demo.log.parent / "exports").rglob("*") if path.is_file()]


def session(demo: Site, name: str, secret: str) -> OpenerDirector:
    """Log in without a browser."""
    opener = build_opener(HTTPCookieProcessor())
    page = opener.open(f"{demo.url}/login/", timeout=20).read().decode()
    post(opener, f"{demo.url}/login/", page, username=name, password=secret)
    return opener


def post(opener: OpenerDirector, url: str, page: str, **data: Any) -> Any:
    """Send a form with the token of a page."""
    data["csrfmiddlewaretoken"] = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page)[1]
    return opener.open(url, urlencode(data, doseq=True).encode(), timeout=20)


def state(opener: OpenerDirector, status: str) -> str:
    """Ask how an export is."""
    asked = Request(status, headers={"Accept": "application/json"})
    return json.loads(opener.open(asked, timeout=20).read())["state"]


def test_what_is_selected_in_the_admin_is_prepared(demo: Site) -> None:
    opener = session(demo, "admin", password(demo))
    url = f"{demo.url}/admin/library/document/"
    page = opener.open(url, timeout=20).read().decode()
    chosen = [row for row in rows(demo.log.parent / "library.sqlite3") if row.size == 0]
    ids = [row.id for row in chosen]
    status = post(opener, url, page, action="prepare_zip", _selected_action=ids).url
    assert eventually(lambda: state(opener, status) == "ready")
    data = opener.open(f"{status}file/", timeout=20).read()
    assert b"Measurements/weather-2026-01.csv" in data
    listed = opener.open(f"{demo.url}/admin/zip_exports/zipexport/", timeout=20).read().decode()
    assert status.removeprefix(f"{demo.url}/exports/").rstrip("/") in listed


def test_nobody_sees_what_others_had_prepared(demo: Site) -> None:
    admin = session(demo, "admin", password(demo))
    page = admin.open(f"{demo.url}/", timeout=20).read().decode()
    status = post(admin, f"{demo.url}/folders/measurements/export/", page).url
    assert "Measurements.zip" in admin.open(f"{demo.url}/exports/", timeout=20).read().decode()
    data = demo.log.parent
    account = {"DJANGO_SUPERUSER_PASSWORD": "herring"}
    arguments = ["createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.com"]
    assert manage(*arguments, environment=environment(data) | account).returncode == 0
    other = session(demo, "ada", "herring")
    assert "There are none yet." in other.open(f"{demo.url}/exports/", timeout=20).read().decode()
    for url in (status, f"{status}file/"):
        with pytest.raises(HTTPError) as caught:
            other.open(url, timeout=20)
        with caught.value as error:
            assert error.code == 404


def test_what_was_left_goes_on_when_the_command_starts(demo: Site, tmp_path: Path) -> None:
    opener = session(demo, "admin", password(demo))
    page = opener.open(f"{demo.url}/", timeout=20).read().decode()
    with idle_worker(demo):
        status = post(opener, f"{demo.url}/folders/field-notes/export/", page).url
        # As a worker leaves it that was killed long ago.
        with closing(sqlite3.connect(demo.log.parent / "library.sqlite3")) as database, database:
            database.execute(
                "DELETE FROM django_tasks_database_dbtaskresult WHERE status = 'READY'"
            )
            database.execute("UPDATE zip_exports_zipexport SET enqueued = '2026-01-01 00:00:00'")
    assert state(opener, status) == "queued"
    with serving(DEMO, environment(demo.log.parent), tmp_path / "log"):
        assert eventually(lambda: state(opener, status) == "ready")


def test_the_worker_ends_with_the_command(demo: Site, tmp_path: Path) -> None:
    # Python heeds no interruption where its parent doesn't.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for number in (signal.SIGINT, signal.SIGKILL):
            with serving(DEMO, environment(demo.log.parent), tmp_path / "log") as site:
                worker = worker_of(site)
                assert state_of(worker) not in GONE
                os.kill(site.process.pid, number)
                site.process.wait(10)
                assert eventually(lambda worker=worker: state_of(worker) in GONE), number
    finally:
        signal.signal(signal.SIGINT, before)


def test_who_interrupts_twice_does_not_wait_for_the_worker(demo: Site, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with serving(DEMO, environment(demo.log.parent), tmp_path / "log") as site:
            command, worker = site.process.pid, worker_of(site)
            pipe = os.readlink(f"/proc/{worker}/fd/0")
            assert pipe in opened_by(command)
            with idle_worker(site):
                site.process.send_signal(signal.SIGINT)
                assert eventually(lambda: pipe not in opened_by(command))
                assert site.process.poll() is None
                site.process.send_signal(signal.SIGINT)
                site.process.wait(10)
            assert eventually(lambda: state_of(worker) in GONE)
        assert "Traceback" not in site.log.read_text()
    finally:
        signal.signal(signal.SIGINT, before)


def opened_by(pid: int) -> set[str]:
    """Return what a process has open."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(path))
    return found


# Pretends that the package isn't installed.
WITHOUT = """
import sys

sys.modules["django_tasks_db"] = None
"""


def test_without_its_packages_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    variables = environment(tmp_path)
    variables["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{variables['PYTHONPATH']}"
    with serving(DEMO, variables, tmp_path / "log") as site:
        said = site.log.read_text()
        assert "Archives aren't prepared in the background" in said
        assert "django_tasks_db. In the folder of README.rst, run" in said
        assert "pip install --group demo" in said
        page = fetch(site.url).decode()
        assert PREPARE not in page
        assert "My exports" not in page
        assert fetch(f"{site.url}/folders/photographs/download/").startswith(b"PK")
