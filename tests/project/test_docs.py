"""What README and docs say is run here: every Python block, and what they state of the package."""

from __future__ import annotations

import json
import re
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.management import load_command_class
from django.db import connection
from django.http import Http404
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.test.utils import isolate_apps

from django_stream_zip import NO_COMPRESSION_AUTO, conf
from django_stream_zip.members import field_member, queryset_members
from django_stream_zip.response import zip_response
from tests.support.docs import ROOT, Photo, block_with, blocks, run


@pytest.fixture
def photo(transactional_db: None) -> Iterator[Photo]:
    with connection.schema_editor() as editor:
        editor.create_model(Photo)
    photo = Photo(album_id=7, title="Dawn")
    photo.image.save("dawn.jpg", ContentFile(b"\xff\xd8" * 1000))
    yield photo
    photo.image.delete(save=False)
    with connection.schema_editor() as editor:
        editor.delete_model(Photo)


def members_of(response: Any, path: Path) -> list[str]:
    path.write_bytes(b"".join(response.streaming_content))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


@pytest.mark.parametrize(
    ("name", "title"), [("AlbumDownload", "album/Dawn.jpg"), ("PhotoDownload", "Dawn.jpg")]
)
def test_the_views_of_the_readme_send_photos_to_their_owner(
    photo: Photo, tmp_path: Path, name: str, title: str
) -> None:
    view = run(block_with("README.rst", f"class {name}("), Photo=Photo)[name].as_view()
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    assert view(request, pk=7).status_code == 302
    request.user = User.objects.create(username="another")
    with pytest.raises(Http404):
        view(request, pk=7)
    request.user = photo.owner = User.objects.create(username="somebody")
    photo.save()
    response = view(request, pk=7)
    assert response.headers["Accept-Ranges"] == "bytes"
    assert members_of(response, tmp_path / "a.zip") == [title]


@override_settings(
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {"photos/too_large.html": "<p>{{ reason }}</p>"},
                    )
                ]
            },
        }
    ]
)
def test_the_page_of_the_docs_for_what_is_too_large_works(photo: Photo) -> None:
    view = run(block_with("docs/members.rst", "def without_members"), Photo=Photo)
    cls, request = view["LimitedDownload"], RequestFactory().get("/")
    assert cls.as_view()(request).status_code == 200
    Photo(album_id=7, title="Noon", image=photo.image.name).save()
    response = cls.as_view(member_options={"limit": 1})(request)
    assert response.status_code == 413
    page = "<p>This download is limited to 1 file. Select fewer files.</p>"
    assert response.content.decode() == page
    Photo.objects.update(image="gone.jpg")
    with pytest.raises(Http404):
        cls.as_view()(request)


def test_the_report_of_the_docs_works(photo: Photo, tmp_path: Path) -> None:
    view = run(block_with("docs/members.rst", "class ReportDownload"), Photo=Photo)
    response = view["ReportDownload"].as_view()(RequestFactory().get("/"))
    assert members_of(response, tmp_path / "a.zip") == ["photos.csv"]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("photos.csv") == b"%d,Dawn\r\n" % photo.pk


@pytest.mark.django_db
def test_the_admin_of_the_readme_passes_the_checks() -> None:
    from django.contrib import admin

    names = run(block_with("README.rst", "ZipDownloadAdminMixin"), Photo=Photo)
    try:
        assert admin.site.get_model_admin(Photo).actions == ["download_as_zip"]
        assert [m for m in run_checks() if "Photo" in str(m.obj)] == []
    finally:
        admin.site.unregister(Photo)
    assert names["PhotoAdmin"]


async def _body(response: Any) -> bytes:
    return b"".join([block async for block in response])


def test_the_asynchronous_view_of_the_docs_works(photo: Photo) -> None:
    from asgiref.sync import async_to_sync

    block = block_with("docs/async.rst", "AsyncZipDownloadView")
    view = run(block, Photo=Photo)["AlbumDownload"].as_view()

    async def download() -> bytes:
        return await _body(await view(AsyncRequestFactory().get("/"), pk=7))

    assert b"dawn" in async_to_sync(download)()


def test_the_rows_and_the_report_of_the_docs_are_members(photo: Photo, tmp_path: Path) -> None:
    rows = run(block_with("docs/members.rst", "missing="), Photo=Photo)["members_of"](7)
    report = run(block_with("docs/members.rst", "def report"), Photo=Photo)["report"]()
    response = zip_response(RequestFactory().get("/"), [*rows, report])
    assert members_of(response, tmp_path / "a.zip") == ["7/Dawn.jpg", "photos.csv"]


