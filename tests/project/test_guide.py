"""The pages of the guide do what they say: each Python block runs, and is asked for an archive."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest
import pyzipper
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.http import Http404
from django.template import engines
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings

from django_stream_zip import conf
from django_stream_zip.delivery.info import _TEXTS
from django_stream_zip.engine import spec
from django_stream_zip.members import field_member
from django_stream_zip.response import zip_response
from django_stream_zip.signals import zip_download_finished
from tests.support.docs import DOCS, ROOT, Photo, block_with, blocks, run

# Pages whose blocks go on from one another.
PAGES = "selection links drf passwords formats testing security troubleshooting".split()
# What readers are to write themselves.
THEIRS = {
    "Photo": Photo,
    "albums_of": lambda user: [7],
    "password_of": lambda pk: "secret",
}
CAPTIONED = re.compile(
    r"\.\. code-block:: [\w+]+\n    :caption: (.+)\n\n((?:    .*\n|\n)+)", re.MULTILINE
)


def page(name: str) -> dict[str, Any]:
    """Run a page's Python blocks one after the other; return the names that they make."""
    names: dict[str, Any] = {**THEIRS, "__name__": __name__}
    for block in blocks(DOCS / f"{name}.rst", "python"):
        exec(compile(block, name, "exec"), names)
    return names


def captioned(name: str) -> dict[str, str]:
    """Return the files that a page shows, by their captions."""
    found = CAPTIONED.findall((DOCS / f"{name}.rst").read_text())
    return {caption: dedent(block) for caption, block in found}


def contents(response: Any) -> dict[str, bytes]:
    assert response.status_code == 200
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def album(transactional_db: None) -> Iterator[list[Photo]]:
    """Two photos in one album, and one in another."""
    with connection.schema_editor() as editor:
        editor.create_model(Photo)
    photos = [Photo(album_id=number, title=f"Photo {number}") for number in (7, 7, 8)]
    for number, photo in enumerate(photos):
        photo.image.save(f"guide/{number}.jpg", ContentFile(b"%d" % number * 1000))
    yield photos
    for photo in photos:
        photo.image.delete(save=False)
    with connection.schema_editor() as editor:
        editor.delete_model(Photo)


def get(**query: Any) -> Any:
    request = RequestFactory().get("/", query)
    request.user = User(pk=1, username="somebody")
    return request


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_runs(name: str) -> None:
    assert page(name)


@pytest.mark.parametrize("word", ["zip_form", "checkbox"])
def test_a_form_leads_to_the_photos_that_were_ticked(album: list[Photo], word: str) -> None:
    names = page("selection")
    template = engines["django"].from_string(block_with("docs/selection.rst", word))
    with override_settings(ROOT_URLCONF=tuple(names["urlpatterns"])):
        client = Client()
        assert client.get("/albums/7/download/").status_code == 302
        client.force_login(User.objects.create_user("somebody"))
        html = template.render({"album": SimpleNamespace(pk=7), "photos": album[:2]}, get())
        url = re.findall('action="(.+?)"', html)[0]
        ids = re.findall('<input[^>]*name="ids"[^>]*value="(.+?)"', html)
        assert ids == [str(photo.pk) for photo in album[:2]]
        response = client.post(url, {"ids": ids[:1]}, follow=True)
        assert contents(response) == {"0.jpg": b"0" * 1000}
        assert client.post(url, {"ids": [album[2].pk]}).status_code == 404


def test_the_reasons_of_the_page_are_those_of_the_function() -> None:
    section = (DOCS / "selection.rst").read_text().partition("Code  ")[2]
    assert re.findall(r"^``(\w+)``", section, re.MULTILINE) == list(_TEXTS)


