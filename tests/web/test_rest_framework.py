"""Django REST framework: its requests have Django's inside, and its views return archives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.urls import path
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from django_stream_zip import stream_zip
from django_stream_zip.response import zip_response
from django_stream_zip.signals import zip_download_started
from tests.delivery.test_checksums import asynchronous
from tests.support.contents import ContentMember, counting_member

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