@pytest.mark.parametrize("name", ["Recording", "Concert"])
@pytest.mark.django_db(transaction=True)
@isolate_apps("tests")
def test_the_models_of_the_docs_hold_the_facts_of_their_files(name: str) -> None:
    model = run(block_with("docs/members.rst", f"class {name}("))[name]
    assert model.check() == []
    with connection.schema_editor() as editor:
        editor.create_model(model)
    try:
        field = "file" if name == "Recording" else "video"
        row = model.objects.create(**{field: ContentFile(b"la la", "song.mp3")})
        [member] = queryset_members(model.objects.all(), field)
        assert (member[4].size, member[4].crc_32) == (5, zlib.crc32(b"la la"))
        file = getattr(row, field)
        assert field_member(file, **file.zip_metadata)[4].validator == member[4].validator
        file.delete(save=False)
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(model)


def test_the_options_of_the_docs_are_those_of_the_command() -> None:
    section = (ROOT / "docs" / "members.rst").read_text().partition("manage.py zip_metadata")[2]
    section = section.partition("For a model with several")[0]
    parser = load_command_class("django_stream_zip", "zip_metadata").create_parser(
        "", "zip_metadata"
    )
    own = {option for action in parser._actions for option in action.option_strings}
    told = set(re.findall(r"``(--[a-z-]+)``", section))
    assert told == {"--dry-run", "--all", "--database", "--no-progress"}
    assert told <= own


def test_the_options_of_saving_are_those_of_its_command() -> None:
    page = (ROOT / "docs" / "saving.rst").read_text()
    parser = load_command_class("django_stream_zip", "zip_save").create_parser("", "zip_save")
    common = load_command_class("django_stream_zip", "zip_metadata").create_parser("", "x")
    known = {option for action in parser._actions for option in action.option_strings}
    shared = {option for action in common._actions for option in action.option_strings}
    for option in known - shared | {"--database", "--no-progress"}:
        assert option in page, option
    assert {word for word in re.findall(r"--[a-z-]+", page) if word in known} <= known


def test_the_functions_of_saving_save(photo: Photo, tmp_path: Path) -> None:
    names = run(block_with("docs/saving.rst", "def save_album"), Photo=Photo)
    assert names["save_album"](7).members == 1
    again = run(block_with("docs/saving.rst", "def save_again"), save_zip=names["save_zip"])
    storage = names["storages"]["default"]
    members = names["queryset_members"](Photo.objects.all(), "image")
    assert again["save_again"](storage, "b.zip", members, tmp_path / "token").members == 1
    assert storage.size("b.zip") == storage.size("albums/7.zip")


def test_the_content_of_the_docs_has_ranges() -> None:
    page = run(block_with("docs/async.rst", "class Page"))["Page"](b"0123456789")
    member = ("page.txt", datetime(2026, 1, 31), 0o644, NO_COMPRESSION_AUTO(page.size), page)
    response = zip_response(RequestFactory().get("/", headers={"Range": "bytes=0-3"}), [member])
    assert response.status_code == 206


def test_the_engine_example_writes_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(block_with("README.rst", "ZIP_32, stream_zip"))
    with zipfile.ZipFile("lines.zip") as archive:
        assert archive.read("lines.txt").splitlines()[999] == b"line 999"


@pytest.mark.django_db
def test_the_settings_page_has_every_key_and_its_default() -> None:
    names = run(block_with("docs/settings.rst", "DJANGO_STREAM_ZIP"))
    assert names["DJANGO_STREAM_ZIP"] == {name: key.default for name, key in conf.KEYS.items()}
    # Not every environment of the tests has an engine.
    given = {**names["DJANGO_STREAM_ZIP"], "ENQUEUE": "tests.support.exports.keep"}
    with override_settings(DJANGO_STREAM_ZIP=given):
        assert [m for m in run_checks() if (m.id or "").startswith("django_stream_zip")] == []


def test_the_versions_that_the_readme_states_are_the_package_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    readme = (ROOT / "README.rst").read_text()
    assert f"Python {project['requires-python'].removeprefix('>=')} and newer" in readme
    djangos = [c.split(" :: ")[2] for c in project["classifiers"] if "Django :: " in c]
    assert f"Django {', '.join(djangos[:-1])} and {djangos[-1]}" in readme


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = [block.strip() for block in blocks(ROOT / "README.rst", "sh")]
    [command] = [command for command in commands if "tox" in command]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_viewset_of_the_docs_has_an_action(photo: Photo, tmp_path: Path) -> None:
    from rest_framework.permissions import AllowAny

    viewset = run(block_with("docs/drf.rst", "class PhotoViewSet"), Photo=Photo)["PhotoViewSet"]
    view = viewset.as_view({"get": "download_zip"}, authentication_classes=())
    assert view(RequestFactory().get("/")).status_code in {401, 403}
    viewset.permission_classes = [AllowAny]
    assert members_of(view(RequestFactory().get("/")), tmp_path / "a.zip") == ["Dawn.jpg"]


