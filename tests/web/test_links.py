"""Links for somebody without an account: what they are good for, for how long, and nothing more."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path
from django.views.generic import View
from hypothesis import given
from hypothesis import strategies as st

from django_stream_zip.members import bytes_member
from django_stream_zip.selection import is_linked
from django_stream_zip.views import (
    AsyncZipDownloadView,
    SignedZipLinkMixin,
    ZipDownloadView,
    zip_link,
)
from tests.support.readers import read_zipfile

pytestmark = pytest.mark.urls(__name__)

HOST = "http://testserver"


class Shared(SignedZipLinkMixin, ZipDownloadView):
    def get_members(self) -> Any:
        names = self.request.GET.getlist("name") or ["all.jpg"]
        return [bytes_member(b"x" * 1000, name) for name in names]


class AsyncShared(SignedZipLinkMixin, AsyncZipDownloadView):
    async def get_members(self) -> Any:
        return [bytes_member(b"x" * 1000, "all.jpg")]


class ForStaff(Shared):
    def has_access_without_link(self, request: HttpRequest) -> bool:
        return request.headers.get("X-Staff") == "yes"


class Page(SignedZipLinkMixin, View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")

    post = get


urlpatterns = [
    path("shared/<str:pk>/", Shared.as_view()),
    path("async/", AsyncShared.as_view()),
    path("staff/", ForStaff.as_view()),
    path("page/", Page.as_view()),
]


def link(url: str, max_age: Any = 60) -> str:
    """Return a link without its host."""
    return zip_link(HOST + url, max_age=max_age).removeprefix(HOST)


def status(url: str, method: str = "get", **kwargs: Any) -> int:
    code: int = getattr(Client(), method)(url, **kwargs).status_code
    return code


def test_a_link_is_good_for_its_url() -> None:
    url = link("/shared/7/?name=a.jpg&name=b.jpg")
    whole = Client().get(url)
    data = whole.getvalue()
    assert read_zipfile(data).keys() == {"a.jpg", "b.jpg"}
    part = Client().get(url, headers={"Range": "bytes=9-", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.getvalue()) == (206, data[9:])
    assert status(url, "head") == 200
    assert status("/shared/7/") == 403


def test_a_request_has_the_host() -> None:
    request = RequestFactory().get("/", secure=True, headers={"host": "Photos.Example"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.ALLOWED_HOSTS", ["*"])
        made = zip_link("/shared/7/", max_age=timedelta(days=1), request=request)
        assert made.startswith("https://Photos.Example/shared/7/?zip_link=")
        path = made.removeprefix("https://Photos.Example")
        assert status(path, headers={"host": "photos.example"}) == 200
        assert status(path, headers={"host": "other.example"}) == 403


def test_a_link_can_be_signed_again() -> None:
    first = link("/shared/7/?name=a.jpg", max_age=1)
    again = link(first, max_age=timedelta(days=1))
    assert again.count("zip_link=") == 1
    assert status(again) == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("/7/", "/8/"),
        lambda url: url.replace("/7/", "//7/"),
        lambda url: url.replace("name=a.jpg", "name=b.jpg"),
        lambda url: url.replace("name=a.jpg&", ""),
        lambda url: url.replace("name=a.jpg", "name=a.jpg&name=b.jpg"),
        lambda url: f"{url}&name=b.jpg",
        lambda url: f"{url}&selection=x",
        lambda url: f"{url}&x=",
        lambda url: f"{url}&{url.rpartition('&')[2]}",
        lambda url: url[:-1],
        lambda url: url.replace("zip_link=", "zip_link=1"),
        lambda url: url.replace("zip_link=", "zip_link=9"),
        lambda url: url.replace("zip_link=", "Zip_link="),
        lambda url: url.rpartition("zip_link=")[0] + "zip_link=",
        lambda url: url.rpartition("zip_link=")[0] + "zip_link=9999999999:x",
        lambda url: url.replace("%FF", "%FE"),
    ],
    ids=map(str, range(16)),
)
def test_a_link_is_good_for_nothing_else(change: Any) -> None:
    url = link("/shared/7/?name=a.jpg&size=1%FF")
    assert status(url) == 200
    assert status(change(url)) in {403, 404}
    assert change(url) != url


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="?#")),
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3),
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3),
)
def test_a_query_is_good_as_it_was_signed(
    name: str, query: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    try:
        base = f"{HOST}/shared/{urlencode({'': name})[1:]}/"
        signed = zip_link(f"{base}?{urlencode(query)}", max_age=60)
    except UnicodeEncodeError:
        return
    factory = RequestFactory()
    assert is_linked(factory.get(signed.removeprefix(HOST)))
    token = dict(parse_qsl(urlsplit(signed).query))["zip_link"]
    forged = f"{urlsplit(base).path}?{urlencode([*other, ('zip_link', token)])}"
    assert is_linked(factory.get(forged)) == (other == query)


def test_a_link_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    url, now = link("/shared/7/", max_age=60), time.time()
    assert status(url) == 200
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert status(url) == 403


def test_a_key_that_was_replaced_opens_it_as_long_as_it_is_a_fallback(settings: Any) -> None:
    url = link("/shared/7/")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert status(url) == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert status(url) == 403


def test_any_view_can_have_links_but_no_body(settings: Any) -> None:
    url = link("/page/?q=%C3%BC%20+")
    assert Client().get(url).content == b"page"
    assert status(url, "post") == 403
    assert status("/page/") == 403


def test_an_asynchronous_view_has_them() -> None:
    async def ask(url: str) -> int:
        code: int = (await AsyncClient().get(url)).status_code
        return code

    assert asyncio.run(ask(link("/async/"))) == 200
    assert asyncio.run(ask("/async/")) == 403


def test_others_may_come_without_a_link() -> None:
    assert status("/staff/", headers={"X-Staff": "yes"}) == 200
    assert status("/staff/") == 403
    assert status(link("/staff/")) == 200
    assert status("/staff/?zip_link=x", headers={"X-Staff": "yes"}) == 403


@pytest.mark.parametrize(
    ("url", "max_age", "words"),
    [
        ("/shared/7/", 60, "needs a host"),
        (f"{HOST}/shared/7/", 0, "max_age must be more than 0 seconds, not 0"),
        (f"{HOST}/shared/7/", timedelta(days=-1), "max_age must be"),
        (f"{HOST}/shared/7/", "60", "max_age must be more than 0 seconds, not '60'"),
        (f"{HOST}/shared/7/", None, "max_age must be"),
        (f"{HOST}/shared/7/", float("nan"), "max_age must be"),
        (f"{HOST}/shared/7/", float("inf"), "max_age must be"),
    ],
)
def test_what_cannot_be_a_link_is_refused(url: str, max_age: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        zip_link(url, max_age=max_age)


def test_an_anonymous_user_is_no_obstacle() -> None:
    request = RequestFactory().get(link("/shared/7/"))
    request.user = AnonymousUser()
    assert Shared.as_view()(request, pk="7").status_code == 200
