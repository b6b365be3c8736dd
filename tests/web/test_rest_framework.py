"""Django REST framework: its requests have Django's inside, and its views return archives."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.urls import path
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ReadOnlyModelViewSet, ViewSet

from django_stream_zip import stream_zip
from django_stream_zip.members import bytes_member
from django_stream_zip.response import zip_response
from django_stream_zip.rest_framework import ZipDownloadMixin, ZipRenderer
from django_stream_zip.signals import zip_download_started
from tests.delivery.test_checksums import asynchronous
from tests.models import Document
from tests.support.contents import ContentMember, counting_member
from tests.support.counting import CountingStorage
from tests.support.readers import read_zipfile
from tests.support.rows import make_known_document

pytestmark = pytest.mark.urls(__name__)

DATA = bytes(range(256)) * 1000


def photos() -> list[ContentMember]:
    return [counting_member("a.jpg", DATA), counting_member("b.jpg", DATA, promised=True)]


ARCHIVE = b"".join(stream_zip(photos()))


class Photos(APIView):
    authentication_classes = ()

    def get(self, request: Request) -> Any:
        return zip_response(request, photos())

    head = get


class Private(Photos):
    permission_classes = (IsAuthenticated,)


class Asynchronous(Photos):
    def get(self, request: Request) -> Any:
        return zip_response(request, asynchronous(photos()))


class Albums(ViewSet):
    authentication_classes = ()

    @action(detail=False)
    def download(self, request: Request) -> Any:
        return zip_response(request, photos())


urlpatterns = [
    path("photos/", Photos.as_view()),
    path("private/", Private.as_view()),
    path("async/", Asynchronous.as_view()),
    path("albums/download/", Albums.as_view({"get": "download", "head": "download"})),
]


def ask(url: str, method: str = "get", **headers: str) -> tuple[Any, bytes]:
    response = getattr(Client(), method)(url, headers=headers)
    return response, response.getvalue() if response.streaming else response.content


def async_ask(url: str, method: str = "get", **headers: str) -> tuple[Any, bytes]:
    async def read() -> tuple[Any, bytes]:
        response: Any = await getattr(AsyncClient(), method)(url, headers=headers)
        if not response.streaming:
            return response, response.content
        return response, b"".join([block async for block in response])

    return asyncio.run(read())


BOTH = pytest.mark.parametrize("ask", [ask, async_ask], ids=["WSGI", "ASGI"])
URLS = pytest.mark.parametrize("url", ["/photos/", "/albums/download/"])


@BOTH
@URLS
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_a_view_returns_the_archive(ask: Any, url: str, accept: str) -> None:
    response, data = ask(url, Accept=accept)
    assert (response.status_code, data) == (200, ARCHIVE)
    assert response.headers["Content-Length"] == str(len(ARCHIVE))
    assert response.headers["Content-Type"] == "application/zip"
    assert response.headers["ETag"].startswith('"')


@BOTH
@URLS
def test_ranges_conditions_and_head_go_through(ask: Any, url: str) -> None:
    head, data = ask(url, "head")
    assert (head.status_code, data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(ARCHIVE))
    tag = head.headers["ETag"]
    response, data = ask(url, Range="bytes=1000-", **{"If-Range": tag})
    assert (response.status_code, data) == (206, ARCHIVE[1000:])
    assert ask(url, **{"If-None-Match": tag})[0].status_code == 304
    assert ask(url, **{"If-Match": '"x"'})[0].status_code == 412
    response, data = ask(url, **{"If-Unmodified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"})
    assert (response.status_code, data) == (200, ARCHIVE)


@BOTH
def test_who_may_not_gets_its_own_answer(ask: Any) -> None:
    response, _ = ask("/private/")
    assert response.status_code in (401, 403)
    assert not response.streaming


def test_asynchronous_members_are_refused_under_wsgi() -> None:
    with pytest.raises(Exception, match="asynchronous members need ASGI"):
        ask("/async/")
    request = Request(RequestFactory().get("/"))
    with pytest.raises(Exception, match="asynchronous members need ASGI"):
        zip_response(request, asynchronous(photos()))


def test_asynchronous_members_are_sent_under_asgi() -> None:
    response, data = async_ask("/async/", Range="bytes=1000-")
    assert (response.status_code, data) == (206, ARCHIVE[1000:])


@pytest.mark.parametrize("factory", [RequestFactory, AsyncRequestFactory])
def test_signals_get_the_request_that_was_given(factory: Any) -> None:
    request = Request(factory().get("/"))
    seen: list[Any] = []

    def receiver(request: Any, **kwargs: Any) -> None:
        seen.append(request)

    zip_download_started.connect(receiver)
    try:
        b"".join(zip_response(request, photos()))  # type: ignore[call-overload]
    finally:
        zip_download_started.disconnect(receiver)
    assert seen == [request]


# The mixin and the renderer.


class DocumentSerializer(ModelSerializer):
    class Meta:
        model = Document
        fields = ("id", "title")


class Documents(ZipDownloadMixin, ReadOnlyModelViewSet):
    authentication_classes = ()
    queryset = Document.objects.order_by("title")
    serializer_class = DocumentSerializer
    zip_filename = "documents.zip"

    def filter_queryset(self, queryset: Any) -> Any:
        title = self.request.query_params.get("title")
        rows = super().filter_queryset(queryset)
        return rows if title is None else rows.filter(title=title)

    @action(detail=True, renderer_classes=[ZipRenderer, JSONRenderer])
    def notes(self, request: Request, pk: str) -> Any:
        row = self.get_object()
        note = [bytes_member(row.title.encode(), "note.jpg")]
        return self.render_to_zip(lambda: note, filename="note.zip", comment="a note")


class Chosen(Documents):
    zip_ids_param = "ids"


class Few(Documents):
    zip_options = {"limit": 1}


class Members(Documents):
    permission_classes = (IsAuthenticated,)


router = SimpleRouter()
for prefix, viewset in {
    "documents": Documents,
    "chosen": Chosen,
    "few": Few,
    "members": Members,
}.items():
    router.register(prefix, viewset, basename=prefix)
urlpatterns += router.urls

ZIP = "application/zip"


@pytest.fixture
def documents(db: None, storage: CountingStorage) -> list[Document]:
    return [make_known_document(storage, title) for title in "abc"]


def names_in(response: Any) -> set[str]:
    assert response.status_code == 200, response.content
    return set(read_zipfile(response.getvalue()))


@pytest.mark.parametrize("accept", [ZIP, "application/json", "text/html", "*/*"])
def test_a_viewset_has_an_action(documents: list[Document], accept: str) -> None:
    response = Client().get("/documents/zip/", headers={"Accept": accept})
    assert response.headers["Content-Type"] == ZIP
    assert 'filename="documents.zip"' in response.headers["Content-Disposition"]
    assert names_in(response) == {"a.pdf", "b.pdf", "c.pdf"}


def test_the_action_has_ranges_and_head(documents: list[Document]) -> None:
    data = Client().get("/documents/zip/").getvalue()
    head = Client().head("/documents/zip/", headers={"Accept": ZIP})
    assert head.headers["Content-Length"] == str(len(data))
    part = Client().get("/documents/zip/", headers={"Range": "bytes=50-"})
    assert (part.status_code, part.getvalue()) == (206, data[50:])


def test_the_action_has_what_the_list_has(documents: list[Document]) -> None:
    assert names_in(Client().get("/documents/zip/?title=b")) == {"b.pdf"}
    assert names_in(Client().get("/documents/zip/?format=zip&title=b")) == {"b.pdf"}


def test_rows_can_be_selected(documents: list[Document]) -> None:
    a, b, _ = documents
    assert names_in(Client().get(f"/chosen/zip/?ids={a.pk}&ids={b.pk}")) == {"a.pdf", "b.pdf"}
    for query in ("", "?ids=x", f"?ids={b.pk}&title=a"):
        assert Client().get(f"/chosen/zip/{query}").status_code == 404


@pytest.mark.parametrize("accept", [ZIP, "application/json"])
def test_errors_stay_the_framework_s(documents: list[Document], accept: str, settings: Any) -> None:
    def refused(url: str) -> tuple[int, str, str]:
        response = Client().get(url, headers={"Accept": accept})
        assert response.headers["Content-Type"] == "application/json"
        return response.status_code, response.json()["detail"], response.headers.get("Retry-After")

    assert refused("/members/zip/")[0] == 403
    assert refused("/chosen/zip/") == (404, "Nothing was selected.", None)
    text = "This download is limited to 1 file. Select fewer files."
    assert refused("/few/zip/") == (413, text, None)
    settings.DJANGO_STREAM_ZIP = {"MAX_DOWNLOADS": 1}
    running = zip_response(RequestFactory().get("/"), photos())
    text = "Too many downloads are running. Try again in a moment."
    assert refused("/documents/zip/") == (503, text, "30")
    running.close()
    text = "There are no files to download."
    assert refused("/documents/zip/?title=no") == (404, text, None)
    Document.objects.update(file="gone.pdf", size=None)
    assert refused("/documents/zip/") == (404, "A file of this download is missing.", None)


def test_only_the_action_has_the_renderer(documents: list[Document]) -> None:
    assert Client().get("/documents/", headers={"Accept": ZIP}).status_code == 406
    assert len(Client().get("/documents/").json()) == 3


def test_an_action_of_one_s_own_uses_it_too(documents: list[Document]) -> None:
    url = f"/documents/{documents[0].pk}/notes/"
    response = Client().get(url, headers={"Accept": ZIP})
    assert response.getvalue().endswith(b"a note")
    missing = Client().get("/documents/0/notes/", headers={"Accept": ZIP})
    assert (missing.status_code, missing.headers["Content-Type"]) == (404, "application/json")
    assert missing.json()["detail"]


def test_nothing_else_needs_the_framework() -> None:
    code = (
        "import sys, django; from django.conf import settings; settings.configure();"
        "django.setup(); import django_stream_zip.views;"
        "assert not any(name.startswith('rest_framework') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