@pytest.mark.usefixtures("album")
def test_a_mailed_link_works_without_an_account() -> None:
    names = page("links")
    # Django 6.1 wants them, older ones don't know them.
    mailers = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    with override_settings(ROOT_URLCONF=tuple(names["urlpatterns"]), MAILERS=mailers):
        client = Client()
        client.force_login(User.objects.create_user("somebody"))
        form = engines["django"].from_string(block_with("docs/links.rst", 'type="email"'))
        url = re.findall('action="(.+?)"', form.render({"album": SimpleNamespace(pk=7)}, get()))[0]
        assert Client().post(url).status_code == 302
        assert client.post(url, {"address": "friend@example.com"}).status_code == 200
        [message] = mail.outbox
        assert message.to == ["friend@example.com"]
        link = message.body.removeprefix("For a week: ").removeprefix("http://testserver")
        assert set(contents(Client().get(link))) == {"0.jpg", "1.jpg"}
        assert Client().get(link.replace("/7/", "/8/")).status_code == 403
        assert Client().get("/shared/7/").status_code == 403
    view = names["AlbumForMembersAndGuests"].as_view()
    assert set(contents(view(get(), pk=8))) == {"2.jpg"}


@pytest.mark.usefixtures("album")
def test_a_viewset_of_the_page_has_an_action_of_its_own() -> None:
    viewset = page("drf")["AlbumViewSet"]
    options = {**viewset.album.kwargs, "permission_classes": [], "authentication_classes": []}
    view = viewset.as_view({"get": "album"}, **options)
    for accept in ("application/zip", "application/json"):
        request = RequestFactory().get("/", headers={"Accept": accept})
        assert set(contents(view(request, album="7"))) == {"0.jpg", "1.jpg"}
    assert view(get(), album="9").status_code == 404


@pytest.mark.usefixtures("album")
def test_a_secret_album_opens_with_its_password() -> None:
    response = page("passwords")["SecretAlbum"].as_view()(get(), pk=7)
    data = b"".join(response.streaming_content)
    assert "ETag" not in response.headers
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        archive.setpassword(b"secret")
        assert archive.read("1.jpg") == b"1" * 1000


def test_the_book_of_the_page_is_an_epub() -> None:
    response = page("formats")["Book"].as_view()(get(), pk=7)
    assert response.headers["Content-Type"] == "application/epub+zip"
    files = contents(response)
    assert list(files)[:2] == ["mimetype", "META-INF/container.xml"]
    manifest = re.findall('href="(.+?)"', files["book.opf"].decode())
    assert set(manifest) == set(files) - {"mimetype", "META-INF/container.xml", "book.opf"}


def test_the_comic_of_the_page_is_in_order(album: list[Photo]) -> None:
    Photo.objects.filter(pk=album[0].pk).update(title="Photo 9")
    response = page("formats")["Comic"].as_view()(get(), pk=7)
    assert contents(response) == {"0001.jpg": b"1" * 1000, "0002.jpg": b"0" * 1000}


def test_the_helpers_of_the_page_read_any_response(album: list[Photo]) -> None:
    names = page("testing")
    members = [field_member(photo.image) for photo in album]
    with override_settings(ROOT_URLCONF=()):
        whole = b"".join(zip_response(get(), members).streaming_content)

        class Site:
            def get(self, url: str, headers: Any = None) -> Any:
                return zip_response(RequestFactory().get(url, headers=headers or {}), members)

        assert names["rest_of"](Site(), "/", 1500) == whole[1500:]
    response = zip_response(AsyncRequestFactory().get("/"), members)
    assert async_to_sync(names["body_of"])(response) == whole
    response = zip_response(get(), members)
    assert not names["fails"](zip_response(get(), members))
    default_storage.delete(str(album[1].image.name))
    assert names["fails"](response)


def test_somebody_has_their_own_photos_only(album: list[Photo]) -> None:
    view = page("security")["OwnPhotos"].as_view()
    assert contents(view(get(ids=album[0].pk))) == {"0.jpg": b"0" * 1000}
    with pytest.raises(Http404):
        view(get(ids=album[2].pk))
    with pytest.raises(Http404):
        view(get())
    anonymous = get(ids=album[0].pk)
    anonymous.user = AnonymousUser()
    assert view(anonymous).status_code == 302


