"""The example project: its command, its sample files, its page and its downloads.

Its files lie in a folder here; on S3 they lie in tests/storages/test_example_on_s3.py.
"""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import struct
import wave
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import pytest

from tests.support import example
from tests.support.example import (
    MANAGE,
    SERVERS,
    Row,
    environment,
    fetch,
    manage,
    run_demo,
    serving,
    unzipped,
)
from tests.support.network import eventually, listens


@dataclass(frozen=True)
class Library:
    """A folder that the example's command has filled."""

    data: Path
    said: str

    def rows(self) -> list[Row]:
        """All documents, in the order of the page."""
        return example.rows(self.data / "library.sqlite3")

    def content(self, row: Row) -> bytes:
        """What is in the file of a document."""
        return (self.data / "media" / row.path).read_bytes()

    def contents(self, ending: str) -> list[bytes]:
        """What is in the files with an ending."""
        return [self.content(row) for row in self.rows() if row.name.endswith(ending)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    data = tmp_path_factory.mktemp("library")
    # From another folder: the command has to find everything by itself.
    return Library(data, run_demo(environment(data), cwd=data))


def test_the_command_says_what_it_did(library: Library) -> None:
    assert re.search(r"user admin, password \S{10,}", library.said)
    assert "Photographs: 24 files" in library.said


def test_running_it_again_makes_nothing_twice(library: Library) -> None:
    def state() -> tuple:
        files = library.data.glob("media/**/*")
        return library.rows(), sorted((path, path.stat().st_mtime_ns) for path in files)

    before = state()
    said = run_demo(environment(library.data))
    assert state() == before
    assert said.count("all there already") == 5
    # A demo that runs already has said the same one.
    assert password_in(said) == password_in(library.said)


S3 = {"DEMO_STORAGE": "s3"}

# Pretends that packages aren't installed.
WITHOUT = """
import sys

sys.modules.update(dict.fromkeys(["storages", "boto3", "moto"]))
"""


def test_without_its_packages_s3_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    variables = environment(tmp_path) | S3
    variables["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{variables['PYTHONPATH']}"
    refused = manage("demo", environment=variables)
    assert refused.returncode == 1
    assert "storages, boto3, moto" in refused.stderr
    assert "pip install --group demo-s3" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("variables", "command", "reason"),
    [
        (S3, ["demo", "--no-server"], "Without a server"),
        (S3, ["runserver"], "nothing says where"),
        (S3 | {"AWS_ENDPOINT_URL_S3": "http://x"}, ["demo"], "set DEMO_S3_BUCKET too"),
        ({"DEMO_STORAGE": "tape"}, ["demo"], "it can be 'files' or 's3'"),
    ],
)
def test_a_storage_that_cannot_be_is_refused(
    tmp_path: Path, variables: dict[str, str], command: list[str], reason: str
) -> None:
    refused = manage(*command, environment=environment(tmp_path) | variables)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert not list(tmp_path.glob("*.sqlite3"))


def test_a_folder_for_the_data_that_cannot_be_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    refused = manage("demo", environment=environment(taken / "data"))
    assert refused.returncode == 1
    assert f"can't be created: Not a directory: '{taken / 'data'}'" in refused.stderr
    assert "Set DEMO_DATA" in refused.stderr


@pytest.mark.parametrize("given", [["{port}"], ["127.0.0.1:{port}"], ["localhost:{port}"]])
def test_a_busy_port_is_said_before_anything_is_made(tmp_path: Path, given: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        arguments = [part.format(port=port) for part in given]
        refused = manage("demo", *arguments, environment=environment(tmp_path))
    assert refused.returncode == 1
    assert f"can't use port {port}" in refused.stderr
    assert f"manage.py demo {port + 1}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "ready" not in refused.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address", ["harbour", "127.0.0.1:harbour", "99999", "127.0.0.1:70000", "0"]
)
def test_what_is_no_address_is_refused(tmp_path: Path, address: str) -> None:
    refused = manage("demo", address, environment=environment(tmp_path))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "demo 8001" in refused.stderr or "127.0.0.1:8001" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_the_address_that_is_printed_can_be_opened(library: Library, tmp_path: Path) -> None:
    everywhere = [MANAGE, "demo", "--small", "0.0.0.0:{port}"]
    with serving(everywhere, environment(library.data), tmp_path / "log") as site:
        assert eventually(lambda: "Open " in site.log.read_text())
        [url] = re.findall(r"Open (\S+)", site.log.read_text())
        assert eventually(lambda: listens(int(url.rpartition(":")[2].strip("/"))))
        assert b"Document library" in fetch(url)


def test_the_password_is_for_its_owner_only(library: Library) -> None:
    file = library.data / "admin-password.txt"
    assert file.read_text().strip() == password_in(library.said)
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0


def password_in(said: str) -> str:
    return re.search(r"password (\S+)", said)[1]


def test_a_file_that_is_missing_is_made_again(library: Library) -> None:
    row = library.rows()[0]
    before = library.content(row)
    (library.data / "media" / row.path).unlink()
    run_demo(environment(library.data))
    again = next(other for other in library.rows() if other.id == row.id)
    assert library.content(again) == before


def test_the_samples_are_of_many_kinds(library: Library) -> None:
    rows = library.rows()
    assert len(rows) > 55
    assert len({row.folder for row in rows}) == 5
    assert len({row.path for row in rows}) == len(rows)
    assert [row.name for row in rows if row.size == 0] == ["weather-2026-01.csv"]
    assert [name for name, count in names(rows).items() if count > 1] == [
        ("Annual reports", "Annual report 2025.pdf")
    ]
    assert {row.content_type for row in rows} >= {"application/pdf", "image/jpeg", "text/csv"}
    for row in rows:
        assert len(library.content(row)) == row.size


def names(rows: list[Row]) -> Counter[tuple[str, str]]:
    return Counter((row.folder, row.name) for row in rows)


def test_the_photographs_are_jpeg(library: Library) -> None:
    for picture in library.contents(".jpg"):
        assert jpeg_size(picture) == (800, 600)


def jpeg_size(picture: bytes) -> tuple[int, int]:
    """Walks through the segments to the very end; returns width and height."""
    assert picture.startswith(b"\xff\xd8")
    place, size = 2, None
    while picture[place + 1] != 0xDA:
        assert picture[place] == 0xFF
        if picture[place + 1] == 0xC0:
            height, width = struct.unpack_from(">HH", picture, place + 5)
            size = (width, height)
        place += 2 + struct.unpack_from(">H", picture, place + 2)[0]
    # Within the scan, a marker byte is always followed by a zero.
    markers = re.findall(rb"\xff[^\x00]", picture[place + 2 :])
    assert markers == [b"\xff\xd9"]
    assert picture.endswith(b"\xff\xd9")
    assert size is not None
    return size


def test_the_reports_are_pdf(library: Library) -> None:
    for report in library.contents(".pdf"):
        start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n\Z", report)[1])
        table = re.match(rb"xref\n0 (\d+)\n((?:\d{10} \d{5} [fn] \n)+)trailer", report[start:])
        offsets = [int(line.split()[0]) for line in table[2].splitlines()]
        assert len(offsets) == int(table[1])
        for number, offset in enumerate(offsets[1:], start=1):
            assert report[offset:].startswith(b"%d 0 obj\n" % number)
        streams = re.findall(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", report, re.DOTALL)
        assert len(streams) == int(re.search(rb"/Count (\d+)", report)[1]) > 1
        assert all(int(length) == len(stream) for length, stream in streams)


def test_the_measurements_are_csv(library: Library) -> None:
    tables = [table for table in library.contents(".csv") if table]
    assert len(tables) == 12
    for table in tables:
        rows = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
        assert len(rows) == 24 * 60
        assert all(-40 < float(row["temperature_c"]) < 40 for row in rows)


def test_the_recordings_are_wav(library: Library) -> None:
    for file in library.contents(".wav"):
        with wave.open(io.BytesIO(file)) as recording:
            assert recording.getparams()[:3] == (1, 2, 22_050)
            frames = recording.readframes(recording.getnframes())
        assert len(frames) == recording.getnframes() * 2 > 0
        assert len(set(frames)) > 100


def test_the_large_file_is_a_zip_of_noise(library: Library) -> None:
    [file] = library.contents(".zip")
    [(name, noise)] = unzipped(file).items()
    assert name == "hydrophone.raw"
    assert len(noise) == 1 << 20
    assert len(zlib.compress(noise)) > len(noise)


def test_every_file_of_the_samples_is_in_the_catalogue() -> None:
    samples = example.EXAMPLE / "library" / "samples"
    with (samples / "catalogue.csv").open(encoding="utf-8", newline="") as table:
        listed = [f"{row['folder']}/{row['file']}" for row in csv.DictReader(table)]
    files = [path for path in (samples / "files").rglob("*") if path.is_file()]
    assert sorted(listed) == sorted(
        path.relative_to(samples / "files").as_posix() for path in files
    )
    assert sum(path.stat().st_size for path in files) < 2 * 1024 * 1024
    # The names have to be possible on every system that checks the repository out.
    assert all(path.name.isascii() for path in files)


def test_the_texts_are_utf_8(library: Library) -> None:
    assert all(text.decode() for text in library.contents(".txt"))


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest, library: Library, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "uvicorn":
        pytest.importorskip("uvicorn")
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(SERVERS[request.param], environment(library.data), log) as running:
        yield running.url
    assert "Traceback" not in log.read_text()
    assert "Warning" not in log.read_text()


class Boxes(HTMLParser):
    """Finds the tick boxes of the page, what their labels say, and all links."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.links: list[str] = []
        self.inside: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag == "input" and found.get("name") == "ids":
            assert found["type"] == "checkbox"
            self.values[found["id"]] = found["value"]
        elif tag == "label" and "for" in found:
            self.inside = found["for"]
            self.labels[self.inside] = ""
        elif tag in ("a", "link"):
            self.links.append(found["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.labels[self.inside] += data


def archive(url: str) -> dict[str, bytes]:
    return unzipped(fetch(url))


def test_the_page_lists_everything(site: str, library: Library) -> None:
    page = Boxes()
    page.feed(fetch(f"{site}/").decode())
    assert "The files come from a folder of this machine." in fetch(f"{site}/").decode()
    rows = library.rows()
    assert list(page.values.values()) == [str(row.id) for row in rows]
    for row in rows:
        assert row.name in page.labels[f"id_ids_{row.id}"]
        assert f"/folders/{row.slug}/download/" in page.links
        assert f"#{row.slug}" in page.links


def test_static_files_are_served(site: str) -> None:
    page = Boxes()
    page.feed(fetch(f"{site}/").decode())
    static = [link for link in page.links if link.startswith("/static/")]
    assert len(static) == 2
    assert all(fetch(site + link) for link in static)
    assert fetch(f"{site}/static/admin/css/base.css")


def test_a_selection_is_downloaded(site: str, library: Library) -> None:
    chosen = [row for row in library.rows() if row.slug in ("recordings", "field-notes")]
    chosen += [row for row in library.rows() if row.size == 0]
    query = urlencode({"ids": [row.id for row in chosen]}, doseq=True)
    assert archive(f"{site}/download/?{query}") == {
        f"{row.folder}/{row.name}": library.content(row) for row in chosen
    }


@pytest.mark.parametrize("slug", ["photographs", "measurements"])
def test_a_folder_is_downloaded(site: str, library: Library, slug: str) -> None:
    assert archive(f"{site}/folders/{slug}/download/") == {
        f"{row.folder}/{row.name}": library.content(row)
        for row in library.rows()
        if row.slug == slug
    }


def test_the_same_name_twice_becomes_two_members(site: str, library: Library) -> None:
    first, second = (row for row in library.rows() if row.name == "Annual report 2025.pdf")
    members = archive(f"{site}/folders/annual-reports/download/")
    assert members["Annual reports/Annual report 2025.pdf"] == library.content(first)
    assert members["Annual reports/Annual report 2025 (1).pdf"] == library.content(second)
    assert library.content(first) != library.content(second)


def test_the_zip_is_called_like_its_folder(site: str) -> None:
    with urlopen(f"{site}/folders/field-notes/download/", timeout=20) as response:
        response.read()
        disposition = response.headers["Content-Disposition"]
    assert quote("Örö field notes.zip") in disposition


def test_a_download_that_broke_off_is_resumed(site: str) -> None:
    # Photographs are not compressed again, so that all of the ZIP is known beforehand.
    url = f"{site}/folders/photographs/download/"
    whole = fetch(url)
    half = len(whole) // 2
    with urlopen(Request(url, headers={"Range": f"bytes={half}-"}), timeout=20) as response:
        assert response.status == 206
        assert whole[:half] + response.read() == whole


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("/download/?ids=twelve", "not in the library"),
        ("/download/?ids=1&ids=999999", "not in the library"),
        ("/download/?ids=99999999999999999999", "not in the library"),
        ("/download/?ids=-1", "not in the library"),
        ("/folders/nothing/download/", "no such folder"),
        ("/nothing", "no page at this address"),
        ("/media/documents/nothing.txt", "nothing at this address"),
    ],
)
def test_what_is_unknown_is_not_found(site: str, address: str, reason: str) -> None:
    with pytest.raises(HTTPError) as caught:
        fetch(site + address)
    with caught.value as error:
        assert error.code == 404
        page = error.read().decode()
    assert reason in page
    # Not the page that Django has for developers.
    assert "Back to the library" in page
    assert "DEBUG" not in page


def test_addresses_without_their_last_slash_are_found(site: str) -> None:
    with urlopen(f"{site}/admin", timeout=20) as response:
        assert response.url == f"{site}/admin/login/?next=/admin/"


def test_an_empty_selection_leads_back_with_a_message(site: str) -> None:
    # The message waits in a cookie.
    browser = build_opener(HTTPCookieProcessor())
    with browser.open(f"{site}/download/", timeout=20) as response:
        assert response.url == f"{site}/"
        page = response.read().decode()
    assert re.search(r'<div class="messages" role="status">\s*<p>Nothing was selected', page)


def logged_in(site: str, library: Library) -> Any:
    """Return a browser in which the admin of the example has logged in."""
    browser = build_opener(HTTPCookieProcessor())
    with browser.open(f"{site}/admin/login/", timeout=20) as response:
        token = token_in(response.read().decode())
    form = {"username": "admin", "password": password_in(library.said), "next": "/"}
    data = urlencode({**form, "csrfmiddlewaretoken": token}).encode()
    browser.open(f"{site}/admin/login/", data, timeout=20).close()
    return browser


def token_in(page: str) -> str:
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]


def test_a_folder_is_saved_to_the_library(site: str, library: Library) -> None:
    browser = logged_in(site, library)
    with browser.open(f"{site}/", timeout=20) as response:
        page = response.read().decode()
    assert page.count("Save to library") == 5
    data = urlencode({"csrfmiddlewaretoken": token_in(page)}).encode()
    with browser.open(f"{site}/folders/photographs/save/", data, timeout=20) as response:
        page = response.read().decode()
    assert re.search(
        r'Saved <a href="/media/archives/photographs\.zip"><bdi>Photographs\.zip</bdi></a>:'
        r" 24 files, .+B",
        page,
    )
    saved = (library.data / "media" / "archives" / "photographs.zip").read_bytes()
    assert unzipped(saved) == archive(f"{site}/folders/photographs/download/")


def test_dates_are_the_same_in_the_archives_of_the_page_and_the_admin(
    site: str, library: Library
) -> None:
    reports = [row for row in library.rows() if row.slug == "annual-reports"]
    browser = logged_in(site, library)
    ids = {"document": [row.id for row in reports], "folder": [reports[0].folder_id]}
    dates = [dates_in(fetch(f"{site}/folders/annual-reports/download/"))]
    for model, chosen in ids.items():
        url = f"{site}/admin/library/{model}/"
        with browser.open(url, timeout=20) as response:
            token = token_in(response.read().decode())
        form = {"action": "download_as_zip", "_selected_action": chosen}
        data = urlencode({**form, "csrfmiddlewaretoken": token}, doseq=True).encode()
        with browser.open(url, data, timeout=20) as response:
            dates.append(dates_in(response.read()))
    assert dates[0]["Annual reports/Annual report 2016.pdf"][:3] == (2017, 2, 11)
    assert dates[0] == dates[1] == dates[2]


def dates_in(data: bytes) -> dict[str, tuple[int, ...]]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {member.filename: member.date_time for member in file.infolist()}


def test_only_who_may_add_documents_saves_a_folder(site: str, library: Library) -> None:
    assert "Save to library" not in fetch(f"{site}/").decode()
    browser = logged_in(site, library)
    url = f"{site}/folders/field-notes/save/"
    for opener, data, code in (
        (build_opener(), b"", 403),  # nobody
        (browser, b"", 403),  # without a token
        (browser, None, 405),
    ):
        with pytest.raises(HTTPError) as caught:
            opener.open(url, data, timeout=20)
        with caught.value as error:
            assert error.code == code
    assert not (library.data / "media" / "archives" / "field-notes.zip").exists()