@pytest.mark.parametrize("accept", ["application/zip", "application/json", "*/*"])
def test_the_rest_framework_view_of_the_docs_takes_any_accept(
    photo: Photo, tmp_path: Path, accept: str
) -> None:
    from rest_framework.permissions import AllowAny

    block = block_with("docs/drf.rst", "class AlbumArchive")
    view = run(block, Photo=Photo)["AlbumArchive"]
    request = RequestFactory().get("/", headers={"Accept": accept})
    denied = view.as_view(authentication_classes=())(request, pk=7)
    assert denied.status_code in {401, 403}
    assert denied.render().headers["Content-Type"] == "application/json"
    allowed = view.as_view(permission_classes=[AllowAny], authentication_classes=())
    assert members_of(allowed(request, pk=7), tmp_path / "a.zip") == ["dawn.jpg"]


def test_the_view_of_the_docs_answers_errors_itself(photo: Photo, tmp_path: Path) -> None:
    album = run(block_with("docs/troubleshooting.rst", "def album"), Photo=Photo)["album"]
    request = RequestFactory().get("/")
    assert members_of(album(request, 7), tmp_path / "a.zip") == ["dawn.jpg"]
    with override_settings(DJANGO_STREAM_ZIP={"MAX_BYTES": 1}):
        assert album(request, 7).status_code == 413
    Photo.objects.update(image="gone.jpg")
    with pytest.raises(Http404):
        album(request, 7)


@override_settings(
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {"photos/album.html": block_with("docs/selection.rst", "filesizeformat")},
                    )
                ]
            },
        }
    ]
)
def test_the_page_of_the_docs_shows_the_size(photo: Photo) -> None:
    page = run(block_with("docs/selection.rst", "def size_page"), Photo=Photo)["size_page"]
    html = " ".join(page(RequestFactory().get("/"), 7).content.decode().split())
    assert "Download 1 files, 2.1 KB</a>" in html
    told = page(RequestFactory().get("/", headers={"Accept": "application/json"}), 7).content
    assert json.loads(told)["is_resumable"] is True


DESIGN = (ROOT / "docs" / "design.rst").read_text()


def test_what_the_design_page_names_is_there() -> None:
    package, tests = ROOT / "django_stream_zip", ROOT / "tests"
    named = set(re.findall(r"``([\w/]+(?:\.py|/))``", DESIGN))
    found = {path.name for path in tests.rglob("*.py")}
    places = (package, ROOT)
    assert {
        name for name in named if name not in found and not any((p / name).exists() for p in places)
    } == set()


@pytest.mark.parametrize(
    ("path", "name"),
    re.findall(r"``([\w/]+\.py)``,\s+``((?!\w+\.py)[\w.]+)``", DESIGN),
)
def test_each_name_of_the_design_page_is_in_its_module(path: str, name: str) -> None:
    text = (ROOT / "django_stream_zip" / path).read_text()
    for part in name.split("."):
        assert re.search(rf"^\s*((async )?(def|class) )?{part}\b", text, re.MULTILINE), part


# Exports: docs/exports.rst.


def test_the_site_of_the_exports_page_has_few_lines() -> None:
    site = blocks(ROOT / "docs/exports.rst", "python")[:3]
    lines = [line for block in site for line in block.splitlines() if line.strip()]
    assert len(lines) <= 25


def test_the_recipe_and_the_urls_of_the_exports_page_work(photo: Photo) -> None:
    recipe = run(block_with("docs/exports.rst", "def album_members"), Photo=Photo)
    assert [member[0] for member in recipe["album_members"](album=7)] == ["dawn.jpg"]
    urls = run(block_with("docs/exports.rst", "ZipExportView.as_view"))["urlpatterns"]
    assert urls[1].callback.view_initkwargs == {"recipe": "album", "filename": "album.zip"}


def test_the_larger_download_of_the_exports_page_is_sent(photo: Photo) -> None:
    view = run(block_with("docs/exports.rst", "export_over"), Photo=Photo)["AlbumDownload"]
    request = RequestFactory().get("/")
    request.user = User(username="somebody")
    response = view.as_view()(request, album=7)
    assert response.status_code == 200
    response.close()
