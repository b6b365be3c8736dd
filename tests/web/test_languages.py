"""What the admin, the views and their archives say in the language of the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.translation import deactivate, get_language, override

from django_stream_zip.delivery.async_download import AnyMembers
from django_stream_zip.members import (
    aqueryset_members,
    lazy_queryset_members,
    queryset_members,
)
from django_stream_zip.response import zip_response
from django_stream_zip.views import AsyncZipDownloadView, QuerySetZipDownloadView
from tests.models import Document
from tests.support import admin_site
from tests.support.counting import CountingStorage
from tests.support.readers import read_zipfile
from tests.support.rows import contents_of, make_document

LOCALE_MIDDLEWARE = "django.middleware.locale.LocaleMiddleware"
DOCUMENTS = "/admin/tests/document/"
REPORTS = {
    "en": "These files could not be included:\r\n\r\na.pdf: not found\r\n",
    "zh-hans": "以下文件未能包含在内：\r\n\r\na.pdf: 未找到\r\n",  # noqa: RUF001
    "de": "Diese Dateien konnten nicht aufgenommen werden:\r\n\r\na.pdf: nicht gefunden\r\n",
}


class Reported(QuerySetZipDownloadView):
    """An archive with a report of what is missing."""

    model = Document
    ordering = ("title",)
    ids_param = "ids"
    member_options = {"missing": "report", "compress": False}


class AsyncReported(AsyncZipDownloadView):
    """The same of an asynchronous view."""

    async def get_members(self) -> AnyMembers:
        return await aqueryset_members(Document.objects.all(), missing="report")


def lazily(request: HttpRequest) -> HttpResponseBase:
    """Answer with an archive whose members are made while it is sent."""
    return zip_response(request, lazy_queryset_members(Document.objects.all(), missing="report"))


urlpatterns = [
    *admin_site.urlpatterns,
    path("reported", Reported.as_view()),
    path("lazy", lazily),
    path("async", AsyncReported.as_view()),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__), pytest.mark.usefixtures("caplog")]


@pytest.fixture(autouse=True)
def _request_has_a_language(settings: Any) -> Iterator[None]:
    """Take the language of a request, and leave it to no other test."""
    middleware = list(settings.MIDDLEWARE)
    sessions = middleware.index("django.contrib.sessions.middleware.SessionMiddleware")
    settings.MIDDLEWARE = [
        *middleware[: sessions + 1],
        LOCALE_MIDDLEWARE,
        *middleware[sessions + 1 :],
    ]
    yield
    deactivate()


@pytest.fixture
def documents(storage: CountingStorage) -> list[Document]:
    """Return documents, the first of which has lost its file."""
    made = [make_document(storage, title) for title in "abcd"]
    del storage.files["docs/a.pdf"]
    return made


@pytest.fixture
def root(db: None) -> Client:
    """Return the client of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def in_language(language: str) -> dict[str, str]:
    return {"Accept-Language": language}


def run_action(client: Client, rows: list[Document], language: str) -> Any:
    form = {"action": "download_as_zip", "_selected_action": [row.pk for row in rows], "index": 0}
    return client.post(DOCUMENTS, form, follow=True, headers=in_language(language))


# The admin.


@pytest.mark.parametrize(
    ("language", "limit", "text"),
    [
        (
            "de",
            2,
            "Sie haben 4 Objekte ausgewählt, aber es können nur 2 Objekte auf einmal "
            "heruntergeladen werden.",
        ),
        (
            "de",
            1,
            "Sie haben 4 Objekte ausgewählt, aber es kann nur 1 Objekt auf einmal "
            "heruntergeladen werden.",
        ),
        ("ja", 2, "4 個の項目が選択されていますが、一度にダウンロードできるのは 2 個までです。"),
    ],
)
def test_the_admin_says_what_is_too_much(
    root: Client,
    documents: list[Document],
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    limit: int,
    text: str,
) -> None:
    monkeypatch.setattr(admin_site.DocumentAdmin, "zip_limit", limit)
    response = run_action(root, documents, language)
    assert [str(message) for message in response.context["messages"]] == [text]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("pt-br", "Baixar documents selecionados como ZIP"),
        ("de", "Ausgewählte documents als ZIP herunterladen"),
        ("en", "Download selected documents as ZIP"),
    ],
)
def test_the_action_is_called_so(
    root: Client, documents: list[Document], language: str, text: str
) -> None:
    page = root.get(DOCUMENTS, headers=in_language(language))
    choices = dict(page.context["action_form"].fields["action"].choices)
    assert choices["download_as_zip"] == text