def test_the_numbers_of_the_format_are_those_that_are_written() -> None:
    text = " ".join((DOCS / "format.rst").read_text().split())
    versions = (spec.VERSION_DEFAULT, spec.VERSION_ZIP64, spec.VERSION_AES)
    for phrase in (
        "is {}, with Zip64 {}, encrypted {}".format(*(number / 10 for number in versions)),
        f"blocks of {spec.STORED_BLOCK_LENGTH:,} bytes, {spec.STORED_BLOCK_HEADER_LENGTH} bytes",
        f"method {spec.METHOD_AES}, an extra field {spec.EXTRA_AES:#x}",
        f"salt of {spec.AES_SALT_LENGTH} bytes, PBKDF2 with {spec.AES_PBKDF2_ITERATIONS:,} rounds",
        f"behind the data: {spec.AES_OVERHEAD} bytes more a member",
        f"at most {spec.AES_MAX_PASSWORD_LENGTH} bytes in UTF-8",
        f"(extra field {spec.EXTRA_EXTENDED_TIMESTAMP:#x})",
        f"members are more than {spec.MAX_16:,}",
    ):
        assert phrase in text


SHOWN = {None: "none", 64 << 20: "64 MiB", 4 << 20: "4 MiB"}


def test_the_limits_of_the_page_are_those_of_the_settings() -> None:
    table = (DOCS / "security.rst").read_text().partition("Limit  ")[2].partition("\n\n")[0]
    rows = re.findall(r"^(``[A-Z].*?)  +(\S.*?)  ", table, re.MULTILINE)
    assert len(rows) == 6
    for names, default in rows:
        values = [conf.KEYS[name].default for name in re.findall("[A-Z_]{5,}", names)]
        shown = dict.fromkeys(SHOWN.get(value, str(value)) for value in values)
        assert ", ".join(shown) == default


def test_the_receiver_of_the_page_records_a_download(
    album: list[Photo], caplog: pytest.LogCaptureFixture
) -> None:
    record = page("security")["record"]
    try:
        with caplog.at_level(logging.INFO, logger="audit"):
            contents(zip_response(get(), [field_member(album[0].image)], filename="a.zip"))
    finally:
        zip_download_finished.disconnect(record)
    assert any("somebody: 'a.zip', " in text for text in caplog.messages)
    assert caplog.messages[-1].endswith("whole: True")


@pytest.mark.usefixtures("album")
def test_what_one_migrates_to_makes_the_same_archive(tmp_path: Path) -> None:
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "a.txt").write_bytes(b"a" * 1000)
    found = []
    for block in blocks(DOCS / "migrating.rst", "python"):
        names = run(block.replace("/srv/reports", str(tmp_path)), Photo=Photo)
        if "AlbumDownload" in names:
            found.append(names["AlbumDownload"].as_view()(get(), pk=7))
        elif "report" in names:
            found.append(names["report"](get()))
        elif "album" in names:
            found.append(names["album"](get(), 7))
    assert all("ETag" in response.headers for response in found)
    assert [list(contents(response)) for response in found] == [
        ["Photo 7.jpg", "Photo 7 (1).jpg"],
        ["guide/0.jpg", "guide/1.jpg"],
        ["2026/a.txt", "README.txt"],
        ["guide/0.jpg", "guide/1.jpg"],
    ]


# In a process of its own: it has settings of its own.
WHOLE = """
from django.core.management import call_command, execute_from_command_line
import django
django.setup()
call_command("makemigrations", "photos", verbosity=0)
call_command("check", fail_level="WARNING")
from django.contrib import admin
from photos.models import Photo
assert list(admin.site.get_model_admin(Photo).actions) == ACTIONS
execute_from_command_line(["manage.py", "test", "photos"])
"""


@pytest.mark.parametrize("is_admin_extended", [False, True], ids=["first", "with the action"])
def test_the_quick_start_is_a_site_that_works(tmp_path: Path, *, is_admin_extended: bool) -> None:
    files = {**captioned("quickstart"), **captioned("testing")}
    call_command("startproject", "mysite", tmp_path)
    (tmp_path / "photos").mkdir()
    call_command("startapp", "photos", tmp_path / "photos")
    settings = tmp_path / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + files.pop("mysite/settings.py"))
    s3 = files.pop("mysite/settings.py, at its end")
    assert "storages.backends.s3.S3Storage" in s3
    extended = files.pop("photos/admin.py, with an action")
    if is_admin_extended:
        files["photos/admin.py"] = extended
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    actions = ["download_as_zip"] if is_admin_extended else []
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", WHOLE.replace("ACTIONS", repr(actions))],
        cwd=tmp_path,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr
