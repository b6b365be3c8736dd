"""Storages that look at the tenant or the language when they are asked: the view's, to the end."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path

from django_stream_zip.members import lazy_queryset_members, queryset_members
from django_stream_zip.response import zip_response
from tests.models import Document
from tests.prefetch.test_ambient import (
    MIDDLEWARES,
    by_async_client,
    by_client,
    surroundings,
    tenant,
)
from tests.support.counting import TIME, SmallStorage
from tests.support.rows import KNOWN

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


class OpeningStorage(SmallStorage):
    """Has in each file what it finds around it."""

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(" ".join(surroundings()).encode(), name)

    def size(self, name: str) -> int:
        return len("acme de Asia/Tokyo")


class TenantStorage(FileSystemStorage):
    """Has a folder for each tenant."""

    @property
    def location(self) -> str:
        return f"{self.base_location}/{tenant.get()}"


FORMS: dict[str, Callable[[], Any]] = {
    "rows": lambda: queryset_members(Document.objects.all(), **KNOWN),
    "rows that don't know": lambda: queryset_members(Document.objects.all()),
    "lazy rows": lambda: lazy_queryset_members(Document.objects.all(), **KNOWN),
    "lazy rows that don't know": lambda: lazy_queryset_members(Document.objects.all()),
}


def view(request: HttpRequest, form: str) -> HttpResponseBase:
    return zip_response(request, FORMS[form]())


urlpatterns = [path("<form>", view)]


def fill() -> None:
    for name in ("a.jpg", "b.txt"):
        Document.objects.create(file=name, size=18, uploaded_at=TIME)


def contents(archive: bytes) -> set[bytes]:
    with zipfile.ZipFile(BytesIO(archive)) as file:
        assert len(file.namelist()) == 2
        return {file.read(name) for name in file.namelist()}


ASK = pytest.mark.parametrize("ask", [by_client, by_async_client])


@ASK
@pytest.mark.parametrize("form", FORMS)
def test_a_storage_opens_a_file_as_the_view_would(
    ask: Callable[[str], bytes], form: str, settings: Any
) -> None:
    settings.MIDDLEWARE = MIDDLEWARES[:1]
    backend = {"BACKEND": f"{__name__}.OpeningStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    fill()
    assert contents(ask(f"/{form}")) == {b"acme de Asia/Tokyo"}


@ASK
@pytest.mark.parametrize("form", FORMS)
def test_no_tenant_gets_the_files_of_another(
    ask: Callable[[str], bytes], form: str, settings: Any, tmp_path: Path
) -> None:
    for name in ("acme", "nobody"):
        (tmp_path / name).mkdir()
        for file in ("a.jpg", "b.txt"):
            (tmp_path / name / file).write_text(f"files of {name:>9}")
    settings.MIDDLEWARE = MIDDLEWARES[:1]
    backend = {
        "BACKEND": f"{__name__}.TenantStorage",
        "OPTIONS": {"location": str(tmp_path)},
    }
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    fill()
    assert contents(ask(f"/{form}")) == {b"files of      acme"}