@pytest.mark.skipif(django.VERSION < (6, 1), reason="actions of one object came with Django 6.1")
def test_the_action_of_one_object_is_called_so(root: Client, documents: list[Document]) -> None:
    page = root.get(f"{DOCUMENTS}{documents[0].pk}/change/", headers=in_language("es"))
    choices = dict(page.context["action_form"].fields["action"].choices)
    assert choices["download_as_zip"] == "Descargar document como ZIP"


def test_the_admin_s_log_is_written_in_the_language_of_who_downloads(
    root: Client, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_site.DocumentAdmin, "zip_log_entries", True)
    run_action(root, documents[:1], "fr")
    assert LogEntry.objects.get().get_change_message() == "Téléchargé au format ZIP."


# Archives.


@pytest.mark.parametrize("language", REPORTS)
@pytest.mark.parametrize("url", ["reported", "lazy"])
def test_the_report_is_in_the_language_of_the_request(
    documents: list[Document], url: str, language: str
) -> None:
    ids = "&".join(f"ids={row.pk}" for row in documents)
    response = Client().get(f"/{url}?{ids}", headers=in_language(language))
    # When an archive is sent, the thread's language may be that of another request.
    with override("fr"):
        files = read_zipfile(response.getvalue())
    assert files["MISSING.txt"].decode() == REPORTS[language]


@pytest.mark.django_db(transaction=True)
def test_the_report_of_an_async_view_is_too(documents: list[Document]) -> None:
    async def archive() -> bytes:
        response: Any = await AsyncClient().get("/async", headers=in_language("zh-hans"))
        return b"".join([block async for block in response])

    files = read_zipfile(async_to_sync(archive)())
    assert files["MISSING.txt"].decode() == REPORTS["zh-hans"]


@pytest.mark.parametrize("build", [queryset_members, lazy_queryset_members])
def test_the_report_is_in_the_language_of_the_call(documents: list[Document], build: Any) -> None:
    with override("zh-hans"):
        members = build(Document.objects.all(), missing="report")
    with override("fr"):
        assert contents_of(members)["MISSING.txt"].decode() == REPORTS["zh-hans"]
        assert get_language() == "fr"


def test_a_report_in_another_language_is_another_archive(documents: list[Document]) -> None:
    url = "/reported?" + "&".join(f"ids={row.pk}" for row in documents)
    german = Client().get(url, headers=in_language("de"))
    whole, tag = german.getvalue(), german.headers["ETag"]
    resumed = {"Range": "bytes=50-", "If-Range": tag}
    rest = Client().get(url, headers={**in_language("de"), **resumed})
    assert (rest.status_code, rest.getvalue()) == (206, whole[50:])
    other = Client().get(url, headers={**in_language("ja"), **resumed})
    assert other.status_code == 200
    assert other.headers["ETag"] != tag


def test_without_a_report_the_language_makes_no_difference(documents: list[Document]) -> None:
    url = f"/reported?ids={documents[1].pk}"
    tags = {
        Client().get(url, headers=in_language(language)).headers["ETag"] for language in REPORTS
    }
    assert len(tags) == 1


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ja", "選択された項目が見つかりません。"),
        ("es", "No se han encontrado los elementos seleccionados."),
    ],
)
def test_a_selection_that_is_not_there_is_a_404_in_the_language(
    settings: Any, language: str, text: str
) -> None:
    settings.DEBUG = True  # Django's own page shows the text only then
    response = Client().get("/reported?ids=999", headers=in_language(language))
    assert response.status_code == 404
    assert text in response.content.decode()
